"""The operator's training command: its manifest, its failures, and what a second asking does."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import polars as pl
import pytest

from killick.adapters.trainer import ProcessTrainer
from killick.clock import MINUTE, SECOND
from killick.errors import OutsideError
from killick.ports.trainer import MANIFEST_SCHEMA, REQUEST_SCHEMA, TrainManifest, TrainRequest

ROWS = pl.DataFrame({"x": [1.0, None, 3.0], "late": [True, False, True]})
REQUEST = TrainRequest(model="m", version="v3", label="late", features=("x",), seed=7)

WORKS = """
import json, pathlib, sys
request = json.load(sys.stdin)
with open("ran.txt", "a") as ran: ran.write("once\\n")
pathlib.Path(request["output"], "v3.bin").write_text("weights")
pathlib.Path("asked.json").write_text(json.dumps(request))
print("training ...", file=sys.stderr)
json.dump({"schema": "killick.train_manifest/1", "version": request["version"], "loader": "delays:load",
           "artifact": "v3.bin", "metrics": {"log_loss": 0.5}, "lineage": {"python": "3"}}, sys.stdout)
"""


def train(root: Path, script: str, *, key: str = "job-1", timeout: int = MINUTE) -> TrainManifest:
    """Run a script as the operator's training command."""
    (root / "train.py").write_text(script)
    trainer = ProcessTrainer(root, root / "state" / "jobs")
    return trainer.train(("python", "train.py"), REQUEST, ROWS, key=key, timeout=timeout)


def manifest(**changes: object) -> str:
    """Write a script that prints a manifest."""
    held = {"schema": MANIFEST_SCHEMA, "version": "v3", "loader": "delays:load"} | changes
    return f"print('''{json.dumps({name: value for name, value in held.items() if value is not None})}''')"


def test_a_manifest_comes_back_with_an_artifact_that_can_be_loaded(tmp_path: Path) -> None:
    """Its path is relative to where the spec is; the command got the rows, a folder, and the request."""
    made = train(tmp_path, WORKS)
    assert made.loader == "delays:load"
    assert made.metrics == {"log_loss": 0.5}
    assert not Path(made.artifact).is_absolute()
    assert (tmp_path / made.artifact).read_text() == "weights"
    asked = json.loads((tmp_path / "asked.json").read_text())
    assert (asked["schema"], asked["seed"], asked["features"]) == (REQUEST_SCHEMA, 7, ["x"])
    assert pl.read_parquet(asked["rows"]).equals(ROWS)


def test_a_job_that_was_done_is_not_run_again(tmp_path: Path) -> None:
    """The same key gives the same manifest, whoever asks; another key is another job."""
    first = train(tmp_path, WORKS)
    assert train(tmp_path, "raise SystemExit('not again')") == first
    assert (tmp_path / "ran.txt").read_text() == "once\n"
    train(tmp_path, WORKS, key="job-2")
    assert (tmp_path / "ran.txt").read_text() == "once\nonce\n"


def test_a_job_that_failed_is_run_again(tmp_path: Path) -> None:
    """After a crash there is no manifest, so nothing is taken for done."""
    with pytest.raises(OutsideError):
        train(tmp_path, "raise SystemExit(1)")
    assert train(tmp_path, WORKS).version == "v3"


def test_a_trainer_without_an_artifact_is_fine(tmp_path: Path) -> None:
    """A loader may know where its weights are."""
    assert train(tmp_path, manifest()).artifact is None


FAILURES = {
    "a traceback": ("raise ValueError('no rows')", "ended with 1: .*ValueError: no rows"),
    "its own code": ("import sys; sys.exit(7)", "ended with 7"),
    "no manifest": ("", "manifest cannot be read"),
    "no JSON": ("print('done')", "manifest cannot be read"),
    "no loader": (manifest(loader=None), "missing required field `loader`"),
    "another schema": (manifest(schema="killick.train_manifest/9"), "is of schema 'killick.train_manifest/9', not"),
    "a metric that is text": (manifest(metrics={"log_loss": "good"}), r"at `\$.metrics"),
    "an artifact that is not there": (manifest(artifact="v3.bin"), "names an artifact that is not there: 'v3.bin'"),
    "much to say": ("import sys; sys.exit('x' * 100_000)", "ended with 1: x{1999}$"),
}


@pytest.mark.parametrize(("script", "said"), FAILURES.values(), ids=FAILURES)
def test_a_command_that_fails_says_how(tmp_path: Path, script: str, said: str) -> None:
    """Its exit code and last words, or what is wrong with its manifest; never more than a page."""
    with pytest.raises(OutsideError, match=f"(?s)training command.*{said}") as failure:
        train(tmp_path, script)
    assert len(str(failure.value)) < 2_100


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """A typo in the spec, or a file that nobody may run."""
    trainer = ProcessTrainer(tmp_path, tmp_path / "jobs")
    (tmp_path / "plain.txt").write_text("no program")
    for command, said in (("no-such-trainer", "No such file"), (str(tmp_path / "plain.txt"), "Permission denied")):
        with pytest.raises(OutsideError, match=f"cannot be run: {said}"):
            trainer.train((command,), REQUEST, ROWS, key=command, timeout=MINUTE)


def test_a_command_that_takes_too_long_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    """It and its children are gone, within a moment; the job can be asked for again."""
    script = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path("child").write_text(str(child.pid))
time.sleep(60)
"""
    began = time.monotonic()
    with pytest.raises(OutsideError, match="took longer than 1 s and was stopped"):
        train(tmp_path, script, timeout=SECOND)
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        if not _runs(child):
            break
        time.sleep(0.05)
    assert not _runs(child)
    assert train(tmp_path, WORKS).version == "v3"


def _runs(process: int) -> bool:
    """Whether a process is alive; one that waits to be buried is not."""
    try:
        os.kill(process, 0)
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
