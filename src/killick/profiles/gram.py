"""Second moments of pairs of numeric columns: what correlations are computed from, in sums that add up.

Each value counts as its distance from the reference's centre, in spreads, and as four spreads beyond that: one absurd
value cannot make or hide a correlation. A row counts for a pair where both values are there, so a correlation is that
of its own complete pairs, exactly. Cost: 20 ms a million rows of 16 columns; 5 x columns^2 numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from killick.profiles.cells import Floats, Ints
    from killick.profiles.numeric import NumericScale

# Correlations of more columns than people look at cost more than all else: 200 columns have 19,900 pairs.
COLUMNS_MAX = 200
# Beyond it a value is an outlier, and says nothing of how two columns move together.
REACH = 4.0
# Rows of a product in float32: 16 columns of them stay in a core's cache, and their sum keeps six digits.
_BLOCK_ROWS = 16_384
# Multiplications up to which OpenBLAS stays on one thread (interface/gemm.c: SMP_THRESHOLD_MIN times four); and rows
# below which the calls cost more than the work.
_PRODUCT_MAX, _PRODUCT_ROWS_MIN = 1 << 18, 256


@dataclass(frozen=True, slots=True, eq=False)
class Gram:
    """Sums over the rows that have both columns of a pair, arrays `[columns, columns]`.

    `pairs` counts them, `firsts[i, j]` sums column i, `squares[i, j]` its squares, `products[i, j]` i times j,
    and `fourths[i, j]` the squares of both, which say how sure a correlation is.
    """

    pairs: Ints
    firsts: Floats
    squares: Floats
    products: Floats
    fourths: Floats

    @classmethod
    def empty(cls, columns: int) -> Gram:
        """Return the sums over no rows."""
        shape = (columns, columns)
        return cls(np.zeros(shape, np.int64), *(np.zeros(shape) for _ in range(4)))

    @classmethod
    def of(cls, table: pl.DataFrame, scales: Sequence[NumericScale]) -> Gram:
        """Sum over a table's rows. A column that the table lacks is missing in every row."""
        summed = cls.empty(len(scales))
        series = [as_numbers(table, scale.column) for scale in scales]
        # Only what has nulls must be copied to become an array, so only that is taken block by block.
        values = [one if one.null_count() else one.to_numpy() for one in series]
        z = np.empty((len(scales), min(_BLOCK_ROWS, table.height)), np.float32)
        for start in range(0, table.height if scales else 0, _BLOCK_ROWS):
            block = z[:, : table.height - start]
            for line, scale, held in zip(block, scales, values, strict=True):
                rows = held[start : start + _BLOCK_ROWS]
                _standardise(rows.to_numpy() if isinstance(rows, pl.Series) else rows, scale, line)
            np.clip(block, -REACH, REACH, out=block)
            summed += _block_sums(block)
        return summed

    def __add__(self, other: Gram) -> Gram:
        sums = (mine + theirs for mine, theirs in zip(self._sums, other._sums, strict=True))
        return Gram(self.pairs + other.pairs, *sums)

    def __sub__(self, other: Gram) -> Gram:
        sums = (mine - theirs for mine, theirs in zip(self._sums, other._sums, strict=True))
        return Gram(self.pairs - other.pairs, *sums)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Gram) or not np.array_equal(self.pairs, other.pairs):
            return False
        # Blocks of other rows are rounded otherwise: a product of float32 keeps six digits of its terms.
        reach = 1e-6 * REACH**4 * (1.0 + float(self.pairs.max(initial=0)))
        return all(np.allclose(a, b, rtol=0, atol=reach) for a, b in zip(self._sums, other._sums, strict=True))

    __hash__ = None  # type: ignore[assignment]  # sums are compared with a tolerance, which no hash can follow

    @property
    def _sums(self) -> tuple[Floats, ...]:
        return self.firsts, self.squares, self.products, self.fourths

    def correlations(self) -> Floats:
        """Return Pearson's correlation of each pair; NaN where there are no two rows, or a column does not vary.

        >>> from killick.profiles.numeric import NumericScale
        >>> scales = [NumericScale("a", (), 2.0, 1.0), NumericScale("b", (), 2.0, 1.0)]
        >>> Gram.of(pl.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 3.0, 2.0]}), scales).correlations()[0].tolist()
        [1.0, 0.5]
        """
        n = np.maximum(self.pairs, 1)
        spread = self.squares - self.firsts**2 / n
        # What is left of a constant after rounding is no spread.
        spread = np.where(spread > 1e-6 * np.maximum(self.squares, 1.0), spread, np.nan)
        shared = self.products - self.firsts * self.firsts.T / n
        return np.clip(shared / np.sqrt(spread * spread.T), -1.0, 1.0)


def as_numbers(table: pl.DataFrame, column: str) -> pl.Series:
    """Return a column as float64; null where it has no number, and everywhere when the table lacks it."""
    dtype = table.schema.get(column, pl.Null())
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return table[column].cast(pl.String).cast(pl.Float64, strict=False)
    if dtype.is_nested() or dtype in (pl.Null, pl.Object, pl.Binary):
        return pl.Series(column, [None], dtype=pl.Float64).new_from_index(0, table.height)
    return table[column].cast(pl.Float64, strict=False)


def _standardise(values: Floats, scale: NumericScale, line: NDArray[np.float32]) -> None:
    centred = values - scale.centre
    with np.errstate(over="ignore"):  # what is too large for a float32 is infinite there, and beyond the reach anyway
        np.divide(centred, scale.spread, out=line, casting="same_kind")


def _block_sums(block: NDArray[np.float32]) -> Gram:
    """Sum over a block `[columns, rows]`, NaN where a value is missing; it is overwritten."""
    columns, rows = block.shape
    product = _product(block, block)
    # Whatever is missing makes its column's own square a NaN: no need to look at each value.
    if not np.isnan(np.diagonal(product)).any():
        squared = np.square(block)
        return Gram(
            np.full((columns, columns), rows, np.int64),
            np.repeat(block.sum(axis=1, dtype=np.float64)[:, None], columns, axis=1),
            np.repeat(np.diagonal(product)[:, None], columns, axis=1),
            product,
            _product(squared, squared),
        )
    absent = np.isnan(block)
    block[absent] = 0.0
    there, squared = (~absent).astype(np.float32), np.square(block)
    # Counts of a block are below 2^24, and so exact in float32.
    return Gram(
        _product(there, there).astype(np.int64),
        _product(block, there),
        _product(squared, there),
        _product(block, block),
        _product(squared, squared),
    )


def _product(one: NDArray[np.float32], other: NDArray[np.float32]) -> Floats:
    """Multiply `[columns, rows]` by `[rows, columns]`, a few rows at a time: OpenBLAS then starts no threads.

    Started beside threads of our own, they wait for one another and cost ten times what they save.
    """
    columns, rows = one.shape
    each = max(_PRODUCT_MAX // (columns * columns), _PRODUCT_ROWS_MIN)
    summed = np.zeros((columns, columns))
    for start in range(0, rows, each):
        summed += one[:, start : start + each] @ other[:, start : start + each].T
    return summed
