"""The grammar of pictures: every chart is an Altair (Vega-Lite) spec made here (DESIGN D11).

A spec names no colour but by its part (a style, a place in a range); `THEMES` says what that looks like in light and in
dark, and the page chooses. The palette is Okabe and Ito's (2008, https://jfly.uni-koeln.de/color/), which people with
any common colour blindness can tell apart. Every chart brings its alternative: a sentence that says what it shows.
Bounds keep a chart legible and its page small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from killick.reports.words import counted, percent

if TYPE_CHECKING:
    import altair as alt

    from killick.reports.findings import Calibration, Curve

# Okabe and Ito's names for their colours.
ORANGE, SKY, GREEN = "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

HISTOGRAM_HEIGHT = 170
CALIBRATION_HEIGHT = 320
# Room for the names on the left: the same in every chart of a page, so that charts over time stand above each other.
NAMES_WIDTH = 92
SCHEMA_URL = "$schema"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: its Vega-Lite spec, and in a sentence what it shows."""

    spec: dict[str, Any]
    alternative: str


def _theme(
    *, ink: str, soft: str, line: str, halo: str, parts: dict[str, dict[str, Any]], ranges: dict[str, list[str]]
) -> dict[str, Any]:
    text = {"labelColor": soft, "titleColor": soft, "titleFontWeight": 500, "labelFontSize": 11, "titleFontSize": 11}
    axis = {"domain": False, "ticks": False, "gridColor": line, "labelPadding": 6, "tickColor": line, **text}
    legend = {
        "orient": "top",
        "symbolType": "square",
        "symbolStrokeWidth": 0,
        "title": None,
        "padding": 0,
        "offset": 10,
    }
    return {
        "background": None,
        "aria": False,
        "font": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
        "view": {"stroke": None},
        "axis": axis,
        "legend": {**legend, **text, "labelColor": ink, "columnPadding": 14},
        "text": {"color": ink, "fontSize": 11},
        "style": {"halo": {"stroke": halo}, **parts},
        "range": ranges,
    }


THEMES: dict[str, dict[str, Any]] = {
    "light": _theme(
        ink="#1d2730",
        soft="#5c6770",
        line="#e4e1d9",
        halo="#ffffff",
        parts={
            "reference": {"color": "#c9cdd0"},
            "current": {"color": BLUE},
            "measure": {"color": BLUE, "strokeWidth": 2},
            "interval": {"color": BLUE, "opacity": 0.16},
            "missed": {"color": VERMILION},
            "bound": {"color": "#1d2730"},
            "act": {"color": "#5c6770"},
            "badge": {"color": "#1d2730"},
            "badge-text": {"color": "#ffffff"},
            "panel": {"color": "#f1eee6"},
            "quiet": {"color": "#a9b0b5", "strokeWidth": 1.2},
        },
        ranges={
            "category": [BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, "#6b7680", "#1d2730"],
            "ordinal": ["#d3d0c7", "#a9d5f0", ORANGE, VERMILION, "#7d2f00"],
        },
    ),
    "dark": _theme(
        ink="#e8e6e1",
        soft="#a3adb5",
        line="#2b353d",
        halo="#151c22",
        parts={
            "reference": {"color": "#56626c"},
            "current": {"color": SKY},
            "measure": {"color": SKY, "strokeWidth": 2},
            "interval": {"color": SKY, "opacity": 0.2},
            "missed": {"color": "#ff8a3d"},
            "bound": {"color": "#e8e6e1"},
            "act": {"color": "#a3adb5"},
            "badge": {"color": "#e8e6e1"},
            "badge-text": {"color": "#151c22"},
            "panel": {"color": "#1d262d"},
            "quiet": {"color": "#5d6a74", "strokeWidth": 1.2},
        },
        ranges={
            "category": [SKY, ORANGE, "#2fc79c", PURPLE, "#a9c7ff", "#ff8a3d", "#8d99a3", "#e8e6e1"],
            "ordinal": ["#3a444c", "#2d5f80", "#b87400", "#ff9a3d", "#ffdca8"],
        },
    ),
}


