"""Two tables with labels: what got surely worse fails, what did not is quiet, and one absurd row changes neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from killick.checks.performance import LABELS_MIN
from killick.checks.realised import TESTED, judge_realised
from killick.checks.reference import EVERYTHING
from killick.clock import DAY
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import ClassOutcome
from killick.profiles.outcomes_values import fit_values
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.profiles.scale import Scale
from killick.spec.document import Objective

if TYPE_CHECKING:
    from killick.checks.sharing import Draft

BINARY = Scale((), BinaryOutcome("label", 0.5))
CLASSES = Scale((), ClassOutcome("label", ("a", "b", "c")))


def profiled(scale: Scale, **columns: object) -> Profile:
    """Profile rows and their outcomes."""
    held = Outcomes(**{name: pl.Series(values) for name, values in columns.items()})
    groups = np.zeros(len(next(iter(columns.values()))), np.int64)
    (rows,) = profile_rows(scale, pl.DataFrame({"row": groups}), groups, 1)
    return rows + profile_outcomes(scale, held, groups, 1)[0]


def binary(rows: int, seed: int, power: float = 1.0) -> Profile:
    """Draw labels whose chance is a power of the score."""
    rng = np.random.default_rng(seed)
    scores = rng.random(rows)
    return profiled(BINARY, labels=rng.random(rows) < scores**power, scores=scores)


def drafts(before: Profile, now: Profile, **how: object) -> dict[str, Draft]:
    """Judge everything; return the drafts by metric."""
    found = judge_realised({EVERYTHING: before}, {EVERYTHING: now}, None, how.pop("objectives", ()), **how)
    return {draft.verdict.metric: draft for draft in found}


def test_a_model_that_got_worse_is_found_in_each_of_its_primary_metrics() -> None:
    """Scores that promise too much: dishonest, wrong, and no longer of use."""
    found = drafts(binary(5000, 1), binary(5000, 2, power=6.0))
    for metric in ("log_loss", "error_rate", "calibration_error"):
        assert found[metric].p_value < 1e-6
        assert "worse by" in found[metric].verdict.reason
        assert found[metric].verdict.direction == "up"
        assert found[metric].verdict.effect > 0.02


def test_only_primary_metrics_are_tests() -> None:
    """The others are told, with the reference's number, and cost no budget."""
    found = drafts(binary(2000, 1), binary(2000, 2, power=3.0))
    tests = {metric for metric, draft in found.items() if not np.isnan(draft.p_value)}
    assert tests == set(TESTED[BinaryOutcome])
    f1 = found["f1"].verdict
    assert f1.status == "ok"
    assert f1.reason.endswith("in the reference")
    assert f1.direction is None


def test_an_unchanged_model_is_quiet() -> None:
    """Another sample of the same world is worse by less than the margin, or not surely."""
    found = drafts(binary(20_000, 1), binary(20_000, 2))
    assert {draft.p_value for draft in found.values() if not np.isnan(draft.p_value)} == {1.0}


@pytest.mark.statistics
@pytest.mark.parametrize(("before", "now"), [(100, 60), (1000, 60), (60, 1000), (400, 400), (20_000, 100)])
def test_false_alarms_stay_within_the_level(before: int, now: int) -> None:
    """300 pairs of tables without a change, rare positives: at most 8 % below 5 %, and 2 % below 0.5 %."""
    rng = np.random.default_rng(before + now)

    def sample(rows: int) -> dict[tuple[tuple[str, str], ...], Profile]:
        scores = rng.beta(1, 5, rows * 300)
        held = Outcomes(labels=pl.Series(rng.random(len(scores)) < scores), scores=pl.Series(scores))
        made = profile_outcomes(BINARY, held, np.arange(len(scores)) % 300, 300)
        return {(("sample", str(at)),): one for at, one in enumerate(made)}

    p_values: dict[str, list[float]] = {}
    for draft in judge_realised(sample(before), sample(now), None, ()):
        p_values.setdefault(draft.verdict.metric, []).append(draft.p_value)
    for metric in TESTED[BinaryOutcome]:
        assert np.mean(np.array(p_values[metric]) <= 0.05) <= 0.08, metric
        assert np.mean(np.array(p_values[metric]) <= 0.005) <= 0.02, metric


def test_classes_that_are_confused_are_found() -> None:
    """A rare class that is no longer told apart: few decisions are wrong, and the macro F1 falls."""
    rng = np.random.default_rng(3)
    labels = rng.choice(["a", "b", "c"], 6000, p=[0.6, 0.37, 0.03])
    decisions = np.where(rng.random(6000) < 0.95, labels, rng.choice(["a", "b", "c"], 6000))
    worse = np.where(decisions == "c", "a", decisions)
    found = drafts(
        profiled(CLASSES, labels=labels, decisions=decisions), profiled(CLASSES, labels=labels, decisions=worse)
    )
    assert found["f1_macro"].p_value < 1e-6
    assert "calibration_error" not in found
    assert "log_loss" not in found


