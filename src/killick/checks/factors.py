"""Did a column change its unit? Cents for euros, seconds for minutes, metres for kilometres: told from buckets by size.

A change of unit moves every value by one factor, so all quantiles move as one. Ordinary drift does not do that by sixty
or more. Smaller factors (feet for metres, Fahrenheit for Celsius) look like drift at these resolutions, and are not
guessed at: in trials that did, a tenth of ordinary shifts were taken for one. Buckets by size know no reference range,
so they see values that all fell outside of it. It is a hint for whoever reads a verdict, and decides nothing.
Cost: 0.1 ms a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.profiles.buckets import INFINITY

if TYPE_CHECKING:
    from killick.profiles.buckets import Buckets

__all__ = ["unit_factor"]


_SMALLER = {
    100.0: "100 times what they were",
    1e3: "1,000 times what they were",
    1e6: "a million times what they were",
    1e9: "a thousand million times what they were",
    60.0: "60 times what they were, as seconds for minutes",
    3_600.0: "3,600 times what they were, as seconds for hours",
    86_400.0: "86,400 times what they were, as seconds for days",
}
_LARGER = {
    1e-2: "a hundredth of what they were",
    1e-3: "a thousandth of what they were",
    1e-6: "a millionth of what they were",
    1e-9: "a thousand millionth of what they were",
    1.0 / 60.0: "a sixtieth of what they were, as minutes for seconds",
    1.0 / 3_600.0: "1/3,600 of what they were, as hours for seconds",
    1.0 / 86_400.0: "1/86,400 of what they were, as days for seconds",
}
_UNITS = {1.0: "", **_SMALLER, **_LARGER}
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
# With fewer a quantile strays by more than a fifth of the breadth of the values, and nothing is certain.
_ROWS_MIN = 400
# A bucket is 6.25 % wide at most.
_BUCKET = 0.0625
# Three errors of the ninth decile, in breadths over the root of the rows: 2 of a normal, 4.6 of a log-normal of 0.8.
_STRAY = 4.0
# Of the largest value: what lies closer together, in buckets so wide, may have been shifted as well as multiplied.
_BREADTH_MIN = 0.5
# A bucket's number without its sign.
_MAGNITUDE = 0x7FFF


def unit_factor(before: Buckets, now: Buckets) -> str | None:
    """Say by which well-known factor the values of a column moved as a whole; None where they did not.

    Args:
        before: the reference's values, by size.
        now: the current ones.

    >>> import polars as pl
    >>> from killick.profiles.buckets import Buckets
    >>> euros = pl.Series([120.0 + 7 * (row % 90) for row in range(400)])
    >>> unit_factor(Buckets.of(euros), Buckets.of(100 * euros))
    '100 times what they were'
    """
    numbers = [_numbers(side) for side in (before, now)]
    then, found = ([side.quantile(q) for q in _QUANTILES] for side in (before, now))
    if min(numbers) < _ROWS_MIN or None in then or None in found:
        return None
    old, new = ([float(value or 0.0) for value in side] for side in (then, found))
    breadth = old[-1] - old[0]
    if breadth <= _BREADTH_MIN * max(map(abs, old)) or breadth <= 0.0:
        return None
    error = _STRAY * (1.0 / numbers[0] + 1.0 / numbers[1]) ** 0.5
    misfits = []
    for factor, said in _UNITS.items():
        # A quantile strays by so much of the breadth, and by the width of its bucket on either side.
        reach = [
            factor * (error * breadth + 0.5 * _BUCKET * abs(value)) + 0.5 * _BUCKET * abs(value_now)
            for value, value_now in zip(old, new, strict=True)
        ]
        misfits.append((max(abs(factor * a - b) / r for a, b, r in zip(old, new, reach, strict=True)), said))
    best, said = min(misfits)
    return said if best <= 1.0 and misfits[0][0] > 1.0 else None


def _numbers(side: Buckets) -> int:
    """How many finite values there are."""
    return int(side.counts[(side.ids & _MAGNITUDE) < INFINITY].sum())
