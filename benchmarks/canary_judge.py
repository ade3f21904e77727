"""The operating characteristics of the canary judge: how often it is wrong, and how long it takes.

Reproduces the table of statistics.md 2.2, with a repeated z-test beside it (500 canary and 4,500 live rows a minute,
base rate 1 % with a daily wave of 50 % and noise of 15 %, four hours, one look a minute), then the two budgets of
DESIGN.md section 6: false rollbacks over 2,000 A/A canaries, and labels until an error of 7 % instead of 5 % is found.
Exits 1 when a budget is missed.

    python benchmarks/canary_judge.py            about one minute on one core
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray
from scipy import special

from killick.stats.sequential import harm_log_e, harm_log_e_closed, mixture, safe_log_e

ALPHA_HARM, ALPHA_SAFE, MARGIN = 0.01, 0.05, 1.15
RUNS, MINUTES, CANARY_ROWS, LIVE_ROWS = 300, 240, 500, 4500
FALSE_ROLLBACKS_MAX, LABELS_MEDIAN_MAX = 0.005, 3000

Counts = NDArray[np.int64]


def traffic(
    rng: np.random.Generator, runs: int, odds_ratio: float, *, rows: tuple[int, int] = (CANARY_ROWS, LIVE_ROWS)
) -> tuple[Counts, Counts]:
    """Return bad rows of canary and live, [runs, minutes], under a common, wandering base rate."""
    minute = np.arange(MINUTES)
    wave = 1.0 + 0.5 * np.sin(2 * np.pi * (minute / 1440 + rng.random((runs, 1))))
    base = np.clip(0.01 * wave * np.exp(0.15 * rng.standard_normal((runs, MINUTES))), 0, 0.5)
    odds = odds_ratio * base / (1 - base)
    return rng.binomial(rows[0], odds / (1 + odds)), rng.binomial(rows[1], base)


def first_crossing(log_evidence: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Return the share of runs that ever cross, and the median batch of those that do (all runs counted)."""
    crossed = log_evidence >= threshold
    ever = crossed.any(axis=1)
    first = np.where(ever, crossed.argmax(axis=1) + 1.0, np.inf)
    return float(ever.mean()), float(np.median(first))


def peeking_z(canary: Counts, live: Counts, n_c: int, n_l: int) -> tuple[float, float]:
    """Return what a one-sided pooled z-test at the same level does when it is looked at every minute."""
    minute = np.arange(1, canary.shape[1] + 1)
    x, y = np.cumsum(canary, axis=1), np.cumsum(live, axis=1)
    pooled = (x + y) / (minute * (n_c + n_l))
    error = np.sqrt(pooled * (1 - pooled) * (1 / (minute * n_c) + 1 / (minute * n_l)))
    z = np.divide(x / (minute * n_c) - y / (minute * n_l), error, out=np.zeros_like(error), where=error > 0)
    return first_crossing(z, float(special.ndtri(1 - ALPHA_HARM)))


def characteristics() -> None:
    """Print the table of statistics.md 2.2."""
    print(f"{'OR':>5} | {'exact':>14} | {'closed':>14} | {'peeking z':>14} | {'safe, OR < 1.15':>16}")
    for odds_ratio in (1.0, 1.1, 1.2, 1.35, 1.5, 2.0, 3.0):
        canary, live = traffic(np.random.default_rng(int(odds_ratio * 100)), RUNS, odds_ratio)
        batches = canary, CANARY_ROWS, live, LIVE_ROWS
        harm = -np.log(ALPHA_HARM)
        cells = [
            first_crossing(mixture(np.cumsum(harm_log_e(*batches), axis=1)), harm),
            first_crossing(mixture(np.cumsum(harm_log_e_closed(*batches), axis=1)), harm),
            peeking_z(canary, live, CANARY_ROWS, LIVE_ROWS),
            first_crossing(mixture(np.cumsum(safe_log_e(*batches, margin=MARGIN), axis=1)), -np.log(ALPHA_SAFE)),
        ]
        print(f"{odds_ratio:>5} | " + " | ".join(f"{share:>6.1%} {minutes:>5.0f} m" for share, minutes in cells))


def false_rollbacks(runs: int = 2000) -> float:
    """Return the share of A/A canaries that are ever rolled back, looked at every minute."""
    canary, live = traffic(np.random.default_rng(7), runs, 1.0)
    evidence = mixture(np.cumsum(harm_log_e(canary, CANARY_ROWS, live, LIVE_ROWS), axis=1))
    return first_crossing(evidence, -np.log(ALPHA_HARM))[0]


def labels_until_found(batch: int, runs: int = 2000) -> float:
    """Return the median labels per arm until an error of 7 % instead of 5 % is called harm."""
    rng = np.random.default_rng(batch)
    batches = 20_000 // batch
    live, canary = rng.binomial(batch, 0.05, (runs, batches)), rng.binomial(batch, 0.07, (runs, batches))
    evidence = mixture(np.cumsum(harm_log_e(canary, batch, live, batch), axis=1))
    return first_crossing(evidence, -np.log(ALPHA_HARM))[1] * batch


def main() -> int:
    """Print the table and the budgets; return 1 when one is missed."""
    start = time.perf_counter()
    characteristics()
    wrong = false_rollbacks()
    print(f"false rollbacks over 2,000 A/A canaries: {wrong:.2%} (budget {FALSE_ROLLBACKS_MAX:.1%})")
    labels = {batch: labels_until_found(batch) for batch in (25, 50, 100, 250)}
    for batch, median in labels.items():
        print(
            f"5 % -> 7 % error, batches of {batch:>3} per arm: {median:.0f} median labels (budget {LABELS_MEDIAN_MAX})"
        )
    print(f"took {time.perf_counter() - start:.0f} s")
    return int(wrong > FALSE_ROLLBACKS_MAX or max(labels.values()) > LABELS_MEDIAN_MAX)


if __name__ == "__main__":
    sys.exit(main())
