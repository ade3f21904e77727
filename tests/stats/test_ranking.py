"""The areas under the ROC and the precision-recall curve from binned scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from killick.stats.ranking import average_precision, roc_auc


@st.composite
def classes(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Positives and negatives per bin, both present."""
    bins = draw(st.integers(1, 12))
    counts = hnp.arrays(np.int64, bins, elements=st.integers(0, 20)).filter(lambda c: c.sum() > 0)
    return draw(counts), draw(counts)


@given(classes())
def test_value_agrees_with_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """On the rows that the counts stand for."""
    positives, negatives = pair
    bins = np.arange(len(positives))
    scores = np.concatenate([np.repeat(bins, positives), np.repeat(bins, negatives)])
    labels = np.concatenate([np.ones(positives.sum()), np.zeros(negatives.sum())])
    assert roc_auc(positives, negatives).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def _delong_by_rows(positive: np.ndarray, negative: np.ndarray) -> float:
    """DeLong's standard error by comparing every pair of rows."""
    wins = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return float(np.sqrt(wins.mean(1).var(ddof=1) / len(positive) + wins.mean(0).var(ddof=1) / len(negative)))


def test_standard_error_agrees_with_delong_over_all_pairs() -> None:
    """The components of a row depend on its bin alone."""
    rng = np.random.default_rng(1)
    positive, negative = rng.integers(2, 10, 70), rng.integers(0, 8, 130)
    auc = roc_auc(np.bincount(positive, minlength=10), np.bincount(negative, minlength=10))
    assert auc.standard_error == pytest.approx(_delong_by_rows(positive, negative), rel=1e-12)


@given(st.integers(0, 1000), st.integers(1, 40))
def test_binning_hides_at_most_half_of_the_pairs_that_share_a_bin(seed: int, bins: int) -> None:
    """A bound, not an estimate: it must never be crossed."""
    rng = np.random.default_rng(seed)
    positive, negative = rng.beta(3, 2, 60), rng.beta(2, 3, 90)
    exact = ((positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)).mean()
    cut = np.linspace(0, 1, bins + 1)
    p, n = np.histogram(positive, cut)[0], np.histogram(negative, cut)[0]
    assert abs(float(roc_auc(p, n).value) - exact) <= 0.5 * (p * n).sum() / (p.sum() * n.sum()) + 1e-12


@pytest.mark.statistics
def test_interval_covers_the_truth() -> None:
    """95 % within 93.0-97.5 % over 3,000 samples of 60 positives and 200 negatives."""
    rng = np.random.default_rng(2)
    grid = np.arange(50)
    p, n = (stats.norm.pdf(grid, centre, 9) for centre in (29, 20))
    p, n = p / p.sum(), n / n.sum()
    truth = float(roc_auc(p * 1e9, n * 1e9).value)
    low, high = roc_auc(rng.multinomial(60, p, 3000), rng.multinomial(200, n, 3000)).interval(0.95)
    assert 0.93 <= ((low <= truth) & (truth <= high)).mean() <= 0.975


@pytest.mark.parametrize(("positives", "negatives", "value"), [([0, 5], [9, 0], 1.0), ([5, 0], [0, 9], 0.0)])
def test_perfect_order_of_few_rows_is_not_certainty(positives: list[int], negatives: list[int], value: float) -> None:
    """Five rows that rank right are what an AUC of 0.48 shows once in forty: Hoeffding, not a standard error of 0."""
    auc = roc_auc(positives, negatives)
    low, high = auc.interval(0.95)
    assert float(auc.value) == value
    assert float(high - low) == pytest.approx(1 - 0.025 ** (1 / 5))


def test_all_scores_tied_leave_the_value_open() -> None:
    """One bin: the value is 1/2, and could be much else."""
    auc = roc_auc([50], [50])
    low, high = auc.interval(0.95)
    assert float(auc.value) == 0.5
    assert low < 0.4
    assert high > 0.6


