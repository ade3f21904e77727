"""Facets: what is derived of long lists, texts, times and embeddings is the same on both sides, and moves with them."""

from __future__ import annotations

import string
import tracemalloc
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl
import pytest

from killick.errors import DataError
from killick.profiles.categorical import category_counts
from killick.profiles.facets import (
    BUCKETS,
    NEW,
    SEEN,
    Embedding,
    Facets,
    LongList,
    Text,
    Time,
    embedded,
    fit_facets,
    with_facets,
)

if TYPE_CHECKING:
    from killick.spec.document import Kind

ROWS = 2_000
KINDS: dict[str, Kind] = {"city": "categorical", "review": "text", "booked": "timestamp", "picture": "embedding"}
SECOND = 1_000_000


def world(seed: int, rows: int = ROWS, *, words: int = 3_000, shift: float = 0.0) -> pl.DataFrame:
    """Cities by Zipf, reviews of words by Zipf, bookings an hour before the event, pictures in six dimensions."""
    rng = np.random.default_rng(seed)
    letters = np.array(list(string.ascii_lowercase))
    spelled = np.array(["".join(letters[(at // 26**k) % 26] for k in range(3)) for at in range(words)])
    reviews = [" ".join(spelled[rng.zipf(1.4, size) % words]) for size in rng.integers(0, 12, rows)]
    events = rng.integers(10**6, 10**9, rows) * SECOND
    pictures = rng.normal(size=(rows, 6)) * [5, 3, 1, 1, 1, 1]
    pictures[:, 5] += shift
    return pl.DataFrame(
        {
            "city": [f"city {number % 4_000}" for number in rng.zipf(1.3, rows)],
            "review": reviews,
            "booked": pl.Series(events - rng.exponential(3_600, rows).astype(np.int64) * SECOND).cast(
                pl.Datetime("us")
            ),
            "picture": pl.Series(pictures),
            "event_time": events,
        }
    )


def fit(table: pl.DataFrame) -> dict[str, Facets]:
    """Return the facets of a table, by column."""
    counts = {"city": category_counts(table["city"])}
    return {one.column: one for one in fit_facets(table, KINDS, counts, "event_time")}


def test_every_kind_has_its_facets() -> None:
    """A long list, a text, a time and an embedding are each derived in their own way."""
    facets = fit(world(1))

    assert {column: type(one) for column, one in facets.items()} == {
        "city": LongList,
        "review": Text,
        "booked": Time,
        "picture": Embedding,
    }
    derived = with_facets(world(1), list(facets.values()))
    assert {name for one in facets.values() for name in one.names} <= set(derived.columns)


def test_facets_survive_the_wire() -> None:
    """They are frozen with the scale, so what is read back is the same."""
    facets = tuple(fit(world(1)).values())

    assert msgspec.json.decode(msgspec.json.encode(facets), type=tuple[Facets, ...]) == facets


def test_a_long_list_says_which_values_the_reference_has() -> None:
    """Its own values are seen, another is new, a missing one is neither; a value is always in the same bucket."""
    reference = world(1)
    facets = fit(reference)["city"]
    assert isinstance(facets, LongList)
    some = pl.DataFrame({"city": [reference["city"][0], "Atlantis", None, reference["city"][0]]})

    derived = with_facets(some, [facets])

    assert derived[facets.seen].to_list() == [SEEN, NEW, None, SEEN]
    buckets = derived[facets.buckets].to_list()
    assert buckets[0] == buckets[3]
    assert buckets[2] is None
    assert 0 <= int(buckets[0]) < BUCKETS


def test_new_words_are_as_common_in_the_reference_as_in_a_second_sample() -> None:
    """Words are asked of other rows than they were learned from, or every second sample would look full of new ones."""
    reference = world(1)
    facets = fit(reference)["review"]
    assert isinstance(facets, Text)

    shares = [with_facets(table, [facets])[facets.novelty] for table in (reference, world(2))]

    means = [float(share.mean()) for share in shares]  # type: ignore[arg-type]
    error = float(np.hypot(*(share.std() / np.sqrt(share.count()) for share in shares)))  # type: ignore[operator]
    assert means[0] > 0.02, "rare words are new even to a second sample"
    assert abs(means[0] - means[1]) < 4 * error
    foreign = with_facets(pl.DataFrame({"review": [f"tomato{at} was nice" for at in range(200)]}), [facets])
    assert foreign[facets.novelty].drop_nulls().min() > 0.9  # type: ignore[operator]


def test_a_texts_length_is_missing_where_the_text_is() -> None:
    """An empty text has no characters; no text has no length."""
    facets = fit(world(1))["review"]
    assert isinstance(facets, Text)

    derived = with_facets(pl.DataFrame({"review": ["", None, "über"]}), [facets])

    assert derived[facets.length].to_list() == [0, None, 4]


def test_a_time_is_told_by_its_age() -> None:
    """The age is event time minus time in seconds, whatever type the time has."""
    facets = Time("booked", "booked (age)", "event_time")
    table = pl.DataFrame({"booked": pl.Series([0, None], dtype=pl.Datetime("ms")), "event_time": [90 * SECOND, 0]})

    assert with_facets(table, [facets])["booked (age)"].to_list() == [90.0, None]


def test_an_embedding_that_leaves_the_plane_shows_in_its_residual() -> None:
    """The coordinates are the singular vectors' (numpy's are the witness), and what is beyond them is the residual."""
    facets = fit(world(1))["picture"]
    assert isinstance(facets, Embedding)
    rng = np.random.default_rng(3)
    flat = np.column_stack([rng.normal(size=(ROWS, 8)), np.zeros((ROWS, 4))])
    (plane,) = fit_facets(pl.DataFrame({"picture": flat}), {"picture": "embedding"}, {}, None)
    assert isinstance(plane, Embedding)

    assert np.allclose(np.abs(np.asarray(facets.components)[0]), np.eye(6)[0], atol=0.1), "it varies most along x"
    derived = with_facets(world(2, shift=6.0), [facets])
    asked = derived.filter(pl.col(facets.residual).is_not_null())
    held, _ = embedded(asked["picture"], 6)
    assert np.allclose(
        asked.select(facets.coordinates).to_numpy(),
        (held - np.asarray(facets.mean)) @ np.asarray(facets.components).T,
    )
    assert 0.4 * ROWS < asked.height < 0.6 * ROWS, "every second row is asked"
    lifted = pl.DataFrame({"picture": flat + 2 * np.eye(12)[11]})
    assert with_facets(pl.DataFrame({"picture": flat}), [plane])[plane.residual].max() == pytest.approx(0, abs=1e-6)
    assert with_facets(lifted, [plane])[plane.residual].drop_nulls().to_numpy() == pytest.approx(2.0)


def test_odd_embeddings_are_missing() -> None:
    """One of another length, one with an infinity or a gap and one that is not there cannot be placed."""
    facets = fit(world(1))["picture"]
    assert isinstance(facets, Embedding)
    odd = pl.DataFrame({"picture": [[1.0] * 6, [1.0] * 5, None, [float("inf")] + [0.0] * 5, [None] + [0.0] * 5]})

    norms = with_facets(odd, [facets])[facets.norm].to_list()

    assert norms == [pytest.approx(np.sqrt(6)), None, None, None, None]


@pytest.mark.parametrize("rows", [0, 1])
def test_tables_of_hardly_any_rows_are_derived_too(rows: int) -> None:
    """No row, no fault."""
    facets = list(fit(world(1)).values())

    assert with_facets(world(2).head(rows), facets).height == rows


def test_derived_columns_never_hide_an_operators_own() -> None:
    """A table may well have a column that is called as a facet would be."""
    table = world(1).with_columns(pl.lit(1).alias("review (length)"))

    assert fit(table)["review"].names[0] == "review (length)'"


def test_another_hash_is_refused() -> None:
    """Buckets of two hashes cannot be compared, and Polars promises none between its versions."""
    facets = fit(world(1))["city"]

    with pytest.raises(DataError, match="another version of Polars"):
        with_facets(world(2), [msgspec.structs.replace(facets, hashed_by=1)])


def test_embeddings_are_placed_block_by_block_as_they_are_together() -> None:
    """More rows than a block of float32, odd ones among them; and never a second table of float64."""
    rng = np.random.default_rng(5)
    held = rng.normal(size=(30_000, 64)).astype(np.float32)
    held[[3, 9_000, 29_999], 0] = np.inf
    table = pl.DataFrame({"picture": held})
    (facets,) = fit_facets(table, {"picture": "embedding"}, {}, None)
    tracemalloc.start()
    derived = with_facets(table, [facets])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    with np.errstate(invalid="ignore"):
        norms = np.linalg.norm(held.astype(np.float64), axis=1)
    norms[np.isinf(norms)] = np.nan
    assert np.allclose(derived[facets.norm].fill_null(float("nan")).to_numpy(), norms, equal_nan=True)
    assert derived[facets.residual].count() == pytest.approx(15_000, rel=0.05)
    assert most < 1.2 * held.size * 8


def test_components_are_learned_from_the_whole_table() -> None:
    """A table that is sorted: what varies only in its second half is seen."""
    rng = np.random.default_rng(6)
    held = rng.normal(size=(40_000, 4)) * [1.0, 0.1, 0.1, 0.1]
    held[20_000:, 3] *= 100
    (facets,) = fit_facets(pl.DataFrame({"picture": held}), {"picture": "embedding"}, {}, None)
    assert isinstance(facets, Embedding)
    assert np.abs(np.asarray(facets.components)[0]).argmax() == 3
