"""What a model said that cannot be: found without a reference, and a warning where the reference has it too."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from killick.checks.output import judge_output
from killick.profiles.census import Questions, take_census
from killick.profiles.faults import Output
from killick.profiles.outcome_rows import Decision
from tests.checks.rates import sealed, surely_more_than_promised

ASKED = Questions(output=Output(("p",), decision=Decision("d", "true"), threshold=0.4))


def rows(number: int = 2_000, seed: int = 0) -> pl.DataFrame:
    """A model that says what it should."""
    score = np.random.default_rng(seed).uniform(size=number)
    return pl.DataFrame({"p": score, "d": score > 0.4})


def judged(now: pl.DataFrame, before: pl.DataFrame | None = None, asked: Questions = ASKED) -> dict:
    """Return the sealed verdicts by metric."""
    reference = None if before is None else take_census(before, asked)
    return {verdict.metric: verdict for verdict in sealed(judge_output(reference, take_census(now, asked)))}


def spoiled(table: pl.DataFrame, share: float, value: object) -> pl.DataFrame:
    """Put a value into the first rows' scores."""
    first = pl.int_range(pl.len()) < round(share * table.height)
    return table.with_columns(p=pl.when(first).then(pl.lit(value, dtype=pl.Float64)).otherwise("p"))


def test_what_is_possible_is_ok() -> None:
    """With a reference and without."""
    assert {v.status for v in judged(rows()).values()} == {"ok"}
    assert {v.status for v in judged(rows(), rows(seed=1)).values()} == {"ok"}
    assert judge_output(None, take_census(rows(), Questions())) == []


@pytest.mark.parametrize("reference", [None, rows(seed=1)], ids=["alone", "with a reference"])
@pytest.mark.parametrize(
    ("fault", "metric"),
    [
        (spoiled(rows(), 0.01, 1.5), "outside_rate"),
        (spoiled(rows(), 0.01, float("nan")), "nan_rate"),
        (rows().with_columns(d=pl.col("p") > 0.5), "decision_mismatch_rate"),
    ],
    ids=["outside", "no number", "another threshold"],
)
def test_each_fault_fails_for_certain(fault: pl.DataFrame, metric: str, reference: pl.DataFrame | None) -> None:
    """No p-value: such a row is wrong whatever the reference holds."""
    found = judged(fault, reference)[metric]
    assert (found.status, found.p_value, found.direction) == ("fail", None, "up")
    assert found.column == ("d" if metric == "decision_mismatch_rate" else "p")
    assert "of 2,000)" in found.reason


def test_a_single_row_in_many_is_a_warning() -> None:
    """One in two thousand."""
    found = judged(spoiled(rows(), 1 / 2_000, -1.0))["outside_rate"]
    assert (found.status, found.reason) == ("warn", "0.05 % of the scores lie outside [0, 1] (1 of 2,000)")


def test_what_the_reference_has_too_warns() -> None:
    """Five in a hundred are what is usual here, and still impossible: perhaps the spec is wrong. Ten fail."""
    before = spoiled(rows(seed=1), 0.05, 2.0)
    assert judged(spoiled(rows(), 0.05, 2.0), before)["outside_rate"].status == "warn"
    worse = judged(spoiled(rows(), 0.1, 2.0), before)["outside_rate"]
    assert worse.status == "fail"
    assert worse.p_value < 1e-6
    assert "; 5.00 % in the reference, so perhaps the spec" in worse.reason


@pytest.mark.statistics
@pytest.mark.parametrize(("before", "now"), [(200, 50), (1_000, 5_000), (5_000, 200)])
def test_a_usual_fault_fails_no_more_often_than_promised(before: int, now: int) -> None:
    """Five in a hundred on both sides, by chance."""

    def run(rng: np.random.Generator) -> list:
        sides = [pl.DataFrame({"p": np.where(rng.uniform(size=n) < 0.05, 2.0, 0.5)}) for n in (before, now)]
        asked = Questions(output=Output(("p",)))
        return judge_output(*(take_census(side, asked) for side in sides))

    assert not surely_more_than_promised(run, runs=150, seed=5)


def test_class_probabilities_that_do_not_sum_to_one() -> None:
    """Scores of each class by itself, as one-against-rest models give them."""
    asked = Questions(output=Output(("a", "b", "c")))
    good = pl.DataFrame({"a": [0.2] * 100, "b": [0.3] * 100, "c": [0.5] * 100})
    assert {v.status for v in judged(good, asked=asked).values()} == {"ok"}
    found = judged(good.with_columns(c=0.9), asked=asked)
    assert found["sum_rate"].status == "fail"
    assert found["sum_rate"].column is None
    assert set(found) == {"outside_rate", "nan_rate", "sum_rate"}


def test_without_scores_nothing_is_known() -> None:
    """All missing, or no rows."""
    for now in (rows()[:0], rows().with_columns(p=pl.lit(None, dtype=pl.Float64))):
        assert {v.status for v in judged(now, rows()).values()} == {"inconclusive"}
