"""RMSE and R2 with intervals from moments: NumPy, scikit-learn and samples are the witnesses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from killick.stats.residuals import explained_variance, quantile_sums, root_mean_square


def moments(errors: np.ndarray, truth: np.ndarray) -> tuple[tuple[np.ndarray, ...], ...]:
    """Return the sums that R2 is made of."""
    squares = errors**2
    return (
        (squares.sum(-1), (squares**2).sum(-1)),
        tuple((truth**power).sum(-1) for power in (1, 2, 3, 4)),
        ((squares * truth).sum(-1), (squares * truth**2).sum(-1)),
    )


@pytest.mark.parametrize("quantile", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_quantile_loss_agrees_with_scikit_learn(quantile: float) -> None:
    """And its square with brute force."""
    rng = np.random.default_rng(0)
    truth, predicted = rng.normal(size=80), rng.normal(size=80)
    e = predicted - truth
    total, squares = quantile_sums(quantile, (e.sum(), np.abs(e).sum(), (e**2).sum(), (e * np.abs(e)).sum()))
    loss = np.where(e < 0, -quantile * e, (1 - quantile) * e)
    assert total / 80 == pytest.approx(mean_pinball_loss(truth, predicted, alpha=quantile))
    assert squares == pytest.approx((loss**2).sum())


@pytest.mark.statistics
@pytest.mark.parametrize("heavy", [False, True])
def test_intervals_cover_the_truth(heavy: bool) -> None:
    """95 % within 92-97 % over 3,000 samples of 200 rows; errors with eight degrees of freedom at least 90 %."""
    rng = np.random.default_rng(1)
    errors = rng.standard_t(8, (3000, 200)) / np.sqrt(8 / 6) if heavy else rng.normal(size=(3000, 200))
    truth = 2.0 * rng.normal(size=(3000, 200)) + 1.0
    rows = np.full(3000, 200.0)
    square, powers, both = moments(errors, truth)
    _, low, high = root_mean_square(rows, *square, 0.95)
    lowest = 0.90 if heavy else 0.92
    assert lowest <= ((low <= 1) & (high >= 1)).mean() <= 0.97
    _, low, high = explained_variance(rows, square, powers, both, 1.0, 0.95)
    assert lowest <= ((low <= 0.75) & (high >= 0.75)).mean() <= 0.97


def test_too_little_is_unknown() -> None:
    """No row, one row, and a truth that never varies."""
    none, one = np.zeros(1), np.ones(1)
    assert np.isnan(root_mean_square(none, none, none, 0.95)).all()
    value, low, high = root_mean_square(one, 4 * one, 16 * one, 0.95)
    assert value == 2.0
    assert np.isnan([low, high]).all()
    constant = moments(np.array([[1.0, 2.0, 3.0]]), np.full((1, 3), 0.1))
    assert np.isnan(explained_variance(np.array([3.0]), *constant, 1.0, 0.95)).all()


def test_a_perfect_model_has_no_error() -> None:
    """R2 of 1, RMSE of 0, and no division by it."""
    square, powers, both = moments(np.zeros((1, 5)), np.arange(5.0)[None])
    assert explained_variance(np.array([5.0]), square, powers, both, 1.0, 0.95)[0] == 1.0
    assert root_mean_square(np.array([5.0]), *square, 0.95)[0] == 0.0
