"""What is not called where: below `ports` no IO, no clock, no unseeded randomness.

Each ban names what to do instead, after TigerBeetle's `tidy.zig`. A ban is on the name, called or handed on:
`default=time.time` reads a clock too.
"""

import ast
from pathlib import Path

import pytest

from tests.house.source import (
    BELOW_PORTS,
    dotted,
    files,
    is_migration,
    is_operators,
    origins,
    place,
    room,
    tree,
)

CLOCK = "take an Instant or a killick.clock.Clock as an argument"
CHANCE = "take a numpy.random.Generator as an argument"
NAMES = "derive ids with killick.identity: a replay must give the same"
PORT = "ask through a port; the adapter does it"
VALUE = "say it in the value that you return; engine/ or cli/ tells the person"
SPEC = "what can be set stands in the spec and arrives as an argument"
LANES = "compute; who runs it, where and how often is decided in engine/"

TIME_BANS = {
    "time": CLOCK,
    "datetime.datetime.now": CLOCK,
    "datetime.datetime.utcnow": CLOCK,
    "datetime.datetime.today": CLOCK,
    "datetime.date.today": CLOCK,
}
CHANCE_BANS = {
    "random": CHANCE,
    "secrets": CHANCE,
    "numpy.random": CHANCE,
    "uuid.uuid1": NAMES,
    "uuid.uuid4": NAMES,
    "os.urandom": CHANCE,
    "builtins.hash": "PYTHONHASHSEED makes it differ between processes: use killick.identity.fingerprint",
    "builtins.id": NAMES,
}
IO_BANS = {
    "builtins.open": PORT,
    "io.open": PORT,
    "os": PORT + "; a setting: " + SPEC,
    "shutil": PORT,
    "tempfile": PORT,
    "glob": PORT,
    "socket": PORT,
    "ssl": PORT,
    "subprocess": PORT,
    "requests": PORT,
    "httpx": PORT,
    "http.client": PORT,
    "urllib.request": PORT,
    "smtplib": PORT,
    "sqlite3": PORT,
    "sqlalchemy": PORT,
    "builtins.input": PORT,
    "builtins.print": VALUE,
    "sys.stdout": VALUE,
    "sys.stderr": VALUE,
    "sys.argv": SPEC,
}
LANE_BANS = {
    "logging": VALUE,
    "warnings.warn": VALUE,
    "threading": LANES,
    "multiprocessing": LANES,
    "concurrent.futures": LANES,
    "asyncio": LANES,
    "signal": LANES,
    "atexit": LANES,
}
PURE = TIME_BANS | CHANCE_BANS | IO_BANS | LANE_BANS

# The engine reads and acts through ports, or a replay and the simulator would not be the same engine (DESIGN
# D6); it may run lanes and write a log. Reports are values until `Report.save`.
BANS_BY_ROOM = dict.fromkeys(BELOW_PORTS, PURE) | {
    "ports": PURE,
    "engine": TIME_BANS | CHANCE_BANS | IO_BANS,
    "reports": TIME_BANS | CHANCE_BANS | IO_BANS,
}

EVERYWHERE = {
    "pickle": "bytes are a promise: use msgspec or Parquet (DESIGN D10: no pickle)",
    "builtins.eval": "parse it",
    "builtins.exec": "parse it",
    "unittest.mock": "use a fake from killick.testing",
    "datetime.datetime.utcnow": "it is naive; use killick.clock",
}

# Pieces of a banned module that are harmless: types, pure functions, generators made from a seed that is
# handed in.
HARMLESS = {
    "os.PathLike",
    "os.fspath",
    "numpy.random.Generator",
    "numpy.random.BitGenerator",
    "numpy.random.SeedSequence",
    "numpy.random.PCG64",
    "numpy.random.Philox",
    "numpy.random.default_rng",  # only with a seed: see below
    "random.Random",  # only with a seed: see below
}
SEEDED = {
    *("numpy.random.default_rng", "numpy.random.SeedSequence", "numpy.random.PCG64", "numpy.random.Philox"),
    "random.Random",
}

# Methods that touch a disk, whatever they are called on (paths, frames).
DISK_METHODS = {
    *(
        "read_text",
        "write_text",
        "read_bytes",
        "write_bytes",
        "unlink",
        "mkdir",
        "rmdir",
        "touch",
        "iterdir",
        "rglob",
    ),
    *("write_parquet", "write_csv", "write_ipc", "write_ndjson", "sink_parquet", "sink_csv", "sink_ipc"),
}
DISK_FUNCTIONS = (
    "polars.read_",
    "polars.scan_",
    "numpy.load",
    "numpy.save",
    "numpy.fromfile",
    "numpy.memmap",
)


# Functions that may: `Report.save` is the only IO of the reports, a table profile is saved and loaded likewise, a frame
# is packed in memory by methods that are named as if they wrote a file, and a request's body is read as if it were one.
EXEMPT = {
    "reports": frozenset({"save"}),
    "engine": frozenset({"save", "load"}),
    "profiles": frozenset({"pack_frame", "unpack_frame"}),
    "wire": frozenset({"read_stream"}),
}


