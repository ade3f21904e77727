"""The operating characteristics of the canary judge: how often it is wrong, and how long it takes.

Reproduces the table of statistics.md 2.2, with a repeated z-test beside it (500 canary and 4,500 live rows a minute,
base rate 1 % with a daily wave of 50 % and noise of 15 %, four hours, one look a minute), then the two budgets of
DESIGN.md section 6: false rollbacks over 2,000 A/A canaries, and labels until an error of 7 % instead of 5 % is found.
Then what an entity costs that decides many times and keeps its arm: false rollbacks when rows, an entity's day, or an
entity's first decision in a step (decision 0008) are the unit, and days until harm and safety are shown by the last.

    python -m benchmarks canary_judge            about a minute and a half on one core
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.table import Row
from killick.stats.sequential import harm_log_e, harm_log_e_closed, mixture, safe_log_e

ALPHA_HARM, ALPHA_SAFE, MARGIN = 0.01, 0.05, 1.15
RUNS, MINUTES, CANARY_ROWS, LIVE_ROWS = 300, 240, 500, 4500
FALSE_ROLLBACKS_MAX, LABELS_MEDIAN_MAX = 0.005, 3000
DAYS = 28

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


@dataclass(frozen=True, slots=True)
class Traffic:
    """Entities that differ (`spread`, on the logit), each with so many decisions a day, Poisson, and always one arm.

    `shares` has, for each day, the canary's share and the one before the last step.
    """

    entities: int
    rows: float
    spread: float
    shares: tuple[tuple[float, float], ...]
    base: float = 0.2
    odds_ratio: float = 1.0
    margin: float = 1.5


def days_until(traffic: Traffic, unit: str, seed: int) -> tuple[float, float]:
    """Return the days until harm and until safety are shown by a unit: row, day or step; infinite where never."""
    rng = np.random.default_rng(seed)
    logit = special.logit(traffic.base) + traffic.spread * rng.standard_normal(traffic.entities)
    point, judged, step = rng.random(traffic.entities), np.zeros(traffic.entities, dtype=bool), -1.0
    days = []
    for share, before in traffic.shares:
        judged &= share == step
        step, canary = share, point < share
        rate = special.expit(logit + canary * np.log(traffic.odds_ratio))
        units = rng.poisson(traffic.rows, traffic.entities)
        if unit != "row":
            units = np.minimum(units, 1)
        if unit == "step":
            fresh = units * (~judged & (point >= before))
            judged |= units > 0
            units = fresh
        wrong = rng.binomial(units, rate)
        days.append((wrong[canary].sum(), units[canary].sum(), wrong[~canary].sum(), units[~canary].sum()))
    batches = np.array(days).T
    harm = mixture(np.cumsum(harm_log_e_closed(*batches), axis=0))
    safe = mixture(np.cumsum(safe_log_e(*batches, margin=traffic.margin), axis=0))
    found = (harm >= -np.log(ALPHA_HARM), safe >= -np.log(ALPHA_SAFE))
    harmed, shown = (float(crossed.argmax() + 1) if crossed.any() else np.inf for crossed in found)
    return harmed, shown


def entities_that_differ() -> float:
    """Print what an entity's many decisions do to the judge; return the false rollbacks by the unit that is used."""
    same = Traffic(entities=1000, rows=3, spread=1.0, shares=((0.05, 0.0),) * DAYS)
    rollbacks = {
        unit: float(np.mean([np.isfinite(days_until(same, unit, seed)[0]) for seed in range(1000)]))
        for unit in ("row", "day", "step")
    }
    print(f"A/A, 1,000 entities, 3 rows a day, 28 days at 5 %: {rollbacks}")
    # As on the flights: 4,000 aircraft, 1,000 flights a day, a quarter of the decisions wrong, a margin of 3 points.
    first, second = ((0.05, 0.0),) * DAYS, ((0.25, 0.05),) * DAYS
    for words, shares, odds_ratios in (("5 %", first, (2.0, 3.0)), ("25 %, after 5 %", second, (1.0, 0.8, 0.6))):
        for odds_ratio in odds_ratios:
            fleet = Traffic(4000, 0.25, 0.5, shares, base=0.25, odds_ratio=odds_ratio, margin=1.167)
            both = np.array([days_until(fleet, "step", seed) for seed in range(200)])
            harm, safe = (f"{np.isfinite(one).mean():.0%} (median day {np.median(one):.0f})" for one in both.T)
            print(f"OR {odds_ratio} at {words}: harm shown in {harm}, safety in {safe}")
    return rollbacks["step"]


def main() -> list[Row]:
    """Print the tables; return what the two budgets bound."""
    start = time.perf_counter()
    characteristics()
    wrong = false_rollbacks()
    labels = {batch: labels_until_found(batch) for batch in (25, 50, 100, 250)}
    for batch, median in labels.items():
        print(f"5 % -> 7 % error, batches of {batch:>3} per arm: {median:.0f} median labels")
    dependent = entities_that_differ()
    print(f"took {time.perf_counter() - start:.0f} s")
    most = 100 * FALSE_ROLLBACKS_MAX
    return [
        Row("false rollbacks over 2,000 A/A canaries", 100 * wrong, "%", budget=most, strict=True),
        Row("the same, entities that decide often", 100 * dependent, "%", budget=most, strict=True),
        Row(
            "median labels until an error of 7 % is found",
            max(labels.values()),
            "",
            budget=LABELS_MEDIAN_MAX,
            strict=True,
        ),
    ]
