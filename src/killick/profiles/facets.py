"""Facets: what is measured of a column that has no cells of its own.

A long list (cities, agents: more categories than a scale knows), a text, a time and an embedding are watched through
columns that are derived from them, row by row, and measured like any other. What deriving needs (the values that the
reference has, its words, its principal components) was learned from the reference and is frozen with the scale.

Which hash bucket a value falls into has nothing to do with how common it was, so buckets can be compared where "the
hundred commonest of the reference" cannot: those were chosen because they were common there. For the same reason words
and components are learned from one half of the rows, by their hash, and asked of the other half only, on both sides.
The first facet is there wherever the column's value is, so it also says what is missing; in the others a null is a row
that was not asked.

Cost: a hash and a look-up a value; a text about 1 us a row; an embedding of d numbers 8 d multiplications a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np
import polars as pl

from killick.errors import DataError, Mistake
from killick.profiles.categorical import CATEGORIES_MAX, CategoricalScale, as_text
from killick.profiles.numeric import LARGEST, fit_numeric
from killick.stats.shares import expected_new

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from killick.profiles.cells import Floats, Ints
    from killick.profiles.numeric import NumericScale
    from killick.spec.document import Kind

# As many as a numeric column has bins: enough to see one category come or go, few enough to be filled by a few hundred.
BUCKETS = 32
SEEN, NEW = "seen", "new"
# A language's common words are some ten thousand; names and numbers beyond them are new in every text.
WORDS_MAX = 20_000
# Eight directions hold most of what an embedding varies in; what they leave is one more facet, the residual.
COMPONENTS = 8
# Rows to learn components from: the error of a direction falls with their number, and 16,384 x 1,536 floats are 100 MB.
_EMBEDDED_ROWS_MAX = 16_384
# Rows of embeddings that are worked on at once, in float64 whatever their own type is: 100 MB of 1,536 numbers.
_BLOCK_ROWS = 8_192
# Any number would do, so long as it stays.
_SEED = 20_130_401
_SECONDS = 1e-6


class LongList(msgspec.Struct, frozen=True, tag="long_list", tag_field="kind"):
    """More categories than a scale knows: each value's hash bucket, and whether the reference has it anywhere.

    `new_share` is the share of rows that may be new in a second sample of the same world (Good and Turing).
    `hashed_by` tells which hash was used: buckets of two hashes cannot be compared.
    """

    column: str
    buckets: str
    seen: str
    values: tuple[str, ...]
    new_share: float
    hashed_by: int

    @property
    def names(self) -> tuple[str, ...]:
        """The derived columns."""
        return (self.buckets, self.seen)

    def derive(self, table: pl.DataFrame) -> list[pl.Series]:
        """Return the derived columns; a missing value is missing there too."""
        _same_hash(self.hashed_by, self.column)
        text = as_text(table[self.column])
        bucket = (text.hash(seed=0) % BUCKETS).cast(pl.String)
        known = text.is_in(pl.Series(self.values, dtype=pl.String).implode())
        word = pl.select(pl.when(known).then(pl.lit(SEEN)).otherwise(pl.lit(NEW)))["literal"]
        return [_where(text, bucket, self.buckets), _where(text, word, self.seen)]

    def scales(self, _: pl.DataFrame) -> list[NumericScale | CategoricalScale]:
        """Return the scales of the derived columns: they are the same for every reference."""
        every = tuple(str(bucket) for bucket in range(BUCKETS))
        return [CategoricalScale(self.buckets, every), CategoricalScale(self.seen, (SEEN,))]


class Text(msgspec.Struct, frozen=True, tag="text", tag_field="kind"):
    """A text: how long it is, in characters, and the share of its words that the reference does not know.

    The share is asked of every second row, by hash; the other rows are those that words were learned from.
    """

    column: str
    length: str
    novelty: str
    words: tuple[str, ...]
    hashed_by: int

    @property
    def names(self) -> tuple[str, ...]:
        """The derived columns."""
        return (self.length, self.novelty)

    def derive(self, table: pl.DataFrame) -> list[pl.Series]:
        """Return the derived columns; null where there is no text, and for the novelty where it is not asked."""
        _same_hash(self.hashed_by, self.column)
        text = as_text(table[self.column])
        known = pl.Series(self.words, dtype=pl.String).implode()
        asked = _asked(text)
        words = _words(text.filter(asked))
        # One row of words for each text; a text without words has none that is new.
        rows = words.list.len().to_numpy()
        flat = words.explode(empty_as_null=False) if words.len() else words
        new = np.concatenate([[0], np.cumsum(~flat.is_in(known).to_numpy())])
        ends = np.cumsum(rows)
        found = new[ends] - new[ends - rows]
        share = np.full(len(text), np.nan)
        share[asked.to_numpy()] = found / np.maximum(rows, 1)
        return [text.str.len_chars().alias(self.length), pl.Series(self.novelty, share).fill_nan(None)]

    def scales(self, table: pl.DataFrame) -> list[NumericScale | CategoricalScale]:
        """Learn the scales of the derived columns."""
        return [fit_numeric(series) for series in self.derive(table)]


class Time(msgspec.Struct, frozen=True, tag="time", tag_field="kind"):
    """A time: how long before the event it was, in seconds. The time itself moves on, and says nothing."""

    column: str
    age: str
    event_time: str

    @property
    def names(self) -> tuple[str, ...]:
        """The derived column."""
        return (self.age,)

    def derive(self, table: pl.DataFrame) -> list[pl.Series]:
        """Return the age; null where one of the two times is missing."""
        instants = table[self.column].cast(pl.Datetime("us"), strict=False).dt.epoch("us")
        age = (table[self.event_time] - instants).cast(pl.Float64) * _SECONDS
        return [age.alias(self.age)]

    def scales(self, table: pl.DataFrame) -> list[NumericScale | CategoricalScale]:
        """Learn the scale of the age."""
        return [fit_numeric(series) for series in self.derive(table)]


class Embedding(msgspec.Struct, frozen=True, tag="embedding", tag_field="kind"):
    """An embedding: its norm, its coordinates along the reference's first principal components, and what is beyond.

    `mean` has `[dimensions]` numbers and `components` `[components][dimensions]`. Drift within the components' plane
    shows in a coordinate, and whatever leaves it in the residual (Jolliffe, Principal Component Analysis, 2002, ch.
    10); these are asked of every second row, by hash.
    """

    column: str
    norm: str
    coordinates: tuple[str, ...]
    residual: str
    mean: tuple[float, ...]
    components: tuple[tuple[float, ...], ...]
    hashed_by: int

    @property
    def names(self) -> tuple[str, ...]:
        """The derived columns."""
        return (self.norm, *self.coordinates, self.residual)

    def derive(self, table: pl.DataFrame) -> list[pl.Series]:
        """Return the derived columns; null where there is no embedding of the right length, or it is not asked."""
        _same_hash(self.hashed_by, self.column)
        column = table[self.column]
        blocks = [self._placed(column.slice(at, _BLOCK_ROWS)) for at in range(0, max(len(column), 1), _BLOCK_ROWS)]
        found = np.concatenate(blocks)
        return [pl.Series(name, found[:, at]).fill_nan(None) for at, name in enumerate(self.names)]

    def _placed(self, series: pl.Series) -> Floats:
        """Return the derived numbers of some rows, `[rows, names]`; NaN where there is none."""
        held, rows = embedded(series, len(self.mean))
        centred = held - np.asarray(self.mean)
        along = centred @ np.asarray(self.components).T
        left = np.square(centred).sum(axis=1) - np.square(along).sum(axis=1)
        asked = np.column_stack([along, np.sqrt(np.maximum(left, 0.0))])
        asked[~_asked_embeddings(held)] = np.nan
        found = np.full((len(series), len(self.names)), np.nan)
        found[rows] = np.column_stack([np.sqrt(np.square(held).sum(axis=1)), asked])
        return found

    def scales(self, table: pl.DataFrame) -> list[NumericScale | CategoricalScale]:
        """Learn the scales of the derived columns."""
        return [fit_numeric(series) for series in self.derive(table)]


Facets: TypeAlias = LongList | Text | Time | Embedding


def fit_facets(
    table: pl.DataFrame, kinds: Mapping[str, Kind], counts: Mapping[str, pl.DataFrame], event_time: str | None
) -> tuple[Facets, ...]:
    """Learn the facets of all columns that need some.

    Args:
        table: the reference, or a sample of it.
        kinds: each column's kind.
        counts: the `category_counts` of each categorical or boolean column.
        event_time: the column of the event time, in microseconds, where there is one; without it no time has an age.
    """
    taken = set(table.columns)
    found: list[Facets | None] = []
    for column, kind in kinds.items():
        name = _naming(column, taken)
        if kind in ("categorical", "boolean"):
            found.append(_long_list(table[column], counts[column], name))
        elif kind == "text":
            found.append(_text(table[column], name))
        elif kind == "timestamp" and event_time:
            found.append(Time(column, name("age"), event_time))
        elif kind == "embedding":
            found.append(_embedding(table[column], name))
    return tuple(facets for facets in found if facets)


def with_facets(table: pl.DataFrame, facets: Sequence[Facets]) -> pl.DataFrame:
    """Return the table with the derived columns of those of its columns that have facets."""
    derived: list[pl.Series] = []
    for one in facets:
        if one.column in table.columns and (not isinstance(one, Time) or one.event_time in table.columns):
            derived += one.derive(table)
    return table.with_columns(derived)


def embedded(series: pl.Series, dimensions: int) -> tuple[Floats, Ints]:
    """Return the embeddings that can be used, `[usable, dimensions]`, and which rows they are from, `[usable]`.

    >>> held, rows = embedded(pl.Series([[1.0, 2.0], None, [3.0]]), 2)
    >>> held.tolist(), rows.tolist()
    ([[1.0, 2.0]], [0])
    """
    lists = series.cast(pl.List(pl.Float64), strict=False) if series.dtype.is_nested() else series.new_from_index(0, 0)
    whole = (lists.list.len() == dimensions).fill_null(value=False)
    rows = whole.arg_true().to_numpy()
    held = lists.filter(whole).explode().to_numpy().reshape(len(rows), dimensions)
    usable = (np.abs(held) <= LARGEST).all(axis=1)
    return held[usable], rows[usable]


def _long_list(series: pl.Series, counts: pl.DataFrame, name: Callable[[str], str]) -> LongList | None:
    if counts.height <= CATEGORIES_MAX:
        return None
    rows = counts["rows"]
    new = expected_new(int((rows == 1).sum()), int((rows == 2).sum()))  # noqa: PLR2004 - seen twice
    values = tuple(counts["text"].sort().to_list())
    return LongList(series.name, name("buckets"), name("seen"), values, new / len(series), _hash_probe())


def _text(series: pl.Series, name: Callable[[str], str]) -> Text:
    text = as_text(series)
    words = _words(text.filter(~_asked(text) & text.is_not_null())).explode().alias("word").drop_nulls()
    counts = words.value_counts(name="rows").sort(["rows", "word"], descending=[True, False])
    common = tuple(counts["word"].head(WORDS_MAX).to_list())
    return Text(series.name, name("length"), name("new words"), common, _hash_probe())


def _embedding(series: pl.Series, name: Callable[[str], str]) -> Embedding | None:
    # Drawn from all rows, since tables are often sorted.
    rows = np.random.default_rng(_SEED).choice(len(series), min(len(series), _EMBEDDED_ROWS_MAX), replace=False)
    drawn = series.gather(pl.Series(np.sort(rows)))
    lengths = drawn.cast(pl.List(pl.Float64), strict=False).list.len().drop_nulls()
    held, _ = embedded(drawn, int(lengths.mode().min() or 0))  # type: ignore[arg-type]
    learned = held[~_asked_embeddings(held)]
    if len(learned) < 2:  # noqa: PLR2004 - one row has no direction
        return None
    mean = learned.mean(axis=0)
    _, _, directions = np.linalg.svd(learned - mean, full_matrices=False)
    components = directions[:COMPONENTS]
    # A direction has two signs; the largest coordinate is made positive, so that the same rows give the same facets.
    signs = np.sign(components[np.arange(len(components)), np.abs(components).argmax(axis=1)])
    components = components * np.where(signs == 0, 1.0, signs)[:, None]
    return Embedding(
        series.name,
        name("norm"),
        tuple(name(f"component {at + 1}") for at in range(len(components))),
        name("residual"),
        tuple(mean.tolist()),
        tuple(map(tuple, components.tolist())),
        _hash_probe(),
    )


def _asked_embeddings(held: Floats) -> NDArray[np.bool_]:
    """Whether each embedding is projected, and not one that components are learned from."""
    asked: NDArray[np.bool_] = (pl.Series(held.sum(axis=1)).hash(seed=1) % 2 == 0).to_numpy()
    return asked


def _words(text: pl.Series) -> pl.Series:
    return text.str.to_lowercase().str.extract_all(r"\p{L}+")


def _asked(text: pl.Series) -> pl.Series:
    """Whether a row's words are looked up, and not learned; never where there is no text."""
    return (text.hash(seed=1) % 2 == 0) & text.is_not_null()


def _where(text: pl.Series, derived: pl.Series, name: str) -> pl.Series:
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(text))
    return derived.zip_with(text.is_not_null(), nothing).alias(name)


def _hash_probe() -> int:
    """Tell which hash this Polars has: it promises none between its versions."""
    return int(pl.Series(["killick"]).hash(seed=0)[0])


def _same_hash(hashed_by: int, column: str) -> None:
    if hashed_by != _hash_probe():
        problem = "was measured with another version of Polars, whose hash is another"
        raise DataError(Mistake(column, problem, hint="fit the reference again with this version"))


def _naming(column: str, taken: set[str]) -> Callable[[str], str]:
    """Return how a column's derived columns are named: like it, and like no other."""

    def name(what: str) -> str:
        wanted = f"{column} ({what})"
        while wanted in taken:
            wanted += "'"
        taken.add(wanted)
        return wanted

    return name
