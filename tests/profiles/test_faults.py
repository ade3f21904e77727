"""Faults of a model's output, counted row by row."""

from __future__ import annotations

import polars as pl
import pytest

from killick.profiles.faults import Faults, Output, faults_of
from killick.profiles.outcome_rows import Decision

INF, NAN = float("inf"), float("nan")


def test_scores_outside_and_scores_that_are_no_number() -> None:
    """A missing score is missing, not wrong; float32's rounding is no fault; infinity is no number."""
    table = pl.DataFrame({"p": [0.0, 1.0, 1.0000001, -0.1, 7.0, NAN, INF, None]})
    found = faults_of(table, Output(("p",)))
    assert (found.present, found.scored, found.outside, found.nan) == (7, 5, 2, 2)
    assert faults_of(table, Output(("p",), probability=False)).outside == 0


@pytest.mark.parametrize(
    ("decisions", "positive"),
    [
        ([True, False, True, None, False], "true"),
        ([1, 0, 1, None, 0], "1"),
        (["Yes", "no", "yes", None, "no"], "yes"),
        ([1.0, 0.0, 1.0, None, 0.0], "1"),
    ],
    ids=["booleans", "whole numbers", "words", "floats"],
)
def test_decisions_that_do_not_follow(decisions: list, positive: str) -> None:
    """The third is positive below the threshold; at the threshold itself either is right."""
    table = pl.DataFrame({"p": [0.9, 0.1, 0.2, 0.9, 0.5], "d": decisions})
    found = faults_of(table, Output(("p",), decision=Decision("d", positive), threshold=0.5))
    assert (found.decided, found.mismatched) == (4, 1)


def test_decisions_that_cannot_be_read_are_not_judged() -> None:
    """Nor is a table without the column."""
    table = pl.DataFrame({"p": [0.9, 0.1], "d": ["approve", "reject"]})
    assert faults_of(table, Output(("p",), decision=Decision("d", None))).decided == 0
    assert faults_of(table, Output(("p",), decision=Decision("elsewhere", "yes"))).decided == 0


def test_probabilities_that_do_not_sum_to_one() -> None:
    """Three digits are enough; a missing class cannot be summed."""
    table = pl.DataFrame({"a": [0.333, 0.5, 0.9, None], "b": [0.333, 0.5, 0.9, 0.5], "c": [0.333, 0.5, 0.1, 0.5]})
    found = faults_of(table, Output(("a", "b", "c")))
    assert (found.summed, found.off) == (3, 2)


def test_no_rows_and_no_column_have_no_faults() -> None:
    """And counts add and subtract."""
    assert faults_of(pl.DataFrame({"p": []}, schema={"p": pl.Float64}), Output(("p",))) == Faults()
    assert faults_of(pl.DataFrame({"x": [1]}), Output(("p",))) == Faults()
    one = Faults(3, 1, 3)
    assert one.plus(one).minus(one) == one
