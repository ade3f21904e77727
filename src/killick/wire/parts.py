"""The parts that a row on the wire may have: their names, in each form and for each operator, and what none may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from killick.errors import did_you_mean
from killick.telemetry.columns import (
    CLASS_SCORE,
    DECISION,
    ENTITY_ID,
    EVENT_TIME,
    KNOWN_AT,
    LABEL,
    LATENCY,
    LOG_URL,
    METADATA,
    PREDICTION_ID,
    ROLE,
    SCORE,
    STATUS,
    TRACE_ID,
    VERSION,
    WEIGHT,
)
from killick.telemetry.door import part_columns
from killick.telemetry.quarantine import shown
from killick.wire.values import BROKEN_TEXT, NAME_MAX, metadata_texts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from killick.spec.document import Spec
    from killick.wire.values import Columns, Kind

KPIS, MODEL = "kpis", "model"
# The house has another name for it, and so has a flat row: many a feature is called `status`.
_WIRE_STATUS = "status"

PART_KINDS: Mapping[str, Kind] = {
    PREDICTION_ID: "text",
    EVENT_TIME: "time",
    ENTITY_ID: "text",
    SCORE: "number",
    VERSION: "text",
    ROLE: "text",
    DECISION: "word",
    LATENCY: "number",
    STATUS: "text",
    TRACE_ID: "text",
    LOG_URL: "text",
    WEIGHT: "number",
}
_DTYPES: Mapping[Kind, pl.DataType] = {
    "text": pl.String(),
    "word": pl.String(),
    "number": pl.Float64(),
    "time": pl.Int64(),
}


def prediction_names(spec: Spec | None, *, flat: bool) -> dict[str, str]:
    """Return the part that each name means, the operator's names last."""
    names = {part: part for part in (*PART_KINDS, METADATA)} | ({LABEL: LABEL, KNOWN_AT: KNOWN_AT} if flat else {})
    if not flat:
        names[_WIRE_STATUS] = STATUS
    if spec is None:
        return names
    schema = spec.schema
    own = part_columns(schema) | {DECISION: schema.decision, LATENCY: schema.latency, STATUS: schema.status}
    own |= {f"{CLASS_SCORE}{label}": column for label, column in schema.scores.items()}
    own |= {f"{KPIS}.{kpi.name}": kpi.name for kpi in schema.kpis} if flat else {}
    return names | {column: part for part, column in own.items() if column and (flat or part not in {LABEL, KNOWN_AT})}


class Parts:
    """The parts among a body's columns: a part may go by the operator's name and by the house's, and that one wins."""

    def __init__(self, source: Columns, names: Mapping[str, str]) -> None:
        self.source = source
        there = set(source.names)
        self._names: dict[str, list[str]] = {}
        for name, part in reversed(list(names.items())):
            if name in there:
                self._names.setdefault(part, []).append(name)

    def name(self, part: str) -> str:
        """Return what a part is called in the body."""
        return self._names.get(part, [part])[0]

    def read(self, part: str, kind: Kind, default: str | float | None = None) -> pl.Series:
        """Return a part; where a row has none, the default."""
        found: pl.Series | None = None
        for name in self._names.get(part, ()):
            series = self.source.read(name, kind, name)
            found = series if found is None else found.fill_null(series)
        if found is None:
            return pl.Series(part, [default], dtype=_DTYPES[kind]).new_from_index(0, self.source.quarantine.asked)
        if default is not None and found.null_count():
            found = found.fill_null(default)
        return found.alias(part)

    def metadata(self) -> pl.Series:
        """Return the metadata as JSON."""
        if METADATA not in self._names:
            return self.read(METADATA, "text")
        return metadata_texts(self.source.objects(METADATA, METADATA), METADATA, self.source.quarantine)


def usable_names(source: Columns, names: Iterable[str], prefix: str, reserved: set[str]) -> list[str]:
    """Return the names that a column may have; rows that have something under another one are refused."""
    usable = []
    for name in names:
        if problem := _wrong_name(name, reserved):
            source.quarantine.refuse(source.filled(name), f"{prefix}{name[:NAME_MAX]}", problem)
        else:
            usable.append(name)
    return usable


def _wrong_name(name: str, reserved: set[str]) -> str:
    if "\0" in name:
        return BROKEN_TEXT
    if not name or len(name) > NAME_MAX:
        return f"has a name that is empty, or longer than {NAME_MAX} characters"
    if name in reserved or (reserved and name.startswith(CLASS_SCORE)):
        return "has a name that the house keeps for itself: rename it, or leave it out"
    return ""


def refuse_others(source: Columns, known: Collection[str], what: str, hint: str = "") -> None:
    """Refuse rows that have something beside the parts of what they are."""
    for name in source.names:
        if name not in known:
            problem = f"is no part of {what}: {did_you_mean(name, known)}{hint}"
            source.quarantine.refuse(source.filled(name), name[:NAME_MAX], problem)


def refuse_other_model(source: Columns, model: str) -> None:
    """Refuse rows that name another model than the request."""
    if MODEL in source.names:
        said = source.read(MODEL, "text", MODEL)
        other = (said != model).fill_null(value=False)
        source.quarantine.refuse(other, MODEL, lambda row: f"is {shown(said[row])}, and the request is for {model!r}")
