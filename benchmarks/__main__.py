"""Run the benchmarks: `python -m benchmarks`, and with `--slow` those that take minutes too; or name those you want.

Each prints what it finds; at the end stands one table of every number, its peer's, its budget, and whether it held. The
table is written to build/benchmarks.json as well. Exits 1 when an answer is wrong, or a budget is missed that is about
answers; one about speed or memory is only told, for that may be the machine's doing.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import (
    canary_judge,
    check,
    client,
    imports,
    ingest,
    joining,
    operating_characteristics,
    profiling,
    store_size,
    verdicts,
    wire,
)
from benchmarks.table import print_table, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.table import Row

QUICK: dict[str, Callable[[], list[Row]]] = {
    "imports": imports.main,
    "profiling": profiling.main,
    "check": check.main,
    "verdicts": verdicts.main,
    "client": client.main,
    "wire": wire.main,
    "ingest": ingest.main,
}
SLOW: dict[str, Callable[[], list[Row]]] = {
    "check_slow": check.slow,
    "memory": profiling.memory,
    "joining": joining.main,
    "soak": ingest.soak,
    "store_size": store_size.main,
    "canary_judge": canary_judge.main,
    "operating_characteristics": operating_characteristics.main,
}
RESULTS = Path(__file__).parents[1] / "build" / "benchmarks.json"


def main(arguments: list[str]) -> int:
    """Run what was asked for; return 1 when any answer was wrong."""
    everything = QUICK | SLOW
    named = [name for name in arguments if name != "--slow"]
    if unknown := [name for name in named if name not in everything]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(everything)}")
        return 2
    chosen = named or [*QUICK, *(SLOW if "--slow" in arguments else {})]
    rows: list[Row] = []
    wrong = []
    for name in chosen:
        print(f"== {name}", flush=True)
        try:
            rows += everything[name]()
        except AssertionError as error:
            print(f"{name}: the answer is wrong: {error}")
            wrong.append(name)
        except subprocess.CalledProcessError as error:
            print(f"{name}: {' '.join(map(str, error.cmd))} failed:\n{error.stderr}")
            wrong.append(name)
    print()
    print_table(rows)
    write_json(rows, RESULTS)
    wrong += [row.what for row in rows if row.strict and not row.held]
    print(f"\nwrong: {', '.join(wrong)}" if wrong else "\nall answers are right")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
