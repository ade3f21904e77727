"""`killick profile` of a Parquet file beside Polars scanning it and summing every column: ratios, in one run.

Rows of 16 numeric and 4 categorical columns, made from a seed in a temporary folder. Each contestant runs in a process
of its own, three times, after its imports; the best counts. *Plain* is what drift and the shares of missing, unseen and
outlying values need; *everything* is what `killick profile` writes. The answer is asserted: the profile counts every
row, and its sums are Polars' sums.

    python -m benchmarks profiling memory         a minute each
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.contest import best_of, run_ours
from benchmarks.table import Row
from killick.api import open_table, spec_for
from killick.engine.check import learn
from killick.profiles.numeric import NumericScale

if TYPE_CHECKING:
    from benchmarks.contest import Found
    from killick.engine.table_profile import TableProfile

NUMERIC, CATEGORICAL, REPEATS = 16, 4, 3
SIZES = (1_000_000, 4_000_000)
PLAIN_MAX, EVERYTHING_MAX = 3.0, 4.0
# The same columns, fewer of them: what grows with the rows must show, not what the columns take.
FEW_NUMERIC, FEW_CATEGORICAL = 6, 2
FEW_ROWS, PARTS, MEMORY_MAX = 2_000_000, 10, 1.2


def make_table(rows: int, seed: int, *, numeric: int = NUMERIC, categorical: int = CATEGORICAL) -> pl.DataFrame:
    """Return normal, skewed, whole and gappy numbers, and categories of growing number, one column of each in turn."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pl.Series] = {}
    for at in range(numeric):
        values = rng.normal(at, 1 + at, rows)
        if at % 4 == 1:
            values = np.exp(values / (1 + at))
        elif at % 4 == 2:  # noqa: PLR2004 - the third kind
            values = np.round(values)
        made = pl.Series(values)
        columns[f"x{at}"] = made.set(pl.Series(rng.random(rows) < 0.05), None) if at % 4 == 3 else made  # noqa: PLR2004
    for at, distinct in enumerate((2, 16, 100, 1000)[:categorical]):
        columns[f"c{at}"] = pl.Series(rng.zipf(1.5, rows) % distinct).cast(pl.String)
    return pl.DataFrame(columns)


def profile_file(path: Path, *, everything: bool) -> TableProfile:
    """Profile a file as `killick profile` does, its kinds inferred."""
    source = open_table(path, name="rows")
    chosen = spec_for(source, None)
    return learn(source, chosen.spec, chosen.rows, census=everything)


def sum_file(path: Path) -> pl.DataFrame:
    """Scan the same file with Polars and sum every column; of text, the bytes."""
    rows = pl.scan_parquet(path)
    numbers, texts = pl.selectors.numeric(), pl.selectors.string()
    return rows.select(numbers.sum(), texts.str.len_bytes().sum()).collect()


def check_answer(path: Path, rows: int) -> None:
    """Assert that a profile counted every row and summed every value."""
    sums, whole = sum_file(path), profile_file(path, everything=True).by_segment[()]
    assert whole.rows == rows, whole.rows
    for name in sums.columns:
        part = whole.scale[name]
        assert whole.counts_of(name).sum() == rows, name
        if isinstance(part, NumericScale):
            ours, theirs = whole.sums_of(name)[: part.bins].sum(), sums[name].item()
            assert np.isclose(ours, theirs, rtol=1e-9, atol=1e-9 * rows), (name, ours, theirs)


def main() -> list[Row]:
    """Hold the contest at each size."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in SIZES:
            path = Path(folder) / f"{rows}.parquet"
            make_table(rows, seed=22).write_parquet(path)
            if rows == SIZES[0]:
                check_answer(path, rows)
            print(
                f"{rows:,} rows x {NUMERIC + CATEGORICAL}: {path.stat().st_size / 2**20:.0f} MB of Parquet", flush=True
            )
            polars, plain, everything = (
                run_ours("benchmarks.profiling", name, path) for name in ("polars", "plain", "everything")
            )
            what = f"profile of {rows // 1_000_000}M x {NUMERIC + CATEGORICAL} Parquet"
            for words, ours, budget in (("plain", plain, PLAIN_MAX), ("everything", everything, EVERYTHING_MAX)):
                for clock, name in (("wall", "wall"), ("cpu", "CPU")):
                    found.append(_row(f"{what}, {words}, {name}", ours[clock], polars[clock], budget))
    return found


def memory() -> list[Row]:
    """Compare the peak memory of profiling ten times the rows."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / f"part-{at}.parquet" for at in range(PARTS)]
        for seed, part in enumerate(parts):
            make_table(FEW_ROWS, seed, numeric=FEW_NUMERIC, categorical=FEW_CATEGORICAL).write_parquet(part)
        large = Path(folder) / "large.parquet"
        pl.concat([pl.scan_parquet(part) for part in parts]).sink_parquet(large)
        few, many = (run_ours("benchmarks.profiling", "once", path)["megabytes"] for path in (parts[0], large))
    columns, millions = FEW_NUMERIC + FEW_CATEGORICAL, FEW_ROWS // 1_000_000
    what = f"peak memory, profile of {PARTS * millions}M x {columns}, everything"
    return [Row(what, many, "MB", f"Killick, {millions}M x {columns}", few, "times_theirs", MEMORY_MAX)]


def _row(what: str, ours: float, theirs: float, budget: float) -> Row:
    return Row(what, ours, "s", "Polars scans and sums", theirs, "times_theirs", budget)


def _contestant(name: str, path: Path) -> Found:
    if name == "polars":
        return best_of(REPEATS, lambda: sum_file(path))
    repeats = 1 if name == "once" else REPEATS
    return best_of(repeats, lambda: profile_file(path, everything=name != "plain"))


if __name__ == "__main__":
    print(json.dumps(_contestant(sys.argv[1], Path(sys.argv[2]))))
