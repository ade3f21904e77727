"""Profiling a Parquet file beside Polars reading the same columns and summing them: a ratio, in one run.

One million rows of 16 numeric and 4 categorical columns, made from a seed in a temporary folder. Each contestant
runs in a process of its own, three times, after its imports; the best counts. The answer is checked first: the
profile's counts are the rows, and its sums are Polars' sums.

    python -m benchmarks.profiling                about a minute on one core
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale, fit_scale

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, NUMERIC, CATEGORICAL, REPEATS = 1_000_000, 16, 4, 3
# A scale is learned once from as many rows as a day's reference holds; learning is not what is measured here.
REFERENCE_ROWS = 100_000
KINDS = {f"x{at}": "numeric" for at in range(NUMERIC)} | {f"c{at}": "categorical" for at in range(CATEGORICAL)}


def make_table(rows: int, seed: int = 22) -> pl.DataFrame:
    """Return normal, skewed, whole and gappy numbers, and categories of growing number, one column of each in turn."""
    rng = np.random.default_rng(seed)
    columns: dict[str, object] = {}
    for at in range(NUMERIC):
        values = rng.normal(at, 1 + at, rows)
        if at % 4 == 1:
            values = np.exp(values / (1 + at))
        elif at % 4 == 2:  # noqa: PLR2004 - the third kind
            values = np.round(values)
        made = pl.Series(values)
        columns[f"x{at}"] = made.set(pl.Series(rng.random(rows) < 0.05), None) if at % 4 == 3 else made  # noqa: PLR2004
    for at, distinct in enumerate((2, 16, 100, 1000)):
        columns[f"c{at}"] = pl.Series(rng.zipf(1.5, rows) % distinct).cast(pl.String)
    return pl.DataFrame(columns)


def profile_file(path: Path, scale: Scale) -> Profile:
    """Read a file and profile all its rows as one group."""
    table = pl.read_parquet(path)
    return profile_rows(scale, table, np.zeros(table.height, np.int64), 1)[0]


def sum_file(path: Path) -> pl.DataFrame:
    """Read the same columns with Polars and sum them; of text, the bytes."""
    table = pl.read_parquet(path)
    return table.select(
        pl.col(name).str.len_bytes().sum() if kind == "categorical" else pl.col(name).sum()
        for name, kind in KINDS.items()
    )


def check_answer(profile: Profile, sums: pl.DataFrame, scale: Scale) -> None:
    """Assert that the profile counted every row and summed every value."""
    assert profile.rows == ROWS
    for part in scale.columns:
        assert profile.counts_of(part.column).sum() == ROWS, part.column
        if isinstance(part, NumericScale):
            ours, theirs = profile.sums_of(part.column)[: part.bins].sum(), sums[part.column].item()
            assert np.isclose(ours, theirs, rtol=1e-9, atol=1e-9 * ROWS), (part.column, ours, theirs)
        else:
            assert isinstance(part, CategoricalScale)


def measured(work: Callable[[], object]) -> dict[str, float]:
    """Return the best wall and CPU seconds of three runs, and the peak memory of this process."""
    best: dict[str, float] = {"wall": np.inf, "cpu": np.inf}
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        best["wall"] = min(best["wall"], time.perf_counter() - wall)
        best["cpu"] = min(best["cpu"], time.process_time() - cpu)
    return best | {"megabytes": peak_megabytes()}


def peak_megabytes() -> float:
    """Return the most memory that this process ever held.

    Not `ru_maxrss`, which a child inherits from the parent that it was forked from.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def contest(name: str, folder: Path) -> dict[str, float]:
    """Run one contestant in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.profiling", name, str(folder)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run_contestant(name: str, folder: Path) -> None:
    """Be one contestant, and print what was measured as JSON."""
    path = folder / "rows.parquet"
    if name == "imports":
        print(json.dumps({"megabytes": peak_megabytes()}))
        return
    if name == "polars":
        print(json.dumps(measured(lambda: sum_file(path))))
        return
    scale = fit_scale(pl.read_parquet(folder / "reference.parquet"), KINDS)
    print(json.dumps(measured(lambda: profile_file(path, scale))))


def main() -> int:
    """Check the answer, hold the contest, print the table. A wrong answer raises; a slow one is only told."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = make_table(ROWS)
        table.write_parquet(folder / "rows.parquet")
        table.head(REFERENCE_ROWS).write_parquet(folder / "reference.parquet")
        scale = fit_scale(table.head(REFERENCE_ROWS), KINDS)
        check_answer(profile_file(folder / "rows.parquet", scale), sum_file(folder / "rows.parquet"), scale)
        megabytes = (folder / "rows.parquet").stat().st_size / 2**20
        del table
        before = contest("imports", folder)["megabytes"]
        polars, killick = contest("polars", folder), contest("killick", folder)
    print(f"profiling {ROWS:,} rows x ({NUMERIC} numeric + {CATEGORICAL} categorical), {megabytes:.0f} MB of Parquet")
    print(f"{'':<26}{'wall':>9}{'CPU':>9}{'peak memory':>20}")
    for title, found in (("Polars reads and sums", polars), ("Killick profiles", killick)):
        grown = found["megabytes"] - before
        print(f"{title:<26}{found['wall']:>7.3f} s{found['cpu']:>7.3f} s{grown:>10.0f} MB + imports")
    print(f"{'ratio':<26}{killick['wall'] / polars['wall']:>8.1f}x{killick['cpu'] / polars['cpu']:>8.1f}x")
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_contestant(sys.argv[1], Path(sys.argv[2]))
    else:
        sys.exit(main())
