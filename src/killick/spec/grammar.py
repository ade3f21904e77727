"""The grammar of `killick.yaml` (DESIGN 5.5): every key of the document and the parser that reads it.

The tables of the sections are in `watching.py` and `acting.py`; what ties sections together is in `crosscheck.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from killick.spec.acting import RETRAINING, ROLLOUT, playbooks, versions
from killick.spec.document import TASKS
from killick.spec.reader import Stop, record
from killick.spec.scalars import choice, name, text, width
from killick.spec.watching import FALSE_ALARMS, FEATURES, KEEP, SCHEMA, VALUE, drift, folders, objectives, segments

if TYPE_CHECKING:
    from killick.spec.reader import Parser, Place

_REFERENCE = record(dict[str, Any], {"data": text}, needs={"data": "write a path, for example train.parquet"})


def _reference(place: Place) -> str:
    return text(place) if isinstance(place.node.content, str) else str(_REFERENCE(place)["data"])


def _format(place: Place) -> int:
    if place.node.content == 1 and not isinstance(place.node.content, bool | float):
        return 1
    return place.refuse("is not a version of this format", "write killick: 1")


def _read_before(place: Place) -> str:
    """`extends` was followed before; here it only has to be a text."""
    text(place)
    raise Stop


DOCUMENT: dict[str, Parser[Any]] = {
    "killick": _format,
    "extends": _read_before,
    "model": name,
    "task": choice(TASKS),
    "owner": text,
    "schema": SCHEMA,
    "features": FEATURES,
    "segments": segments,
    "reference": _reference,
    "drift": drift,
    "value": VALUE,
    "false_alarms": FALSE_ALARMS,
    "keep": KEEP,
    "evaluate_every": width,
    "objectives": objectives,
    "versions": versions,
    "changes": text,
    "folders": folders,
    "rollout": ROLLOUT,
    "playbooks": playbooks,
    "retraining": RETRAINING,
}
"""Every key of the document, in the order in which it is written."""

NEEDS = {
    "killick": "write killick: 1, the version of this format",
    "model": "name the model, for example flight-delay",
    "task": f"write one of {', '.join(TASKS)}",
    "schema": "say which column plays which part: schema: {prediction_id: ..., event_time: ...}",
}
"""The keys that every document has."""
