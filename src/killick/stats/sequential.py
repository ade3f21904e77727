"""Is one arm worse than another, looked at as often as one likes: the sequential Mantel-Haenszel e-process.

A batch is one stratum of one minute: canary and live rows, of which some are bad. Given the batch's own totals the
canary's bad rows are hypergeometric whatever the base rate was, so load, incidents that hit both arms and a ramp of
the traffic split cancel exactly. Each alternative odds ratio bets against the null; a batch multiplies its stake by
an e-value, stakes multiply over batches and strata, and the evidence is their average.

Promises: under the null the evidence reaches 1/alpha *ever* with probability at most alpha (Ville), however often it
is looked at. It holds when the rows of one batch are independent units; aggregate to users first where they are not.
A batch without rows in one arm, or without bad rows, bets nothing. The state of a process is a handful of floats.

Costs: a batch with K bad rows costs O(sqrt(K)) per alternative, however many rows are good: 16 us for K = 40, 70 us
for 400, 180 us for 4,000 in bulk, and about 1 ms for a call with a single batch. `harm_log_e_closed` is O(1) and
still valid. When bad rows are rare the two need the same time to find harm; when a quarter of the rows is bad, or
with a tolerance, the closed form needs up to six times as long. It has no mirror, because Jensen's bound gives all of
the evidence for safety away: at 170/690 live and 56/225 canary rows a day, equal arms and a margin of 1.5, it took 16
days in the median and more than 60 in a quarter of the runs, where `safe_log_e` takes 2 (39 against 5 days at a base
rate of 5 %).

Sources: ter Schure, Perez-Ortiz, Ly & Grunwald (2020), arXiv 2011.06931 (the safe logrank test); Ville (1939);
Hoeffding (1963), JASA 58, section 6, for the closed form; statistics.md 2.2 for the derivation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "HARM_RATIOS",
    "SAFE_RATIOS",
    "EProcess",
    "harm_log_e",
    "harm_log_e_closed",
    "mixture",
    "odds_ratio_margin",
    "safe_log_e",
]

# Alternatives, as multiples of the tolerated odds ratio: geometric enough that the truth is never far from one of them,
# few enough that splitting the stake costs no more than ln 7 nats (statistics.md 2.2).
HARM_RATIOS = (1.1, 1.2, 1.35, 1.5, 2.0, 3.0, 5.0)
# The mirror, as divisors of the margin. A canary is hardly ever three times better, so no stake is lost on that.
SAFE_RATIOS = (1.1, 1.2, 1.35, 1.5, 2.0)
# The tilted hypergeometric is strongly log-concave: beyond twelve standard deviations lies less than 1e-31 of it.
_REACH_SPREADS = 12.0
# Batches summed at a time: bounds the memory at some tens of megabytes, and stays in the cache for small batches.
_CHUNK = 2048
# exp of more overflows; evidence of 1e304 is as good as any.
_LOG_EVIDENCE_MAX = 700.0


@dataclass(frozen=True, slots=True)
class EProcess:
    """Evidence gathered so far: one sum of log e-values for each alternative.

    >>> process = EProcess.start(len(HARM_RATIOS)).add(harm_log_e(14, 1000, 90, 9000))
    >>> round(process.evidence, 4)
    1.0842
    """

    log_sums: tuple[float, ...]

    @classmethod
    def start(cls, alternatives: int) -> EProcess:
        """Return the process that has seen nothing: its evidence is 1."""
        return cls((0.0,) * alternatives)

    def add(self, log_e: NDArray[np.float64]) -> EProcess:
        """Return the process after one more batch, or after all batches and strata of [..., alternatives] at once."""
        batch = log_e.reshape(-1, len(self.log_sums)).sum(axis=0)
        return EProcess(tuple((np.asarray(self.log_sums) + batch).tolist()))

    @property
    def log_evidence(self) -> float:
        """The log of the evidence."""
        return float(mixture(np.asarray(self.log_sums)))

    @property
    def evidence(self) -> float:
        """The e-value: under the null it ever reaches x with probability at most 1/x."""
        return math.exp(min(self.log_evidence, _LOG_EVIDENCE_MAX))


def harm_log_e(
    canary_bad: ArrayLike, canary_n: ArrayLike, live_bad: ArrayLike, live_n: ArrayLike, *, tolerance: float = 1.0
) -> NDArray[np.float64]:
    """Return the log e-values of batches against "the canary's odds ratio is at most `tolerance`".

    Args:
        canary_bad: bad rows of the canary, [...].
        canary_n: rows of the canary, [...].
        live_bad: bad rows of the live version in the same batch, [...].
        live_n: rows of the live version, [...].
        tolerance: the odds ratio that is still acceptable, above 0.

    Returns:
        One value for each of `HARM_RATIOS`, [..., 7].

    Exact, and so the witness of the closed form by which rollouts are judged: tests and benchmarks compare the two.

    >>> harm_log_e(14, 1000, 90, 9000).round(5).tolist()
    [0.29998, 0.49488, 0.62922, 0.61324, -0.16852, -3.44782, -12.0706]
    """
    return _log_e(_batches(canary_bad, canary_n, live_bad, live_n), tolerance, tolerance * np.array(HARM_RATIOS))


def safe_log_e(
    canary_bad: ArrayLike, canary_n: ArrayLike, live_bad: ArrayLike, live_n: ArrayLike, *, margin: float
) -> NDArray[np.float64]:
    """Return the log e-values of batches against "the canary's odds ratio is at least `margin`": evidence of safety.

    Arguments as for `harm_log_e`; `margin` is the odds ratio that would be too much, fixed before the data is seen
    (`odds_ratio_margin`).

    Returns:
        One value for each of `SAFE_RATIOS`, [..., 5].

    >>> safe_log_e(60, 225, 170, 690, margin=2.0).round(2).tolist()
    [1.77, 3.1, 4.49, 5.31, 5.68]
    """
    return _log_e(_batches(canary_bad, canary_n, live_bad, live_n), margin, margin / np.array(SAFE_RATIOS))


def harm_log_e_closed(
    canary_bad: ArrayLike, canary_n: ArrayLike, live_bad: ArrayLike, live_n: ArrayLike, *, tolerance: float = 1.0
) -> NDArray[np.float64]:
    """Return a lower bound of `harm_log_e` in O(1): valid, and close to it when bad rows are rare and the tolerance 1.

    Hoeffding bounds E[psi^X] from above by both binomials; Jensen bounds E[tolerance^X] from below.

    >>> harm_log_e_closed(14, 1000, 90, 9000).round(5).tolist()[:6]
    [0.29951, 0.49303, 0.62372, 0.60233, -0.2082, -3.58087]
    """
    batch = _batches(canary_bad, canary_n, live_bad, live_n)
    x, n_c, bad, rows = batch.canary_bad, batch.canary_n, batch.bad, np.maximum(batch.rows, 1.0)
    odds = tolerance * np.array(HARM_RATIOS)
    share, rate = (n_c / rows)[..., None], (bad / rows)[..., None]
    upper = np.minimum(bad[..., None] * np.log1p(share * (odds - 1.0)), n_c[..., None] * np.log1p(rate * (odds - 1.0)))
    lower = (n_c * bad / rows)[..., None] * math.log(tolerance)
    return np.asarray(x[..., None] * np.log(odds / tolerance) + lower - upper, dtype=np.float64)


def mixture(log_sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log of the equal-weight mean of exp(log_sums) along the last axis, [..., alternatives] -> [...].

    >>> float(mixture(np.log([1.0, 3.0])).round(6)) == round(math.log(2), 6)
    True
    """
    return np.asarray(special.logsumexp(log_sums, axis=-1) - math.log(log_sums.shape[-1]), dtype=np.float64)


