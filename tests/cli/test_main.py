"""The command line, as a shell sees it: exit codes, messages, files; never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from killick.checks.catalogue import CATALOGUE
from killick.cli.checking import exit_code
from killick.cli.main import app, run

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("KILLICK_DEBUG", "COLUMNS", "FORCE_COLOR")}


def killick(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder."""
    command = [sys.executable, "-m", "killick", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a reference, a table that holds, one that fails and one with too few rows."""
    here, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)

    def rows(n: int, shift: float = 0.0) -> pl.DataFrame:
        score = rng.uniform(size=n)
        columns = {"temp": rng.normal(shift, 1, n), "gate": rng.choice(["A", "B"], n), "score": score}
        return pl.DataFrame({**columns, "label": rng.uniform(size=n) < score})

    rows(2000).write_parquet(here / "train.parquet")
    rows(1000).write_parquet(here / "good.parquet")
    rows(1000, shift=1.0).write_parquet(here / "bad.parquet")
    rows(1000).with_columns(extra=1).write_parquet(here / "new.parquet")
    rows(10).write_csv(here / "few.csv")
    (here / "ragged.csv").write_text("temp,gate\n1,A\n2,B,3,4\n")
    (here / "cut.parquet").write_bytes((here / "train.parquet").read_bytes()[:500])
    (here / "wrong.yaml").write_text("killick: 1\nmodel: m\ntask: binery\nschma: {score: score}\n")
    return here


CALLS = {
    "it holds": (["check", "good.parquet", "--reference", "train.parquet"], 0),
    "it fails": (["check", "bad.parquet", "--reference", "train.parquet"], 1),
    "it fails, and nobody minds": (["check", "bad.parquet", "--reference", "train.parquet", "--fail-on", "never"], 0),
    "it warns": (["check", "new.parquet", "--reference", "train.parquet"], 0),
    "it warns, and that counts": (["check", "new.parquet", "--reference", "train.parquet", "--fail-on", "warn"], 1),
    "nothing could be judged": (["check", "few.csv", "--reference", "train.parquet"], 4),
    "nothing had to be": (["check", "few.csv", "--reference", "train.parquet", "--allow-inconclusive"], 0),
    "no such file": (["check", "nope.parquet", "--reference", "train.parquet"], 2),
    "a ragged file": (["check", "ragged.csv", "--reference", "train.parquet"], 2),
    "a file cut off": (["check", "cut.parquet", "--reference", "train.parquet"], 2),
    "a file of no known kind": (["check", "good.xyz", "--reference", "train.parquet"], 2),
    "a spec with mistakes": (["check", "good.parquet", "--reference", "train.parquet", "--spec", "wrong.yaml"], 2),
    "no such spec": (["check", "good.parquet", "--reference", "train.parquet", "--spec", "nope.yaml"], 2),
    "no such command": (["chek"], 2),
    "no such option": (["check", "good.parquet", "--reference", "train.parquet", "--htlm", "x"], 2),
    "an option without its value": (["check", "good.parquet"], 2),
    "a value that is none": (["check", "good.parquet", "--reference", "train.parquet", "--fail-on", "maybe"], 2),
    "a budget that is none": (["check", "good.parquet", "--reference", "train.parquet", "--false-alarms", "2"], 2),
    "nowhere to write": (["check", "good.parquet", "--reference", "train.parquet", "--json", "no/such/r.json"], 3),
    "no store": (["status", "--store", "nowhere"], 2),
    "no history": (["replay", "nope.parquet", "--spec", "nope.yaml"], 2),
    "help": (["--help"], 0),
    "help for a command": (["check", "--help"], 0),
    "version": (["--version"], 0),
    "nothing asked": ([], 0),
}


@pytest.mark.e2e
@pytest.mark.parametrize("name", CALLS)
def test_every_answer_has_its_exit_code(name: str, folder: Path) -> None:
    """0 holds, 1 fails, 2 a mistake, 3 a fault outside, 4 nothing judged; one clear message, and no traceback."""
    arguments, expected = CALLS[name]

    done = killick(*arguments, folder=folder)

    assert done.returncode == expected, done.stderr + done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert bool(done.stderr) == (expected in (2, 3))
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.e2e
def test_all_mistakes_of_a_spec_are_listed_with_line_value_and_hint(folder: Path) -> None:
    """One line for each, so that a person mends them in one go."""
    done = killick("validate", "wrong.yaml", folder=folder)

    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert any("line 3" in line and "binery" in line and "did you mean 'binary'?" in line for line in lines)
    assert any("line 4" in line and "did you mean 'schema'?" in line for line in lines)


@pytest.mark.e2e
def test_a_check_writes_what_it_was_asked_for(folder: Path, tmp_path: Path) -> None:
    """HTML, JSON and JUnit in one run; JSON on standard output leaves it to JSON alone."""
    files = {form: tmp_path / f"report.{form}" for form in ("html", "json", "xml")}
    options = ["--html", files["html"], "--json", files["json"], "--junit", files["xml"]]

    done = killick("check", "bad.parquet", "--reference", "train.parquet", *options, folder=folder)
    piped = killick("check", "bad.parquet", "--reference", "train.parquet", "--json", "-", folder=folder)

    assert done.returncode == piped.returncode == 1
    assert json.loads(files["json"].read_text())["status"] == json.loads(piped.stdout)["status"] == "fail"
    assert "<html" in files["html"].read_text()
    assert "<testsuite" in files["xml"].read_text()
    assert "temp" in done.stdout
    assert "higher by" in done.stdout


@pytest.mark.e2e
def test_a_first_spec_is_written_validated_and_used(folder: Path, tmp_path: Path) -> None:
    """`init`, `validate` and `check` follow one another; a spec that is there is not overwritten."""
    spec = tmp_path / "killick.yaml"

    assert killick("init", "train.parquet", "-o", spec, "--model", "gates", folder=folder).returncode == 0
    assert killick("init", "train.parquet", "-o", spec, folder=folder).returncode == 2
    valid = killick("validate", spec, "--json", folder=folder)
    checked = killick("check", "good.parquet", "--reference", "train.parquet", "--spec", spec, folder=folder)

    assert json.loads(valid.stdout)["model"] == "gates"
    assert checked.returncode == 0


@pytest.mark.e2e
def test_a_fault_of_ours_is_told_without_a_traceback_unless_asked(tmp_path: Path) -> None:
    """Whatever is raised by mistake ends with 70 and a request to report it; --debug shows the rest."""
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys, killick.cli.specs as specs\n"
        "def write_first(*a, **k): raise RuntimeError('the mast is broken')\n"
        "specs.write_first = write_first\n"
        "from killick.cli.main import main\n"
        "main(sys.argv[1:])\n"
    )

    def go(*more: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(broken), "init", "x.csv", *more]
        return subprocess.run(command, env=ENVIRONMENT | environment, capture_output=True, text=True, check=False)

    plain, asked, set_ = go(), go("--debug"), go(KILLICK_DEBUG="1")

    assert (plain.returncode, asked.returncode, set_.returncode) == (70, 70, 70)
    assert "the mast is broken" in plain.stderr
    assert "report" in plain.stderr
    assert "Traceback" not in plain.stderr
    assert "Traceback" in asked.stderr
    assert "Traceback" in set_.stderr


def test_an_interrupt_has_the_shells_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is 130, and no message."""

    def interrupted(*_arguments: object, **_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("killick.cli.specs.write_first", interrupted)

    assert run(["init", "x.csv"]) == 130


@pytest.mark.parametrize(
    ("status", "fail_on", "lenient", "code"),
    [
        ("ok", "warn", False, 0),
        ("warn", "fail", False, 0),
        ("warn", "warn", False, 1),
        ("fail", "never", False, 0),
        ("fail", "fail", True, 1),
        ("error", "warn", False, 1),
        ("inconclusive", "fail", False, 4),
        ("inconclusive", "never", False, 4),
        ("inconclusive", "fail", True, 0),
    ],
)
def test_a_status_means_an_exit_code(status: str, fail_on: str, lenient: bool, code: int) -> None:
    """The table of DESIGN 5.2."""
    assert exit_code(status, fail_on, lenient=lenient) == code  # type: ignore[arg-type]


def test_the_catalogue_names_every_check_of_the_room() -> None:
    """What `killick checks` lists is what a verdict can be called, but for the checks that objectives make."""
    from tests.house.test_docs import checks

    assert {entry.name for entry in CATALOGUE} == checks()
    assert all(entry.meaning.endswith("?") and entry.metrics and entry.applies for entry in CATALOGUE)


def test_every_command_says_what_it_does() -> None:
    """A command without a sentence could not be found by reading the help."""
    silent = [name for name in app if not name.startswith("-") and not app[name].help]

    assert not silent
