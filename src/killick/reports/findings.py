"""What a report is made of, as those see it who write it down: pages and files know its values, not its methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from killick.clock import Instant  # noqa: TC001 - msgspec reads the annotation of a saved extent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.checks.verdict import Status, Verdict
    from killick.reports.words import Segment


@dataclass(frozen=True, slots=True)
class Extent:
    """How much was compared: rows, and the event times of the first and just after the last, where rows have times."""

    rows: int
    start: Instant | None = None
    end: Instant | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where a column's rows lie, on both sides: each bar's share of the rows, in the order of `labels`.

    Attributes:
        labels: what each bar stands for, in words.
        reference: each bar's share of the reference's rows.
        current: each bar's share of the current rows.
        ordered: whether the bars are numbers, from low to high; categories are drawn in their own order.
        edges: the bounds of the bars on the axis, one more than there are of these; none where bars have no width.
        leading: how many of the first bars stand before the axis: what lies below it.
        trailing: how many of the last bars stand behind it: what lies above, and what has no value.
        facet_of: the column that this one is derived from, when it is.
    """

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]
    ordered: bool = False
    edges: tuple[float, ...] = ()
    leading: int = 0
    trailing: int = 0
    facet_of: str = ""

    @property
    def axis(self) -> slice:
        """The bars that stand on the axis."""
        return slice(self.leading, len(self.labels) - self.trailing)

    @property
    def apart(self) -> tuple[int, ...]:
        """The bars that stand apart from it: the leading ones, then the trailing ones."""
        bars = len(self.labels)
        return (*range(self.leading), *range(bars - self.trailing, bars))


@dataclass(frozen=True, slots=True)
class Curve:
    """How often it came true when a model said so: for each bin of its scores, from low to high.

    Attributes:
        score: the mean score of the bin's rows.
        rate: the share of them whose label is positive.
        low: the lower end of that share's interval.
        high: the upper end.
        labels: how many rows these are.
    """

    score: tuple[float, ...]
    rate: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """The reliability diagram of both sides; a side without labels has no curve."""

    current: Curve
    reference: Curve | None = None


class Findings(Protocol):
    """What a check found: `Report` has all of it, and explains each."""

    @property
    def model(self) -> str:
        """The model that was checked."""
        ...

    @property
    def spec_hash(self) -> str:
        """The fingerprint of the spec."""
        ...

    @property
    def false_alarm_budget(self) -> float:
        """How many false alarms were allowed."""
        ...

    @property
    def tests(self) -> int:
        """Among how many tests."""
        ...

    @property
    def reference(self) -> Extent:
        """What was compared with."""
        ...

    @property
    def current(self) -> Extent:
        """What was compared."""
        ...

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Every result."""
        ...

    @property
    def pictures(self) -> Mapping[tuple[str, Segment], Distribution]:
        """The distributions, by column and segment."""
        ...

    @property
    def kinds(self) -> Mapping[str, str]:
        """What each column is watched as."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """The reliability diagram, where there are labels."""
        ...

    @property
    def status(self) -> Status:
        """The worst status."""
        ...

    @property
    def summary(self) -> dict[Status, int]:
        """How many verdicts there are of each status."""
        ...

    @property
    def headline(self) -> str:
        """The answer in a sentence or two."""
        ...
