"""`killick forget`: a person is gone, somebody is told how much it was, and the record holds."""

import json
import subprocess
import sys

import pytest

from killick.engine.receive import PREDICTIONS, Delivery, commit
from killick.wiring import open_world
from tests.engine.telemetry import MODEL, NOW, names
from tests.engine.test_forget import files_with, of


def killick(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would."""
    return subprocess.run([sys.executable, "-m", "killick", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def store(tmp_path):
    """A store in which Anna has three rows."""
    world = open_world(tmp_path, tmp_path / "store")
    for number, rows in enumerate((of("anna", names(0, 3)), of("bob", names(3, 5)))):
        commit(world, [Delivery(MODEL, PREDICTIONS, "host", number, rows)], NOW)
    world.control.close()
    return tmp_path / "store"


def test_it_says_how_much_went_and_the_ledger_verifies(store):
    """For a person, and as JSON; the second time nothing is found."""
    assert files_with(store / "telemetry", "anna")
    done = killick("forget", "--entity-id", "anna", "--store", str(store), "--by", "dpo")
    assert done.returncode == 0, done.stderr
    assert "3 rows of 1 model removed from 1 file" in done.stdout
    assert files_with(store / "telemetry", "anna") == []
    again = killick("forget", "--entity-id", "anna", "--store", str(store), "--json")
    assert json.loads(again.stdout) == {"models": 0, "rows": 0, "files": 0}
    verified = killick("ledger", "verify", "--store", str(store))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "anna" not in (store / "control.sqlite").read_bytes().decode("latin-1")


def test_status_says_what_came_in(store):
    """Before anything is profiled too: how many rows wait."""
    shown = killick("status", "--store", str(store))
    assert shown.returncode == 0, shown.stderr
    assert "no predictions counted; no labels; 5 rows wait" in " ".join(shown.stdout.split())
    (told,) = json.loads(killick("status", "--store", str(store), "--json").stdout)
    assert told["telemetry"]["waiting"] == 5
