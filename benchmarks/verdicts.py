"""Judging ready profiles: what thousands of verdicts cost, on one core.

A hundred columns (60 numeric, 40 of ten categories) in fifty segments, 5,000 rows against 2,000 in each, drawn once and
profiled. One column is shifted by half a standard deviation in one segment: the answer is checked first, and that the
budget keeps everything else quiet. Then drift alone, and all checks, are timed; the best of five runs counts.

    python -m benchmarks verdicts                five seconds on one core
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.table import Row
from killick.checks.comparison import Comparison, compare
from killick.checks.drift import CHECK
from killick.checks.reference import EVERYTHING, Reference
from killick.checks.watched import Watched
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale, fit_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.checks.reference import SegmentKey

NUMERIC, CATEGORICAL, SEGMENTS, REPEATS = 60, 40, 50, 5
ROWS_BEFORE, ROWS_NOW = 5_000, 2_000
MOVED, WHERE, SHIFT = "x7", (("segment", "s11"),), 0.5
KINDS = {f"x{at}": "numeric" for at in range(NUMERIC)} | {f"c{at}": "categorical" for at in range(CATEGORICAL)}


def make_rows(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """Return rows of one unchanging world."""
    letters = np.array(list("abcdefghij"))
    numbers = {f"x{at}": rng.normal(at, 1 + at, rows) for at in range(NUMERIC)}
    return pl.DataFrame(numbers | {f"c{at}": rng.choice(letters, rows) for at in range(CATEGORICAL)})


def make_profiles(rng: np.random.Generator, scale: Scale, rows: int, *, moved: bool) -> dict[SegmentKey, Profile]:
    """Profile the segments, and their sum as the whole."""
    table = make_rows(rng, rows * (SEGMENTS - 1))
    segment = np.arange(table.height) % (SEGMENTS - 1)
    if moved:
        far = SHIFT * (1 + int(MOVED[1:])) * (segment == int(WHERE[0][1][1:]))
        table = table.with_columns(pl.col(MOVED) + pl.Series(far))
    each = profile_rows(scale, table, segment, SEGMENTS - 1)
    named = {(("segment", f"s{at}"),): profile for at, profile in enumerate(each)}
    return {EVERYTHING: Profile.merge(scale, each), **named}


def milliseconds(work: Callable[[], object]) -> float:
    """Return the CPU time of the best of several runs: what else the machine does is no matter."""
    best = np.inf
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return float(1000 * best)


def main() -> list[Row]:
    """Check the answer and time it. A wrong answer raises; a slow one is only told."""
    rng = np.random.default_rng(31)
    scale = fit_scale(make_rows(rng, 20_000), KINDS)
    reference = Reference(scale, make_profiles(rng, scale, ROWS_BEFORE, moved=False))
    current = make_profiles(rng, scale, ROWS_NOW, moved=True)
    columns = tuple(Watched(part.column, KINDS[part.column], (part,), part) for part in scale.columns)
    how = Comparison(columns)
    verdicts, tests = compare(reference, current, how)
    drift = [verdict for verdict in verdicts if verdict.check == CHECK]
    assert len(drift) == len(KINDS) * SEGMENTS
    failed = {(verdict.column, verdict.segment) for verdict in verdicts if verdict.status == "fail"}
    assert (MOVED, WHERE) in failed, failed
    assert len(failed) <= 2, failed  # noqa: PLR2004 - the planted one, and one that luck may add

    print(f"{len(KINDS)} columns x {SEGMENTS} segments from ready profiles; {tests:,} tests share the budget")
    rows = []
    alone = Comparison(columns, wanted=lambda check: check == CHECK)
    for title, number, asked, budget in (("drift", len(drift), alone, 50.0), ("all", len(verdicts), how, 150.0)):
        took = milliseconds(lambda asked=asked: compare(reference, current, asked))
        print(f"{title:<8}{number:>7,} verdicts{took:>8.1f} ms{1e3 * took / number:>7.1f} us each")
        rows.append(Row(f"{number:,} verdicts from ready profiles ({title})", took, "ms", budget=budget))
    return rows
