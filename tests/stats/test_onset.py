"""When a change began."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from killick.stats.onset import onset, onset_log_likelihood

SHARES = np.full(20, 0.05)


def _shifted(spreads: float) -> np.ndarray:
    edges = np.concatenate([[-np.inf], stats.norm.ppf(np.arange(1, 20) / 20), [np.inf]])
    return np.diff(stats.norm.cdf(edges - spreads))


def _stream(rng: np.random.Generator, start: int, spreads: float, *, windows: int = 48, rows: int = 400) -> np.ndarray:
    healthy = rng.multinomial(rows, SHARES, start)
    return np.concatenate([healthy, rng.multinomial(rows, _shifted(spreads), windows - start)])


def test_log_likelihood_agrees_with_the_g_statistic() -> None:
    """Without smoothing, window 0 scores half of scipy's G of the pooled windows, less 1/2 per degree of freedom."""
    windows = np.array([[30, 50, 20], [35, 40, 25]])
    pooled = windows.sum(axis=0)
    witness = stats.power_divergence(pooled, pooled.sum() * np.array([0.25, 0.5, 0.25]), lambda_="log-likelihood")
    ours = onset_log_likelihood([25, 50, 25], windows, smoothing=0.0)
    assert ours[0] == pytest.approx(witness.statistic / 2 - 1.0)


@pytest.mark.statistics
@pytest.mark.parametrize(("spreads", "coverage"), [(0.1, 0.9), (0.3, 0.93), (1.0, 0.97)])
def test_the_set_holds_the_true_start(spreads: float, coverage: float) -> None:
    """300 streams of 48 windows of 400 rows that change at a random hour."""
    rng = np.random.default_rng(int(spreads * 10))
    held, sizes = [], []
    for _ in range(300):
        start = int(rng.integers(8, 40))
        found = onset(onset_log_likelihood(SHARES * 1e6, _stream(rng, start, spreads)))
        assert found is not None
        held.append(start in found.plausible)
        sizes.append(len(found.plausible))
    assert np.mean(held) >= coverage
    assert np.mean(sizes) < (25 if spreads < 0.3 else 5)


def test_columns_add_up_to_a_sharper_start() -> None:
    """Five columns of a weak change: their sum has a smaller set than any one of them on average."""
    rng = np.random.default_rng(9)
    streams = np.stack([_stream(rng, 24, 0.15) for _ in range(5)])
    each = onset_log_likelihood(np.tile(SHARES * 1e6, (5, 1)), streams)
    alone = [onset(one) for one in each]
    together = onset(each.sum(axis=0))
    assert together is not None
    assert 24 in together.plausible
    assert len(together.plausible) < np.mean([len(one.plausible) for one in alone if one])


@pytest.mark.statistics
def test_without_a_change_there_is_mostly_nothing_to_date() -> None:
    """The best start gains below 12 nats in 95 % of healthy streams; a change of 0.3 spreads gains over a hundred."""
    rng = np.random.default_rng(10)
    healthy = [onset(onset_log_likelihood(SHARES * 1e6, rng.multinomial(400, SHARES, 48))) for _ in range(300)]
    gains = [found.log_likelihood if found else 0.0 for found in healthy]
    assert 5 < np.quantile(gains, 0.95) < 12
    changed = onset(onset_log_likelihood(SHARES * 1e6, _stream(rng, 24, 0.3)))
    assert changed is not None
    assert changed.log_likelihood > 100


def test_overdispersion_widens_the_set() -> None:
    """Where healthy windows vary more, less is known about the hour."""
    stream = _stream(np.random.default_rng(11), 24, 0.3)
    plain = onset(onset_log_likelihood(SHARES * 1e6, stream))
    wide = onset(onset_log_likelihood(SHARES * 1e6, stream, overdispersion=10.0))
    assert plain is not None
    assert wide is not None
    assert set(plain.plausible) < set(wide.plausible)


def test_empty_bins_windows_and_streams() -> None:
    """A padded bin changes nothing; windows without rows say nothing; no windows have no start."""
    rng = np.random.default_rng(12)
    stream = _stream(rng, 20, 0.5)
    score = onset_log_likelihood(SHARES * 1e6, stream)
    padded = np.pad(stream, ((0, 0), (0, 1)))
    np.testing.assert_allclose(onset_log_likelihood(np.append(SHARES * 1e6, 0), padded), score)
    assert onset(onset_log_likelihood([5, 5], np.zeros((4, 2)))) is None
    assert onset(onset_log_likelihood([5, 5], np.zeros((0, 2)))) is None
    one = onset(onset_log_likelihood([50, 50], [[90, 10]]))
    assert one is not None
    assert one.plausible == (0,)


def test_a_category_never_seen_before_dates_its_own_arrival() -> None:
    """An empty reference bin that fills is the sharpest change there is."""
    before, after = np.tile([50, 50, 0], (10, 1)), np.tile([45, 45, 10], (3, 1))
    found = onset(onset_log_likelihood([5000, 5000, 0], np.concatenate([before, after])))
    assert found is not None
    assert found.plausible == (10,)
