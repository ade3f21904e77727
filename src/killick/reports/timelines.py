"""Charts over time: how a promise was kept, and what happened beside it.

All share one axis and one width of names, so that a day stands above the same day. Time is UTC, in milliseconds, as
Vega-Lite wants it; what a tooltip says is text already, for Vega would say it in the reader's own zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from killick.clock import DAY
from killick.reports.charts import NAMES_WIDTH, Chart, clean
from killick.reports.words import counted, day, figure, listed, place, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt

    from killick.clock import Instant, Window
    from killick.reports.chronicle import Point, Promise, Series

# What a chart can hold and still be read.
LINES_MAX = 8
BADGES_MAX = 40
# How many badges stand side by side on the narrowest screen without covering each other.
BADGES_ABREAST = 16
# From this width on (pixels), there is room for names on the bars of a lane; numbers always have some.
_NAMES_FROM = 420
# How many badges stand side by side on the narrowest screen without covering each other.
BADGES_ABREAST = 16
# From this width on (pixels), there is room for names on the bars of a lane; numbers always have some.
_NAMES_FROM = 420
_MONTHS = 75 * DAY

Band = dict[str, Any]
"""A stretch of time on a chart: `from`, `to` in milliseconds, and what a tooltip says."""


def stretch(window: Window, within: Window, **said: Any) -> Band | None:  # noqa: ANN401 - for tooltips
    """Return a stretch of time cut to a span; None when it lies outside."""
    start, end = max(window.start, within.start), min(window.end, within.end)
    if start > end or (start == end and window.width):
        return None
    return {"from": ms(start), "to": ms(end), **said}


def ms(instant: Instant) -> int:
    """Return an instant as Vega-Lite takes it."""
    return instant // 1_000


def promise_chart(promise: Promise, within: Window, bands: Sequence[Band], badges: Sequence[Band]) -> Chart:
    """Draw an objective's metric over its trailing window, its bound, the incidents and what was done.

    Args:
        promise: the objective.
        within: the span of the chart.
        bands: incidents: `from`, `to`, `kind`, `what`.
        badges: numbered acts: `from`, `number`, `what`.
    """
    import altair as alt

    rows = [_row(point) for point in promise.points if point.value is not None]
    low, high = _reach(promise, rows)
    x = x_again()
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[low, high], zero=False))
    y = y.axis(tickCount=5, minExtent=NAMES_WIDTH, maxExtent=NAMES_WIDTH)
    told = [tip("when", " "), tip("said", promise.metric), tip("between", "95 % within"), tip("labels", "labels")]
    base = plot(rows)
    rest = alt.Y("value:Q", title=None)
    area = base.mark_area(style="interval", clip=True).encode(x=x, y=alt.Y("low:Q", title=None), y2="high:Q")
    line = base.mark_line(style="measure", clip=True).encode(x=x, y=y)
    missed = base.mark_point(style="missed", filled=True, size=16, opacity=1).encode(x=x, y=rest, tooltip=told)
    missed = missed.transform_filter("datum.status == 'fail'")
    hover = base.mark_point(size=120, opacity=0, clip=True).encode(x=x, y=rest, tooltip=told)
    layers = [frame(within), *_bands(bands), area, line, missed, hover]
    if promise.bound is not None:
        layers.append(_bound(promise))
    layers += _badges(badges, within)
    chart = alt.layer(*layers).properties(width="container", height=260)
    said = _promise_said(promise, within)
    return Chart(clean(chart) | {"description": said}, said)


def lanes_chart(lanes: Sequence[str], paints: Sequence[str], stretches: Sequence[Band], within: Window) -> Chart | None:
    """Draw what happened beside the promise, a lane for each kind of thing.

    Args:
        lanes: the lanes, from top to bottom.
        paints: the same, in the order of the palette.
        stretches: `lane`, `from`, `to`, `label` (short, or empty), `what`.
        within: the span of the chart.
    """
    import altair as alt

    shown = [lane for lane in lanes if any(s["lane"] == lane for s in stretches)]
    if not shown:
        return None
    x = x_again()
    y = alt.Y("lane:N", title=None, sort=shown, scale=alt.Scale(domain=shown, paddingInner=0.3, paddingOuter=0.1))
    y = y.axis(grid=False, minExtent=NAMES_WIDTH, maxExtent=NAMES_WIDTH, labelLimit=NAMES_WIDTH)
    paint = alt.Color("lane:N", scale=alt.Scale(domain=list(paints)), legend=None)
    told = [tip("what", " "), tip("when", " ")]
    base = plot(_legible(stretches, within))
    bars = base.mark_bar(cornerRadius=2, opacity=0.5, minBandSize=2).encode(
        x=x, x2="to:Q", y=y, color=paint, tooltip=told
    )
    # A stretch of an hour in nine months is thinner than a hair: its beginning is always marked.
    starts = base.mark_tick(thickness=3, opacity=1).encode(x=x, y=y, color=paint, tooltip=told)
    names = base.mark_text(clip=True, align="left", dx=5, fontSize=10.5, fontWeight=600, limit=130).encode(
        x=x, y=y, text="label:N"
    )
    names = names.encode(
        opacity=alt.condition(f"width > {_NAMES_FROM} || length(datum.label) < 4", alt.value(1), alt.value(0))
    )
    chart = alt.layer(frame(within), bars, starts, names).properties(width="container", height=26 * len(shown))
    said = f"What happened, by kind, over {span(within)}: " + listed(
        [_lane_said(lane, stretches) for lane in shown], 12
    )
    return Chart(clean(chart) | {"description": said}, said)


def _legible(stretches: Sequence[Band], within: Window) -> list[Band]:
    """Take away the names that the next stretch of their lane would cover."""
    letter = within.width // 1_000 // 90
    ahead: dict[str, int] = {}
    found = []
    for one in sorted(stretches, key=lambda stretch: -stretch["from"]):
        room = ahead.get(one["lane"], ms(within.end) + 10 * letter) - one["from"]
        found.append(one if len(one["label"]) * letter <= room else one | {"label": ""})
        ahead[one["lane"]] = one["from"]
    return found[::-1]


def lines_chart(
    series: Sequence[tuple[str, Sequence[Point]]], within: Window, bands: Sequence[Band], *, every: int
) -> Chart | None:
    """Draw a metric as lines, one for each name, each point a mean of `every` windows weighted by their labels."""
    import altair as alt

    rows = [row for name, points in series[:LINES_MAX] for row in means(name, points, within, every)]
    if not rows:
        return None
    names = [name for name, _ in series[:LINES_MAX]]
    x = x_again()
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False, nice=True)).axis(
        tickCount=4, minExtent=NAMES_WIDTH, maxExtent=NAMES_WIDTH
    )
    paint = alt.Color("name:N", scale=alt.Scale(domain=names, range="category"), legend=legend_above())
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=names), legend=legend_above())
    base = plot(rows)
    line = base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=paint, strokeDash=dash)
    told = [tip("name", " "), tip("when", " "), tip("said", "mean"), tip("labels", "labels")]
    hover = base.mark_point(size=30, filled=True, opacity=0.9).encode(x=x, y=y, color=paint, tooltip=told)
    chart = alt.layer(frame(within), *_bands(bands), line, hover).properties(width="container", height=190)
    said = "; ".join(_line_said(name, rows) for name in names)
    return Chart(clean(chart) | {"description": said}, said)


def means(name: str, points: Sequence[Point], within: Window, every: int) -> list[dict[str, Any]]:
    """Return label-weighted means of runs of windows, as rows of a chart. A run without a label is left out."""
    inside = [p for p in points if within.start <= p.window.start and p.window.end <= within.end]
    rows = []
    for at in range(0, len(inside), every):
        run = [p for p in inside[at : at + every] if p.value is not None and p.labels]
        labels = sum(p.labels or 0 for p in run)
        if labels:
            value = sum((p.value or 0.0) * (p.labels or 0) for p in run) / labels
            when = span(type(within)(run[0].window.start, run[-1].window.end))
            middle = (run[0].window.start + run[-1].window.end) // 2
            rows.append(
                {
                    "name": name,
                    "from": ms(middle),
                    "value": value,
                    "said": figure(value),
                    "when": when,
                    "labels": f"{labels:,}",
                }
            )
    return rows


def time_axis(within: Window) -> alt.X:
    """Return the axis that every chart over time shares."""
    import altair as alt

    scale = alt.Scale(type="utc", nice=False)
    months = within.width > _MONTHS
    axis = alt.Axis(
        format="%b" if months else "%-d %b", tickCount="month" if months else 6, labelOverlap=True, labelFlush=True
    )
    return alt.X("from:T", title=None, scale=scale, axis=axis)


def plot(rows: Sequence[dict[str, Any]]) -> alt.Chart:
    """Return a chart of these rows, to be told what to draw."""
    import altair as alt

    return alt.Chart({"values": list(rows)})


def frame(within: Window) -> alt.Chart:
    """Return the layer that draws nothing and spans the axis; a domain that is named, Vega-Lite would read twice."""
    ends = [{"from": ms(within.start)}, {"from": ms(within.end)}]
    made: alt.Chart = plot(ends).mark_point(opacity=0).encode(x=time_axis(within))
    return made


def x_again() -> alt.X:
    """Return the same axis for a further layer: the first one has said everything about it."""
    import altair as alt

    return alt.X("from:T", title=None)


def tip(field: str, title: str) -> alt.Tooltip:
    """Return a line of a tooltip; a title of white space is not shown."""
    import altair as alt

    return alt.Tooltip(f"{field}:N", title=title)


def legend_above() -> alt.Legend:
    """Return a legend in one line, or, where the screen is narrow, one below the other."""
    import altair as alt

    return alt.Legend(columns=alt.ExprRef(f"width < {_NAMES_FROM} ? 1 : 0"), labelLimit=220)


def _bands(bands: Sequence[Band]) -> list[alt.Chart]:
    """Return the layer of incidents, or none: Vega warns about a layer without rows."""
    if not bands:
        return []
    made = plot(bands).mark_rect(style="act", opacity=0.13)
    return [made.encode(x=x_again(), x2="to:Q", tooltip=[tip("what", " "), tip("when", " ")])]


def _badges(badges: Sequence[Band], within: Window) -> list[alt.Chart]:
    """Return the numbered discs above the chart, on as many levels as keep neighbours from covering each other."""
    import altair as alt

    layers: list[alt.Chart] = []
    for level, shown in enumerate(_levels(badges[:BADGES_MAX], within)):
        y = alt.value(-11 - 18 * level)
        base = plot(shown).encode(x=x_again(), tooltip=[tip("what", " "), tip("when", " ")])
        stem = base.mark_rule(style="act", strokeDash=[2, 3], opacity=0.7)
        disc = base.mark_point(style="badge", filled=True, size=210, opacity=1).encode(y=y)
        layers += [
            stem,
            disc,
            base.mark_text(style="badge-text", fontSize=10, fontWeight=700).encode(y=y, text="number:N"),
        ]
    return layers


def _levels(badges: Sequence[Band], within: Window) -> list[list[Band]]:
    """Put badges on levels, each on the lowest one where its neighbour is far enough away."""
    apart = within.width // 1_000 // BADGES_ABREAST
    levels: list[list[Band]] = []
    for badge in badges:
        free = next((level for level in levels if badge["from"] - level[-1]["from"] >= apart), None)
        if free is None:
            levels.append([badge])
        else:
            free.append(badge)
    return levels


def _bound(promise: Promise) -> alt.Chart:
    import altair as alt

    base = plot([{"bound": promise.bound}])
    rule: alt.Chart = base.mark_rule(style="bound", strokeDash=[6, 4], strokeWidth=1.4).encode(y=alt.Y("bound:Q"))
    return rule


def _row(point: Point) -> dict[str, Any]:
    low, high = point.interval or (point.value, point.value)
    return {
        "from": ms(point.window.end),
        "value": point.value,
        "low": low,
        "high": high,
        "status": point.status,
        "when": f"by {day(point.window.end)}",
        "said": figure(point.value),
        "between": f"{figure(low)} to {figure(high)}",
        "labels": f"{point.labels or 0:,}",
    }


def _reach(promise: Promise, rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Return the ends of the y axis: what was judged and the bound, with air; wide intervals of few labels are cut."""
    judged = [row for row in rows if row["status"] != "inconclusive"] or list(rows)
    ends = [row[end] for row in judged for end in ("low", "high")] + (
        [promise.bound] if promise.bound is not None else []
    )
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    air = (high - low) * 0.08 or 0.05
    return low - air, high + air


