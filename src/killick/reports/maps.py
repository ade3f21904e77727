"""Drift maps: where a segment's data moved, column by column, window by window.

What healthy windows reach too is not drawn, and neighbours that were not judged are one mark: 64 rows of 275 days are
about 2,000 marks, where every cell would be 17,600. The levels are named, so that no colour has to be guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from killick.reports.charts import NAMES_WIDTH, Chart, clean
from killick.reports.timelines import frame, legend_above, ms, plot, tip, x_again
from killick.reports.words import counted, figure, listed, place, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from killick.clock import Window
    from killick.reports.chronicle import DriftRow, Moved
    from killick.reports.timelines import Band
    from killick.reports.words import Segment

# Beyond this many columns a map is a wall.
ROWS_MAX = 40

# The levels of a drift map, from unknown to far beyond: names and upper ends, in units of the limit.
NOT_JUDGED, ONE = "not judged", "one witness"
LEVELS = (
    (1.25, "both, up to 1.25 times the limit"),
    (2.0, "both, up to 2 times"),
    (float("inf"), "both, beyond 2 times"),
)
MAP_LEVELS = (NOT_JUDGED, ONE, *(name for _, name in LEVELS))
_ROW_HEIGHT = 15


def drift_map(
    rows: Sequence[DriftRow], segment: Segment, within: Window, bands: Sequence[Band], *, legend: bool
) -> Chart:
    """Draw how far a segment's columns had moved, day by day; what healthy windows reach too is left blank."""
    import altair as alt

    shown = rows[:ROWS_MAX]
    names = [row.column for row in shown]
    cells = [run for row in shown for run in runs(row, within)]
    x = x_again()
    y = alt.Y("column:N", title=None, sort=names, scale=alt.Scale(domain=names, padding=0.12))
    y = y.axis(grid=False, minExtent=NAMES_WIDTH, maxExtent=NAMES_WIDTH, labelLimit=NAMES_WIDTH, labelFontSize=10.5)
    paint = alt.Color("level:O", scale=alt.Scale(domain=list(MAP_LEVELS)), legend=legend_above() if legend else None)
    told = [tip("column", " "), tip("when", " "), tip("level", " "), tip("said", "against the limit")]
    floor = [{"column": name, "from": ms(within.start), "to": ms(within.end)} for name in names]
    panel = plot(floor).mark_rect(style="panel").encode(x=x, x2="to:Q", y=y)
    heat = plot(cells).mark_rect().encode(x=x, x2="to:Q", y=y, color=paint, tooltip=told)
    layers = [frame(within), panel, *([heat] if cells else [])]
    if bands:
        brackets = plot(bands).mark_rect(style="bound", filled=False, strokeWidth=1.2)
        layers.append(brackets.encode(x=x, x2="to:Q", tooltip=[tip("what", " "), tip("when", " ")]))
    chart = alt.layer(*layers).properties(width="container", height=_ROW_HEIGHT * max(len(shown), 1))
    said = _map_said(shown, segment, within)
    return Chart(clean(chart) | {"description": said}, said)


def runs(row: DriftRow, within: Window) -> Iterable[dict[str, Any]]:
    """Yield a row's marks: neighbouring windows of one level are one; what holds is none."""
    open_run: dict[str, Any] | None = None
    for cell in row.cells:
        level = level_of(cell)
        if level is None or cell.window.end <= within.start or cell.window.start >= within.end:
            open_run = None
            continue
        start, end = ms(cell.window.start), ms(cell.window.end)
        if open_run and open_run["level"] == level and open_run["to"] == start and level == NOT_JUDGED:
            open_run["to"] = end
            continue
        if open_run:
            yield open_run
        open_run = {"column": row.column, "from": start, "to": end, "level": level, "when": span(cell.window)}
        beyond = cell.strength if cell.agreed is None else cell.agreed
        open_run["said"] = figure(beyond) + ("" if beyond is None else " times")
        if level != NOT_JUDGED:
            yield open_run
            open_run = None
    if open_run:
        yield open_run


def level_of(cell: Moved) -> str | None:
    """Return a cell's level on a drift map; None when healthy windows reach it too."""
    if cell.status in ("inconclusive", "error"):
        return NOT_JUDGED
    if cell.status == "fail":
        beyond = cell.agreed if cell.agreed is not None else cell.strength or 0.0
        return next(name for end, name in LEVELS if beyond <= end)
    return ONE if cell.status == "warn" else None


def _map_said(rows: Sequence[DriftRow], segment: Segment, within: Window) -> str:
    failed = {row.column: sum(cell.status == "fail" for cell in row.cells) for row in rows}
    loud = [f"{column} in {counted(n, 'window')}" for column, n in sorted(failed.items(), key=lambda i: -i[1]) if n]
    what = (
        f"beyond the limit by both witnesses: {listed(loud, 5)}"
        if loud
        else "no column went beyond the limit by both witnesses"
    )
    return f"Drift {'at ' if segment else ''}{place(segment)}, {span(within)}: {what}."
