"""`quality.schema`, `quality.type`, `quality.freshness`: have the tables the same columns, of the same kinds, in order?

A column that the reference has and the current table has not *fails*: the model was made to see it. One that came new
is a *warning*: nobody looks at it yet. Numbers that became text, or the other way round, fail, and are not compared
further: every other number about them would only repeat it. Times that name a zone in one table only are a warning, and
so is a reference that is newer than what it judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.checks.distances import ROWS_MIN
from killick.checks.drift import CHECK as DRIFT
from killick.checks.verdict import Verdict
from killick.clock import DAY, format_instant
from killick.spec.document import Kind  # noqa: TC001 - msgspec reads the annotation of a saved column

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Window

SCHEMA, TYPE, FRESHNESS = "quality.schema", "quality.type", "quality.freshness"
_KINDS = {
    "numeric": "numbers",
    "boolean": "true and false",
    "categorical": "text",
    "text": "text",
    "timestamp": "times",
    "embedding": "embeddings",
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What a table says of a column: the kind that it is watched as, and its type in words.

    A kind of None means that it cannot be watched, and `why_not` says why, where it is not the type. A column that is
    not watched but needed is a `part`: the event time, an id.
    """

    kind: Kind | None
    name: str
    why_not: str = ""
    part: str = ""

    @property
    def has_zone(self) -> bool | None:
        """Whether its times name a time zone, as Polars words the type; None when it does not hold times.

        >>> ColumnType("timestamp", "Datetime(time_unit='us', time_zone='UTC')").has_zone
        True
        """
        return not self.name.endswith("time_zone=None)") if self.name.startswith("Datetime(") else None


def judge_schema(
    reference: Mapping[str, ColumnType], current: Mapping[str, ColumnType], window: Window | None = None, rows: int = 0
) -> tuple[list[Verdict], frozenset[str]]:
    """Return verdicts about columns, and the columns that can be compared.

    Args:
        reference: the reference's columns that the model sees or makes.
        current: the current table's.
        window: the event time of the current rows.
        rows: how many there are; with hardly any, even what is right says nothing.
    """
    verdicts, comparable = [], []
    for column, then in reference.items():
        now = current.get(column)
        if then.part and now is not None:
            continue
        if now is None:
            said = "the reference has this column, the current table has not"
            said += f"; it is the {then.part}" if then.part else ""
            verdicts.append(_verdict(SCHEMA, "columns_missing", "fail", said, column, window))
            if not then.part:
                verdicts.append(_unknown("the column is missing", column, window))
        elif then.kind is None:
            said = f"columns of this type ({then.name}) are not compared"
            verdicts.append(_unknown(then.why_not or said, column, window))
        elif now.kind != then.kind:
            said = f"holds {_words(now)}, and {_words(then)} in the reference"
            verdicts.append(_verdict(TYPE, "type_changed", "fail", said, column, window))
            verdicts.append(_unknown("its type has changed", column, window))
        else:
            comparable.append(column)
    for column, now in current.items():
        if column not in reference and not now.part:
            said = "the current table has this column, the reference has not"
            verdicts.append(_verdict(SCHEMA, "columns_extra", "warn", said, column, window))
    verdicts += _zones(reference, current, window)
    verdicts += _order(_watched(reference), _watched(current), window)
    if rows >= ROWS_MIN and not any(verdict.check in (SCHEMA, TYPE) for verdict in verdicts):
        said = f"the {len(reference)} columns are there, of the same kinds and in the same order"
        verdicts.append(
            Verdict(check=SCHEMA, metric="columns_missing", status="ok", reason=said, value=0.0, window=window)
        )

    return verdicts, frozenset(comparable)


def judge_freshness(reference: Window | None, current: Window | None, middle: int | None) -> list[Verdict]:
    """Warn about a reference that is newer than the current rows: it would call the past a drift.

    Args:
        reference: its event time.
        current: the event time of the current rows.
        middle: the median event time of the reference. Two samples of the same time are no matter; a reference of
            which more than half is later than everything current is.
    """
    if reference is None or current is None or middle is None or middle < current.end:
        return []
    until, newest = format_instant(reference.end - 1), format_instant(current.end - 1)
    said = f"the reference is newer than the current rows: it reaches to {until}, they end at {newest}"
    ahead = (reference.end - current.end) / DAY
    return [Verdict(check=FRESHNESS, metric="days_behind", status="warn", reason=said, value=ahead, window=current)]


def _watched(columns: Mapping[str, ColumnType]) -> list[str]:
    return [column for column, one in columns.items() if not one.part]


def _zones(
    reference: Mapping[str, ColumnType], current: Mapping[str, ColumnType], window: Window | None
) -> list[Verdict]:
    """Warn about times that name a zone in one table only: who wrote the others may have meant another one."""
    verdicts = []
    for column in (name for name in reference if name in current):
        then, now = reference[column].has_zone, current[column].has_zone
        if {then, now} == {True, False}:
            named, bare = ("current table", "reference") if now else ("reference", "current table")
            said = f"the times of the {named} name a zone; the {bare}'s are read in the spec's, and may be hours off"
            verdicts.append(_verdict(TYPE, "zone_changed", "warn", said, column, window))
    return verdicts


def _order(reference: list[str], current: list[str], window: Window | None) -> list[Verdict]:
    """Warn about columns in another order: who reads them by position would mix them up."""
    then, now = [c for c in reference if c in current], [c for c in current if c in reference]
    moved = [column for column, before in zip(now, then, strict=True) if column != before]
    if not moved:
        return []
    said = f"the columns are in another order than in the reference, from {moved[0]} on"
    return [
        Verdict(
            check=SCHEMA,
            metric="columns_reordered",
            status="warn",
            reason=said,
            value=float(len(moved)),
            window=window,
        )
    ]


def _words(column: ColumnType) -> str:
    return _KINDS[column.kind] if column.kind else f"what cannot be compared ({column.name})"


def _verdict(check: str, metric: str, status: str, reason: str, column: str, window: Window | None) -> Verdict:
    return Verdict(
        check=check,
        metric=metric,
        column=column,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        value=1.0,
        window=window,
    )


def _unknown(reason: str, column: str, window: Window | None) -> Verdict:
    return Verdict(check=DRIFT, metric="psi", column=column, status="inconclusive", reason=reason, window=window)
