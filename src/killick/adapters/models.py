"""Versions loaded from the operator's own modules: `module:function`, imported from the spec's folder.

This runs the operator's code, as the spec names it; nothing that came over a network or out of a table is ever run.
"""

from __future__ import annotations

import sys
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import TYPE_CHECKING

from killick.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from killick.ports.models import Scorer
    from killick.profiles.cells import Floats
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
        try:
            loader = getattr(self._module(module), function)
            scorer: Scorer = loader(str(self._root / version.artifact)) if version.artifact else loader()
        except (Exception, SystemExit) as error:  # whatever the operator's code raises, a `sys.exit()` included
            message = f"version {version.name}: loader {version.loader!r} failed: {type(error).__name__}: {error}"
            raise OutsideError(message) from error
        return _mapped(version, scorer)

    def _module(self, name: str) -> ModuleType:
        """Import a module as one does in the root's folder, whatever module of this name another root has given."""
        root = str(self._root)
        if sys.path[:1] != [root]:
            sys.path[:] = [root, *(entry for entry in sys.path if entry != root)]
        head = name.partition(".")[0]
        ours = [self._root / f"{head}.py", self._root / head / "__init__.py"]
        held = getattr(sys.modules.get(head), "__file__", None)
        if any(place.exists() for place in ours) and (held is None or Path(held).resolve() not in ours):
            for stale in [known for known in sys.modules if known == head or known.startswith(f"{head}.")]:
                del sys.modules[stale]
        # The operator's training may have written the module a moment ago, within the resolution of a folder's mtime.
        invalidate_caches()
        return import_module(name)


def _mapped(version: Version, scorer: Scorer) -> Scorer:
    """Return a scorer whose failures say whose they are."""

    def score(columns: Mapping[str, Sequence[object]]) -> Floats:
        try:
            return scorer(columns)
        except Exception as error:  # whatever the operator's code raises
            message = f"version {version.name} failed to score: {type(error).__name__}: {error}"
            raise OutsideError(message) from error

    return score
