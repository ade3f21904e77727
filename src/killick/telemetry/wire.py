"""The door for telemetry on the wire: a request's body becomes a frame under the house's names, and a quarantine.

A bad row is signal, not poison: it is refused with its index, the field and the reason, and the rest stands, exactly as
if the row had not been sent. Only a body that cannot be read as a whole is a `DataError`. Rows come in two forms.
*Canonical* ones have an object (or struct) `features`, and parts beside it by the names of the wire or of the
operator; anything else beside it is a mistake. *Flat* ones have none: parts go by the operator's names, or the house's,
and every other column is a feature. Labels and KPIs in a flat prediction are passed over: they come as outcomes.

JSON, NDJSON and Arrow give the same frame for the same rows. Every part has its column in it, whether sent or not, and
features are Int64, Float64, Boolean, String, List(Float64), Datetime in microseconds UTC, or Null where nothing came.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import polars as pl

from killick.telemetry.columns import (
    CLASS_SCORE,
    EVENT_TIME,
    KNOWN_AT,
    LABEL,
    LATENCY,
    METADATA,
    PARTS,
    PREDICTION_ID,
    ROLE,
    SCORE,
    STATUS,
    TOLD,
    WEIGHT,
)
from killick.telemetry.door import own_columns
from killick.telemetry.quarantine import Quarantine, Rejected, shown
from killick.telemetry.values import refuse_untimely
from killick.telemetry.wire_arrow import Framed, read_stream
from killick.telemetry.wire_json import Listed, by_column, read_array, read_lines
from killick.telemetry.wire_labels import binary_texts
from killick.telemetry.wire_parts import (
    KPIS,
    MISSING,
    MODEL,
    PART_KINDS,
    Parts,
    found_as,
    judge_name,
    prediction_names,
    refuse_infinite,
    refuse_other_model,
    refuse_others,
    usable_names,
)
from killick_client.events import Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.clock import Instant
    from killick.spec.document import Spec
    from killick.telemetry.values import Columns, Kind

__all__ = [
    "Decoded",
    "Media",
    "Rejected",
    "as_changes",
    "decode_changes",
    "decode_gauges",
    "decode_outcomes",
    "decode_predictions",
]

Media: TypeAlias = Literal["json", "ndjson", "arrow"]

FEATURES, SCORES = "features", "scores"
ROLES = ("live", "canary", "shadow", "fallback")


@dataclass(frozen=True)
class Decoded:
    """What a body holds: the rows that are let in, in their order, and those that are not.

    Attributes:
        table: the rows, under the house's names (`killick.telemetry.columns`).
        rejected: the rows that were refused, by index; a thousand at most are named.
        rejected_rows: how many were refused.
    """

    table: pl.DataFrame
    rejected: tuple[Rejected, ...]
    rejected_rows: int


def decode_predictions(
    body: bytes | pl.DataFrame, media: Media, *, model: str, spec: Spec | None, now: Instant
) -> Decoded:
    """Read predictions.

    Args:
        body: as it came, once any Content-Encoding is undone; or, as `arrow`, a table of the operator's own.
        media: its format.
        model: the model that the request is about.
        spec: the model's; None while nobody has written one.
        now: the instant of receipt, which is the time of what has none.

    Raises:
        DataError: the body as a whole cannot be read.

    >>> body = b'[{"prediction_id": "a", "features": {"temp": 39}, "score": 0.2}, {"score": 0.3, "features": {}}]'
    >>> decoded = decode_predictions(body, "json", model="flight-delay", spec=None, now=0)
    >>> decoded.table.select("prediction_id", "temp", "score").rows(), decoded.rejected[0].reason
    ([('a', 39, 0.2)], 'is missing: every row needs one')
    """
    flat, source = _read(body, media, spec)
    names = prediction_names(spec, flat=flat)
    parts = Parts(source, names)
    if not flat:
        refuse_others(source, {*names, FEATURES, SCORES, MODEL}, "a prediction", "; features belong into `features`")
        refuse_other_model(source, model)
    told = {part: parts.read(part, kind) for part, kind in PART_KINDS.items()}
    told[METADATA] = parts.metadata()
    scores = _numbers_inside(source, SCORES, CLASS_SCORE) if not flat else {}
    for name in source.names:
        part = names.get(name, name)
        if part.startswith(CLASS_SCORE) and (flat or name in names):
            scores[part] = source.read(name, "number", name)
    _judge(told, scores, parts, source.quarantine, now)
    own = source if flat else source.inside(FEATURES, FEATURES) if FEATURES in source.names else None
    features = _features(own, set(names) if flat else set(), spec, "" if flat else f"{FEATURES}.") if own else []
    return _decoded(told | scores, features, source.quarantine)


def decode_outcomes(
    body: bytes | pl.DataFrame, media: Media, *, model: str, spec: Spec | None, now: Instant
) -> Decoded:
    """Read outcomes: `label` is 0 or 1 for a binary model, a number for a regression, else text; KPIs are numbers.

    Arguments and errors are those of `decode_predictions`. A table of the operator's own may hold whatever else.

    >>> body = b'[{"prediction_id": "a", "known_at": "1970-01-02", "label": "UA", "kpis": {"cost": 40}}]'
    >>> decode_outcomes(body, "json", model="carrier", spec=None, now=86_400_000_000).table.rows()
    [('a', 86400000000, 'UA', 40.0)]
    """
    _, source = _read(body, media, spec)
    schema = spec.schema if spec else None
    label = schema.label if schema else None
    names = {part: part for part in (PREDICTION_ID, KNOWN_AT, LABEL)}
    own = (schema.prediction_id if schema else None, label.known_at if label else None, label.column if label else None)
    names |= {column: part for part, column in zip(list(names), own, strict=True) if column}
    kpis = {kpi.name for kpi in schema.kpis} if schema else set()
    passed_over = {*PARTS, *TOLD, *(schema.columns if schema else ())}
    if not isinstance(body, pl.DataFrame):
        refuse_others(source, {*names, *passed_over, KPIS, MODEL}, "an outcome", "; KPIs belong into `kpis`")
    refuse_other_model(source, model)
    parts = Parts(source, names)
    columns = {PREDICTION_ID: parts.read(PREDICTION_ID, "text"), KNOWN_AT: parts.read(KNOWN_AT, "time")}
    _judge_id(columns[PREDICTION_ID], parts)
    columns[KNOWN_AT] = columns[KNOWN_AT].fill_null(now)
    refuse_untimely(columns[KNOWN_AT], now, parts.name(KNOWN_AT), source.quarantine)
    columns[LABEL] = _labels(parts, spec)
    told = _numbers_inside(source, KPIS, "") | {
        name: source.read(name, "number", name) for name in source.names if name in kpis and name not in names
    }
    for name, series in told.items():
        refuse_infinite(series, name, source.quarantine)
    nothing = columns[LABEL].is_null()
    for series in told.values():
        nothing &= series.is_null()
    source.quarantine.refuse(nothing, parts.name(LABEL), "is missing, and so is every KPI: an outcome says one of them")
    return _decoded(columns | told, [], source.quarantine)


def decode_gauges(body: bytes, media: Media, *, model: str, spec: Spec | None, now: Instant) -> Decoded:
    """Read gauges: `name`, `value` and `at`. Arguments and errors are those of `decode_predictions`.

    >>> decode_gauges(b'{"name": "queue", "value": 17}', "json", model="flight-delay", spec=None, now=5).table.rows()
    [('queue', 17.0, 5)]
    """
    _, source = _read(body, media, spec)
    kinds: dict[str, Kind] = {"name": "text", "value": "number", "at": "time"}
    refuse_others(source, {*kinds, MODEL}, "a gauge")
    refuse_other_model(source, model)
    parts = Parts(source, {name: name for name in kinds})
    columns = {name: parts.read(name, kind) for name, kind in kinds.items()}
    judge_name(columns["name"], "name", source.quarantine)
    source.quarantine.refuse(columns["value"].is_null(), "value", MISSING)
    refuse_infinite(columns["value"], "value", source.quarantine)
    columns["at"] = columns["at"].fill_null(now)
    refuse_untimely(columns["at"], now, "at", source.quarantine)
    return _decoded(columns, [], source.quarantine)


def decode_changes(body: bytes, media: Media, *, spec: Spec | None = None, now: Instant) -> Decoded:
    """Read changes: `at`, `kind`, `name`, `version`, `note` and `model`, null where a change is about all of them.

    Raises:
        DataError: the body as a whole cannot be read.

    >>> body = b'{"at": "1970-01-01T00:00Z", "kind": "release", "name": "flight-delay", "version": "v2"}'
    >>> as_changes(decode_changes(body, "json", now=0).table)[0].version
    'v2'
    """
    _, source = _read(body, media, spec)
    texts = ("kind", "name", "version", "note", MODEL)
    refuse_others(source, {"at", *texts}, "a change")
    parts = Parts(source, {name: name for name in ("at", *texts)})
    columns = {"at": parts.read("at", "time")} | {name: parts.read(name, "text") for name in texts}
    source.quarantine.refuse(columns["at"].is_null(), "at", MISSING)
    refuse_untimely(columns["at"], now, "at", source.quarantine)
    for name in ("kind", "name"):
        judge_name(columns[name], name, source.quarantine)
    columns["note"] = columns["note"].fill_null("")
    return _decoded(columns, [], source.quarantine)


def as_changes(table: pl.DataFrame) -> tuple[Change, ...]:
    """Return the changes of a decoded table."""
    rows = table.drop(MODEL).iter_rows(named=True)
    return tuple(Change(**row) for row in rows)


# ------------------------------------------------------------------------------------------------ reading


def _read(body: bytes | pl.DataFrame, media: Media, spec: Spec | None) -> tuple[bool, Columns]:
    """Return the rows by column, and whether they are flat."""
    zone = spec.schema.time_zone if spec else "UTC"
    if media == "arrow" or isinstance(body, pl.DataFrame):
        frame = body if isinstance(body, pl.DataFrame) else read_stream(body)
        return FEATURES not in frame.columns, Framed(frame, Quarantine(range(frame.height)), zone)
    body = body.removeprefix(b"\xef\xbb\xbf")
    read = read_array(body) if media == "json" else read_lines(body)
    canonical = sum(FEATURES in row for row in read.rows)
    rows = read.rows
    if 0 < canonical < len(rows):
        names = {*prediction_names(spec, flat=True)}
        rows = [row if FEATURES in row else _nested(row, names) for row in rows]
    quarantine = Quarantine(read.index, read.unread, read.unread_rows)
    return not canonical, Listed(by_column(rows), quarantine, zone)


def _nested(row: dict[str, object], parts: set[str]) -> dict[str, object]:
    """Return a flat row in the canonical form."""
    features = {name: value for name, value in row.items() if name not in parts}
    return {name: value for name, value in row.items() if name in parts} | {FEATURES: features}


def _numbers_inside(source: Columns, name: str, prefix: str) -> dict[str, pl.Series]:
    """Return the numbers in a column of objects, each under its own name behind a prefix."""
    if name not in source.names:
        return {}
    inner = source.inside(name, name)
    keys = usable_names(inner, inner.names, f"{name}.", set() if prefix else {PREDICTION_ID, KNOWN_AT, LABEL})
    return {f"{prefix}{key}": inner.read(key, "number", f"{name}.{key}") for key in keys}


def _features(source: Columns, parts: set[str], spec: Spec | None, prefix: str) -> list[pl.Series]:
    """Return the features; a row that is refused for one of them has no say in what the others are."""
    free = [name for name in source.names if name not in parts and (prefix or not name.startswith(CLASS_SCORE))]
    if spec:
        free = list(own_columns(pl.DataFrame(schema=dict.fromkeys(free, pl.Null)), spec))
    names = usable_names(source, free, prefix, {*PARTS, *TOLD})
    while True:
        before = source.quarantine.rows
        found = [source.read(name, "feature", f"{prefix}{name}") for name in names]
        if source.quarantine.rows == before:
            return found


def _decoded(columns: Mapping[str, pl.Series], features: Sequence[pl.Series], quarantine: Quarantine) -> Decoded:
    table = pl.DataFrame([series.alias(name) for name, series in columns.items()] + list(features))
    kept = quarantine.kept
    return Decoded(table if kept.all() else table.filter(pl.Series(kept)), quarantine.named, quarantine.rows)


# ------------------------------------------------------------------------------------------------ judging


def _judge(
    told: dict[str, pl.Series],
    scores: Mapping[str, pl.Series],
    parts: Parts,
    quarantine: Quarantine,
    now: Instant,
) -> None:
    """Refuse the predictions that cannot be used, and fill in what was left out."""
    _judge_id(told[PREDICTION_ID], parts)
    told[EVENT_TIME] = told[EVENT_TIME].fill_null(now)
    refuse_untimely(told[EVENT_TIME], now, parts.name(EVENT_TIME), quarantine)
    told[ROLE] = told[ROLE].fill_null(ROLES[0])
    told[STATUS] = told[STATUS].fill_null("ok")
    told[WEIGHT] = told[WEIGHT].fill_null(1.0)
    roles = told[ROLE]
    known = " or ".join(ROLES)
    quarantine.refuse(~roles.is_in(ROLES), parts.name(ROLE), lambda row: f"is {shown(roles[row])}, not {known}")
    for name, series in ({part: told[part] for part in (SCORE, LATENCY, WEIGHT)} | scores).items():
        refuse_infinite(series, parts.name(name), quarantine)
    for part, low in ((LATENCY, told[LATENCY] < 0), (WEIGHT, told[WEIGHT] <= 0)):
        values, word = told[part], "negative" if part == LATENCY else "not above 0"
        quarantine.refuse(low.fill_null(value=False), parts.name(part), found_as(values, f"is {word}"))


def _judge_id(ids: pl.Series, parts: Parts) -> None:
    judge_name(ids, parts.name(PREDICTION_ID), parts.source.quarantine)


def _labels(parts: Parts, spec: Spec | None) -> pl.Series:
    field, quarantine = parts.name(LABEL), parts.source.quarantine
    if spec is not None and spec.task == "regression":
        numbers = parts.read(LABEL, "number").fill_nan(None)
        refuse_infinite(numbers, field, quarantine)
        return numbers
    text = parts.read(LABEL, "word")
    if spec is None or spec.task != "binary":
        return text
    return binary_texts(text, spec.schema.label.positive if spec.schema.label else None, field, quarantine)
