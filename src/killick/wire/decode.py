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
from itertools import repeat
from operator import contains
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
    VERSION,
    WEIGHT,
)
from killick.telemetry.door import own_columns
from killick.telemetry.labels import binary_numbers
from killick.telemetry.quarantine import Quarantine, Rejected, shown
from killick.wire.arrow import Framed, read_stream
from killick.wire.json import read_array, read_lines
from killick.wire.listed import Listed
from killick.wire.parts import (
    KPIS,
    MODEL,
    PART_KINDS,
    Parts,
    prediction_names,
    refuse_other_model,
    refuse_others,
    usable_names,
)
from killick.wire.rules import Rule, apply, finite, named, needed, not_below, one_of, short, timely
from killick_client.events import Change

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from killick.clock import Instant
    from killick.spec.document import Spec
    from killick.wire.values import Columns, Kind

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
    source = _read(body, media, spec, prediction_names(spec, flat=True))
    return _settle(source, lambda rows: _predictions(rows, model, spec, now))


def _predictions(source: Columns, model: str, spec: Spec | None, now: Instant) -> dict[str, pl.Series]:
    flat = FEATURES not in source.names
    names = prediction_names(spec, flat=flat)
    parts = Parts(source, names)
    if not flat:
        refuse_others(source, {*names, FEATURES, SCORES, MODEL}, "a prediction", "; features belong into `features`")
        refuse_other_model(source, model)
    defaults: dict[str, str | float] = {EVENT_TIME: now, ROLE: ROLES[0], STATUS: "ok", WEIGHT: 1.0}
    told = {part: parts.read(part, kind, defaults.get(part)) for part, kind in PART_KINDS.items()}
    told[METADATA] = parts.metadata()
    scores = {} if flat else _numbers_inside(source, SCORES, CLASS_SCORE)
    for name in source.names:
        part = names.get(name, name)
        if part.startswith(CLASS_SCORE) and (flat or name in names):
            _add(scores, part, source.read(name, "number", name))
    apply(_prediction_rules(now, scores), told | scores, parts.name, source.quarantine)
    if flat:
        features = _features(source, set(names), spec, "")
    else:
        features = _features(source.inside(FEATURES, FEATURES), set(), spec, f"{FEATURES}.")
    return told | scores | {series.name: series for series in features}


def decode_outcomes(
    body: bytes | pl.DataFrame, media: Media, *, model: str, spec: Spec | None, now: Instant
) -> Decoded:
    """Read outcomes: `label` is 0 or 1 for a binary model, a number for a regression, else text; KPIs are numbers.

    Arguments and errors are those of `decode_predictions`. A table of the operator's own may hold whatever else.

    >>> body = b'[{"prediction_id": "a", "known_at": "1970-01-02", "label": "UA", "kpis": {"cost": 40}}]'
    >>> decode_outcomes(body, "json", model="carrier", spec=None, now=86_400_000_000).table.rows()
    [('a', 86400000000, 'UA', 40.0)]
    """
    is_table = isinstance(body, pl.DataFrame)
    return _settle(_read(body, media, spec), lambda rows: _outcomes(rows, model, spec, now, is_table=is_table))


def _outcomes(source: Columns, model: str, spec: Spec | None, now: Instant, *, is_table: bool) -> dict[str, pl.Series]:
    schema = spec.schema if spec else None
    label = schema.label if schema else None
    names = {part: part for part in (PREDICTION_ID, KNOWN_AT, LABEL)}
    own = (schema.prediction_id if schema else None, label.known_at if label else None, label.column if label else None)
    names |= {column: part for part, column in zip(list(names), own, strict=True) if column}
    kpis = {kpi.name for kpi in schema.kpis} if schema else set()
    passed_over = {*PARTS, *TOLD, *(schema.columns if schema else ())}
    if not is_table:
        refuse_others(source, {*names, *passed_over, KPIS, MODEL}, "an outcome", "; KPIs belong into `kpis`")
    refuse_other_model(source, model)
    parts = Parts(source, names)
    columns = {PREDICTION_ID: parts.read(PREDICTION_ID, "text"), KNOWN_AT: parts.read(KNOWN_AT, "time", now)}
    told = _numbers_inside(source, KPIS, "")
    for name in source.names:
        if name in kpis and name not in names:
            _add(told, name, source.read(name, "number", name))
    rules = [*named(PREDICTION_ID), *timely(KNOWN_AT, now), *map(finite, told)]
    apply(rules, columns | told, parts.name, source.quarantine)
    columns[LABEL] = _labels(parts, spec)
    nothing = columns[LABEL].is_null()
    for series in told.values():
        nothing &= series.is_null()
    source.quarantine.refuse(nothing, parts.name(LABEL), "is missing, and so is every KPI: an outcome says one of them")
    return columns | told


def decode_gauges(body: bytes, media: Media, *, model: str, spec: Spec | None, now: Instant) -> Decoded:
    """Read gauges: `name`, `value` and `at`. Arguments and errors are those of `decode_predictions`.

    >>> decode_gauges(b'{"name": "queue", "value": 17}', "json", model="flight-delay", spec=None, now=5).table.rows()
    [('queue', 17.0, 5)]
    """
    return _settle(_read(body, media, spec), lambda rows: _gauges(rows, model, now))


