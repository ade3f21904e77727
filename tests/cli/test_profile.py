"""`killick profile` and what takes its files, as a shell sees them: words, JSON, exit codes; never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from killick.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("KILLICK_DEBUG", "COLUMNS", "FORCE_COLOR")}
ROWS = 1_500


def rows(seed: int, shift: float = 0.0) -> pl.DataFrame:
    """Predictions with an id, two features, a score and a label."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(size=ROWS)
    return pl.DataFrame(
        {
            "id": np.arange(ROWS) + seed * 10**6,
            "temp": rng.normal(shift, 1, ROWS),
            "gate": rng.choice(["A", "B"], ROWS),
            "score": score,
            "label": rng.uniform(size=ROWS) < score,
        }
    )


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tables, of profiles of one fit, and of one that was made apart."""
    here = tmp_path_factory.mktemp("tables")
    good, tenth = rows(2), pl.int_range(pl.len()) % 10 == 0
    rows(1).write_parquet(here / "train.parquet")
    good.write_parquet(here / "good.parquet")
    rows(3, shift=1.0).write_parquet(here / "bad.parquet")
    skewed = pl.when(tenth).then(pl.col("temp") + 1).otherwise("temp")
    good.with_columns(temp=skewed).write_parquet(here / "offline.parquet")
    good.with_columns(pl.col("id") + 10**8).write_parquet(here / "elsewhere.parquet")
    good.drop("id").write_parquet(here / "without_ids.parquet")
    good.head(0).write_parquet(here / "empty.parquet")
    spec = "killick: 1\nmodel: m\ntask: binary\nschema: {prediction_id: id, score: score, label: label}\n"
    (here / "killick.yaml").write_text(spec)
    (here / "junk.killick").write_bytes(b"junk" * 30)
    for words in (
        ["profile", "train.parquet"],
        ["profile", "good.parquet", "--reference", "train.killick", "-o", "good.killick"],
        ["profile", "bad.parquet", "--reference", "train.killick", "-o", "bad.killick"],
        ["profile", "good.parquet", "-o", "apart.killick"],
    ):
        assert inside(here, words) == 0
    (here / "cut.killick").write_bytes((here / "train.killick").read_bytes()[:999])
    return here


def inside(folder: Path, words: list[str]) -> int:
    """Run a command in a folder, in this process."""
    before = os.getcwd()  # noqa: PTH109 - what is put back is what was there
    os.chdir(folder)
    try:
        return run(words)
    finally:
        os.chdir(before)


CALLS = {
    "a profile holds": (["check", "good.killick", "--reference", "train.killick"], 0),
    "a profile fails": (["check", "bad.killick", "--reference", "train.killick"], 1),
    "a table against a profile": (["check", "bad.parquet", "--reference", "train.killick"], 1),
    "a profile against a table": (["check", "good.killick", "--reference", "train.parquet"], 0),
    "made apart": (["check", "apart.killick", "--reference", "train.killick"], 0),
    "some checks only": (["check", "bad.killick", "--reference", "train.killick", "--checks", "quality.type"], 4),
    "the same, and that is fine": (
        ["check", "good.killick", "--reference", "train.killick", "--checks", "quality.skew", "--allow-inconclusive"],
        0,
    ),
    "skew": (["check", "good.parquet", "--reference", "train.killick", "--offline", "offline.parquet"], 1),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_exit_code_says_how_it_went(name: str, tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A profile on either side is as good as a table."""
    words, code = CALLS[name]
    assert inside(tables, words) == code
    assert capsys.readouterr().err == ""


