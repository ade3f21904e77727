"""Averages over classes: scikit-learn is the witness, and samples of multinomial counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, precision_score, recall_score

from killick.stats.confusion import class_averages

WITNESSES = {
    "f1_macro": (f1_score, "macro"),
    "f1_weighted": (f1_score, "weighted"),
    "precision_macro": (precision_score, "macro"),
    "recall_macro": (recall_score, "macro"),
}


def rows_of(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels and decisions that a confusion matrix stands for."""
    labels, decisions = np.indices(matrix.shape)
    return np.repeat(labels.ravel(), matrix.ravel()), np.repeat(decisions.ravel(), matrix.ravel())


@given(st.integers(1, 5).flatmap(lambda k: hnp.arrays(np.int64, (k, k), elements=st.integers(0, 4))))
def test_averages_agree_with_scikit_learn(matrix: np.ndarray) -> None:
    """Classes that are never decided, never true, or neither; one row; one class."""
    found = class_averages(matrix)
    labels, decisions = rows_of(matrix)
    for name, (witness, average) in WITNESSES.items():
        if not len(labels):
            assert np.isnan(found[name].value)
            continue
        expected = witness(labels, decisions, average=average, zero_division=0)
        assert found[name].value == pytest.approx(expected, abs=1e-12)


def test_what_is_lost_among_rare_classes_is_wrong() -> None:
    """Rows whose label and decision are different rare classes count for the rest, and are not right."""
    found = class_averages([[5, 0], [0, 5]], 5)["recall_macro"]
    assert float(found.value) == pytest.approx((1 + 0.5) / 2)


@pytest.mark.parametrize("name", WITNESSES)
def test_standard_errors_are_those_of_the_derivatives(name: str) -> None:
    """Numerically, by moving each count; the delta method on multinomial counts."""
    matrix = np.random.default_rng(0).integers(1, 9, (4, 4)).astype(float)
    slopes = np.zeros_like(matrix)
    for cell in np.ndindex(matrix.shape):
        step = np.zeros_like(matrix)
        step[cell] = 1e-5
        up, down = (float(class_averages(moved)[name].value) for moved in (matrix + step, matrix - step))
        slopes[cell] = (up - down) / 2e-5
    found = float(class_averages(matrix)[name].standard_error)
    assert found == pytest.approx(np.sqrt((matrix * slopes**2).sum()), rel=1e-6)


@pytest.mark.statistics
@pytest.mark.parametrize("name", WITNESSES)
def test_intervals_cover_the_truth(name: str) -> None:
    """95 % within 92.5-97.5 % over 3,000 samples of 300 rows of three classes, the rarest a tenth of them."""
    shares = np.array([[0.42, 0.06, 0.02], [0.05, 0.33, 0.02], [0.02, 0.01, 0.07]])
    samples = np.random.default_rng(1).multinomial(300, shares.ravel(), 3000).reshape(-1, 3, 3)
    truth = float(class_averages(shares * 1e6)[name].value)
    low, high = class_averages(samples)[name].interval(0.95)
    assert 0.925 <= ((low <= truth) & (truth <= high)).mean() <= 0.975


def test_no_mistake_in_few_rows_is_not_perfection() -> None:
    """Five rows of each class, all right: as uncertain as five rows in each of two classes are."""
    found = class_averages([[5, 0], [0, 5]])["recall_macro"]
    low, high = found.interval(0.95)
    assert (float(found.value), float(found.trials)) == (1.0, 10.0)
    assert (float(low), float(high)) == pytest.approx((0.7225, 1.0), abs=1e-4)
