"""Every metric of every kind of model, against scikit-learn, from rows to profile to number, at awkward sizes."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from killick.checks.metrics import estimate, metrics_of
from killick.checks.performance import LIVE, measure
from killick.checks.realised import MARGINS, TESTED
from killick.profiles.codec import pack_profile, pack_scale, unpack_profile, unpack_scale
from killick.profiles.outcome_rows import Outcomes, scores_of
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import CLASSES_MAX, ClassOutcome, fit_classes
from killick.profiles.outcomes_values import ValueOutcome, fit_values
from killick.profiles.profile import Profile, profile_outcomes
from killick.profiles.scale import Scale
from killick.spec.document import HIGHER_IS_BETTER, METRICS

SCALES = (BinaryOutcome("label", 0.5), ClassOutcome("label", ("a",)), ValueOutcome("label", 0.0, 1.0, 1.0))


def profile(scale: object, **columns: object) -> Profile:
    """Profile outcomes as one group."""
    held = Outcomes(**{name: pl.Series(values) for name, values in columns.items()})
    rows = len(held.labels)
    return profile_outcomes(Scale((), scale), held, np.zeros(rows, np.int64), 1)[0]


def witness(call, *arguments: object, **options: object) -> float | None:
    """Ask scikit-learn; None where it cannot say."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            value = float(call(*arguments, **options))
        except (ValueError, UserWarning):
            return None
    return value if np.isfinite(value) else None


def holds(made: Profile, metric: str, expected: float | None) -> None:
    """Assert that a metric is what the witness says, inside its interval; unknown exactly where it does not know."""
    found = measure(made, metric)
    if expected is None:
        assert (found.value, found.interval) == (None, None)
        return
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-9)
    if found.interval is not None:
        low, high = found.interval
        assert low - 1e-9 <= found.value <= high + 1e-9


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), max_size=40))
@settings(max_examples=150)
def test_binary_metrics_agree_with_scikit_learn(rows: list[tuple[int, int]]) -> None:
    """No row, one, two; one class alone; ties. A score in twentieths has a bin of its own, so ranks are exact too."""
    scores, labels = np.array([row[0] for row in rows]) / 20, np.array([row[1] for row in rows], int)
    made = profile(BinaryOutcome("label", 0.5), labels=pl.Series(labels), scores=pl.Series(scores, dtype=pl.Float64))
    decided, any_rows = scores > 0.5, len(rows) > 0
    both = len(set(labels)) == 2
    holds(made, "roc_auc", witness(sklearn.roc_auc_score, labels, scores) if both else None)
    holds(made, "average_precision", witness(sklearn.average_precision_score, labels, scores) if both else None)
    holds(made, "brier", witness(sklearn.brier_score_loss, labels, scores, pos_label=1) if any_rows else None)
    holds(made, "accuracy", witness(sklearn.accuracy_score, labels, decided) if any_rows else None)
    holds(made, "error_rate", witness(sklearn.zero_one_loss, labels, decided) if any_rows else None)
    holds(made, "precision", witness(sklearn.precision_score, labels, decided) if any_rows else None)
    holds(made, "recall", witness(sklearn.recall_score, labels, decided) if any_rows else None)
    defined = any_rows and (labels.any() or decided.any())
    holds(made, "f1", witness(sklearn.f1_score, labels, decided, zero_division=0) if defined else None)


CLASSES = st.sampled_from(["a", "b", "c", "new", "Zürich"])


@given(st.lists(st.tuples(CLASSES, CLASSES), max_size=40))
@settings(max_examples=100)
def test_multiclass_metrics_agree_with_scikit_learn(rows: list[tuple[str, str]]) -> None:
    """A class that the reference did not know shares the last cell; alone there, it is a class like any other."""
    labels, decisions = [row[0] for row in rows], [row[1] for row in rows]
    text = {"labels": pl.Series(labels, dtype=pl.String), "decisions": pl.Series(decisions, dtype=pl.String)}
    made = profile(ClassOutcome("label", ("a", "b", "c", "Zürich")), **text)
    any_rows = len(rows) > 0
    holds(made, "accuracy", witness(sklearn.accuracy_score, labels, decisions) if any_rows else None)
    holds(made, "error_rate", witness(sklearn.zero_one_loss, labels, decisions) if any_rows else None)
    for name, call in (
        ("f1", sklearn.f1_score),
        ("precision", sklearn.precision_score),
        ("recall", sklearn.recall_score),
    ):
        expected = witness(call, labels, decisions, average="macro", zero_division=0) if any_rows else None
        holds(made, f"{name}_macro", expected)
    expected = witness(sklearn.f1_score, labels, decisions, average="weighted", zero_division=0) if any_rows else None
    holds(made, "f1_weighted", expected)


