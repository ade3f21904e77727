"""What it costs to import Killick and to ask for help, in CPU seconds: the best of five fresh processes."""

from __future__ import annotations

import resource
import subprocess
import sys

from benchmarks.table import Row

REPEATS = 5
COMMANDS = {
    "import killick": (["-c", "import killick"], 0.15),
    "killick --help": (["-m", "killick", "--help"], 0.6),
}


def cpu_seconds(arguments: list[str]) -> float:
    """Run Python once, and return the CPU seconds of the process, interpreter included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> list[Row]:
    """Measure every command. The first run, which may have to compile, never counts."""
    return [
        Row(f"{what}, CPU", min(cpu_seconds(arguments) for _ in range(REPEATS)), "s", budget=budget)
        for what, (arguments, budget) in COMMANDS.items()
    ]
