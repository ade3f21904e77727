"""The exact tail of a share, beside SciPy's."""

from __future__ import annotations

import pytest
from scipy import stats

from killick.stats.tails import binomial_tail


@pytest.mark.parametrize(
    ("successes", "rows"), [(0, 5), (1, 1), (1, 50), (3, 50), (50, 50), (1_100, 100_000), (1_700, 100_000)]
)
def test_the_tail_is_the_binomials(successes: int, rows: int) -> None:
    """At none, at all, and far out."""
    witness = stats.binom(rows, 0.01).sf(successes - 1)
    assert binomial_tail(successes, rows, 0.01) == pytest.approx(witness, rel=1e-9)
