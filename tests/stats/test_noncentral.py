"""The upper tail of the non-central chi-square, against scipy.stats.ncx2 (Boost)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from killick.stats.noncentral import noncentral_chi2_sf

SPREADS = np.array([-5.0, -3.0, -2.3, -1.0, 0.0, 0.5, 1.5, 2.33, 4.0, 5.0])


@pytest.mark.parametrize("df", [1, 2, 9, 19, 22, 99])
@pytest.mark.parametrize("noncentrality", [0.0, 1e-3, 0.5, 10.0, 99.9, 100.1, 300.0, 2e4, 1e6, 4e6])
def test_it_agrees_with_an_exact_witness(df: int, noncentrality: float) -> None:
    """The error is relative, from five spreads below the mean to five above, on both sides of the change of method."""
    x = df + noncentrality + SPREADS * np.sqrt(2 * (df + 2 * noncentrality))
    x = x[x > 0]
    exact = stats.ncx2.sf(x, df, noncentrality)
    shown = exact > 1e-12
    np.testing.assert_allclose(noncentral_chi2_sf(x, df, noncentrality)[shown], exact[shown], rtol=1e-3)


def test_far_upper_tail_keeps_its_order_of_magnitude() -> None:
    """A p-value far below what 1 - cdf can hold is still a p-value, not 0, for ranking the worst columns."""
    x = np.array([120.0, 200.0, 400.0])
    np.testing.assert_allclose(noncentral_chi2_sf(x, 19, 2.0), stats.ncx2.sf(x, 19, 2.0), rtol=0.01)


def test_at_the_lower_end_of_the_support_everything_lies_above() -> None:
    """Two identical histograms have PSI 0, so this point is met in practice."""
    for noncentrality in (0.0, 5.0, 500.0):
        assert noncentral_chi2_sf(0.0, 9, noncentrality) == 1.0


def test_crossing_the_mean_is_smooth() -> None:
    """Where the two terms of Lugannani and Rice cancel, the limit takes over without a step."""
    mean = 19 + 5000.0
    x = mean + np.linspace(-1e-2, 1e-2, 2001)
    steps = np.diff(noncentral_chi2_sf(x, 19, 5000.0))
    assert np.abs(steps).max() < 1e-6
