"""The training command in memory: the fake of `killick.adapters.trainer`, for tests, the simulator and replays."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from killick.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from killick.clock import Duration
    from killick.ports.trainer import TrainManifest, TrainRequest


class MemoryTrainer:
    """Calls a function in place of the operator's command.

    Manifests are kept by key, as the adapter keeps them in a job's folder: hand the same trainer to the engine that
    starts again after a crash, and what had been trained is not trained again.

    Args:
        make: makes a manifest of a request and its rows.
    """

    def __init__(self, make: Callable[[TrainRequest, pl.DataFrame], TrainManifest]) -> None:
        self._make = make
        self.manifests: dict[str, TrainManifest] = {}
        self.runs: Counter[str] = Counter()

    def train(
        self,
        command: tuple[str, ...],  # noqa: ARG002 - there is no process here
        request: TrainRequest,
        rows: pl.DataFrame,
        *,
        key: str,
        timeout: Duration,  # noqa: ARG002 - nothing here takes time
    ) -> TrainManifest:
        """Make a manifest, unless the job has one already.

        Raises:
            OutsideError: the function failed.
        """
        if key not in self.manifests:
            self.runs[key] += 1
            try:
                self.manifests[key] = self._make(request, rows)
            except Exception as error:  # whatever the function raises: a command that ends badly
                raise OutsideError(f"the training function failed: {type(error).__name__}: {error}") from error
        return self.manifests[key]

    def copy(self) -> MemoryTrainer:
        """Return another trainer that has the same jobs' manifests, and has run nothing itself."""
        other = MemoryTrainer(self._make)
        other.manifests.update(self.manifests)
        return other
