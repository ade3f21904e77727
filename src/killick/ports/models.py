"""Loaded versions: something that scores rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from killick.profiles.cells import Floats
    from killick.registry.versions import Version

    Scorer: TypeAlias = Callable[[Mapping[str, Sequence[object]]], Floats]
    """Takes columns by feature name, missing values as None or NaN, and returns a score a row."""


class Models(Protocol):
    """Loads versions. What it loads is kept, so asking twice is cheap."""

    def load(self, version: Version) -> Scorer:
        """Return what scores rows as this version does.

        Raises:
            OutsideError: the operator's loader cannot be imported, or fails.
        """
        ...
