"""Categorical columns: known categories, the rest, and what is missing."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.profiles.categorical import CATEGORIES_MAX, CategoricalScale, as_text, fit_categorical
from killick.profiles.profile import profile_rows
from killick.profiles.scale import Scale


def counts(scale: CategoricalScale, series: pl.Series) -> list[int]:
    """Return the counts of a column's values."""
    table = pl.DataFrame({scale.column: series})
    (made,) = profile_rows(Scale((scale,)), table, np.zeros(len(series), np.int64), 1)
    return made.counts_of(scale.column).tolist()


@given(st.lists(st.none() | st.sampled_from(["a", "b", "", "Ä", "日本"]) | st.text(max_size=2).filter(str.isprintable)))
def test_counts_agree_with_a_counter(values: list[str | None]) -> None:
    """Known categories one by one, everything else as other, nulls as missing."""
    scale = CategoricalScale("c", ("a", "b", "", "日本"))
    found = Counter(values)
    known = [found[category] for category in scale.categories]
    other = len(values) - sum(known) - found[None]
    assert counts(scale, pl.Series("c", values, dtype=pl.String)) == [*known, other, found[None]]


def test_the_commonest_hundred_are_known() -> None:
    """Of 150 categories, the fifty rarest are one cell."""
    values = [f"v{at:03}" for at in range(150) for _ in range(200 - at)]
    scale = fit_categorical(pl.Series("c", values))
    assert scale.categories == tuple(f"v{at:03}" for at in range(CATEGORIES_MAX))
    assert counts(scale, pl.Series("c", values))[-2:] == [sum(200 - at for at in range(100, 150)), 0]


def test_ties_are_broken_by_the_text_whatever_the_order_of_rows() -> None:
    """Equally common categories stand in order of their text: two hosts agree."""
    values = [f"v{at:03}" for at in range(150)] * 2
    shuffled = [values[at] for at in np.random.default_rng(1).permutation(len(values))]
    assert fit_categorical(pl.Series("c", shuffled)) == fit_categorical(pl.Series("c", values))
    assert fit_categorical(pl.Series("c", shuffled)).categories[0] == "v000"


@pytest.mark.parametrize("name", ["count", "text", "rows", "", "a b", "literal"])
def test_a_column_may_have_any_name(name: str) -> None:
    """Also those that a group-by would give its own columns."""
    assert fit_categorical(pl.Series(name, ["x", "y", "x"])) == CategoricalScale(name, ("x", "y"))


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (pl.Series("c", [True, False, None]), ["true", "false", None]),
        (pl.Series("c", [1, 2, None]), ["1", "2", None]),
        (pl.Series("c", [1.0, 2.5, None]), ["1", "2.5", None]),
        (pl.Series("c", [1e15, -0.0, float("nan")]), ["1000000000000000", "0", "NaN"]),
        (pl.Series("c", ["u", None], dtype=pl.Categorical), ["u", None]),
        (pl.Series("c", ["u", None], dtype=pl.Enum(["u"])), ["u", None]),
        (pl.Series("c", [[1], None]), [None, None]),
    ],
    ids=["booleans", "integers", "floats", "odd floats", "categorical", "enum", "lists"],
)
def test_values_become_text(series: pl.Series, expected: list[str | None]) -> None:
    """What pandas turned into floats has the text that the integers had."""
    assert as_text(series).to_list() == expected


def test_integers_that_pandas_made_floats_stay_known() -> None:
    """One missing value in a column of codes must not make every other one unseen."""
    scale = fit_categorical(pl.Series("c", [1, 2, 2]))
    assert counts(scale, pl.Series("c", [1.0, 2.0, None, 3.0])) == [1, 1, 1, 1]


def test_a_list_is_other_and_no_crash() -> None:
    """A value that has no text is in no known category; a null is still missing."""
    assert counts(CategoricalScale("c", ("a",)), pl.Series("c", [["a"], ["b"], None])) == [0, 2, 1]


def test_a_column_without_values_knows_no_category() -> None:
    """All that comes later is other."""
    scale = fit_categorical(pl.Series("c", [None, None], dtype=pl.String))
    assert scale.categories == ()
    assert counts(scale, pl.Series("c", ["a", None])) == [1, 1]
    assert [scale.label(at) for at in range(2)] == ["other", "missing"]
