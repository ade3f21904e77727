"""What is asked of a part's values once they are of the right type. All rules of a body are asked in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from killick.clock import DAY, HOUR, SECOND, format_duration, format_instant
from killick.telemetry.quarantine import shown
from killick.wire.values import KEY_MAX, NAME_MAX, SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from killick.clock import Instant
    from killick.telemetry.quarantine import Quarantine

# Bounds of what a service may have seen: older than Unix is no event time, and nobody will run this in 2201.
_FIRST: Instant = 0
_LAST: Instant = 7_289_654_400 * SECOND
# Clocks differ by seconds, time zones by hours; a day is a mistake.
_AHEAD_MAX = DAY


@dataclass(frozen=True, slots=True)
class Rule:
    """Rows are refused where `wrong` is true; `reason` says why, of the part's value."""

    part: str
    wrong: pl.Expr
    reason: Callable[[object], str]


def apply(
    rules: Iterable[Rule], columns: Mapping[str, pl.Series], field: Callable[[str], str], quarantine: Quarantine
) -> None:
    """Refuse the rows that break a rule, for the first one that they break. `field` says what a part is called."""
    asked = list(rules)
    wrong = pl.DataFrame([series.alias(part) for part, series in columns.items()]).select(
        rule.wrong.fill_null(value=False).alias(str(at)) for at, rule in enumerate(asked)
    )
    for rule, mask in zip(asked, wrong.iter_columns(), strict=True):
        if mask.any():
            quarantine.refuse(mask, field(rule.part), _of_row(rule, columns[rule.part]))


def _of_row(rule: Rule, values: pl.Series) -> Callable[[int], str]:
    return lambda row: rule.reason(values[row])


def needed(part: str) -> Rule:
    """Every row has the part."""
    return Rule(part, pl.col(part).is_null(), lambda _: "is missing: every row needs one")


def named(part: str) -> tuple[Rule, ...]:
    """Every row has the part, a text that can be a name."""
    long = pl.col(part).str.len_chars() > NAME_MAX
    return (
        needed(part),
        Rule(part, pl.col(part) == "", lambda _: "is empty"),
        Rule(part, long, lambda _: f"is longer than {NAME_MAX} characters"),
    )


def short(part: str) -> Rule:
    """The part is a text that can be part of a key, or nothing."""
    long = pl.col(part).str.len_chars() > KEY_MAX
    return Rule(part, long, lambda _: f"is longer than {KEY_MAX} characters")


def finite(part: str) -> Rule:
    """The part is a finite number, or nothing."""
    return Rule(part, ~pl.col(part).is_finite(), lambda value: f"is no finite number (found {shown(value)})")


def not_below(part: str, low: pl.Expr, word: str) -> Rule:
    """The part is not where `low` is true."""
    return Rule(part, low, lambda value: f"is {word} (found {shown(value)})")


def one_of(part: str, known: tuple[str, ...]) -> Rule:
    """The part is one of these words."""
    return Rule(part, ~pl.col(part).is_in(known), lambda value: f"is {shown(value)}, not {' or '.join(known)}")


def timely(part: str, now: Instant) -> tuple[Rule, ...]:
    """The part lies in the years 1970 to 2200, and no more than a day after `now`."""
    time = pl.col(part)
    return (
        Rule(part, ~time.is_between(_FIRST, _LAST, closed="left"), _outside),
        Rule(
            part,
            time > now + _AHEAD_MAX,
            lambda value: f"lies {_roughly(_instant(value) - now)} in the future: a clock is wrong",
        ),
    )


def _outside(value: object) -> str:
    number = _instant(value)
    low, high = (bound * SECOND * 1_000 for bound in SECONDS)
    if low <= number < high:
        return f"is {number}, which is {format_instant(number // 1_000)} in nanoseconds: give microseconds since 1970"
    return "lies outside the years 1970 to 2200: give microseconds since 1970 UTC, or ISO 8601"


def _roughly(ahead: int) -> str:
    return format_duration(ahead - ahead % HOUR)


def _instant(value: object) -> Instant:
    assert isinstance(value, int)  # noqa: S101 - a time is read as one
    return value