def values(rows: int, seed: int, spread: float = 3.0, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Draw a truth and predictions that err with a spread."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(100, 10, rows)
    return {"labels": truth, "scores": truth + shift + rng.normal(0, spread, rows)}


KNOWN = values(4000, 1)
VALUES = Scale((), fit_values("label", pl.Series(KNOWN["labels"]), pl.Series(KNOWN["scores"])))


def spoiled(columns: dict[str, np.ndarray], column: str) -> dict[str, np.ndarray]:
    """Put 1e12 into one row."""
    held = {name: held.copy() for name, held in columns.items()}
    held[column][7] = 1e12
    return held


@pytest.mark.parametrize("column", ["labels", "scores", None])
@pytest.mark.parametrize("side", ["reference", "current"])
def test_one_absurd_row_neither_hides_nor_makes_a_change(column: str | None, side: str) -> None:
    """Of the truth or of the prediction, in either table; the value is told as it is."""
    for now, alarms in ((values(4000, 2), False), (values(4000, 3, spread=4.0), True)):
        pair = {"reference": KNOWN, "current": now}
        if column:
            pair[side] = spoiled(pair[side], column)
        found = drafts(*(profiled(VALUES, **pair[name]) for name in ("reference", "current")))["mae"]
        assert (found.p_value < 1e-4) == alarms
        if column and side == "current":
            assert found.verdict.value > 1e8
            assert not alarms or "bounded at 20 spreads" in found.verdict.reason


def test_a_bias_is_found_on_either_side_and_not_when_it_goes() -> None:
    """Predictions that are a spread too high, or too low; and a model that was off and is so no more."""
    level = profiled(VALUES, **KNOWN)
    for shift in (3.0, -3.0):
        off = profiled(VALUES, **values(2000, 5, shift=shift))
        assert drafts(level, off)["bias"].p_value < 1e-6
        assert drafts(off, level)["bias"].p_value == 1.0
    assert drafts(level, profiled(VALUES, **values(2000, 5, shift=0.1)))["bias"].p_value == 1.0


def test_declared_metrics_stand_for_a_reference_without_labels() -> None:
    """Of everything, whichever metric was declared; and one that this model has not is no silent pass."""
    blank = Profile.empty(BINARY)
    declared = {"accuracy": 0.9, "roc_auc": 0.8, "mae": 1.0}
    found = drafts(blank, binary(3000, 1), declared=declared)
    assert found["accuracy"].p_value < 1e-6
    assert "0.900 was declared" in found["accuracy"].verdict.reason
    assert found["roc_auc"].p_value == 1.0
    assert np.isnan(found["log_loss"].p_value)
    assert found["mae"].verdict.status == "inconclusive"
    segment = (("origin", "JFK"),)
    (accuracy,) = (
        draft
        for draft in judge_realised({segment: blank}, {segment: binary(3000, 1)}, None, (), declared)
        if draft.verdict.metric == "accuracy"
    )
    assert np.isnan(accuracy.p_value)


def test_a_labelled_reference_stands_before_what_was_declared() -> None:
    """The metric that was found on its rows, not the one on paper."""
    found = drafts(binary(3000, 2), binary(3000, 1), declared={"accuracy": 0.99})
    assert np.isnan(found["accuracy"].p_value)
    assert "in the reference" in found["accuracy"].verdict.reason


def test_few_labels_on_either_side_are_no_test() -> None:
    """And where neither side has labels there is nothing to say."""
    enough, few = binary(LABELS_MIN, 1), binary(LABELS_MIN - 1, 2)
    assert all(np.isnan(draft.p_value) for draft in drafts(few, enough).values())
    assert {draft.verdict.status for draft in drafts(enough, few).values()} == {"inconclusive"}
    assert drafts(Profile.empty(BINARY), Profile.empty(BINARY)) == {}
    assert judge_realised({}, {}, None, ()) == []
    plain = Profile.empty(Scale(()))
    assert drafts(plain, plain) == {}


def test_an_objective_warns_of_a_metric_that_is_no_test() -> None:
    """As it does live, whatever the reference was."""
    promised = Objective("useful", "precision", window=DAY, at_least=0.95)
    found = drafts(binary(3000, 1), binary(3000, 2), objectives=(promised,))["precision"]
    assert found.verdict.status == "warn"
    assert found.verdict.threshold == 0.95
