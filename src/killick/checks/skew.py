"""`quality.skew`: does the model see online what the offline table says it should have seen?

Rows of the same entities and times were joined and compared value by value (`profiles.pairs`). A column fails when
surely more than one value in a hundred differs, by the exact binomial tail. No reference is asked for: two stores of
the same fact have no reason to differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.stats.tails import binomial_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.profiles.pairs import Difference

__all__ = ["SKEW", "judge_skew"]

SKEW = "quality.skew"
# One value in a hundred: late events and retries change as many in healthy stores.
MATERIAL = 0.01


def judge_skew(differences: Sequence[Difference]) -> list[Draft]:
    """Judge each column's share of values that differ between two tables of the same rows.

    Args:
        differences: what `compare_rows` found, by column.
    """
    return [_judge(difference) for difference in differences]


def _judge(found: Difference) -> Draft:
    share = None if found.why_not else found.differ / found.rows
    reason = found.why_not
    if share is not None:
        example = f", for example {found.example}" if found.example else ""
        reason = f"{100 * share:.2f} % of {found.rows:,} values differ{example}"
    verdict = Verdict(
        check=SKEW,
        metric="mismatch_rate",
        status="inconclusive" if share is None else "ok",
        reason="; ".join(part for part in (reason, found.unmatched) if part),
        column=found.column,
        value=share,
        threshold=None if share is None else MATERIAL,
        effect=share,
        direction="up" if found.differ else None,
        n_reference=found.offline_rows,
        n_current=found.online_rows,
    )
    if share is None:
        return Draft(verdict)
    return Draft(verdict, binomial_tail(found.differ, found.rows, MATERIAL) if share > MATERIAL else 1.0)
