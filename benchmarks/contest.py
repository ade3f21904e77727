"""Contestants: each in a process of its own, a peer also in an environment of its own, and what they used.

A peer's environment is made once, in build/peers/NAME, from the exact versions in peers/NAME.txt: a plain install of
the newest ones does not even import. It is made again when the file changes. Peers are told not to phone home. This
module runs in their environments too, so it imports nothing but what comes with Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
ROOT = HERE.parent
ENVIRONMENTS = ROOT / "build" / "peers"
SILENT = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "NML_DISABLE_USER_ANALYTICS": "1"}
# Ten times what the slowest contestant takes; who takes longer has lost anyway.
SECONDS_MAX = 900
PYTHON = "3.11"


class Found(TypedDict, total=False):
    """What a contestant prints as JSON: seconds, megabytes, microseconds of a call, and the columns that it flagged."""

    wall: float
    cpu: float
    megabytes: float
    median: float
    p99: float
    flagged: list[str]


def run_ours(module: str, *arguments: object) -> Found:
    """Run a benchmark's contestant in a process of its own."""
    return _run(sys.executable, module, *arguments)


def run_peer(name: str, *arguments: object) -> Found:
    """Run a peer in its own process and environment."""
    return _run(str(environment(name) / "bin" / "python"), f"benchmarks.peers.run_{name}", *arguments)


def environment(name: str) -> Path:
    """Return the folder of a peer's environment, made when it is not there or its versions have changed."""
    wanted = HERE / "peers" / f"{name}.txt"
    folder = ENVIRONMENTS / name
    installed = folder / "installed.txt"
    if installed.is_file() and installed.read_text() == wanted.read_text():
        return folder
    print(f"making an environment for {name}: once, some minutes", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv:
        _call([uv, "venv", "--quiet", "--python", PYTHON, str(folder)])
        _call([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "-r", str(wanted)])
    else:
        _call([f"python{PYTHON}", "-m", "venv", str(folder)])
        _call([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(wanted)])
    shutil.copyfile(wanted, installed)
    return folder


def best_of(repeats: int, work: Callable[[], object]) -> Found:
    """Return the best wall and CPU seconds of some runs, and this process's peak memory after the first of them."""
    walls, cpus, megabytes = [], [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        # A second run would add what the allocator kept of the first, and the peers have no second run.
        megabytes.append(peak_megabytes())
    return {"wall": min(walls), "cpu": min(cpus), "megabytes": megabytes[0]}


def peak_megabytes() -> float:
    """Return the most memory that this process ever held.

    Not `ru_maxrss`, which a child inherits from the parent that it was forked from.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _run(python: str, module: str, *arguments: object) -> Found:
    found: Found = json.loads(_call([python, "-m", module, *map(str, arguments)]).splitlines()[-1])
    return found


def _call(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | SILENT, timeout=SECONDS_MAX
    )
    return done.stdout