WITH_SPEC = ("--spec", "killick.yaml", "--offline")
MISTAKES = {
    "no table": (["profile"], "DATA: is needed"),
    "not there": (["profile", "nothere.parquet"], "nothere.parquet: is not there"),
    "no table at all": (["profile", "killick.yaml"], "is of no kind that can be read"),
    "a profile for a table": (["profile", "good.killick"], "is of no kind that can be read"),
    "another suffix": (["profile", "train.parquet", "-o", "x.bin"], "end it in .killick"),
    "a spec beside a profile": (
        ["profile", "good.parquet", "--reference", "train.killick", "--spec", "killick.yaml"],
        "spec: cannot be given beside a profile",
    ),
    "a spec beside a profile that is checked": (
        ["check", "good.killick", "--reference", "train.killick", "--spec", "killick.yaml"],
        "spec: cannot be given beside a profile",
    ),
    "nothing to write to": (["profile", "--merge", "good.killick", "bad.killick"], "--output: is needed"),
    "other fits": (
        ["profile", "--merge", "good.killick", "apart.killick", "-o", "sum.killick"],
        "profile both tables by the same reference",
    ),
    "a table to merge": (
        ["profile", "--merge", "good.parquet", "good.killick", "-o", "sum.killick"],
        "good.parquet: is no profile that can be read",
    ),
    "junk": (["check", "good.parquet", "--reference", "junk.killick"], "junk.killick: is no profile"),
    "cut short": (["check", "cut.killick", "--reference", "train.killick"], "cut.killick: is no profile"),
    "no profile": (["check", "good.parquet", "--reference", "none.killick"], "none.killick: cannot be read"),
    "no such check": (
        ["check", "good.killick", "--reference", "train.killick", "--checks", "drift.univarate"],
        "did you mean 'drift.univariate'?",
    ),
    "no rows to compare": (
        ["check", "good.killick", "--reference", "train.killick", "--offline", "offline.parquet"],
        "offline: needs the current rows",
    ),
    "no key": (
        ["check", "good.parquet", "--reference", "train.parquet", *WITH_SPEC, "without_ids.parquet"],
        "without_ids.parquet: has no key in common",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(name: str, tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, nothing on standard output, nothing written, and what to do in one line without a traceback."""
    words, said = MISTAKES[name]
    files = set(tables.iterdir())

    code = inside(tables, words)

    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert said in told.err
    assert "Traceback" not in told.err
    assert told.err.strip().count("\n") == 0
    assert set(tables.iterdir()) == files


def test_a_disk_that_refuses_is_a_fault_outside(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3: the call was right, and may work tomorrow."""
    assert inside(tables, ["profile", "train.parquet", "-o", "nowhere/x.killick"]) == 3
    assert "nowhere/x.killick could not be written" in capsys.readouterr().err


def test_a_profile_says_what_it_holds(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words for people, and the same as JSON for programs."""
    assert inside(tables, ["profile", "train.parquet", "--spec", "killick.yaml", "-o", "again.killick"]) == 0
    text = capsys.readouterr().out
    assert inside(tables, ["profile", "train.parquet", "--spec", "killick.yaml", "-o", "again.killick", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)

    assert values["rows"] == ROWS
    assert values["columns"] == {"temp": "numeric", "gate": "categorical", "score": "numeric", "label": "boolean"}
    assert values["bytes"] == (tables / "again.killick").stat().st_size
    assert (values["start"], values["end"], values["segments"]) == (None, None, 0)
    assert values["scale"][:12] in text
    assert "1,500 rows" in text
    assert "killick check NEW_DATA --reference again.killick" in text
    (tables / "again.killick").unlink()


def test_the_same_table_gives_the_same_file(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pipeline may compare profiles by their bytes."""
    for name in ("one.killick", "two.killick"):
        assert inside(tables, ["profile", "train.parquet", "-o", name]) == 0
    one, two = ((tables / name).read_bytes() for name in ("one.killick", "two.killick"))
    assert one == two
    for name in ("one.killick", "two.killick"):
        (tables / name).unlink()
    assert capsys.readouterr().err == ""


def verdicts(folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> list[tuple[object, ...]]:
    """What `killick check ... --json -` says."""
    inside(folder, [*words, "--json", "-"])
    report = json.loads(capsys.readouterr().out)
    return [(v["check"], v["metric"], v["column"], v["status"], v["n_current"]) for v in report["verdicts"]]


def test_by_one_reference_every_row_counts_and_apart_the_samples_do(
    tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report of two files of one fit is that of the tables; of two that were made apart it says what it is."""
    of_files = verdicts(tables, ["check", "bad.killick", "--reference", "train.killick"], capsys)
    of_tables = verdicts(tables, ["check", "bad.parquet", "--reference", "train.parquet"], capsys)
    assert of_files == of_tables

    inside(tables, ["check", "apart.killick", "--reference", "train.killick"])
    apart = " ".join(capsys.readouterr().out.split())
    assert "the two were measured apart, so samples are compared" in apart
    inside(tables, ["check", "good.killick", "--reference", "train.killick"])
    assert "measured apart" not in capsys.readouterr().out


def test_profiles_add_up(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A good and a bad day: the sum holds both, and half of its rows are still found."""
    merged = ["profile", "good.killick", "--merge", "bad.killick", "-o", "sum.killick", "--json"]
    assert inside(tables, merged) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2 * ROWS
    assert inside(tables, ["check", "sum.killick", "--reference", "train.killick"]) == 1
    told = capsys.readouterr().out
    (tables / "sum.killick").unlink()
    assert "temp" in told
    assert "3,000 rows" in told


def test_only_the_checks_that_were_asked_for_share_the_budget(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Patterns may be several; what they do not match is neither judged nor counted."""
    words = ["check", "bad.parquet", "--reference", "train.killick", "--checks", "drift.*", "quality.missing"]
    found = verdicts(tables, words, capsys)
    assert {check for check, *_ in found} == {"drift.univariate", "drift.concept", "quality.missing"}


def test_skew_is_found_where_it_is(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One value in ten differs from the offline store's, in one column; the others agree to the last row."""
    words = ["check", "good.parquet", "--reference", "train.parquet", "--spec", "killick.yaml"]
    words += ["--offline", "offline.parquet", "--checks", "quality.skew"]

    found = verdicts(tables, words, capsys)

    assert {(column, status) for _, _, column, status, _ in found} == {("temp", "fail"), ("gate", "ok")}


@pytest.mark.parametrize("offline", ["elsewhere.parquet", "empty.parquet"])
def test_rows_without_a_partner_are_told_and_never_pass(
    offline: str, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An offline table of other ids, or of no rows, says nothing of these rows: exit code 4, and how many are alone."""
    words = ["check", "good.parquet", "--reference", "train.parquet", "--spec", "killick.yaml"]
    assert inside(tables, [*words, "--offline", offline, "--checks", "quality.skew"]) == 4
    assert "1,500 online rows have no partner" in " ".join(capsys.readouterr().out.split())


@pytest.mark.e2e
def test_progress_is_silent_in_a_pipe(tables: Path, tmp_path: Path) -> None:
    """A table of unknown length goes through in batches, with a bar on a terminal; a pipe gets only the answer."""
    pl.DataFrame({"x": np.random.default_rng(0).normal(size=5_000)}).write_ndjson(tmp_path / "long.ndjson")
    command = [sys.executable, "-m", "killick", "profile", "long.ndjson", "--json"]

    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["rows"] == 5_000
