"""What a report is made of, as those see it who write it down: pages and files know its values, not its methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.checks.verdict import Status, Verdict
    from killick.clock import Instant
    from killick.reports.words import Segment


@dataclass(frozen=True, slots=True)
class Extent:
    """How much was compared: rows, and the event times of the first and just after the last, where rows have times."""

    rows: int
    start: Instant | None = None
    end: Instant | None = None


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where a column's rows lie, on both sides: each bin's or category's share of the rows, in the order of `labels`.

    `ordered` says that the labels are bins of a number, from low to high; categories are drawn in their own order.
    """

    labels: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]
    ordered: bool = False


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
        """The distributions worth drawing."""
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
