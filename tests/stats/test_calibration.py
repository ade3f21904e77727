"""Calibration from counts by score bin: scikit-learn's curve, brute force, and honest models that must look honest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve as sklearn_curve

from killick.stats.calibration import BINS, calibration_curve, calibration_error


def binned(scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sum rows `[..., rows]` by score bin, `[..., 100]`."""
    places = np.minimum((scores * 100).astype(int), 99)
    shape = (int(np.prod(scores.shape[:-1])), scores.shape[-1])
    held = np.ones(shape) if weights is None else np.asarray(weights, float).reshape(shape)
    rows = zip(places.reshape(shape), held, strict=True)
    return np.array([np.bincount(p, w, 100) for p, w in rows]).reshape(*scores.shape[:-1], 100)


def curve_of(scores: np.ndarray, labels: np.ndarray):
    """Return the curve of rows."""
    return calibration_curve(binned(scores, labels), binned(scores), binned(scores, scores))


def test_the_curve_is_scikit_learns_where_bins_are_the_same() -> None:
    """On scores of fifteen values, equally often, both cut one bin for each."""
    rng = np.random.default_rng(0)
    scores = np.tile(np.arange(15) / 15 + 1 / 30, 100)
    labels = (rng.random(1500) < scores).astype(int)
    curve = curve_of(scores, labels)
    rate, mean = sklearn_curve(labels, scores, n_bins=15)
    assert curve.outcome_rate == pytest.approx(rate)
    assert curve.mean_score == pytest.approx(mean)
    low, high = curve.interval(0.95)
    for at in range(15):
        expected = stats.binomtest(round(rate[at] * 100), 100).proportion_ci(0.95, method="wilson")
        assert (low[at], high[at]) == pytest.approx((expected.low, expected.high))


@given(st.integers(0, 2**32 - 1), st.integers(0, 400), st.sampled_from([(1, 1), (1, 30), (0.1, 0.1)]))
def test_plain_error_is_exact_for_the_bins_of_the_curve(seed: int, rows: int, shape: tuple[float, float]) -> None:
    """By brute force over rows, whatever the scores; the bins hold every row once."""
    rng = np.random.default_rng(seed)
    scores = rng.beta(*shape, rows)
    labels = rng.integers(0, 2, rows)
    curve = curve_of(scores, labels)
    found = calibration_error(curve)
    if not rows:
        assert np.isnan(found.value)
        return
    places = np.minimum((scores * 100).astype(int), 99)
    inside = [(places >= first) & (places <= last) for first, last in zip(curve.first, curve.last, strict=True)]
    expected = sum(abs(labels[mine].sum() - scores[mine].sum()) for mine in inside) / rows
    assert float(found.plain) == pytest.approx(expected, abs=1e-9)
    assert sum(mine.sum() for mine in inside) == rows
    assert 0 <= found.value <= found.plain + 1e-12
    low, high = found.interval(0.95)
    assert low <= found.value <= high


def test_rare_events_have_a_curve_as_well() -> None:
    """All scores below 0.15: bins of equal mass tell eight of them apart, where even ones would be three."""
    rng = np.random.default_rng(1)
    scores = rng.beta(2, 60, 20_000).clip(max=0.149)
    curve = curve_of(scores, rng.random(20_000) < scores)
    assert (curve.rows > 0).sum() == 8
    assert curve.rows.max() < 0.25 * 20_000


def test_bins_are_fewer_where_rows_are() -> None:
    """A bin needs twenty rows; and where two are compared the reference's mass cuts them."""
    rng = np.random.default_rng(2)
    scores = rng.random(60)
    assert (curve_of(scores, scores > 2).rows > 0).sum() == 3
    many = binned(rng.random(10_000) ** 3)
    curve = calibration_curve(np.zeros(100), binned(rng.random(5000)), binned(rng.random(5000)), mass=many)
    assert BINS - 2 <= (curve.first >= 0).sum() <= BINS
    assert curve.rows[-1] > 3 * curve.rows[curve.first == 0]


@pytest.mark.statistics
@pytest.mark.parametrize(("rows", "off"), [(100, 0.0), (100, 0.1), (1000, 0.0), (1000, 0.03), (1000, 0.1)])
def test_noise_is_taken_off_and_the_interval_covers(rows: int, off: float) -> None:
    """An honest model shows a third of its plain error, a bad one nearly all; 95 % intervals hold at least 94 %."""
    rng = np.random.default_rng(3)
    scores = rng.beta(2, 4, (600, rows))
    true = np.clip(scores + off * np.sign(scores - 0.33), 0, 1)
    curve = curve_of(scores, rng.random((600, rows)) < true)
    found = calibration_error(curve)
    expected = calibration_error(curve_of(scores, true)).plain
    low, high = found.interval(0.95)
    assert ((low <= expected + 1e-12) & (expected <= high)).mean() >= 0.94
    if off == 0:
        assert found.value.mean() < 0.4 * found.plain.mean()
    assert abs(found.value.mean() - expected.mean()) <= abs(found.plain.mean() - expected.mean()) + 0.02


def test_one_row_is_a_curve_of_one_point_and_no_rows_are_none() -> None:
    """Unknown, exactly there."""
    one, none = curve_of(np.array([0.7]), np.array([1])), curve_of(np.array([]), np.array([]))
    assert one.mean_score[one.rows > 0].tolist() == [0.7]
    assert not none.rows.any()
    assert np.isnan(calibration_error(none).interval(0.95)).all()
