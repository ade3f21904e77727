"""The operator's training command: a JSON request in, a manifest out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    import polars as pl

    from killick.clock import Duration

REQUEST_SCHEMA = "killick.train_request/1"
MANIFEST_SCHEMA = "killick.train_manifest/1"


class TrainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a trainer is asked for. `rows` is a Parquet file, `output` a folder of its own to write into."""

    model: str
    version: str
    label: str
    features: tuple[str, ...]
    seed: int
    rows: str = ""
    output: str = ""
    schema: str = REQUEST_SCHEMA


class TrainManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a trainer made: how to load it, how good it looked, and what it was made of."""

    schema: str
    version: str
    loader: str
    artifact: str | None = None
    metrics: dict[str, float] = {}
    lineage: dict[str, str] = {}


class Trainer(Protocol):
    """Runs the operator's command in a process of its own."""

    def train(
        self, command: tuple[str, ...], request: TrainRequest, rows: pl.DataFrame, *, key: str, timeout: Duration
    ) -> TrainManifest:
        """Run the command and wait for its manifest.

        Args:
            command: what to run.
            request: what to ask for; where the rows are and where to write is filled in here.
            rows: the training rows.
            key: names the job: a job whose manifest is there already is not run again.
            timeout: after it the process is stopped.

        Raises:
            OutsideError: the command failed, took too long, or gave no usable manifest.
        """
        ...
