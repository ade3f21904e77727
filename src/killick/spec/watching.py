"""The grammar of what is watched: which column is what, how rows are grouped, and what must hold.

Each table is one mapping of `killick.yaml` (DESIGN 5.5); what a key may hold stands beside it, and what ties two keys
of one mapping together stands under it. Defaults are not here but in `document.py`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from killick.errors import did_you_mean
from killick.spec.document import (
    DRIFT_ALIASES,
    DRIFT_METHODS,
    FOLDER_FORMATS,
    HIGHER_IS_BETTER,
    KINDS,
    METRICS,
    ORDERED_METHODS,
    SEVERITIES,
    UNBOUNDED,
    WAYS,
    Band,
    FalseAlarms,
    Features,
    Folder,
    FolderFormat,
    FolderKind,
    Keep,
    Kpi,
    Label,
    Objective,
    Override,
    Schema,
    SegmentBy,
    Value,
    VersionSource,
)
from killick.spec.reader import each, named, one_or_more, record, repeated
from killick.spec.scalars import (
    choice,
    count,
    duration,
    level,
    name,
    number,
    numbers_growing,
    pair,
    positive,
    scalar,
    text,
    time_zone,
    width,
)

if TYPE_CHECKING:
    from killick.spec.reader import Place

RATES = frozenset(METRICS) - UNBOUNDED
"""Metrics that lie between 0 and 1."""


# ------------------------------------------------------------------------------------------------ schema

_LABEL = record(
    Label,
    {"column": text, "known_at": text, "delay": duration, "positive": scalar},
    needs={"column": "name the column that holds the truth"},
)


def _label(place: Place) -> Label:
    return Label(text(place)) if isinstance(place.node.content, str) else _LABEL(place)


def _kpi(kpi: str, place: Place) -> Kpi:
    if place.node.content is None:
        return Kpi(kpi)
    return record(partial(Kpi, kpi), {"unit": text, "better": choice(WAYS)})(place)


def _score(place: Place) -> str | dict[str, str]:
    if not isinstance(place.node.content, dict):
        return text(place)
    scores = dict(named(lambda label, inside: (label, text(inside)))(place))
    return scores or place.refuse("names no class", "write a column, or {class: column} for each class")


def _schema(score: str | dict[str, str] | None = None, **parts: Any) -> Schema:  # noqa: ANN401 - as they were read
    return Schema(scores=score, **parts) if isinstance(score, dict) else Schema(score=score, **parts)


def _schema_holds(place: Place, schema: Schema) -> None:
    parts = [
        (part, getattr(schema, part))
        for part in ("prediction_id", "event_time", "entity_id", "score", "decision", "version", "latency", "status")
    ]
    if schema.label:
        parts += [("label.column", schema.label.column), ("label.known_at", schema.label.known_at)]
    parts += [(f"score.{label}", column) for label, column in schema.scores.items()]
    parts += [(f"kpis.{kpi.name}", kpi.name) for kpi in schema.kpis]
    written = [(part, column) for part, column in parts if column is not None]
    for again, first in repeated(column for _, column in written):
        part, column = written[again]
        path = f"{place.path}.{part}"
        place.notes.refuse(path, f"is {place.path}.{written[first][0]} already", "one column plays one part", column)


SCHEMA = record(
    _schema,
    {
        "prediction_id": text,
        "event_time": text,
        "entity_id": text,
        "score": _score,
        "decision": text,
        "decision_threshold": number,
        "version": text,
        "latency": text,
        "status": text,
        "label": _label,
        "kpis": named(_kpi),
        "time_zone": time_zone,
    },
    holds=_schema_holds,
)


# ------------------------------------------------------------------------------------------------ features


_METHODS = {method: method for method in DRIFT_METHODS} | dict(DRIFT_ALIASES)


def _method(place: Place) -> str:
    return _METHODS[choice(tuple(_METHODS))(place)]


def _needs_order(place: Place, kind: str, method: str) -> None:
    """Refuse a method that compares values in their order where they have none."""
    if method in ORDERED_METHODS and kind != "numeric":
        known = ", ".join(each for each in DRIFT_METHODS if each not in ORDERED_METHODS)
        place.refuse(f"needs numbers in an order, which a {kind} column has not", f"write one of {known}")


def _drift_of(kind: str, place: Place) -> tuple[str, str]:
    if kind not in KINDS:
        place.refuse("is not a kind", did_you_mean(kind, KINDS))
    method = _method(place)
    _needs_order(place, kind, method)
    return kind, method


def drift(place: Place) -> dict[str, str]:
    """Read by which method each kind of column is compared."""
    return dict(named(_drift_of)(place))


def _override_holds(place: Place, override: Override) -> None:
    if override.drift and override.kind:
        _needs_order(place.at("drift"), override.kind, override.drift)
    if override.range and override.kind not in {None, "numeric"}:
        place.at("range").refuse(f"does not fit kind {override.kind}", "only a numeric feature has a range")


_OVERRIDE = record(
    Override, {"kind": choice(KINDS), "unit": text, "range": pair, "drift": _method}, holds=_override_holds
)


def _overrides(place: Place) -> dict[str, Override]:
    return dict(named(lambda column, inside: (column, _OVERRIDE(inside)))(place))


FEATURES = record(Features, {"include": one_or_more(text), "exclude": one_or_more(text), "override": _overrides})


def _band(place: Place) -> Band:
    if not isinstance(place.node.content, dict):
        column = text(place)
        return Band(column, column)
    if len(place.node.content) != 1:
        place.refuse("is not a segment", "write a column, or {name: {column: ..., bins: [...]}}")
    (band,) = place.node.content
    make = partial(Band, name=band, column=band)
    return record(make, {"column": text, "bins": numbers_growing})(place.at(band))


def _segment(place: Place) -> SegmentBy:
    if not isinstance(place.node.content, tuple):
        return (_band(place),)
    bands = each(_band)(place)
    if not bands:
        place.refuse("is empty", "write the columns that are crossed, for example [origin, carrier]")
    for again, first in repeated(band.column for band in bands):
        place.item(again).refuse(f"crosses {bands[first].column!r} with itself", "name each column once")
    return bands


def segments(place: Place) -> tuple[SegmentBy, ...]:
    """Read the segments. A word that names a band which is defined anywhere in the list stands for that band."""
    written = each(_segment)(place)
    defined: dict[str, Band] = {}
    for index, band in ((index, band) for index, bands in enumerate(written) for band in bands):
        if (band.bins or band.name != band.column) and defined.setdefault(band.name, band) != band:
            place.item(index).refuse(f"defines {band.name!r} a second time", "give the other bands another name")
    segments = tuple(tuple(_defined(band, defined) for band in bands) for bands in written)
    for again, first in repeated(segments):
        place.item(again).refuse(f"is segment {first + 1} of this list again", "remove it")
    return segments


def _defined(band: Band, defined: dict[str, Band]) -> Band:
    return defined.get(band.name, band)


# ------------------------------------------------------------------------------------------------ objectives

VALUE = record(
    Value,
    {
        "unit": text,
        "true_positive": number,
        "true_negative": number,
        "false_positive": number,
        "false_negative": number,
    },
    needs={"unit": "write a currency, for example USD"},
)

FALSE_ALARMS = record(FalseAlarms, {"rota": name, "budget": positive, "per": duration})

KEEP = record(Keep, {"signals": width, "columns": width, "days": count})


def _objective_holds(place: Place, objective: Objective) -> None:
    if (objective.at_most is None) == (objective.at_least is None):
        known = "at_least" if objective.sli in HIGHER_IS_BETTER else "at_most"
        what = "has no level" if objective.at_most is None else "has both at_most and at_least"
        place.refuse(what, f"write {known}: and the level that {objective.sli} must keep")
    key, wanted = ("at_most", "at_least") if objective.at_least is None else ("at_least", "at_most")
    if (objective.sli in HIGHER_IS_BETTER) == (key == "at_most"):
        better = "higher" if objective.sli in HIGHER_IS_BETTER else "lower"
        place.at(key).refuse(f"is the wrong way round: {objective.sli} is better when {better}", f"write {wanted}")
    if objective.sli in RATES and not 0 <= getattr(objective, key) <= 1:
        place.at(key).refuse(f"can never happen: {objective.sli} lies between 0 and 1", "write 5% or 0.05")


_OBJECTIVE = record(
    Objective,
    {
        "name": name,
        "sli": choice(METRICS),
        "window": duration,
        "at_most": level,
        "at_least": level,
        "severity": choice(SEVERITIES),
        "runbook": text,
    },
    needs={
        "name": "name the objective, for example honest-odds",
        "sli": f"write one of {', '.join(METRICS)}",
        "window": "write how far back it looks, for example 28d",
    },
    holds=_objective_holds,
)


def names_differ(place: Place, values: tuple[Objective, ...] | tuple[VersionSource, ...]) -> None:
    """Refuse each name of a list that is taken already."""
    for again, first in repeated(value.name for value in values):
        line = place.item(first).node.line
        path = f"{place.path}[{again}].name"
        place.notes.refuse(path, f"is taken by line {line}", "give each its own name", values[again].name)


objectives = each(_OBJECTIVE, holds=names_differ)


# ------------------------------------------------------------------------------------------------ folders

_FOLDER_KINDS: tuple[FolderKind, ...] = ("predictions", "outcomes")


def _folder_path(place: Place) -> str:
    path = text(place)
    if "://" in path:
        place.refuse("is not on this machine", "mount it, or copy its files into a folder that is")
    if any(mark in path for mark in "*?["):
        place.refuse("is a pattern", "name the folder: the files below it are found by their format")
    return path


def _folder(path: str, format: FolderFormat, kind: FolderKind | None = None) -> Folder:  # noqa: A002 - as it is written
    return Folder(path, format, kind or FOLDER_FORMATS[format][0])


def _folder_holds(place: Place, folder: Folder) -> None:
    can = FOLDER_FORMATS[folder.format]
    if folder.kind not in can:
        place.at("kind").refuse(f"is not in files of format {folder.format}", f"write {can[0]}, or leave the key out")


def _folders_hold(place: Place, folders: tuple[Folder, ...]) -> None:
    for again, first in repeated((folder.path.rstrip("/"), folder.format) for folder in folders):
        problem = f"is watched already, on line {place.item(first).node.line}"
        place.notes.refuse(f"{place.path}[{again}].path", problem, "name each folder once", folders[again].path)


folders = each(
    record(
        _folder,
        {"path": _folder_path, "format": choice(tuple(FOLDER_FORMATS)), "kind": choice(_FOLDER_KINDS)},
        needs={
            "path": "name the folder that is watched, for example predictions/",
            "format": f"write one of {', '.join(FOLDER_FORMATS)}",
        },
        holds=_folder_holds,
    ),
    holds=_folders_hold,
)
