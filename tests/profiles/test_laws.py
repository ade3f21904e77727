"""A profile is an algebra, whatever the rows: the laws that ship in `killick.testing.laws`."""

from __future__ import annotations

from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.profiles.outcome_rows import Outcomes
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.profiles.scale import Scale, fit_scale
from killick.testing.laws import LAWS, SCHEMA, frames, parts

KINDS = {
    "real": "numeric",
    "whole": "numeric",
    "text": "categorical",
    "flag": "boolean",
    "constant": "numeric",
    "nothing": "numeric",
}


def scale_of(rows: pl.DataFrame) -> Scale:
    """Learn a scale from rows of the schema."""
    return fit_scale(rows, KINDS, ranges={"whole": (-4.0, 4.0)}, score="score", outcome="label")


def profiler_of(scale: Scale):
    """The house's own way, with outcomes."""

    def profiler(rows: pl.DataFrame) -> Profile:
        groups = np.zeros(rows.height, np.int64)
        (features,) = profile_rows(scale, rows, groups, 1)
        known = rows["label"].is_not_null().to_numpy()
        labelled = rows.filter(known)
        found = Outcomes(labels=labelled["label"], scores=labelled["score"])
        (outcomes,) = profile_outcomes(scale, found, groups[known], 1)
        return features + outcomes

    return profiler


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(reference=frames(), tables=parts(), chance=st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_our_profiles_keep_every_law(law, reference: pl.DataFrame, tables: list[pl.DataFrame], chance: Random) -> None:
    """On a scale that was learned from rows as awkward as the rows that are profiled."""
    law(profiler_of(scale_of(reference)), tables, chance)


@given(frames(), st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_a_scale_does_not_depend_on_the_order_of_the_reference(rows: pl.DataFrame, chance: Random) -> None:
    """Two hosts that read the same files in another order measure with the same yardstick."""
    order = list(range(rows.height))
    chance.shuffle(order)
    assert scale_of(rows[order]).fingerprint == scale_of(rows).fingerprint


@given(frames(rows_max=25), st.integers(1, 4))
@settings(max_examples=40)
def test_many_groups_at_once_are_each_profiled_alone(rows: pl.DataFrame, groups: int) -> None:
    """One `bincount` over all groups counts what a filter for each group would."""
    scale = scale_of(rows)
    codes = np.arange(rows.height, dtype=np.int64) % groups
    together = profile_rows(scale, rows, codes, groups)
    for group, profile in enumerate(together):
        mine = rows.filter(pl.Series(codes == group))
        (alone,) = profile_rows(scale, mine, np.zeros(mine.height, np.int64), 1)
        assert np.array_equal(profile.counts, alone.counts)
        assert np.allclose(profile.sums, alone.sums, rtol=1e-9, atol=0)


# --------------------------------------------------------------------------------------------- the laws can be broken

ROWS = pl.DataFrame(
    {
        "real": [1.0, 2.0, 3.0, None],
        "whole": [1, 2, 3, 4],
        "text": ["a", "b", "a", None],
        "flag": [True, False, None, True],
        "constant": [0.1] * 4,
        "nothing": [None] * 4,
        "score": [0.1, 0.5, 0.9, None],
        "label": [0, 1, 1, None],
    },
    schema=SCHEMA,
)


def broken(profile: Profile, **changes: object) -> Profile:
    """Return a profile with other numbers in it."""
    return Profile(profile.scale, changes.get("counts", profile.counts), changes.get("sums", profile.sums))


def forgets_the_last_row(rows: pl.DataFrame) -> Profile:
    """Drop a row."""
    return profiler_of(scale_of(ROWS))(rows.head(max(rows.height - 1, 0)))


def counts_the_order(rows: pl.DataFrame) -> Profile:
    """Let the first row count twice."""
    made = profiler_of(scale_of(ROWS))(rows)
    extra = np.zeros_like(made.sums)
    extra[0] = 0.0 if rows.is_empty() or rows["real"][0] is None else rows["real"][0]
    return broken(made, sums=made.sums + extra)


def starts_at_one(rows: pl.DataFrame) -> Profile:
    """Count one too many of everything."""
    made = profiler_of(scale_of(ROWS))(rows)
    return broken(made, counts=made.counts + 1)


def sums_to_nan(rows: pl.DataFrame) -> Profile:
    """Lose every sum."""
    made = profiler_of(scale_of(ROWS))(rows)
    return broken(made, sums=made.sums * float("nan"))


def keeps_one_answer() -> object:
    """Return a profiler that looks at no row."""
    kept = profiler_of(scale_of(ROWS))(ROWS)
    return lambda _: kept


@pytest.mark.parametrize(
    "culprit",
    [forgets_the_last_row, counts_the_order, starts_at_one, sums_to_nan, keeps_one_answer()],
    ids=["forgets a row", "counts the order", "starts at one", "sums to NaN", "keeps one answer"],
)
def test_a_wrong_profiler_breaks_a_law(culprit) -> None:
    """The laws bite: each kind of wrong profile fails one of them at least."""
    tables = [ROWS, ROWS.head(2), ROWS.clear(), ROWS.tail(3)]
    failed = []
    for law in LAWS:
        try:
            law(culprit, tables, Random(3))
        except AssertionError:
            failed.append(law.__name__)
    assert failed