def _gauges(source: Columns, model: str, now: Instant) -> dict[str, pl.Series]:
    kinds: dict[str, Kind] = {"name": "text", "value": "number", "at": "time"}
    refuse_others(source, {*kinds, MODEL}, "a gauge")
    refuse_other_model(source, model)
    parts = Parts(source, {name: name for name in kinds})
    columns = {name: parts.read(name, kind, now if name == "at" else None) for name, kind in kinds.items()}
    rules = [*named("name"), needed("value"), finite("value"), *timely("at", now)]
    apply(rules, columns, parts.name, source.quarantine)
    return columns


def decode_changes(body: bytes, media: Media, *, spec: Spec | None = None, now: Instant) -> Decoded:
    """Read changes: `at`, `kind`, `name`, `version`, `note` and `model`, null where a change is about all of them.

    Raises:
        DataError: the body as a whole cannot be read.

    >>> body = b'{"at": "1970-01-01T00:00Z", "kind": "release", "name": "flight-delay", "version": "v2"}'
    >>> as_changes(decode_changes(body, "json", now=0).table)[0].version
    'v2'
    """
    return _settle(_read(body, media, spec), lambda rows: _changes(rows, now))


def _changes(source: Columns, now: Instant) -> dict[str, pl.Series]:
    texts = ("kind", "name", "version", "note", MODEL)
    refuse_others(source, {"at", *texts}, "a change")
    parts = Parts(source, {name: name for name in ("at", *texts)})
    columns = {"at": parts.read("at", "time")}
    columns |= {name: parts.read(name, "text", "" if name == "note" else None) for name in texts}
    rules = [needed("at"), *timely("at", now), *named("kind"), *named("name")]
    apply(rules, columns, parts.name, source.quarantine)
    return columns


def as_changes(table: pl.DataFrame) -> tuple[Change, ...]:
    """Return the changes of a decoded table."""
    rows = table.drop(MODEL).iter_rows(named=True)
    return tuple(Change(**row) for row in rows)


# ------------------------------------------------------------------------------------------------ reading


def _read(
    body: bytes | pl.DataFrame, media: Media, spec: Spec | None, nested: Collection[str] | None = None
) -> Columns:
    """Return the rows by column; where some are canonical, flat ones are nested: parts have these names."""
    zone = spec.schema.time_zone if spec else "UTC"
    if media == "arrow" or isinstance(body, pl.DataFrame):
        frame = body if isinstance(body, pl.DataFrame) else read_stream(body)
        return Framed(frame, Quarantine(range(frame.height)), zone)
    body = body.removeprefix(b"\xef\xbb\xbf")
    read = read_array(body) if media == "json" else read_lines(body)
    rows = read.rows
    if nested is not None and 0 < sum(map(contains, rows, repeat(FEATURES))) < len(rows):
        rows = [row if FEATURES in row else _nested(row, nested) for row in rows]
    quarantine = Quarantine(read.index, read.unread, read.unread_rows)
    # A NUL, and what stands for half of a surrogate pair, comes as an escape or not at all.
    return Listed(rows, quarantine, zone, escaped=b"\\" in body)


def _settle(source: Columns, judge: Callable[[Columns], dict[str, pl.Series]]) -> Decoded:
    """Judge the rows; where some are refused, judge the rest again, for those had a say in its columns and types."""
    columns = judge(source)
    if not source.quarantine.kept.all():
        source = source.kept()
        columns = judge(source)
    table = pl.DataFrame([series.alias(name) for name, series in columns.items()])
    quarantine = source.quarantine
    kept = quarantine.kept
    return Decoded(table if kept.all() else table.filter(pl.Series(kept)), quarantine.named, quarantine.rows)


def _nested(row: dict[str, object], parts: Collection[str]) -> dict[str, object]:
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


def _add(columns: dict[str, pl.Series], name: str, series: pl.Series) -> None:
    """Add a column; where it is there already, only to the rows that have nothing in it."""
    columns[name] = columns[name].fill_null(series) if name in columns else series


def _features(source: Columns, parts: set[str], spec: Spec | None, prefix: str) -> list[pl.Series]:
    free = [name for name in source.names if name not in parts and (prefix or not name.startswith(CLASS_SCORE))]
    if spec:
        free = list(own_columns(pl.DataFrame(schema=dict.fromkeys(free, pl.Null)), spec))
    names = usable_names(source, free, prefix, {*PARTS, *TOLD})
    return [source.read(name, "feature", f"{prefix}{name}") for name in names]


# ------------------------------------------------------------------------------------------------ judging


def _prediction_rules(now: Instant, scores: Iterable[str]) -> list[Rule]:
    return [
        *named(PREDICTION_ID),
        *timely(EVENT_TIME, now),
        short(VERSION),
        one_of(ROLE, ROLES),
        *map(finite, (SCORE, LATENCY, WEIGHT, *scores)),
        not_below(LATENCY, pl.col(LATENCY) < 0, "negative"),
        not_below(WEIGHT, pl.col(WEIGHT) <= 0, "not above 0"),
    ]


def _labels(parts: Parts, spec: Spec | None) -> pl.Series:
    field, quarantine = parts.name(LABEL), parts.source.quarantine
    if spec is not None and spec.task == "regression":
        numbers = parts.read(LABEL, "number")
        apply([finite(LABEL)], {LABEL: numbers}, parts.name, quarantine)
        return numbers
    text = parts.read(LABEL, "word")
    if spec is None or spec.task != "binary":
        return text
    positive = spec.schema.label.positive if spec.schema.label else None
    labels = binary_numbers(text, positive)
    hint = "; name the positive one: schema: {label: {positive: ...}}" if positive is None else ""
    quarantine.refuse(
        labels.is_null() & text.is_not_null(), field, lambda row: f"is no label, but {shown(text[row])}{hint}"
    )
    return labels
