"""Versions: immutable bundles of a model, what they were made of, and how good they were when they were made."""

from __future__ import annotations

import msgspec


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version: how to load it, where it comes from, and its development-time metrics. It moves as one thing.

    `trained_until` is the instant after its newest training row, where that is known; `lineage` names what it was made
    of: the digest of its rows, its parent version, the code and libraries.
    """

    model: str
    name: str
    loader: str
    artifact: str | None = None
    registered_at: int = 0
    trained_until: int | None = None
    metrics: dict[str, float] = {}
    lineage: dict[str, str] = {}