def test_with_one_class_there_is_no_ranking() -> None:
    """Unknown, exactly there."""
    auc = roc_auc([[0, 0], [1, 2], [1, 2]], [[1, 2], [0, 0], [2, 1]])
    assert auc.known.tolist() == [False, False, True]
    for numbers in (auc.value, auc.standard_error, *auc.interval(0.95)):
        assert np.isnan(numbers).tolist() == [True, True, False]


def test_a_single_positive_has_a_wide_interval() -> None:
    """One row has no spread of its own, so the worst is assumed."""
    low, high = roc_auc([0, 0, 1], [5, 5, 5]).interval(0.95)
    assert float(high - low) > 0.5


@given(classes())
def test_average_precision_agrees_with_scikit_learn(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """On the rows that the counts stand for, ties included."""
    positives, negatives = pair
    bins = np.arange(len(positives))
    scores = np.concatenate([np.repeat(bins, positives), np.repeat(bins, negatives)])
    labels = np.concatenate([np.ones(positives.sum()), np.zeros(negatives.sum())])
    expected = average_precision_score(labels, scores)
    assert average_precision(positives, negatives).value == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 1000), st.integers(1, 30))
def test_binning_moves_average_precision_within_its_stated_bounds(seed: int, bins: int) -> None:
    """The precision of each positive lies between that of its bin's first one, negatives before it, and of its last."""
    rng = np.random.default_rng(seed)
    positive, negative = rng.beta(3, 2, 40), rng.beta(2, 3, 70)
    cut = np.linspace(0, 1, bins + 1)
    p, n = np.histogram(positive, cut)[0], np.histogram(negative, cut)[0]
    above_p, above_n = (counts[::-1].cumsum()[::-1] - counts for counts in (p, n))
    least = (above_p + 1) / (above_p + 1 + above_n + n)
    most = (above_p + p) / np.maximum(above_p + p + above_n, 1)
    exact = average_precision_score(np.repeat([1, 0], [40, 70]), np.concatenate([positive, negative]))
    binned = float(average_precision(p, n).value)
    assert (p * least).sum() / 40 - 1e-12 <= min(binned, exact)
    assert max(binned, exact) <= (p * most).sum() / 40 + 1e-12


def test_standard_error_of_average_precision_is_that_of_its_derivatives() -> None:
    """Numerically, by moving each count; the delta method on multinomial counts."""
    counts = np.array([[2.0, 3.0, 4.0, 6.0], [9.0, 5.0, 3.0, 2.0]])
    slopes = np.zeros_like(counts)
    for cell in np.ndindex(counts.shape):
        step = np.zeros_like(counts)
        step[cell] = 1e-5
        up, down = (float(average_precision(*moved).value) for moved in (counts + step, counts - step))
        slopes[cell] = (up - down) / 2e-5
    found = float(average_precision(*counts).standard_error)
    assert found == pytest.approx(np.sqrt((counts * slopes**2).sum()), rel=1e-6)


@pytest.mark.statistics
def test_interval_of_average_precision_covers_the_truth() -> None:
    """95 % within 91.5-97.5 % over 3,000 samples of 60 positives and 200 negatives."""
    rng = np.random.default_rng(2)
    grid = np.arange(50)
    p, n = (stats.norm.pdf(grid, centre, 9) for centre in (29, 20))
    p, n = p / p.sum(), n / n.sum()
    truth = float(average_precision(p * 60e6, n * 200e6).value)
    low, high = average_precision(rng.multinomial(60, p, 3000), rng.multinomial(200, n, 3000)).interval(0.95)
    assert 0.915 <= ((low <= truth) & (truth <= high)).mean() <= 0.975


def test_average_precision_is_unknown_with_one_class_and_unsure_with_few_rows() -> None:
    """Perfect order of three positives is not certainty."""
    found = average_precision([[0, 0], [0, 3], [1, 2]], [[1, 2], [5, 0], [0, 0]])
    low, high = found.interval(0.95)
    for numbers in (found.value, found.standard_error, low, high):
        assert np.isnan(numbers).tolist() == [True, False, True]
    assert found.value[1] == 1.0
    assert low[1] < 0.5
