"""Performance verdicts, and what holds for every verdict of every check: no number that is none."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.checks.drift import judge_window
from killick.checks.limits import learn_limits
from killick.checks.performance import (
    LABELS_MIN,
    calibration_of,
    judge_performance,
    labels_of,
    measure,
    surely_missed,
    wrong_of,
)
from killick.checks.quality import judge_quality, share_histories
from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.checks.verdict import STATUSES, Verdict, worst
from killick.clock import DAY, Window
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.profiles.scale import Scale, fit_scale
from killick.profiles.scores import ScoreScale
from killick.spec.document import Objective
from killick.testing.laws import frames

SCALE = Scale((ScoreScale("score"),), BinaryOutcome("label", 0.5))
LOSS = Objective("honest-odds", "log_loss", window=DAY, at_most=0.62)
AREA = Objective("ranks", "roc_auc", window=DAY, at_least=0.7)


def outcomes(scores: object, labels: object) -> Profile:
    """Profile scores and labels."""
    held = Outcomes(labels=pl.Series(labels), scores=pl.Series(scores))
    return profile_outcomes(SCALE, held, np.zeros(len(held.labels), np.int64), 1)[0]


def drawn(rows: int, *, honest: bool = True, seed: int = 1) -> Profile:
    """Draw labels that follow the scores, or that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    scores = rng.random(rows)
    return outcomes(scores, rng.random(rows) < (scores if honest else 0.5))


def statuses(profile: Profile, *objectives: Objective) -> dict[str, str]:
    """Return each metric's status."""
    return {v.metric: v.status for v in judge_performance(profile, objectives=objectives)}


def test_few_labels_are_inconclusive_and_say_how_many() -> None:
    """One, and one fewer than matter; and where nothing came, that is the reason."""
    assert {verdict.reason for verdict in judge_performance(drawn(0))} == {"no rows"}
    for rows in (1, LABELS_MIN - 1):
        for verdict in judge_performance(drawn(rows)):
            assert verdict.status == "inconclusive"
            assert verdict.reason == f"{rows} labels are known; 50 of both classes are needed"
    assert statuses(drawn(LABELS_MIN)) == dict.fromkeys(("log_loss", "roc_auc", "error_rate"), "ok")


def test_one_class_alone_has_no_ranking() -> None:
    """Error rate and log loss are known, the area under the curve is not."""
    assert statuses(outcomes([0.2] * 100, [0] * 100)) == {
        "log_loss": "ok",
        "error_rate": "ok",
        "roc_auc": "inconclusive",
    }


def test_an_objective_that_is_surely_missed_warns() -> None:
    """With the whole interval: a bad model warns, a good one does not, and twenty labels never do."""
    good, bad = drawn(2000), drawn(2000, honest=False)
    assert statuses(good, LOSS, AREA) == {"log_loss": "ok", "error_rate": "ok", "roc_auc": "ok"}
    assert statuses(bad, LOSS, AREA) == {"log_loss": "warn", "error_rate": "ok", "roc_auc": "warn"}
    assert set(statuses(drawn(20, honest=False), LOSS, AREA).values()) == {"inconclusive"}
    words = next(v for v in judge_performance(bad, objectives=(LOSS,)) if v.metric == "log_loss").reason
    assert words.endswith("over 2000 labels; objective honest-odds asks for 0.62")


def test_a_metric_with_an_objective_is_reported_as_well() -> None:
    """Live there are three, and what was promised."""
    promised = Objective("useful", "precision", window=DAY, at_least=0.9)
    assert statuses(drawn(2000), promised) == {
        "log_loss": "ok",
        "roc_auc": "ok",
        "error_rate": "ok",
        "precision": "warn",
    }


def test_what_is_lacking_is_said() -> None:
    """A hundred labels, and nothing that was decided positive; or scores that are none."""
    quiet = Objective("useful", "precision", window=DAY, at_least=0.9)
    words = {v.metric: v.reason for v in judge_performance(outcomes([0.2] * 100, [0, 1] * 50), objectives=(quiet,))}
    assert words["precision"] == "100 labels are known; a positive decision is needed"
    held = Outcomes(labels=pl.Series([0, 1] * 50), decisions=pl.Series([0, 1] * 50))
    one = np.zeros(100, np.int64)
    (made,) = profile_rows(SCALE, pl.DataFrame({"score": [None] * 100}, schema={"score": pl.Float64}), one, 1)
    made += profile_outcomes(SCALE, held, one, 1)[0]
    words = {v.metric: v.reason for v in judge_performance(made)}
    assert words["log_loss"] == "no usable score beside 100 labels; 50 of both classes are needed"


