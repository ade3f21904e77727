"""`killick doctor` in every state of the world that it can meet: what it says, and the exit code."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import polars as pl
import pytest

from killick.cli.console import CONTROL
from killick.cli.main import run
from killick.clock import DAY
from killick.engine.record import Book
from killick.wiring import open_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SPEC = """killick: 1
model: m
task: binary
schema: {score: p, label: y}
reference: {data: train.parquet}
versions:
  - {name: v1, loader: "scorer:load"}
"""


def healthy(folder: Path) -> None:
    """A spec, the reference and the loader that it names, and a store with a few entries."""
    (folder / "killick.yaml").write_text(SPEC)
    (folder / "scorer.py").write_text("raise SystemExit('no code of the operator is run')\n")
    pl.DataFrame({"x": [1.0, 2.0], "p": [0.1, 0.9], "y": [0, 1]}).write_parquet(folder / "train.parquet")
    with open_world(folder, folder / "store").control.transaction() as t:
        book = Book(t, "m", 20_000 * DAY)
        for number in range(3):
            book.note("look", f"subject {number}", "because")


def examined(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    """Run the doctor in a folder; return its exit code, and what it found."""
    before = os.getcwd()  # noqa: PTH109 - what is put back is what was there
    os.chdir(folder)
    try:
        code = run(["doctor", "--json"])
    finally:
        os.chdir(before)
    told = capsys.readouterr()
    assert told.err == ""
    values = json.loads(told.out)
    assert (values["status"] == "fail") == (code == 1)
    return code, {one["what"]: (one["status"], one["said"]) for one in values["findings"]}


def test_where_all_is_well_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Program, libraries, disk, spec, reference, loader and store: each is looked at, and nothing is run."""
    healthy(tmp_path)

    code, found = examined(tmp_path, capsys)

    assert code == 0
    assert {what: status for what, (status, _) in found.items() if what != "disk"} == dict.fromkeys(
        ("program", "libraries", "spec", "reference", "version v1", "store"), "ok"
    )
    assert "2 rows, 3 columns" in found["reference"][1]
    assert "3 entries verifies" in found["store"][1]


def test_an_empty_folder_is_no_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first spec there is nothing to fail, and the way on is told; nothing is made."""
    code, found = examined(tmp_path, capsys)

    assert code == 0
    assert (found["spec"][0], found["store"][0]) == ("inconclusive", "inconclusive")
    assert "killick init" in found["spec"][1]
    assert list(tmp_path.iterdir()) == []


def break_spec(folder: Path) -> None:
    """Two mistakes."""
    (folder / "killick.yaml").write_text("killick: 1\nmodel: m\ntask: binery\nschma: {score: p}\n")


def lose_reference(folder: Path) -> None:
    """The training table was moved."""
    (folder / "train.parquet").unlink()


def cut_reference(folder: Path) -> None:
    """A copy of it was interrupted."""
    whole = (folder / "train.parquet").read_bytes()
    (folder / "train.parquet").write_bytes(whole[: len(whole) // 2])


def lose_column(folder: Path) -> None:
    """It was written without the label."""
    pl.DataFrame({"x": [1.0], "p": [0.5]}).write_parquet(folder / "train.parquet")


def lose_loader(folder: Path) -> None:
    """The module was renamed."""
    (folder / "scorer.py").unlink()


@contextmanager
def as_thief(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the store's file without Killick; its triggers keep the ledger from being changed by accident only."""
    with closing(sqlite3.connect(folder / "store" / CONTROL)) as held:
        for (trigger,) in held.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            held.execute(f'DROP TRIGGER "{trigger}"')
        yield held
        held.commit()


def tamper(folder: Path) -> None:
    """Somebody edits the reason of an entry."""
    with as_thief(folder) as held:
        (content,) = held.execute("SELECT entry FROM ledger WHERE sequence = 2").fetchone()
        text = content.decode() if isinstance(content, bytes) else content
        assert "because" in text
        held.execute("UPDATE ledger SET entry = ? WHERE sequence = 2", (text.replace("because", "despite"),))


def cut_out(folder: Path) -> None:
    """Somebody removes an entry."""
    with as_thief(folder) as held:
        held.execute("DELETE FROM ledger WHERE sequence = 2")


def spoil_store(folder: Path) -> None:
    """The store is no database any more."""
    for file in (folder / "store").glob("control.sqlite*"):
        file.unlink()
    (folder / "store" / CONTROL).write_bytes(b"nothing that SQLite knows" * 200)


FAULTS: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "a broken spec": (break_spec, "spec", "fail", "killick validate"),
    "a missing reference": (lose_reference, "reference", "fail", "train.parquet: is not there"),
    "half a reference": (cut_reference, "reference", "fail", "train.parquet"),
    "a reference without the label": (lose_column, "reference", "warn", "lacks y"),
    "a loader that is not found": (lose_loader, "version v1", "fail", "neither beside the spec nor installed"),
    "a ledger that was changed": (tamper, "store", "fail", "entry 2"),
    "a ledger that lacks an entry": (cut_out, "store", "fail", "entry"),
    "a store that is none": (spoil_store, "store", "fail", "store"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_and_the_rest_is_still_examined(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One finding in one line, exit code 1 if it fails, and everything else is as well as it was."""
    spoil, what, status, words = FAULTS[name]
    healthy(tmp_path)
    spoil(tmp_path)

    code, found = examined(tmp_path, capsys)

    assert found[what][0] == status
    assert words in found[what][1]
    assert "\n" not in found[what][1]
    assert code == (1 if status == "fail" else 0)
    others = {status for other, (status, _) in found.items() if other not in (what, "disk")}
    assert others == {"ok"}


def test_it_tells_people_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of three columns, by default for the spec and the store that lie here."""
    healthy(tmp_path)
    lose_loader(tmp_path)

    code = run(["doctor", "--spec", str(tmp_path / "killick.yaml"), "--store", str(tmp_path / "store")])

    told = capsys.readouterr().out
    assert code == 1
    assert "version v1" in told
    assert "scorer" in told
