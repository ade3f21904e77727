"""`killick.check` beside Evidently's `DataDriftPreset` and NannyML's univariate drift, on the same tables in one run.

2 x 1,000,000 rows of 16 gamma-distributed numbers and 4 text columns of 10 categories, made from a seed and written to
Parquet once. Each contestant reads them with what it comes with (Polars here, pandas there) before its clock starts;
imports are not counted, fitting is. Killick runs three times and the best counts; the others, which take a quarter of a
minute and a minute and a half, run once. One number and one category were shifted: every contestant must find these
two, and Killick no other.

    python -m benchmarks check check_slow         half a minute, and two minutes
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

import killick
from benchmarks.contest import Found, best_of, run_ours, run_peer
from benchmarks.table import Row

ROWS, NUMBERS, CATEGORIES, REPEATS = 1_000_000, 16, 4, 3
SHIFTED = ["c1", "x3"]
# A third of a standard deviation, and one row in five in another category: what every tool's own threshold must find.
SHIFT, MOVED = 1.25, 0.2
PLAIN = ("drift.univariate", "quality.missing", "quality.unseen", "quality.range")
EVERYTHING = ("*",)


def make_table(rows: int, seed: int, *, shifted: bool) -> pl.DataFrame:
    """Return the table; the shapes of the gamma laws run from 0.5 to 8."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pl.Series] = {}
    for at in range(NUMBERS):
        values = rng.gamma(0.5 * (at + 1), 2.0, rows)
        columns[f"x{at}"] = pl.Series(values * SHIFT if shifted and f"x{at}" in SHIFTED else values)
    names = pl.Series([f"category-{k}" for k in range(10)])
    for at in range(CATEGORIES):
        codes = rng.integers(0, 10, rows)
        if shifted and f"c{at}" in SHIFTED:
            codes = np.where(rng.random(rows) < MOVED, 0, codes)
        columns[f"c{at}"] = names.gather(codes)
    return pl.DataFrame(columns)


def be_killick(reference: Path, current: Path, checks: tuple[str, ...]) -> Found:
    """Check the tables three times; return what it took and the columns that fail."""
    before, now = pl.read_parquet(reference), pl.read_parquet(current)
    reports = []
    found = best_of(REPEATS, lambda: reports.append(killick.check(now, before, checks=checks)))
    fails = {verdict.column for verdict in reports[-1].verdicts if verdict.status == "fail"}
    return found | {"flagged": sorted(map(str, fails))}


def main() -> list[Row]:
    """Hold the contest with NannyML, half a minute."""
    return contest("nannyml", "NannyML 0.13.1", faster=(25.0, 15.0))


def slow() -> list[Row]:
    """Hold the contest with Evidently, two minutes."""
    return contest("evidently", "Evidently 0.7.23", faster=(150.0, 100.0), memory=0.4)


def contest(peer: str, title: str, faster: tuple[float, float], memory: float | None = None) -> list[Row]:
    """Run Killick, plain and with everything, and a peer on the same tables.

    Args:
        peer: its name in `peers`.
        title: its name and version for people.
        faster: how many times faster Killick must be: plain, with everything.
        memory: the share of the peer's peak memory that Killick may take with everything.
    """
    with tempfile.TemporaryDirectory() as name:
        tables = Path(name) / "reference.parquet", Path(name) / "current.parquet"
        for path, seed in zip(tables, (1, 2), strict=True):
            make_table(ROWS, seed, shifted=seed == 2).write_parquet(path)  # noqa: PLR2004 - the current one
        plain, everything = (run_ours("benchmarks.check", kind, *tables) for kind in ("plain", "everything"))
        theirs = run_peer(peer, *tables)
    for found in (plain, everything):
        assert found["flagged"] == SHIFTED, f"Killick fails {found['flagged']}, and {SHIFTED} were shifted"
    assert set(SHIFTED) <= set(theirs["flagged"]), f"{title} flags {theirs['flagged']}, and {SHIFTED} were shifted"
    for name, found in ((title, theirs), ("Killick, plain", plain), ("Killick, everything", everything)):
        # Wall far above CPU means that the machine was busy, and that the ratios below are not worth much.
        seconds = f"{found['wall']:.2f} s, {found['cpu']:.2f} s of CPU"
        print(f"{name}: {seconds}, {found['megabytes']:,.0f} MB; flags {', '.join(found['flagged'])}")
    sizes = f"check of 2 x {ROWS // 1_000_000}M x {NUMBERS + CATEGORIES}"
    walls = ((f"{sizes}: drift, missing, unseen, range", plain), (f"{sizes}: everything", everything))
    rows = [
        Row(what, found["wall"], "s", title, theirs["wall"], "times_faster", budget)
        for (what, found), budget in zip(walls, faster, strict=True)
    ]
    megabytes = everything["megabytes"], "MB", title, theirs["megabytes"], "times_theirs", memory
    return [*rows, Row(f"{sizes}: peak memory, everything", *megabytes)]


if __name__ == "__main__":
    chosen = PLAIN if sys.argv[1] == "plain" else EVERYTHING
    print(json.dumps(be_killick(Path(sys.argv[2]), Path(sys.argv[3]), chosen)))