def test_the_calibration_curve_tells_what_was_promised_and_what_came() -> None:
    """Bins of equal mass from 0 to 1, each with its interval; without probabilities there is none."""
    curve = calibration_of(drawn(3000))
    assert len(curve) == 15
    assert (curve[0].low, curve[-1].high) == (0.0, 1.0)
    assert all(before.high == after.low for before, after in pairwise(curve))
    assert sum(one.rows for one in curve) == 3000
    assert sum(one.interval[0] <= one.mean_score <= one.interval[1] for one in curve) >= 12
    assert calibration_of(Profile.empty(Scale((), None))) == ()


@pytest.mark.statistics
def test_a_model_that_just_keeps_its_objective_rarely_warns() -> None:
    """400 windows whose true loss is the objective: one-sided 2.5 %, and not never."""
    at_the_edge = Objective("edge", "log_loss", window=DAY, at_most=0.5)
    missed = [surely_missed(measure(drawn(300, seed=seed), "log_loss"), at_the_edge) for seed in range(400)]
    assert 0.005 <= np.mean(missed) <= 0.05


def test_counts_of_labels_and_mistakes() -> None:
    """By hand; a profile without an outcome has neither."""
    made = outcomes([0.1, 0.9, 0.9, 0.4], [0, 1, 0, 1])
    assert (labels_of(made), wrong_of(made)) == (4, 2)
    plain = Profile.empty(Scale((ScoreScale("score"),)))
    assert (labels_of(plain), wrong_of(plain)) == (0, 0)
    assert measure(plain, "log_loss").value is None


def verdict(status: str) -> Verdict:
    """Make a verdict of a status."""
    return Verdict(check="drift.univariate", metric="psi", status=status, reason="")


@given(st.lists(st.sampled_from(STATUSES)))
def test_the_worst_status_is_the_overall_one(found: list[str]) -> None:
    """But what could not be judged does not hide that something else held."""
    serious = [status for status in ("error", "fail", "warn", "ok") if status in found]
    assert worst(verdict(status) for status in found) == (serious[0] if serious else "inconclusive")


KINDS = {"real": "numeric", "whole": "numeric", "text": "categorical", "flag": "boolean", "nothing": "numeric"}


def numbers_of(found: Verdict) -> list[float]:
    """Return every number that a verdict holds."""
    return [
        *(n for n in (found.value, found.threshold, found.effect, found.p_value, found.p_adjusted) if n is not None),
        *(found.interval or ()),
    ]


def profiled(scale: Scale, rows: pl.DataFrame) -> Profile:
    """Profile features, scores and outcomes."""
    (features,) = profile_rows(scale, rows, np.zeros(rows.height, np.int64), 1)
    known = rows.filter(pl.col("label").is_not_null())
    one = np.zeros(known.height, np.int64)
    held = Outcomes(labels=known["label"], scores=known["score"])
    return features + profile_outcomes(scale, held, one, 1)[0]


@given(
    frames(rows_max=60),
    frames(rows_max=6),
    st.sampled_from([1, 12, 60]),
    st.sampled_from([0.4, 0.01, 1e-6, 1e-12]),
)
@settings(max_examples=60)
def test_no_verdict_holds_a_number_that_is_none(
    reference: pl.DataFrame, current: pl.DataFrame, copies: int, alpha: float
) -> None:
    """Whatever the rows were (none, one, one class, all missing, infinite), a number is finite or absent."""
    scale = fit_scale(reference, KINDS, ranges={"whole": (-3.0, 3.0)}, score="score", outcome="label")
    past, now = profiled(scale, reference), profiled(scale, pl.concat([current] * copies))
    a, b = (("g", "a"),), (("g", "b"),)
    held = {EVERYTHING: past, a: past, b: now}
    windows = tuple(HealthyWindow(Window(day * DAY, (day + 1) * DAY), held) for day in range(20))
    whole = Reference(scale, held, windows)
    limits = learn_limits(whole, scale.columns, alpha)
    today = {EVERYTHING: now, a: now, b: past}
    sides = {"trailing": held, "other_segments": {a: past, b: now}}
    histories = share_histories(scale.columns, [window.profiles for window in windows])
    found = [
        *judge_window(Window(0, DAY), today, sides, scale.columns, limits),
        *judge_quality(scale.columns, held, today, histories, alpha),
        *judge_performance(now, objectives=(LOSS, AREA)),
    ]
    for one in found:
        assert all(math.isfinite(number) for number in numbers_of(one)), one
        assert one.reason
        assert "nan" not in one.reason
        assert one.status in {"ok", "warn", "fail", "inconclusive"}
        assert one.value is not None or one.status == "inconclusive"
