"""Importing is silent: no IO, no thread, no process, nothing global changed, nothing heavy before its time.

Each test imports in a fresh process, with traps set before. Nothing here measures time; benchmarks/ does.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import BELOW_PORTS

# Runs in the fresh process: reads module names from argv, prints what happened as JSON.
WITNESS = r"""
import _thread, importlib, json, logging, os, sys, threading

CORE = {*sys.stdlib_module_names, "killick", "killick_client"}
ALLOCATOR = {"_RJEM_MALLOC_CONF"}  # Polars tunes its own allocator through it, and nobody else reads it
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
TRAPS = (
    "socket.", "urllib.", "http.", "smtplib.", "webbrowser.", "sqlite3.",
    "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn",
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chdir",
    "shutil.", "tempfile.",
)
events, current = [], None

def hook(event, arguments):
    writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
    if current and (writing or event.startswith(TRAPS)):
        events.append(f"{current}: {event} {arguments!r:.200}")

def thread(*arguments, **named):
    events.append(f"{current}: thread started {arguments!r:.200}")
    raise RuntimeError("a thread was started while importing " + str(current))

sys.addaudithook(hook)
_thread.start_new_thread = threading._start_new_thread = thread

def world():
    return {
        "environment": {name: value for name, value in os.environ.items() if name not in ALLOCATOR},
        "folder": os.getcwd(),
        "path": list(sys.path),
        "log handlers": [repr(handler) for handler in logging.getLogger().handlers],
        "hooks": [repr(hook) for hook in (sys.excepthook, sys.displayhook, threading.excepthook)],
    }

before, missing = world(), {}
for current in sys.argv[1:]:
    try:
        importlib.import_module(current)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in CORE:
            raise
        missing[current] = error.name
current = None
changed = [name for name, value in world().items() if value != before[name]]
print(json.dumps({"events": events, "changed": changed, "missing": missing, "modules": sorted(sys.modules)}))
"""

# Absent after importing anything below `ports`: each costs between 0.3 and 2 s of CPU.
HEAVY = {
    "sklearn",
    "scipy.stats",
    "scipy.optimize",
    "pandas",
    "pyarrow",
    "altair",
    "vl_convert",
    "sqlalchemy",
}
# Absent after `import killick` (0.15 s in all) ...
HEAVY_AT_THE_DOOR = HEAVY | {"numpy", "polars", "scipy", "jinja2", "ruamel.yaml", "rich", "cyclopts"}
# ... and after what `killick --help` imports (0.6 s in all; Polars alone may take 0.5 s).
HEAVY_FOR_HELP = HEAVY | {"polars", "scipy"}


# What the client may load; msgspec takes typing_extensions where it happens to be installed.
SERVING_IMAGE = {"killick_client", "msgspec", "typing_extensions"}


def modules(package: str) -> list[str]:
    """Every importable module of an installed package; not `__main__`, not folders of scripts."""
    spec = importlib.util.find_spec(package)
    names = []
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder).rglob("*.py")):
            inside = path.relative_to(folder)
            is_package = all((Path(folder, parent) / "__init__.py").exists() for parent in inside.parents)
            if is_package and inside.stem != "__main__" and "migrations" not in inside.parts:
                parts = inside.with_suffix("").parts
                names.append(".".join([package, *(part for part in parts if part != "__init__")]))
    return names


def witness(*names: str) -> dict[str, list[str]]:
    """Import modules in a fresh process and return what the traps caught."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WITNESS, *names], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"importing says something: {done.stderr}"
    *said, caught = done.stdout.splitlines()
    assert not said, f"importing says something: {said}"
    return dict(json.loads(caught))


def test_importing_everything_does_nothing() -> None:
    """No file is written, no socket, process or thread is made; the process's settings stay as they were."""
    names = [*modules("killick"), *modules("killick_client")]
    if not names:
        pytest.fail("killick is not installed here: run `make test`, or `make dev` once")

    caught = witness(*names)

    assert not caught["events"]
    assert not caught["changed"]
    if caught["missing"]:
        pytest.skip(f"the rest is silent; not imported, for want of an extra: {caught['missing']}")


def test_import_killick_is_light() -> None:
    """`import killick` loads nothing but itself: every name is fetched when it is asked for."""
    assert not HEAVY_AT_THE_DOOR & set(witness("killick")["modules"])


def test_the_rooms_below_the_ports_are_light() -> None:
    """They need numpy, Polars and `scipy.special`; whatever is heavier waits inside its function."""
    names = [name for name in modules("killick") if name.split(".")[1:2] and name.split(".")[1] in BELOW_PORTS]

    assert not HEAVY & set(witness(*names)["modules"])


def test_asking_for_help_is_light() -> None:
    """`killick --help` imports the commands' names, not what they need."""
    if "killick.cli.main" not in modules("killick"):
        pytest.skip("killick.cli.main does not exist yet")

    assert not HEAVY_FOR_HELP & set(witness("killick.cli.main")["modules"])


def test_the_client_is_light() -> None:
    """A serving image gets msgspec and nothing else that is not Python's own."""
    names = modules("killick_client")
    if not names:
        pytest.skip("killick_client has no modules yet")
    tops = {name.partition(".")[0] for name in witness(*names)["modules"]}
    before = {name.partition(".")[0] for name in witness("sys")["modules"]}

    assert tops - before - set(sys.stdlib_module_names) <= SERVING_IMAGE


@pytest.mark.parametrize(
    "guilty",
    [
        "import socket; socket.socket()",
        "import threading; threading.Thread(target=int).start()",
        "import subprocess, sys; subprocess.run([sys.executable, '-V'], capture_output=True)",
        "open('written', 'w').close()",
        "import os; os.environ['KILLICK_WAS_HERE'] = '1'",
        "import logging; logging.basicConfig()",
    ],
)
def test_the_traps_catch(guilty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that acts when it is imported is caught: a test of the house must be able to fail."""
    (tmp_path / "guilty.py").write_text(f"try:\n    {guilty}\nexcept RuntimeError:\n    pass\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    caught = witness("guilty")

    assert caught["events"] or caught["changed"]