def test_log_loss_of_classes_needs_the_labels_own_score() -> None:
    """Exact as scikit-learn's where each class has a score; a label without one counts nothing."""
    rng = np.random.default_rng(0)
    scores, labels = rng.dirichlet([1, 2, 3], 80), rng.integers(0, 3, 80)
    text = pl.Series([["a", "b", "c"][label] for label in labels])
    given_scores = scores_of(text, {name: pl.Series(scores[:, at]) for at, name in enumerate("abc")})
    made = profile(fit_classes("label", text), labels=text, label_scores=given_scores)
    holds(made, "log_loss", sklearn.log_loss(labels, scores, labels=[0, 1, 2]))
    assert measure(profile(fit_classes("label", text), labels=text, decisions=text), "log_loss").labels == 0


def test_confidence_is_honest_when_it_is_right_as_often_as_it_says() -> None:
    """The calibration error of decisions by their confidence, near 0, and near the 0.2 that another overstates."""
    rng = np.random.default_rng(1)
    sure = rng.uniform(0.5, 0.8, 5000)
    right = rng.random(5000) < sure
    columns = {"labels": pl.Series(np.where(right, "a", "b")), "decisions": pl.Series(["a"] * 5000)}
    scale = ClassOutcome("label", ("a", "b"))
    honest, boasting = (profile(scale, scores=said, **columns) for said in (sure, sure + 0.2))
    assert measure(honest, "calibration_error").value < 0.02
    assert measure(boasting, "calibration_error").value == pytest.approx(0.2, abs=0.02)


def test_more_classes_than_are_known_are_right_or_wrong_all_the_same() -> None:
    """Sixty classes: accuracy is exact, though ten of them share a cell."""
    rng = np.random.default_rng(2)
    labels = pl.Series(rng.integers(0, 60, 3000)).cast(pl.String)
    decisions = pl.Series(np.where(rng.random(3000) < 0.5, labels.to_numpy(), labels.shuffle(3).to_numpy()))
    scale = fit_classes("label", labels)
    assert len(scale.classes) == CLASSES_MAX
    holds(profile(scale, labels=labels, decisions=decisions), "accuracy", sklearn.accuracy_score(labels, decisions))


VALUES = st.floats(-1e3, 1e3).map(lambda value: round(value, 2))


@given(st.lists(st.tuples(VALUES, VALUES), max_size=30), st.sampled_from([(0.0, 1.0, 1.0), (1e4, 20.0, 0.03)]))
@settings(max_examples=150)
def test_regression_metrics_agree_with_scikit_learn(
    rows: list[tuple[float, float]], place: tuple[float, float, float]
) -> None:
    """Whatever centre and spreads the reference had; no row, one, and a truth that never varies."""
    truth, predicted = ([row[at] for row in rows] for at in (0, 1))
    scale = ValueOutcome("label", *place)
    columns = {"labels": pl.Series(truth, dtype=pl.Float64), "scores": pl.Series(predicted, dtype=pl.Float64)}
    made, any_rows = profile(scale, **columns), len(rows) > 0
    pair = (truth, predicted)
    tolerant = {"rel": 1e-6, "abs": 1e-6}
    for name, value in {
        "mae": witness(sklearn.mean_absolute_error, *pair),
        "rmse": witness(sklearn.root_mean_squared_error, *pair),
        "bias": float(np.mean(np.subtract(predicted, truth))) if any_rows else None,
        "quantile_loss": witness(sklearn.mean_pinball_loss, *pair),
        "r2": witness(sklearn.r2_score, *pair) if len(set(truth)) > 1 else None,
    }.items():
        found = measure(made, name).value
        if value is None or (name == "r2" and np.std(truth) < 1):
            assert name == "r2" or found is None
            continue
        assert found == pytest.approx(value, **tolerant), name


