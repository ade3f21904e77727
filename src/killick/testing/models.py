"""Loaded versions in memory: the fake of `killick.adapters.models`, for tests, the simulator and replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from killick.ports.models import Scorer
    from killick.registry.versions import Version


class MemoryModels:
    """Loads versions from callables by their loader's name.

    Args:
        loaders: what the name of a loader stands for; called without arguments, or with the version's artifact, as the
            operator's own function would be.
    """

    def __init__(self, loaders: Mapping[str, Callable[..., Scorer]]) -> None:
        self._loaders = loaders
        self._loaded: dict[tuple[str, str, str | None], Scorer] = {}

    def load(self, version: Version) -> Scorer:
        """Return the version's scorer.

        Raises:
            OutsideError: there is no such loader, or it fails.
        """
        key = (version.name, version.loader, version.artifact)
        if key not in self._loaded:
            self._loaded[key] = self._load(version)
        return self._loaded[key]

    def _load(self, version: Version) -> Scorer:
        loader = self._loaders.get(version.loader)
        if loader is None:
            raise OutsideError(f"version {version.name}: there is no loader {version.loader!r} in memory")
        try:
            return loader(version.artifact) if version.artifact else loader()
        except Exception as error:  # whatever the loader raises, as in the adapter
            message = f"version {version.name}: loader {version.loader!r} failed: {type(error).__name__}: {error}"
            raise OutsideError(message) from error
