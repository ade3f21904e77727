"""The grammar of pictures: every chart is an Altair (Vega-Lite) spec made here (DESIGN D11).

A spec names no colour but by its part (a style, a place in a range); `THEMES` says what that looks like in light and in
dark, and the page chooses. The palette is Okabe and Ito's (2008, https://jfly.uni-koeln.de/color/), which people with
any common colour blindness can tell apart. Every chart brings its alternative: a sentence that says what it shows.
Bounds keep a chart legible and its page small.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from killick.reports.words import place

if TYPE_CHECKING:
    import altair as alt

    from killick.reports.findings import Distribution
    from killick.reports.words import Segment

# Okabe and Ito's names for their colours.
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"

# Beyond this many bars nobody compares lengths; the smallest are put together.
BARS_MAX = 24
BAR_HEIGHT = 19
HISTOGRAM_HEIGHT = 150
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


def distribution(column: str, segment: Segment, shares: Distribution) -> Chart:
    """Draw where a column's rows lie: a wide pale bar for the reference's share, a narrow strong one inside it."""
    labels, reference, current = _bounded(shares)
    rows: list[dict[str, Any]] = [
        {"bin": label, "n": n, "reference": before, "current": now, "change": f"{100 * (now - before):+.1f} points"}
        for n, (label, before, now) in enumerate(zip(labels, reference, current, strict=True))
    ]
    spec = dict(_histogram_spec() if shares.ordered else _bars_spec())
    spec["datasets"] = {"shares": rows}
    spec["height"] = HISTOGRAM_HEIGHT if shares.ordered else BAR_HEIGHT * max(len(rows), 1)
    gained = max(rows, key=lambda row: row["current"] - row["reference"], default=None)
    lost = min(rows, key=lambda row: row["current"] - row["reference"], default=None)
    said = f"Shares of {column} {'at ' if segment else ''}{place(segment)}, reference against current."
    if gained and lost and gained is not lost:
        said += f" {_change(gained)}; {_change(lost)}."
    spec["description"] = said
    return Chart(spec, said)


def clean(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """Return a chart's spec without what names a place on the network, and without Altair's own theme."""
    spec: dict[str, Any] = chart.to_dict(validate=False)
    return {key: value for key, value in spec.items() if key not in (SCHEMA_URL, "config")}


@cache
def _bars_spec() -> dict[str, Any]:
    """Categories: a row for each, so that their names can be read."""
    import altair as alt

    y = alt.Y("bin:N", sort=alt.SortField("n"), title=None)
    y = y.axis(grid=False, labelLimit=NAMES_WIDTH, minExtent=NAMES_WIDTH, maxExtent=NAMES_WIDTH)
    based = alt.Chart(alt.NamedData(name="shares")).encode(y=y, tooltip=_shares_told())
    wide = based.mark_bar(style="reference", height=14, cornerRadius=2)
    narrow = based.mark_bar(style="current", height=6, cornerRadius=1).encode(x=alt.X("current:Q"))
    wide = wide.encode(x=alt.X("reference:Q", title=None, axis=alt.Axis(format="%", tickCount=4)))
    return clean(alt.layer(wide, narrow).properties(width="container"))


@cache
def _histogram_spec() -> dict[str, Any]:
    """Bins of a number: side by side, from low to high; where their names would overlap, some are left out."""
    import altair as alt

    x = alt.X("bin:N", sort=alt.SortField("n"), title=None, scale=alt.Scale(paddingInner=0.12, paddingOuter=0.1))
    x = x.axis(labelAngle=0, labelOverlap="greedy", labelSeparation=8, labelFontSize=10, labelLimit=90)
    based = alt.Chart(alt.NamedData(name="shares")).encode(x=x, tooltip=_shares_told())
    wide = based.mark_bar(style="reference", width=alt.RelativeBandSize(1.0), cornerRadius=1)
    narrow = based.mark_bar(style="current", width=alt.RelativeBandSize(0.4), cornerRadius=1).encode(
        y=alt.Y("current:Q")
    )
    wide = wide.encode(y=alt.Y("reference:Q", title=None, axis=alt.Axis(format="%", tickCount=4)))
    return clean(alt.layer(wide, narrow).properties(width="container"))


def _shares_told() -> list[alt.Tooltip]:
    import altair as alt

    shares = [alt.Tooltip(f"{side}:Q", format=".1%") for side in ("reference", "current")]
    return [alt.Tooltip("bin:N", title=" "), *shares, alt.Tooltip("change:N")]


def _bounded(shares: Distribution) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]:
    """Return at most `BARS_MAX` bars: bins of a number are joined in pairs, the rarest categories all together."""
    labels, before, now = shares.labels, shares.reference, shares.current
    while shares.ordered and len(labels) > BARS_MAX:
        starts = range(0, len(labels), 2)
        labels = tuple(" or ".join(dict.fromkeys(labels[i : i + 2])) for i in starts)
        before = tuple(sum(before[i : i + 2]) for i in starts)
        now = tuple(sum(now[i : i + 2]) for i in starts)
    if len(labels) <= BARS_MAX:
        return labels, before, now
    large = sorted(range(len(labels)), key=lambda i: -max(before[i], now[i]))[: BARS_MAX - 1]
    kept = sorted(large)
    rest = [i for i in range(len(labels)) if i not in set(large)]
    return (
        (*(labels[i] for i in kept), f"{len(rest)} rarer"),
        (*(before[i] for i in kept), sum(before[i] for i in rest)),
        (*(now[i] for i in kept), sum(now[i] for i in rest)),
    )


def _change(row: dict[str, Any]) -> str:
    return f"{row['bin']} went from {row['reference']:.1%} to {row['current']:.1%}"