def banned(name: str, bans: dict[str, str]) -> str | None:
    """Return what to do instead of a dotted name, or None where it is allowed."""
    if any(name == entry or name.startswith(f"{entry}.") for entry in HARMLESS):
        return None
    parts = name.split(".")
    heads = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((bans[head] for head in heads if head in bans), None)


def unseeded(node: ast.AST, names: dict[str, str]) -> bool:
    """Whether a generator is made out of nothing: `default_rng()`, `default_rng(None)`."""
    if not isinstance(node, ast.Call) or dotted(node.func, names) not in SEEDED:
        return False
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    return all(isinstance(argument, ast.Constant) and argument.value is None for argument in arguments)


def touches_disk(node: ast.AST, names: dict[str, str]) -> bool:
    """Whether a call reads or writes files by one of the well-known methods and functions."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    name = dotted(node.func, names) or ""
    return node.func.attr in DISK_METHODS or name.startswith(DISK_FUNCTIONS)


def offences(
    module: ast.Module, bans: dict[str, str], *, exempt: frozenset[str] = frozenset({"__hash__"})
) -> list[tuple[ast.AST, str, str]]:
    """Return each banned use outside the exempt functions as (node, what is used, what to do instead)."""
    names = origins(module)
    spared = {
        inner
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and node.name in exempt
        for inner in ast.walk(node)
    }
    found: list[tuple[ast.AST, str, str]] = []
    for node in ast.walk(module):
        if node in spared:
            continue
        found += [(node, name, word) for name in uses(node, names) if (word := banned(name, bans))]
        if IO_BANS.items() <= bans.items() and touches_disk(node, names):
            found.append((node, ast.unparse(node), PORT))
        if CHANCE_BANS.items() <= bans.items() and unseeded(node, names):
            found.append((node, ast.unparse(node), CHANCE))
    return found


def uses(node: ast.AST, names: dict[str, str]) -> list[str]:
    """Return the full dotted names that one node imports or reads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
        name = dotted(node, names)
        # `np.random` inside `np.random.Generator`, `os` inside `os.PathLike`: the whole name is judged, not
        # its head.
        return [name] if name and not any(entry.startswith(f"{name}.") for entry in HARMLESS) else []
    return []


def told(path: Path, bans: dict[str, str]) -> list[str]:
    """Return the offences of a file as lines for a person, but for the functions that may."""
    exempt = EXEMPT.get(room(path), frozenset()) | {"__hash__"}
    found = offences(tree(path), bans, exempt=exempt)
    return [f"{place(path, node)}: {name}: {word}" for node, name, word in found]


def test_below_the_ports_nothing_touches_the_world() -> None:
    """Time, ids, randomness and whatever is read or written arrive as arguments or go through a port."""
    found = [line for path in files() if room(path) in BANS_BY_ROOM for line in told(path, BANS_BY_ROOM[room(path)])]

    assert not found, "\n".join(found)


def test_some_things_are_done_nowhere() -> None:
    """No pickle, no eval, no mock, in any file that ships (but the operator's, which is the operator's)."""
    found = [
        line for path in files() if not is_operators(path) and not is_migration(path) for line in told(path, EVERYWHERE)
    ]

    assert not found, "\n".join(found)


def test_only_the_commands_and_the_demo_print() -> None:
    """Everything else returns a value, which a command, a page or a report shows."""
    found = [
        line
        for path in files()
        if room(path) not in {"cli", "demo", "__main__"}
        for line in told(path, {"builtins.print": VALUE})
    ]

    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "guilty",
    [
        "from datetime import datetime as dt\nnow = dt.now()",
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)",
        "import time\ndef f(clock=time.monotonic): ...",
        "from time import sleep",
        "text = open('x').read()",
        "from pathlib import Path\ntext = Path('x').read_text()",
        "import polars as pl\nframe = pl.read_parquet('x')",
        "frame.write_parquet('x')",
        "import os\nx = os.environ['X']",
        "from os import environ",
        "import numpy as np\nx = np.random.default_rng()",
        "import numpy as np\nx = np.random.default_rng(None)",
        "import numpy as np\nx = np.random.normal()",
        "from numpy.random import default_rng\nx = default_rng()",
        "import random\nx = random.random()",
        "import random\nx = random.Random()",
        "import uuid\nx = uuid.uuid4()",
        "print('x')",
        "import logging",
        "bucket = hash('x') % 2",
        "import subprocess",
    ],
)
def test_the_bans_bite(guilty: str) -> None:
    """Each way round a ban that we could think of is caught: a test of the house must be able to fail."""
    assert offences(ast.parse(guilty), PURE)


@pytest.mark.parametrize(
    "innocent",
    [
        "from datetime import UTC, datetime\nepoch = datetime(1970, 1, 1, tzinfo=UTC)",
        "import numpy as np\ndef f(rng: np.random.Generator): return rng.normal()",
        "import numpy as np\ndef f(seed): return np.random.default_rng(seed)",
        "from os import PathLike",
        "class A:\n    def __hash__(self): return hash((1, 2))",
        "def f(time): return time.days",
        "from datetime import time\nnoon = time(12)",
        "import uuid\nx = uuid.uuid5(uuid.NAMESPACE_URL, 'x')",
    ],
)
def test_the_bans_spare_the_innocent(innocent: str) -> None:
    """Types, seeded generators and words that merely look alike are let through."""
    assert not offences(ast.parse(innocent), PURE)