def odds_ratio_margin(base_rate: float, worse_by: float) -> float | None:
    """Return the odds ratio that equals an absolute worsening at a base rate; None where a rate leaves (0, 1).

    >>> odds_ratio_margin(0.05, 0.02)
    1.4301075268817205
    >>> odds_ratio_margin(0.0, 0.02) is None
    True
    """
    worse = base_rate + worse_by
    if not (0.0 < base_rate < 1.0 and 0.0 < worse < 1.0):
        return None
    return worse / (1.0 - worse) * (1.0 - base_rate) / base_rate


@dataclass(frozen=True, slots=True)
class _Batches:
    canary_bad: NDArray[np.float64]
    canary_n: NDArray[np.float64]
    live_n: NDArray[np.float64]
    bad: NDArray[np.float64]

    @property
    def rows(self) -> NDArray[np.float64]:
        return self.canary_n + self.live_n


def _batches(canary_bad: ArrayLike, canary_n: ArrayLike, live_bad: ArrayLike, live_n: ArrayLike) -> _Batches:
    four = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (canary_bad, canary_n, live_bad, live_n)))
    return _Batches(four[0], four[1], four[3], four[0] + four[2])


def _log_e(batch: _Batches, null: float, odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """(psi/null)^x E[null^X] / E[psi^X]: an e-value at `null`, and by monotone likelihood ratio beyond it."""
    at_null = _log_mean_power(batch, null)
    per_odds = [
        batch.canary_bad * math.log(psi / null) + at_null - _log_mean_power(batch, psi) for psi in odds.tolist()
    ]
    return np.stack(per_odds, axis=-1)


def _log_mean_power(batch: _Batches, psi: float) -> NDArray[np.float64]:
    """Return log E[psi^X] for the hypergeometric X of each batch."""
    if psi == 1.0 or batch.bad.size == 0:
        return np.zeros_like(batch.bad)
    columns = [column.ravel() for column in (batch.canary_bad, batch.canary_n, batch.live_n, batch.bad)]
    # Batches of a like number of bad rows go together: the window is as wide as the widest of them needs.
    order = np.argsort(columns[-1], kind="stable")
    logs = np.empty(order.size)
    for start in range(0, order.size, _CHUNK):
        chunk = order[start : start + _CHUNK]
        logs[chunk] = _log_mean_power_of_chunk(_Batches(*(column[chunk] for column in columns)), psi)
    return logs.reshape(batch.bad.shape)


def _log_mean_power_of_chunk(batch: _Batches, psi: float) -> NDArray[np.float64]:
    """Sum over the window where psi^x times the probability is not nothing."""
    n_c, n_l, bad = batch.canary_n, batch.live_n, batch.bad
    low, high = np.maximum(bad - n_l, 0.0), np.minimum(bad, n_c)
    smallest = np.minimum(np.minimum(bad, batch.rows - bad), np.minimum(n_c, n_l))
    # The variance of the tilted distribution is at most a quarter of the smallest margin.
    reach = int(_REACH_SPREADS * math.sqrt(float(smallest.max())) / 2.0) + 1
    width = int(min(2.0 * reach, float((high - low).max()))) + 1
    start = np.clip(np.floor(_tilted_mean(batch, psi)) - reach, low, np.maximum(high - width + 1.0, low))
    x = start[:, None] + np.arange(float(width))
    inside = x <= high[:, None]
    x = np.minimum(x, high[:, None])
    ways = _log_choose(n_c[:, None], x) + _log_choose(n_l[:, None], bad[:, None] - x)
    terms = np.where(inside, ways + x * math.log(psi), -np.inf)
    return np.asarray(special.logsumexp(terms, axis=-1) - _log_choose(batch.rows, bad), dtype=np.float64)


def _tilted_mean(batch: _Batches, psi: float) -> NDArray[np.float64]:
    """Return Cornfield's (1956) approximate mean: the x with x (n_l - K + x) = psi (K - x) (n_c - x)."""
    a = 1.0 - psi
    b = batch.live_n - batch.bad + psi * (batch.bad + batch.canary_n)
    c = psi * batch.bad * batch.canary_n
    # The root that stays finite as psi tends to 1; b is positive unless there are no rows at all.
    root = b + np.sqrt(np.maximum(b * b + 4.0 * a * c, 0.0))
    return np.asarray(2.0 * c / np.where(root > 0, root, 1.0), dtype=np.float64)


def _log_choose(n: NDArray[np.float64], k: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0))
