"""What the pages show works: Python is executed, commands of killick are run, in order, on small tables.

Each page has a folder of its own with `train.parquet`, `current.parquet` and `history.parquet`: the files that the
snippets name. A snippet that needs another file writes it itself.
"""

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.docs.pages import ROOT, Block, blocks, pages

README = ROOT / "README.md"
DAY_MICROSECONDS = 86_400_000_000
# 1 January 2024, UTC.
BEGINNING = 1_704_067_200_000_000

needs_the_front_door = pytest.mark.skipif(find_spec("killick.api") is None, reason="killick.api does not exist yet")
needs_the_commands = pytest.mark.skipif(find_spec("killick.__main__") is None, reason="killick has no commands yet")


def flights(seed: int, first_day: int, days: int, *, rows_per_day: int = 60, warmer: float = 0.0) -> pl.DataFrame:
    """A small table as people have it: ids, times, two features, a score, and labels that come an hour later."""
    chance = np.random.default_rng(seed)
    rows = days * rows_per_day
    at = BEGINNING + first_day * DAY_MICROSECONDS + np.sort(chance.integers(0, days * DAY_MICROSECONDS, rows))
    temp = chance.normal(50.0 + warmer, 10.0, rows)
    score = 1 / (1 + np.exp(-(temp - 50.0) / 10.0))
    return pl.DataFrame(
        {
            "prediction_id": [f"flight-{first_day}-{row}" for row in range(rows)],
            "event_time": pl.Series(at).cast(pl.Datetime("us", "UTC")),
            "origin": chance.choice(["EWR", "JFK", "LGA"], rows),
            "temp": temp,
            "score": score,
            "label": (chance.random(rows) < score).astype(int),
            "label_known_at": pl.Series(at + DAY_MICROSECONDS // 24).cast(pl.Datetime("us", "UTC")),
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the tables that the snippets name."""
    flights(1, 0, 30).write_parquet(tmp_path / "train.parquet")
    flights(2, 30, 5).write_parquet(tmp_path / "current.parquet")
    flights(3, 30, 5).write_parquet(tmp_path / "history.parquet")
    return tmp_path


def with_language(language: str) -> list[Path]:
    """The pages that have a block of a language."""
    return [page for page in pages() if blocks(page, language)]


def commands(block: Block) -> list[list[str]]:
    """The commands of a shell block, without what follows a #."""
    return [words for line in block.text.splitlines() if (words := shlex.split(line, comments=True))]


def killick(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of killick as a person would, in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "killick", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@needs_the_front_door
@pytest.mark.parametrize("page", with_language("python"), ids=lambda page: page.name)
def test_python_snippets_run(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page's blocks are one session: what one defines, the next may use."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KILLICK_URL", "http://127.0.0.1:9")  # the port of `discard`: nobody's server is written to
    monkeypatch.setenv("KILLICK_SPOOL", str(folder / "spool"))
    session: dict[str, object] = {}

    for block in blocks(page, "python"):
        code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
        exec(code, session)  # noqa: S102 - our own page

    assert page != README or capsys.readouterr().out.split()[0] in {"ok", "warn", "inconclusive", "fail"}
    assert page != README or (folder / "report.html").stat().st_size > 1_000


@needs_the_commands
@pytest.mark.parametrize("page", with_language("sh"), ids=lambda page: page.name)
def test_commands_run_in_the_order_of_the_page(page: Path, folder: Path) -> None:
    """Each command of killick does what it should on the files that the ones before it left."""
    for words in [words for block in blocks(page, "sh") for words in commands(block) if words[0] == "killick"]:
        done = killick(folder, *words[1:])

        assert done.returncode in ({0, 1} if words[1] == "check" else {0}), f"{' '.join(words)}: {done.stderr}"
        assert "Traceback" not in done.stderr


@needs_the_commands
@pytest.mark.parametrize(
    ("code", "current"),
    [
        (0, flights(2, 30, 5)),
        (1, flights(2, 30, 5, warmer=30.0)),
        (2, None),
        (4, flights(2, 30, 1, rows_per_day=5)),
    ],
    ids=["holds", "fails", "mistake", "nothing-to-judge"],
)
def test_exit_codes_are_those_of_the_readme(code: int, current: pl.DataFrame | None, folder: Path) -> None:
    """The sentence about exit codes names each, and each happens when it says. 3 needs a broken world."""
    if current is None:
        (folder / "current.parquet").unlink()
    else:
        current.write_parquet(folder / "current.parquet")
    told = re.findall(r"(\d) (?:when|for)", README.read_text(encoding="utf-8").partition("The exit code is")[2][:400])

    done = killick(folder, "check", "current.parquet", "--reference", "train.parquet")

    assert told == ["0", "1", "2", "3", "4"]
    assert done.returncode == code, done.stdout + done.stderr


@pytest.mark.parametrize("page", with_language("sh"), ids=lambda page: page.name)
def test_tasks_of_the_makefile_that_are_shown_exist(page: Path) -> None:
    """`make something` is something that the Makefile can do."""
    tasks = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown = {words[1] for block in blocks(page, "sh") for words in commands(block) if words[0] == "make"}

    assert tasks is not None
    assert shown <= set(tasks[1].split())


def test_every_command_that_is_shown_is_run() -> None:
    """A shell block holds commands of killick, of make, or of our scripts: nothing that these tests would pass over."""
    shown = {words[0] for page in pages() for block in blocks(page, "sh") for words in commands(block)}

    assert shown <= {"killick", "make", "python"}