def _promise_said(promise: Promise, within: Window) -> str:
    known = [point for point in promise.points if point.value is not None and point.status != "inconclusive"]
    if not known:
        return f"{promise.metric} for objective {promise.name}: not known in {span(within)}."
    missed = sum(point.status == "fail" for point in known)
    top = max(known, key=lambda point: point.value or 0.0)
    low = min(known, key=lambda point: point.value or 0.0)
    return (
        f"{promise.metric} over time, objective {promise.name} ({'at most' if promise.at_most else 'at least'} "
        f"{figure(promise.bound)}): highest {figure(top.value)} by {day(top.window.end)}, lowest {figure(low.value)} "
        f"by {day(low.window.end)}, {figure(known[-1].value)} at the end; missed at the end of {missed} of "
        f"{counted(len(known), 'window')}."
    )


def _lane_said(lane: str, stretches: Sequence[Band]) -> str:
    return f"{lane} ({sum(s['lane'] == lane for s in stretches)})"


def _line_said(name: str, rows: Sequence[dict[str, Any]]) -> str:
    mine = [row for row in rows if row["name"] == name]
    if not mine:
        return f"{name}: no labels"
    top, low = max(mine, key=lambda row: row["value"]), min(mine, key=lambda row: row["value"])
    return f"{name}: between {low['said']} ({low['when']}) and {top['said']} ({top['when']})"


def by_segment(series: Sequence[Series], metric: str) -> list[tuple[str, Sequence[Point]]]:
    """Return a metric's series by segment, the most labels first; the whole when there are no segments."""
    mine = [one for one in series if one.metric == metric]
    parts = [one for one in mine if one.segment] or mine
    parts.sort(key=lambda one: (-sum(p.labels or 0 for p in one.points), one.segment))
    return [(place(one.segment), one.points) for one in parts]