def test_what_is_no_number_is_counted_apart() -> None:
    """A prediction that is missing, infinite or absurd; and a label that has not come counts nothing at all."""
    labels = pl.Series([1.0, 1.0, 1.0, float("inf"), None, float("nan"), 2.0])
    scores = pl.Series([None, float("inf"), 1e200, 1.0, 1.0, 1.0, 2.5])
    made = profile(ValueOutcome("label", 0.0, 1.0, 1.0), labels=labels, scores=scores)
    assert made.counts_of("label").tolist() == [1, 4]
    assert measure(made, "mae").value == 0.5
    assert np.isfinite(made.sums).all()


def test_a_scale_is_learned_without_labels_and_from_a_perfect_model() -> None:
    """Predictions stand for the truth; errors of 0 have the truth's spread."""
    numbers = pl.Series([1.0, 2.0, 3.0, 4.0])
    unlabelled = fit_values("label", None, numbers)
    assert (unlabelled.centre, unlabelled.error_spread) == (2.5, unlabelled.spread)
    perfect = fit_values("label", numbers, numbers)
    assert perfect.error_spread == perfect.spread > 0
    assert fit_classes("label", None, pl.Series(["x", None])).classes == ("x",)
    assert fit_values("label", pl.Series([None, None], dtype=pl.Float64), pl.Series([1.0, 3.0])).centre == 2.0


@pytest.mark.parametrize("scale", SCALES, ids=lambda scale: type(scale).__name__)
def test_many_profiles_at_once_are_each_measured_alone(scale: object) -> None:
    """The arrays of fifty segments hold what each segment's own would; bytes bring back scale and profile."""
    rng = np.random.default_rng(3)
    rows, number = 400, 5
    labels = (
        pl.Series(rng.choice(["a", "b"], rows))
        if isinstance(scale, ClassOutcome)
        else pl.Series(rng.integers(0, 2, rows))
    )
    held = Outcomes(labels=labels, scores=pl.Series(rng.random(rows)), decisions=labels.shuffle(1))
    whole = Scale((), scale)
    made = profile_outcomes(whole, held, rng.integers(0, number, rows), number)
    for metric in metrics_of(scale):
        together = estimate(made, metric)
        for at, one in enumerate(made):
            alone = estimate([one], metric)
            for field in ("value", "low", "high", "labels", "at_most", "at_least", "error"):
                expected = getattr(alone, field)[0]
                assert getattr(together, field)[at] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert unpack_profile(pack_profile(made[0]), unpack_scale(pack_scale(whole))) == made[0]


def test_the_lists_of_metrics_agree() -> None:
    """What an objective may be about is measured; what is tested or live is a metric; and each has its margin."""
    of = {type(scale): set(metrics_of(scale)) for scale in SCALES}
    assert set().union(*of.values()) == {*METRICS, "bias"}
    assert set(METRICS) >= HIGHER_IS_BETTER
    for kind, known in of.items():
        assert set(TESTED[kind]) <= known
        assert set(LIVE[kind]) <= known
    with_unit = {"mae", "rmse", "bias", "quantile_loss"}
    assert set().union(*of.values()) - with_unit == set(MARGINS)
    assert metrics_of(None) == ()


@pytest.mark.statistics
def test_intervals_cover_the_truth() -> None:
    """95 % intervals of the shares and means hold 92.5-97.5 % of truths, over 2,000 samples of 200 rows."""
    rng = np.random.default_rng(5)
    scores = rng.beta(2, 2, 200 * 2000)
    held = Outcomes(labels=pl.Series(rng.random(len(scores)) < scores), scores=pl.Series(scores))
    made = profile_outcomes(Scale((), BinaryOutcome("label", 0.5)), held, np.arange(len(scores)) % 2000, 2000)
    whole = Profile.merge(made[0].scale, made)
    for metric in ("log_loss", "brier", "accuracy", "precision", "recall", "f1", "roc_auc", "average_precision"):
        found, truth = estimate(made, metric), measure(whole, metric).value
        assert 0.925 <= ((found.low <= truth) & (truth <= found.high)).mean() <= 0.975, metric