def forms() -> dict[str, dict[str, Any]]:
    """Return the specs of a distribution by its form, without rows: each chart takes these from the table beside it.

    `histogram` has bars from one number to another, whose areas are shares; `bands` has bars of single numbers, and
    `bars` has categories, a row for each. Rows are `bin`, `n`, `reference`, `current`, and `from` and `to`. A page of a
    hundred columns holds each form once.
    """
    return {"histogram": _histogram(), "bands": _bands(), "bars": _bars()}


def calibration(found: Calibration) -> Chart:
    """Draw the reliability diagram: how often it came true, against the score that said so; on the line both agree."""
    import altair as alt

    sides = {"reference": found.reference, "current": found.current}
    rows = [row for name, curve in sides.items() if curve for row in _points(name, curve)]
    names = [name for name, curve in sides.items() if curve]
    top = min(max([1e-9, *(row[end] for row in rows for end in ("score", "high"))]) * 1.02, 1.0)
    scale = alt.Scale(domain=[0.0, top], nice=False)
    x = alt.X("score:Q", title="mean score", scale=scale, axis=alt.Axis(format="%", tickCount=5))
    y = alt.Y("rate:Q", title="came true", scale=scale, axis=alt.Axis(format="%", tickCount=5))
    paint = alt.Color("side:N", scale=alt.Scale(domain=names, range=_SIDES[-len(names) :]), legend=alt.Legend())
    told = [alt.Tooltip("side:N", title=" "), *(alt.Tooltip(f"{name}:N", title=title) for name, title in _POINT_TOLD)]
    ideal = alt.Chart({"values": [{"score": end, "rate": end} for end in (0.0, top)]})
    line = ideal.mark_line(style="bound", strokeDash=[5, 4], strokeWidth=1.2).encode(x=x, y=y)
    based = alt.Chart({"values": rows}).encode(x=x, color=paint)
    reach = based.mark_rule(opacity=0.55, clip=True, strokeWidth=1.4).encode(y=alt.Y("low:Q"), y2="high:Q")
    drawn = based.mark_line(strokeWidth=1.8).encode(y=y)
    points = based.mark_point(filled=True, size=42, opacity=1).encode(y=y, tooltip=told)
    chart = alt.layer(line, reach, drawn, points).properties(width="container", height=CALIBRATION_HEIGHT)
    said = "Calibration: " + "; ".join(_calibrated(name, curve) for name, curve in sides.items() if curve) + "."
    return Chart(clean(chart) | {"description": said}, said)


