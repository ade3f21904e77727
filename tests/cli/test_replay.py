"""A history on the command line: replayed, asked about, and verified, by nobody but the program itself."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("KILLICK_DEBUG", "COLUMNS", "FORCE_COLOR")}

SPEC = """\
killick: 1
model: gates
task: binary
schema: {prediction_id: id, event_time: t, score: score, label: {column: label, delay: 1h}}
reference: {data: train.parquet}
objectives:
  - {name: few-errors, sli: error_rate, at_most: 0.4, window: 4d, severity: ticket}
"""


def killick(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder."""
    command = [sys.executable, "-m", "killick", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120
    )


def rows(rng: np.random.Generator, first: int, days: int, *, wrong_from: int = 10_000) -> pl.DataFrame:
    """Days of 100 predictions; from a day on the labels are the opposite of what the score says."""
    frames = []
    for day in range(first, first + days):
        start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day)
        score = rng.uniform(size=100)
        label = rng.uniform(size=100) < (1 - score if day >= wrong_from else score)
        frames.append(
            pl.DataFrame(
                {
                    "id": [f"{day}-{i}" for i in range(100)],
                    "t": [start + timedelta(minutes=14 * i) for i in range(100)],
                    "temp": rng.normal(size=100),
                    "score": score,
                    "label": label,
                }
            )
        )
    return pl.concat(frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace: training rows, a history that goes wrong, a spec."""
    here, rng = tmp_path_factory.mktemp("gates"), np.random.default_rng(0)
    rows(rng, 0, 20).write_parquet(here / "train.parquet")
    rows(rng, 20, 10, wrong_from=26).write_parquet(here / "history.parquet")
    (here / "killick.yaml").write_text(SPEC)
    return here


def assert_rivals(found: dict[str, Any]) -> None:
    """Ten days of a feature and a score: an absurdly strict rule alarms about all of it, a deaf one about nothing."""
    strict, deaf, sigma, ours = found["tallies"]

    assert (found["windows"], found["columns"], found["incidents"]) == (10, 2, 1)
    assert 0 < found["incident_windows"] < 10
    everything = {"alarms": 20, "judged": 20, "windows": 10, "columns": 2}
    assert strict == {"rule": "psi>0.01", **everything, "during_incidents": 2 * found["incident_windows"]}
    assert deaf == {"rule": "psi>9", **dict.fromkeys(everything, 0), "judged": 20, "during_incidents": 0}
    assert sigma["judged"] == 20
    assert (ours["rule"], ours["alarms"]) == ("killick", 0)


@pytest.mark.e2e
@pytest.mark.slow
def test_a_history_is_lived_through_once_and_can_be_asked_about(folder: Path) -> None:
    """The replay tells the incident and leaves 1; again it finds nothing to do; every reading command knows of it."""
    compare = ("--compare", "psi>0.01,psi>9,3sigma")
    first = killick("replay", "history.parquet", "--html", "story.html", *compare, folder=folder)
    again = killick("replay", "history.parquet", "--json", *compare, folder=folder)
    fresh = killick("replay", "history.parquet", "--fresh", "--json", *compare, folder=folder)

    assert first.returncode == again.returncode == fresh.returncode == 1, first.stderr
    assert "few-errors is missed" in first.stdout
    # Ten days of predictions; the last hour's labels are known on the eleventh.
    assert "11 windows lived through" in first.stdout
    assert "\x1b" not in first.stdout
    assert "<html" in (folder / "story.html").read_text()
    told, anew = json.loads(again.stdout), json.loads(fresh.stdout)
    assert told["windows"] == 0
    assert anew["windows"] == 11
    assert told["ledger"] == anew["ledger"]
    assert [one["kind"] for one in told["incidents"]] == ["objective_missed"]
    # What others would have said is counted from the store, so whoever lived through it, and when, makes no difference.
    assert told["compare"] == anew["compare"]
    assert_rivals(told["compare"])
    assert ["psi>0.01", "20", "20", "10", "2", "6"] in [line.split() for line in first.stdout.splitlines()]

    (one,) = json.loads(killick("incidents", "--json", folder=folder).stdout)
    (status,) = json.loads(killick("status", "--json", folder=folder).stdout)
    (model,) = json.loads(killick("models", "--json", folder=folder).stdout)
    assert one["state"] == "open"
    assert status["open_incidents"] == [one]
    assert status["model"] == model["model"] == "gates"
    for command in ("incidents", "status", "models"):
        plain = killick(command, folder=folder)
        assert plain.returncode == 0
        assert "gates" in plain.stdout or "few-errors" in plain.stdout

    head = told["ledger"]["head"]
    verified = killick("ledger", "verify", "--head", head, "--json", folder=folder)
    assert (verified.returncode, json.loads(verified.stdout)["head"]) == (0, head)
    assert killick("ledger", "verify", "--head", "f" * 64, folder=folder).returncode == 1


@pytest.mark.e2e
def test_a_folder_that_is_no_store_is_not_removed(folder: Path, tmp_path: Path) -> None:
    """`--fresh` forgets what Killick knows, and nothing else that lies in a folder."""
    (tmp_path / "letters.txt").write_text("dear")

    done = killick("replay", "history.parquet", "--fresh", "--store", tmp_path, folder=folder)

    assert done.returncode == 2
    assert "not removed" in done.stderr
    assert (tmp_path / "letters.txt").read_text() == "dear"


@pytest.mark.e2e
def test_a_store_that_is_broken_is_a_fault_outside(folder: Path, tmp_path: Path) -> None:
    """A file that is no database is the disk's fault or a stranger's, and no mistake of the call."""
    (tmp_path / "control.sqlite").write_bytes(b"not a database" * 100)

    done = killick("status", "--store", tmp_path, folder=folder)

    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(tmp_path / "control.sqlite").execute("select * from sqlite_master")


@pytest.mark.e2e
def test_a_rule_without_its_threshold_is_told_before_anything_is_lived_through(folder: Path, tmp_path: Path) -> None:
    """An unquoted `psi>0.2` reaches the program as `psi`, for the shell took the rest."""
    store = tmp_path / "store"

    done = killick("replay", "history.parquet", "--compare", "psi", "--store", store, folder=folder)

    assert done.returncode == 2
    assert "--compare 'psi>0.2'" in done.stderr
    assert not store.exists()
