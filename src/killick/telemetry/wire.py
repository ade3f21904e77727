"""Telemetry on the wire."""

from __future__ import annotations

import msgspec


class Rejected(msgspec.Struct, frozen=True):
    """A row that cannot be used: its place in the body, counted from 0, the field, and why."""

    index: int
    field: str
    reason: str