def clean(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart's spec without what names a place on the network, and without Altair's own theme."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return {key: value for key, value in spec.items() if key not in (SCHEMA_URL, "config")}


_POINT_TOLD = (("said", "said"), ("came", "came true"), ("between", "between"), ("labels", "labels"))
# A grey and a blue that are read on white and on black.
_SIDES = ("#8a949c", "#2f86c9")


def _points(name: str, curve: Curve) -> list[dict[str, Any]]:
    rows = zip(curve.score, curve.rate, curve.low, curve.high, curve.labels, strict=True)
    return [
        {
            "side": name,
            "score": score,
            "rate": rate,
            "low": low,
            "high": high,
            "said": percent(score),
            "came": percent(rate),
            "between": f"{percent(low)} and {percent(high)}",
            "labels": f"{labels:,}",
        }
        for score, rate, low, high, labels in rows
    ]


def _calibrated(name: str, curve: Curve) -> str:
    """Say how far a curve is from the line, and where it is farthest."""
    if not curve.score:
        return f"{name}: no labels"
    far = max(range(len(curve.score)), key=lambda at: abs(curve.rate[at] - curve.score[at]))
    surely = sum(not low <= score <= high for score, low, high in zip(curve.score, curve.low, curve.high, strict=True))
    return (
        f"{name}: where it said {percent(curve.score[far])}, {percent(curve.rate[far])} came true; "
        f"{surely} of {counted(len(curve.score), 'bin')} surely off the line"
    )


def _histogram() -> dict[str, Any]:
    """Bars from one number to another, of any widths: a bar's area is its share."""
    import altair as alt

    base = alt.Chart(alt.NamedData(name="shares"))
    for side, dense in (("reference", "before"), ("current", "now")):
        base = base.transform_calculate(**{dense: f"datum.{side} / (datum.to - datum.from)"})
    axis = alt.Axis(grid=False, labelOverlap="greedy", tickCount=7, labelFontSize=10.5)
    x = alt.X("from:Q", bin="binned", title=None, scale=alt.Scale(nice=False, zero=False), axis=axis)
    y = alt.Y("before:Q", title=None, axis=None)
    wide = base.mark_bar(style="reference", binSpacing=0).encode(x=x, x2="to:Q", y=y)
    fill = base.mark_bar(style="current", binSpacing=0, fillOpacity=0.3).encode(x=x, x2="to:Q", y=alt.Y("now:Q"))
    top = base.mark_rule(style="current", strokeWidth=2).encode(x=alt.X("from:Q"), x2="to:Q", y=alt.Y("now:Q"))
    hover = base.mark_bar(opacity=0, binSpacing=0).transform_calculate(tall="max(datum.before, datum.now)")
    hover = hover.encode(x=x, x2="to:Q", y=alt.Y("tall:Q"), tooltip=_shares_told())
    return clean(alt.layer(wide, fill, top, hover).properties(width="container", height=HISTOGRAM_HEIGHT))


def _bars() -> dict[str, Any]:
    """Categories: a row for each, so that their names can be read."""
    import altair as alt

    y = alt.Y("bin:N", sort=alt.SortField("n"), title=None)
    y = y.axis(grid=False, labelLimit=NAMES_WIDTH, minExtent=NAMES_WIDTH, maxExtent=NAMES_WIDTH)
    based = alt.Chart(alt.NamedData(name="shares")).encode(y=y, tooltip=_shares_told())
    wide = based.mark_bar(style="reference", height=14, cornerRadius=2)
    narrow = based.mark_bar(style="current", height=6, cornerRadius=1).encode(x=alt.X("current:Q"))
    wide = wide.encode(x=alt.X("reference:Q", title=None, axis=alt.Axis(format="%", tickCount=4)))
    return clean(alt.layer(wide, narrow).properties(width="container"))


def _bands() -> dict[str, Any]:
    """Single numbers: side by side, from low to high; where their names would overlap, some are left out."""
    import altair as alt

    x = alt.X("bin:N", sort=alt.SortField("n"), title=None, scale=alt.Scale(paddingInner=0.12, paddingOuter=0.1))
    x = x.axis(labelAngle=0, labelOverlap="greedy", labelSeparation=8, labelFontSize=10.5, labelLimit=90)
    based = alt.Chart(alt.NamedData(name="shares")).encode(x=x, tooltip=_shares_told())
    wide = based.mark_bar(style="reference", width=alt.RelativeBandSize(1.0), cornerRadius=1)
    narrow = based.mark_bar(style="current", width=alt.RelativeBandSize(0.4), cornerRadius=1).encode(
        y=alt.Y("current:Q")
    )
    wide = wide.encode(y=alt.Y("reference:Q", title=None, axis=alt.Axis(format="%", tickCount=4)))
    return clean(alt.layer(wide, narrow).properties(width="container", height=HISTOGRAM_HEIGHT))


def _shares_told() -> list[alt.Tooltip]:
    import altair as alt

    shares = [alt.Tooltip(f"{side}:Q", format=".1%") for side in ("reference", "current")]
    return [alt.Tooltip("bin:N", title=" "), *shares]
