"""The scale: a model's frozen yardstick, learned once from the reference.

All versions, the whole history and both arms of a canary are measured with it. Its fingerprint is in every profile;
profiles on different scales refuse to be added. The scale also fixes the layout: where in a profile's two vectors
each column's counts and sums stand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from killick.identity import fingerprint
from killick.profiles.categorical import CategoricalScale, fit_categorical
from killick.profiles.delays import DelayScale
from killick.profiles.kpis import KpiScale
from killick.profiles.numeric import NumericScale, fit_numeric
from killick.profiles.outcomes import OutcomeScale, ScoreScale
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.service import ServiceScale

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from killick.profiles.facets import Facets
    from killick.spec.document import Kind

ColumnScale: TypeAlias = NumericScale | CategoricalScale | ScoreScale
AnyScale: TypeAlias = NumericScale | CategoricalScale | ScoreScale | ServiceScale | OutcomeScale | KpiScale | DelayScale


@dataclass(frozen=True)
class Scale:
    """The yardsticks of all columns, in the order in which a profile holds them.

    `facets` say which columns are derived from others before rows are measured.
    """

    columns: tuple[ColumnScale, ...]
    outcome: OutcomeScale | None = None
    facets: tuple[Facets, ...] = ()
    kpis: tuple[KpiScale, ...] = ()
    service: ServiceScale | None = None
    delay: DelayScale | None = None

    @cached_property
    def parts(self) -> tuple[AnyScale, ...]:
        """Every yardstick, those of what comes later last."""
        return (*self.measured, *self.awaited)

    @cached_property
    def measured(self) -> tuple[ColumnScale | ServiceScale, ...]:
        """The yardsticks of what is known with the prediction: its columns, and what the service tells of it."""
        return (*self.columns, *((self.service,) if self.service else ()))

    @cached_property
    def awaited(self) -> tuple[OutcomeScale | KpiScale | DelayScale, ...]:
        """The yardsticks of what is known only after the prediction: the outcome, business figures, and its delay."""
        outcome = (self.outcome,) if self.outcome else ()
        return (*outcome, *self.kpis, *((self.delay,) if self.delay else ()))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of every parameter, kinds included."""
        return fingerprint(msgspec.to_builtins((*self.parts, *self.facets)))

    @cached_property
    def counts(self) -> Mapping[str, slice]:
        """Where each column's counts stand. The first count of a profile is its number of rows."""
        return _slices({part.column: part.counts_width for part in self.parts}, first=1)

    @cached_property
    def sums(self) -> Mapping[str, slice]:
        """Where each column's sums stand."""
        return _slices({part.column: part.sums_width for part in self.parts}, first=0)

    @cached_property
    def counts_width(self) -> int:
        """The length of a profile's counts."""
        return 1 + sum(part.counts_width for part in self.parts)

    @cached_property
    def sums_width(self) -> int:
        """The length of a profile's sums."""
        return sum(part.sums_width for part in self.parts)

    def __getitem__(self, column: str) -> ColumnScale:
        return next(part for part in self.columns if part.column == column)

    @property
    def features(self) -> tuple[NumericScale | CategoricalScale, ...]:
        """The yardsticks of the features."""
        return tuple(part for part in self.columns if not isinstance(part, ScoreScale))

    @cached_property
    def signals(self) -> Scale:
        """The yardsticks of what is watched by the minute: scores, the service, and what comes later; no features."""
        return replace(self, columns=tuple(part for part in self.columns if isinstance(part, ScoreScale)), facets=())

    @property
    def score(self) -> ScoreScale | None:
        """The yardstick of the score, when the model has one."""
        return next((part for part in self.columns if isinstance(part, ScoreScale)), None)


def fit_scale(
    table: pl.DataFrame,
    kinds: Mapping[str, Kind],
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    score: str | None = None,
    outcome: str | None = None,
    threshold: float = 0.5,
) -> Scale:
    """Learn a scale from reference rows.

    Args:
        table: the reference.
        kinds: each feature's kind.
        ranges: the ranges that the operator declared, where he did.
        score: the column of the probability, when there is one.
        outcome: what the outcome is called in reports, when labels will come.
        threshold: above it a score is a positive decision.
    """
    features = [
        fit_numeric(table[column], (ranges or {}).get(column)) if kind == "numeric" else fit_categorical(table[column])
        for column, kind in kinds.items()
    ]
    scores = [ScoreScale(score)] if score else []
    return Scale((*features, *scores), BinaryOutcome(outcome, threshold) if outcome else None)


def _slices(widths: Mapping[str, int], first: int) -> dict[str, slice]:
    ends = list(accumulate(widths.values(), initial=first))
    return {column: slice(start, end) for column, start, end in zip(widths, ends, ends[1:], strict=False)}
