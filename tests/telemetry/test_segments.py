"""Segments: every row is in exactly one segment of a grouping, and none is dropped."""

from __future__ import annotations

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.spec.document import Band
from killick.telemetry.segments import EVERYTHING, MISSING, REST, SEGMENTS_MAX, describe, group_by, where

ORIGIN, CARRIER = Band("origin", "origin"), Band("carrier", "carrier")
HAUL = Band("haul", "distance", bins=(500.0, 1500.0))

rows = st.fixed_dictionaries(
    {
        "origin": st.none() | st.sampled_from(["JFK", "LGA", ""]),
        "carrier": st.none() | st.sampled_from(["UA", "B6", "DL"]),
        "distance": st.none() | st.sampled_from([499.9, 500.0, 1499.9, 1500.0, float("nan"), float("inf")]),
    }
)


def table_of(held: list[dict[str, object]]) -> pl.DataFrame:
    """Return rows as a table, of a fixed schema."""
    return pl.DataFrame(held, schema={"origin": pl.String, "carrier": pl.String, "distance": pl.Float64})


def band_of(distance: float | None) -> str:
    """Say by hand which band a distance is in."""
    if distance is None or distance != distance:  # noqa: PLR0124 - NaN is not itself
        return MISSING
    return "<500" if distance < 500 else "500-1500" if distance < 1500 else ">=1500"


@given(st.lists(rows, max_size=60))
def test_a_crossing_agrees_with_a_counter(held: list[dict[str, object]]) -> None:
    """Value by value, by hand: nulls and NaN are `(missing)`, bands are half-open."""
    table = table_of(held)
    grouping = group_by(table, (ORIGIN, HAUL))
    expected = [
        (("origin", MISSING if row["origin"] is None else row["origin"]), ("haul", band_of(row["distance"])))
        for row in held
    ]
    assert [grouping.segments[code] for code in grouping.codes] == expected
    assert len(set(grouping.segments)) == len(grouping.segments)
    for segment, count in Counter(expected).items():
        assert where(table, segment, [(ORIGIN, HAUL)]).height == count


