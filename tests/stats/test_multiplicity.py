"""Adjusted p-values: the published example, laws, and the false discoveries they allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from killick.stats.multiplicity import benjamini_hochberg, holm

# The fifteen p-values of onlineFDR (statistics.md 1.8).
FIFTEEN = np.array(
    [
        *(2.90e-08, 0.06743, 0.01514, 0.08174, 0.00171, 3.60e-05, 0.79149, 0.27201, 0.28295, 7.59e-08),
        *(0.69274, 0.30443, 0.00136, 0.72342, 0.54757),
    ]
)
P_VALUES = hnp.arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 1))


def test_the_published_example_rejects_six() -> None:
    """Numbers 1, 3, 5, 6, 10 and 13 at a rate of 5 %."""
    assert (np.flatnonzero(benjamini_hochberg(FIFTEEN) <= 0.05) + 1).tolist() == [1, 3, 5, 6, 10, 13]


@given(P_VALUES.filter(len))
def test_benjamini_hochberg_agrees_with_scipy(p: np.ndarray) -> None:
    """An independent implementation."""
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p), rtol=1e-12)


@given(P_VALUES)
def test_holm_agrees_with_its_definition(p: np.ndarray) -> None:
    """Rejecting adjusted p-values at alpha is the step-down procedure at alpha."""
    for alpha in (0.01, 0.05, 0.3):
        expected = np.zeros(len(p), dtype=bool)
        for step, index in enumerate(np.argsort(p, kind="stable")):
            if p[index] * (len(p) - step) > alpha:
                break
            expected[index] = True
        np.testing.assert_array_equal(holm(p) <= alpha, expected)


@given(P_VALUES, st.integers(0, 5))
def test_tests_that_were_not_made_do_not_count(p: np.ndarray, missing: int) -> None:
    """A NaN stays where it is and makes nothing stricter."""
    spread = np.concatenate([np.full(missing, np.nan), p])
    for adjust in (benjamini_hochberg, holm):
        adjusted = adjust(spread)
        assert np.isnan(adjusted[:missing]).all()
        np.testing.assert_array_equal(adjusted[missing:], adjust(p))


@given(P_VALUES)
def test_the_order_of_strictness(p: np.ndarray) -> None:
    """Raw <= Benjamini-Hochberg <= Holm <= Bonferroni."""
    bh, strict = benjamini_hochberg(p), holm(p)
    assert (p <= bh).all()
    assert (bh <= strict + 1e-12).all()
    assert (strict <= np.minimum(p * len(p), 1) + 1e-12).all()


def test_each_row_of_a_stack_is_adjusted_by_itself() -> None:
    """Along the last axis."""
    stack = np.stack([FIFTEEN, FIFTEEN[::-1]])
    np.testing.assert_array_equal(benjamini_hochberg(stack)[1], benjamini_hochberg(FIFTEEN)[::-1])


@pytest.mark.statistics
def test_false_discoveries_stay_below_the_rate_and_true_ones_are_made() -> None:
    """200 tests of which 20 are shifted by four spreads: share of false findings <= 5 %, power over 80 %."""
    rng = np.random.default_rng(4)
    z = rng.standard_normal((1000, 200))
    z[:, :20] += 4.0
    found = benjamini_hochberg(stats.norm.sf(z)) <= 0.05
    false_share = found[:, 20:].sum(1) / np.maximum(found.sum(1), 1)
    assert 0.03 < false_share.mean() <= 0.05
    assert found[:, :20].mean() > 0.8
