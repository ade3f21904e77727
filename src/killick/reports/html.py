"""The page of a check: the answer first, then what fails and why, then everything else, then how it was judged.

One file that works offline. Bounds: 60 cards, 24 charts and 3,000 rows are shown; what is left out is counted on the
page and stands whole in the JSON.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.checks.verdict import STATUSES
from killick.reports import charts
from killick.reports.page import Gallery, Placed, environment, render
from killick.reports.words import finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Status, Verdict
    from killick.reports.findings import Distribution, Findings
    from killick.reports.words import Segment

CARDS_MAX = 60
CHARTS_MAX = 24
ROWS_MAX = 3_000
REASONS_MAX = 12
NOTEBOOK_ROWS_MAX = 12
LOUD: tuple[Status, ...] = ("error", "fail", "warn")
# How wide a gauge is, in its own units, and where its threshold stands.
GAUGE_WIDTH, GAUGE_THRESHOLD = 100.0, 50.0


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value against its threshold, as lengths: the threshold stands in the middle, twice it fills the gauge."""

    length: float
    threshold: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Card:
    """All that is loud about one column (or one metric) in one segment, with its picture."""

    column: str | None
    segment: Segment
    status: Status
    verdicts: tuple[Verdict, ...]
    placed: Placed | None
    shares: Distribution | None


def report_html(report: Findings) -> str:
    """Return the page of a report."""
    gallery = Gallery()
    groups = _grouped([verdict for verdict in report.verdicts if verdict.status in LOUD])
    cards = [_card(report, key, found, gallery) for key, found in groups[:CARDS_MAX]]
    unknown = Counter(verdict.reason for verdict in report.verdicts if verdict.status == "inconclusive")
    rows = sorted(report.verdicts, key=lambda verdict: -STATUSES.index(verdict.status))
    return render(
        "report.html",
        f"{report.model}: {report.status}",
        gallery.placed,
        report=report,
        summary=[(status, report.summary[status]) for status in reversed(STATUSES)],
        cards=[card for card in cards if card.status != "warn"],
        warnings=[card for card in cards if card.status == "warn"],
        more_cards=max(len(groups) - CARDS_MAX, 0),
        unknown=unknown.most_common(REASONS_MAX),
        more_unknown=max(len(unknown) - REASONS_MAX, 0),
        rows=rows[:ROWS_MAX],
        more_rows=max(len(rows) - ROWS_MAX, 0),
        newer=_reference_is_newer(report),
        gauge=gauge,
    )


def notebook_html(report: Findings) -> str:
    """Return a short account for a notebook's cell."""
    loud = [verdict for verdict in report.verdicts if verdict.status in LOUD]
    loud.sort(key=lambda verdict: LOUD.index(verdict.status))
    return (
        environment()
        .get_template("notebook.html")
        .render(
            report=report,
            summary=[(status, number) for status, number in report.summary.items() if number],
            rows=loud[:NOTEBOOK_ROWS_MAX],
            more=max(len(loud) - NOTEBOOK_ROWS_MAX, 0),
        )
    )


def gauge(verdict: Verdict) -> Gauge | None:
    """Return a verdict's value against its threshold as lengths; None where one of them is missing or the scale is not.

    >>> from killick.checks.verdict import Verdict
    >>> gauge(Verdict(check="drift.univariate", metric="psi", status="fail", reason="", value=3, threshold=2)).length
    75.0
    """
    value, threshold = finite(verdict.value), finite(verdict.threshold)
    if value is None or threshold is None or threshold <= 0.0 or value < 0.0:
        return None
    low, high = verdict.interval or (None, None)
    return Gauge(_length(value, threshold), GAUGE_THRESHOLD, _end(low, threshold), _end(high, threshold))


def _length(value: float, threshold: float) -> float:
    return round(min(value / threshold * GAUGE_THRESHOLD, GAUGE_WIDTH), 1)


def _end(value: float | None, threshold: float) -> float | None:
    known = finite(value)
    return None if known is None else _length(max(known, 0.0), threshold)


def _grouped(verdicts: Sequence[Verdict]) -> list[tuple[tuple[str | None, Segment], list[Verdict]]]:
    """Group what is loud by column and segment: the worst first, then what most checks agree on, then the farthest."""
    groups: dict[tuple[str | None, Segment], list[Verdict]] = {}
    for verdict in verdicts:
        groups.setdefault((verdict.column, verdict.segment), []).append(verdict)
    for found in groups.values():
        found.sort(key=_loudness)
    return sorted(groups.items(), key=lambda group: (_rank(group[1]), group[0][0] or "", group[0][1]))


def _rank(found: Sequence[Verdict]) -> tuple[int, int, float]:
    status, beyond = _loudness(found[0])
    return status, -sum(verdict.status == found[0].status for verdict in found), beyond


def _loudness(verdict: Verdict) -> tuple[int, float]:
    value, threshold = finite(verdict.value), finite(verdict.threshold)
    beyond = value / threshold if value is not None and threshold else 0.0
    return LOUD.index(verdict.status), -beyond


def _card(report: Findings, key: tuple[str | None, Segment], found: list[Verdict], gallery: Gallery) -> Card:
    column, segment = key
    shares = report.pictures.get((column, segment)) if column else None
    placed = None
    if column and shares and len(gallery.placed) < CHARTS_MAX:
        placed = gallery.hang(charts.distribution(column, segment, shares))
    return Card(column, segment, found[0].status, tuple(found), placed, shares if placed else None)


def _reference_is_newer(report: Findings) -> bool:
    """Whether the reference begins after the current data: then before and after are probably the wrong way round."""
    reference, current = report.reference.start, report.current.start
    return reference is not None and current is not None and reference > current