@given(st.lists(rows, max_size=30), st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(held: list[dict[str, object]], chance) -> None:
    """Two hosts with the same rows list the same segments."""
    shuffled = list(held)
    chance.shuffle(shuffled)
    by = (ORIGIN, CARRIER)
    assert group_by(table_of(shuffled), by).segments == group_by(table_of(held), by).segments


def test_no_grouping_is_everything() -> None:
    """The segment `()` holds every row."""
    grouping = group_by(table_of([]).clear(3), ())
    assert grouping.segments == (EVERYTHING,)
    assert grouping.codes.tolist() == [0, 0, 0]
    assert describe(EVERYTHING) == "everything"


@pytest.mark.parametrize("by", [(ORIGIN,), (HAUL,), (ORIGIN, HAUL, CARRIER)])
def test_no_rows_have_no_segments(by: tuple[Band, ...]) -> None:
    """And nothing raises."""
    grouping = group_by(table_of([]), by)
    assert grouping.segments == ()
    assert len(grouping.codes) == 0


def test_beyond_the_bound_the_rarest_are_one_segment() -> None:
    """Of 250 values, fifty of the rarest share `(rest)`; ties go by text; every row is still in one."""
    values = [f"v{at:03}" for at in range(250)] + [f"v{at:03}" for at in range(100, 250)]
    grouping = group_by(pl.DataFrame({"origin": values}), (ORIGIN,))
    assert len(grouping.segments) == SEGMENTS_MAX + 1
    assert grouping.segments[-1] == (("origin", REST),)
    held = Counter(grouping.codes.tolist())
    assert held[SEGMENTS_MAX] == 50
    assert sum(held.values()) == 400
    kept = {segment[0][1] for segment in grouping.segments[:-1]}
    assert kept == {f"v{at:03}" for at in (*range(100, 250), *range(50))}


def test_what_is_no_name_is_of_the_rest() -> None:
    """A document is no segment that anybody could read, and no key that every store could hold."""
    table = pl.DataFrame({"origin": ["a" * 100, "a" * 100, "é" * 101], "carrier": ["b" * 100, "b" * 101, "b"]})
    grouping = group_by(table, (ORIGIN, CARRIER))
    rest = (("origin", REST), ("carrier", REST))
    assert grouping.segments == ((("origin", "a" * 100), ("carrier", "b" * 100)), rest)
    assert grouping.codes.tolist() == [0, 1, 1]


def test_a_rare_crossing_falls_into_the_rest_of_all_its_bands() -> None:
    """The rest of a crossing names every band."""
    table = pl.DataFrame({"origin": [str(at) for at in range(300)], "carrier": ["UA"] * 300})
    assert group_by(table, (ORIGIN, CARRIER)).segments[-1] == (("origin", REST), ("carrier", REST))


@pytest.mark.parametrize("name", ["len", "rows", "code", "band 0", "count"])
def test_a_band_may_have_any_name(name: str) -> None:
    """Also those that a group-by would give its own columns."""
    table = pl.DataFrame({"c": ["a", "b", "a"]})
    assert group_by(table, (Band(name, "c"),)).segments == (((name, "a"),), ((name, "b"),))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pl.Series("c", [1, 2, None]), ["1", "2", MISSING]),
        (pl.Series("c", [True, False, None]), ["true", "false", MISSING]),
        (pl.Series("c", ["u", "v", None], dtype=pl.Categorical), ["u", "v", MISSING]),
        (pl.Series("c", [None, None, None]), [MISSING] * 3),
    ],
    ids=["integers", "booleans", "categories", "nothing"],
)
def test_any_column_can_be_grouped_by(column: pl.Series, values: list[str]) -> None:
    """Its values, as text."""
    grouping = group_by(pl.DataFrame({"c": column}), (Band("c", "c"),))
    assert [grouping.segments[code][0][1] for code in grouping.codes] == values


def test_a_band_of_text_is_missing_where_it_is_no_number() -> None:
    """A column that turned into text overnight loses its bands, not the program."""
    table = pl.DataFrame({"distance": ["100", "far", None]})
    grouping = group_by(table, (HAUL,))
    assert [grouping.segments[code][0][1] for code in grouping.codes] == ["<500", MISSING, MISSING]


@given(st.lists(rows, max_size=40), st.lists(rows, max_size=40), st.integers(0, 40))
def test_with_known_segments_a_row_is_in_the_same_one_in_every_batch(
    known: list[dict[str, object]], held: list[dict[str, object]], cut: int
) -> None:
    """Whatever comes with it: those of the reference, or the rest."""
    by = (ORIGIN, HAUL)
    reference = [EVERYTHING, *group_by(table_of(known), by).segments, (("haul", "<500"),)]
    rest = (("origin", REST), ("haul", REST))
    own = group_by(table_of(held), by)
    expected = [segment if segment in reference else rest for segment in map(own.segments.__getitem__, own.codes)]
    parts = [group_by(table_of(part), by, reference) for part in (held, held[:cut], held[cut:])]
    whole, first, second = ([part.segments[code] for code in part.codes] for part in parts)
    assert whole == first + second == expected
    assert all(len(set(part.segments)) == len(part.segments) for part in parts)


def test_the_bound_is_that_of_the_reference() -> None:
    """A value that was rare then is of the rest, though alone in its batch; and so is one that is called like it."""
    reference = group_by(pl.DataFrame({"origin": [f"v{at:03}" for at in range(250)]}), (ORIGIN,)).segments
    grouping = group_by(pl.DataFrame({"origin": ["v249", "v000", REST, "new"]}), (ORIGIN,), reference)
    assert [grouping.segments[code][0][1] for code in grouping.codes] == [REST, "v000", REST, REST]
