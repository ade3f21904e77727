"""The page of a check: the answer first, then the columns by how much they matter, then everything else, then how.

One file that works offline. It is written so that 100 columns in 5 segments stay below 2 MB: a column's line has its
small picture as plain SVG, its large chart is drawn from the table of its numbers when the line is opened, and a form
of chart stands in the page once. Bounds: 300 columns are listed, 2,000 rows are in the table of everything; what is
left out is counted on the page and stands whole in the JSON.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.reports import charts
from killick.reports.columns import columns_of, loose, matrix, performance, segments_of
from killick.reports.headline import sentences
from killick.reports.importance import BY_STATUS, LOUD, by_importance
from killick.reports.page import Gallery, render
from killick.reports.words import finite

if TYPE_CHECKING:
    from killick.checks.verdict import Verdict
    from killick.reports.findings import Findings

COLUMNS_MAX = 300
ROWS_MAX = 2_000
REASONS_MAX = 12
# How wide a gauge is, in its own units, and where its threshold stands.
GAUGE_WIDTH, GAUGE_THRESHOLD = 100.0, 50.0


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value against its threshold, as lengths: the threshold stands in the middle, twice it fills the gauge."""

    length: float
    threshold: float
    low: float | None
    high: float | None


def report_html(report: Findings) -> str:
    """Return the page of a report."""
    gallery = Gallery()
    columns = columns_of(report)
    shown = columns[:COLUMNS_MAX]
    measured, measured_within = performance(report.verdicts)
    first, *more = sentences(report.verdicts)
    unknown = Counter(verdict.reason for verdict in report.verdicts if verdict.status == "inconclusive")
    rows, summary = by_importance(report.verdicts), report.summary
    return render(
        "report.html",
        f"{report.model}: {report.status}",
        gallery.placed,
        forms=charts.forms() if any(column.pictures for column in shown) else None,
        report=report,
        answer=first,
        answer_more=" ".join(more),
        summary=[(status, summary[status]) for status in BY_STATUS],
        columns=shown,
        numbered={column.name: number for number, column in enumerate(shown, start=1)},
        more_columns=len(columns) - len(shown),
        column_statuses=[s for s in BY_STATUS if any(column.status == s for column in columns)],
        kinds=sorted({column.kind for column in columns}),
        table=loose(report.verdicts),
        measured=measured,
        measured_within=measured_within,
        calibration=gallery.hang(charts.calibration(report.calibration) if report.calibration else None),
        curves=report.calibration,
        segments=len(segments_of(report.verdicts)),
        matrix=matrix(report.verdicts),
        unknown=unknown.most_common(REASONS_MAX),
        more_unknown=max(len(unknown) - REASONS_MAX, 0),
        rows=rows[:ROWS_MAX],
        more_rows=max(len(rows) - ROWS_MAX, 0),
        newer=_reference_is_newer(report),
        gauge=gauge,
        loud=LOUD,
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


def _reference_is_newer(report: Findings) -> bool:
    """Whether the reference begins after the current data: then before and after are probably the wrong way round."""
    reference, current = report.reference.start, report.current.start
    return reference is not None and current is not None and reference > current
