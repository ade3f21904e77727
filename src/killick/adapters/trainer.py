"""The operator's training command, in a process of its own: a JSON request on stdin, a manifest on stdout.

A job has a folder. Its rows are written there first and its manifest last, so a job that is asked for again after a
crash is run again only when there is no manifest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from killick.clock import SECOND
from killick.errors import OutsideError
from killick.identity import fingerprint
from killick.ports.trainer import MANIFEST_SCHEMA, TrainManifest

if TYPE_CHECKING:
    import polars as pl

    from killick.clock import Duration
    from killick.ports.trainer import TrainRequest

# What of a failed command's last words goes into the message.
_LAST_WORDS = 2_000


class ProcessTrainer:
    """Runs training commands.

    Args:
        root: where the command runs: the spec's folder.
        jobs: where jobs have their folders. It should lie below `root`, so that artifacts have relative paths.
    """

    def __init__(self, root: str | Path, jobs: str | Path) -> None:
        self._root = Path(root).resolve()
        self._jobs = Path(jobs).resolve()

    def train(
        self, command: tuple[str, ...], request: TrainRequest, rows: pl.DataFrame, *, key: str, timeout: Duration
    ) -> TrainManifest:
        """Run the command and wait for its manifest; see the port."""
        folder = self._jobs / fingerprint(key)[:16]
        manifest = folder / "manifest.json"
        if not manifest.exists():
            output = folder / "output"
            output.mkdir(parents=True, exist_ok=True)
            rows.write_parquet(folder / "rows.parquet")
            asked = msgspec.structs.replace(request, rows=str(folder / "rows.parquet"), output=str(output))
            said = self._run(command, msgspec.json.encode(asked), timeout / SECOND)
            _check(said)
            partial = folder / "manifest.partial"
            with partial.open("wb") as file:
                file.write(said)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(manifest)
        made = _check(manifest.read_bytes())
        if made.artifact is None:
            return made
        artifact = folder / "output" / made.artifact
        if not artifact.exists():
            message = f"the training command's manifest names an artifact that is not there: {made.artifact!r}"
            raise OutsideError(message)
        return msgspec.structs.replace(made, artifact=self._relative(artifact))

    def _run(self, command: tuple[str, ...], request: bytes, timeout_seconds: float) -> bytes:
        # "python" is the interpreter that runs Killick: the operator's environment, whatever PATH says.
        program = [sys.executable if command[0] in ("python", "python3") else command[0], *command[1:]]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own command, from the operator's spec
                program,
                cwd=self._root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                # A group of its own: what the command starts is stopped with it.
                start_new_session=True,
            )
        except OSError as error:
            message = f"the training command {command[0]!r} cannot be run: {error.strerror}"
            raise OutsideError(message) from None
        with process:
            try:
                said, words = process.communicate(request, timeout_seconds)
            except BaseException as stopped:
                # Whatever ends our waiting, an interruption too, ends the command and what it started.
                os.killpg(process.pid, signal.SIGKILL)
                if not isinstance(stopped, subprocess.TimeoutExpired):
                    raise
                message = f"the training command took longer than {timeout_seconds:.0f} s and was stopped"
                raise OutsideError(message) from None
        if process.returncode:
            last = words.decode(errors="replace")[-_LAST_WORDS:].strip()
            message = f"the training command ended with {process.returncode}: {last}"
            raise OutsideError(message)
        return said

    def _relative(self, artifact: Path) -> str:
        return str(artifact.relative_to(self._root)) if artifact.is_relative_to(self._root) else str(artifact)


def _check(manifest: bytes) -> TrainManifest:
    try:
        made = msgspec.json.decode(manifest, type=TrainManifest)
    except msgspec.MsgspecError as error:
        message = f"the training command's manifest cannot be read: {error}"
        raise OutsideError(message) from None
    if made.schema != MANIFEST_SCHEMA:
        message = f"the training command's manifest is of schema {made.schema!r}, not {MANIFEST_SCHEMA!r}"
        raise OutsideError(message)
    return made
