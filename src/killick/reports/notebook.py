"""A report in a notebook's cell: the answer, the counts, and the ten columns that matter most.

No script, and no style that leaks: every element carries its own, in colours that are read on light and on dark, since
a cell does not know which it stands on. What a notebook strips (JupyterLab and GitHub differ) leaves a plain table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.reports.columns import columns_of, loose, performance
from killick.reports.importance import LOUD, by_importance
from killick.reports.page import environment

if TYPE_CHECKING:
    from killick.reports.findings import Findings

COLUMNS_MAX = 10
# Beside the columns: what belongs to the table or to the model's performance, as far as it does not hold.
OTHERS_MAX = 5


def notebook_html(report: Findings) -> str:
    """Return a short account for a notebook's cell."""
    columns = columns_of(report)
    measured, within = performance(report.verdicts)
    others = by_importance(v for v in [*loose(report.verdicts), *measured, *within] if v.status in LOUD)
    return (
        environment()
        .get_template("notebook.html")
        .render(
            report=report,
            summary=[(status, number) for status, number in reversed(report.summary.items()) if number],
            columns=columns[:COLUMNS_MAX],
            more=max(len(columns) - COLUMNS_MAX, 0),
            others=others[:OTHERS_MAX],
            more_others=max(len(others) - OTHERS_MAX, 0),
        )
    )
