"""What a benchmark hands back: rows of one table, each a number beside a peer's or a budget, held or missed.

A row knows what its budget means, so that no benchmark judges itself. Seconds and megabytes depend on the machine; the
budgets that matter are therefore ratios of two numbers measured in the same run.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Rule: TypeAlias = Literal["at_most", "times_faster", "times_theirs"]
Unit: TypeAlias = Literal["s", "ms", "us", "MB", "%", ""]

_HEADINGS = ("what", "Killick", "beside", "theirs", "ratio", "budget", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One measured number and its budget.

    Attributes:
        what: in a few words, what was measured.
        killick: Killick's number.
        unit: of both numbers.
        beside: whom it is compared with; empty where the budget is of the number itself.
        theirs: the other one's number, from the same run.
        rule: what the budget bounds: the number (`at_most`), `theirs / killick` from below (`times_faster`), or
            `killick / theirs` from above (`times_theirs`).
        budget: the bound; None where the number is only told.
        strict: a missed budget is a wrong answer, not a slow machine: the run then exits with 1.
    """

    what: str
    killick: float
    unit: Unit = "s"
    beside: str = ""
    theirs: float | None = None
    rule: Rule = "at_most"
    budget: float | None = None
    strict: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times faster, or how many times theirs, as the rule asks; None without a peer."""
        if self.theirs is None:
            return None
        return self.theirs / self.killick if self.rule == "times_faster" else self.killick / self.theirs

    @property
    def held(self) -> bool | None:
        """Whether the budget is kept; None where there is none."""
        if self.budget is None:
            return None
        if self.ratio is None:
            return self.killick <= self.budget
        return self.ratio >= self.budget if self.rule == "times_faster" else self.ratio <= self.budget

    def cells(self) -> tuple[str, ...]:
        """Return the row in words, one for each heading."""
        theirs = "" if self.theirs is None else _figure(self.theirs, self.unit)
        ratio = "" if self.ratio is None else _times(self.ratio)
        held = {True: "held", False: "MISSED", None: ""}[self.held]
        return self.what, _figure(self.killick, self.unit), self.beside, theirs, ratio, self._bound(), held

    def _bound(self) -> str:
        if self.budget is None:
            return ""
        if self.theirs is None:
            return f"<= {_figure(self.budget, self.unit)}"
        return f"{'>=' if self.rule == 'times_faster' else '<='} {_times(self.budget)}"


def print_table(rows: Iterable[Row]) -> None:
    """Print the rows under their headings, in columns."""
    table = [_HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(cells[at]) for cells in table) for at in range(len(_HEADINGS))]
    for cells in table:
        words = (
            cell.ljust(width) if at in (0, 2, 6) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        print("  ".join(words).rstrip())


def write_json(rows: Iterable[Row], path: Path) -> None:
    """Write the rows as JSON, each with its ratio and whether it held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = [asdict(row) | {"ratio": row.ratio, "held": row.held} for row in rows]
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _figure(number: float, unit: Unit) -> str:
    places = 2 if unit == "%" or abs(number) < 10 else 1  # noqa: PLR2004 - three digits say enough
    if unit == "MB" or abs(number) >= 1000:  # noqa: PLR2004 - and of large numbers no fraction
        places = 0
    if unit == "s" and number < 1:
        places = 3
    return f"{number:,.{places}f}{' ' if unit and unit != '%' else ''}{unit}"


def _times(ratio: float) -> str:
    return f"{ratio:.{0 if ratio >= 20 else 1 if ratio >= 1 else 2}f}x"  # noqa: PLR2004 - two or three digits
