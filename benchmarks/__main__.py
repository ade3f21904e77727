"""Run the benchmarks: `python -m benchmarks`, and with `--slow` those that take minutes too.

Exits 1 when one gives a wrong answer or misses a budget that it holds itself to; speed alone never fails.
"""

from __future__ import annotations

import sys

from benchmarks import canary_judge, profiling

QUICK = {"profiling": profiling.main}
SLOW = {"canary_judge": canary_judge.main}


def main(arguments: list[str]) -> int:
    """Run what was asked for; return 1 when any of it failed."""
    failed = []
    for name, run in (QUICK | (SLOW if "--slow" in arguments else {})).items():
        print(f"== {name}", flush=True)
        try:
            status = run()
        except AssertionError as error:
            print(f"{name}: the answer is wrong: {error}")
            status = 1
        if status:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "all answers are right")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
