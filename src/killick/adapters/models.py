"""Versions loaded from the operator's own modules: `module:function`, imported from the spec's folder.

This runs the operator's code, as the spec names it; nothing that came over a network or out of a table is ever run.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from killick.errors import OutsideError

if TYPE_CHECKING:
    from killick.ports.models import Scorer
    from killick.registry.versions import Version


class ImportedModels:
    """Loads versions by importing their loaders. `root` is where the operator's modules and artifacts are."""

    def __init__(self, root: str | Path = ".") -> None:
        self._root = Path(root).resolve()
        self._loaded: dict[tuple[str, str, str | None], Scorer] = {}

    def load(self, version: Version) -> Scorer:
        """Return the version's scorer.

        Raises:
            OutsideError: the loader cannot be imported, or fails.
        """
        key = (version.name, version.loader, version.artifact)
        if key not in self._loaded:
            self._loaded[key] = self._import(version)
        return self._loaded[key]

    def _import(self, version: Version) -> Scorer:
        module, _, function = version.loader.partition(":")
        if str(self._root) not in sys.path:
            sys.path.insert(0, str(self._root))
        try:
            loader = getattr(import_module(module), function)
            scorer: Scorer = loader(str(self._root / version.artifact)) if version.artifact else loader()
        except Exception as error:  # whatever the operator's code raises
            message = f"version {version.name}: loader {version.loader!r} failed: {type(error).__name__}: {error}"
            raise OutsideError(message) from error
        return scorer
