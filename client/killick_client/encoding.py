"""From a caller's values to lines of JSON, in the caller's thread: the line is the snapshot that is kept.

Cost: about a microsecond for an event of 20 features. NaN and infinity become null. NumPy's scalars and arrays, pandas'
missing values, decimals, enumerations and any mapping or sequence become what they stand for; dates and instants become
ISO 8601 text, and durations seconds, whoever made them. What stands for nothing that JSON knows raises, and the event
is dropped and counted.
"""

from __future__ import annotations

import datetime as dt
import numbers
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

# As deep as features are nested by anyone in earnest; a structure that holds itself has no end.
_DEPTH_MAX = 32
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class PredictionLine(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A `Prediction` as it is sent: its model is in the path, and what it does not say is left out."""

    prediction_id: str
    event_time: Any
    features: Any
    version: str | None = None
    entity_id: Any = None
    score: Any = None
    decision: Any = None
    role: str = "live"
    latency_seconds: float | None = None
    status: str | None = None
    trace_id: Any = None
    log_url: Any = None
    metadata: Any = None
    sampling_weight: float | None = None
    scores: Any = None


class OutcomeLine(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An `Outcome` as it is sent."""

    prediction_id: str | None
    known_at: Any
    label: Any = None
    kpis: Any = None


class ChangeLine(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A `Change` as it is sent, with the model that it happened to: all models share one path."""

    at: Any
    kind: str
    name: str
    version: str | None = None
    note: str = ""
    model: str | None = None


class GaugeLine(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A `Gauge` as it is sent."""

    at: Any
    name: str
    value: Any


def encode(event: object) -> bytes:
    r"""Return an event as one line of JSON, without its end.

    >>> encode({"x": float("nan"), "label": "a\nb"})
    b'{"x":null,"label":"a\\nb"}'

    Raises:
        TypeError, ValueError, RecursionError: there is something in it that JSON has no word for.
    """
    try:
        line = _ENCODER.encode(event)
    except Exception:  # noqa: BLE001 - an odd key, half a surrogate: the slow way knows more, and raises what it must
        return _ENCODER.encode(plain(event))
    # A decimal that is no number, or a piece of raw JSON, would spoil the whole batch; text may say NaN, and is kept.
    if b"NaN" in line or b"Infinity" in line or b"\n" in line:
        return _ENCODER.encode(plain(event))
    # msgspec writes a duration of the standard library as text, without asking.
    if (b'"P' in line or b'"-P' in line) and _DURATION.search(line):
        return _ENCODER.encode(plain(event))
    return line


def microseconds(at: object, now: int) -> object:
    """Return a time as microseconds since 1970 UTC; text is left to the server. A naive time means UTC.

    >>> microseconds(dt.datetime(1970, 1, 2), now=0)
    86400000000
    """
    if at is None:
        return now
    if isinstance(at, dt.datetime):
        aware = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at
        return (aware - _EPOCH) // _MICROSECOND
    return at


def plain(value: object, depth: int = 0) -> object:
    """Return a value in JSON's own words, however deep what has none is.

    Raises:
        TypeError: there is no word for it.
        RecursionError: it is nested too deep, or in itself.
    """
    if depth > _DEPTH_MAX:
        raise RecursionError(f"nested more than {_DEPTH_MAX} deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value).encode(errors="replace").decode()
    if isinstance(value, msgspec.Struct):
        value = {name: part for name in value.__struct_fields__ if (part := getattr(value, name)) is not None}
    if isinstance(value, Mapping):
        return {str(plain(name, depth + 1)): plain(part, depth + 1) for name, part in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain(part, depth + 1) for part in value]
    if type(value) in _WORDS:
        return value
    return plain(_as_plain(value), depth + 1)


_WORDS = frozenset({int, float, bytes, dt.datetime, dt.date, dt.time})


def _as_plain(value: object) -> object:
    """Return what a value that msgspec does not know stands for: its `enc_hook`."""
    if isinstance(value, Decimal) or type(value).__name__ in _MISSING:
        return float(value) if isinstance(value, Decimal) and value.is_finite() else None
    if type(value).__module__ == "numpy" and (moments := _moments(value)) is not None:
        return moments
    for kind, change in _CHANGES:
        if isinstance(value, kind):
            return change(value)
    for way in ("tolist", "item"):  # arrays and scalars of NumPy and of those who do as it does
        if callable(found := getattr(value, way, None)):
            return found()
    return msgspec.to_builtins(value)  # an enumeration, a UUID, a dataclass: only msgspec knows


def _moments(value: Any) -> object:  # noqa: ANN401 - a scalar or an array, and NumPy is not imported for it
    """Return NumPy's instants and durations, one or an array of them; None for anything else of its."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind == "M":  # to microseconds first: what is finer would come out as a bare number
        return value.astype("datetime64[us]").tolist()
    return (value / value.dtype.type(1, "s")).tolist() if kind == "m" else None


_DURATION = re.compile(rb'"-?PT?\d[\dDT.]*[DS]"')
# pandas' two words for a missing value, which are neither null nor NaN.
_MISSING = frozenset({"NAType", "NaTType"})
_CHANGES: tuple[tuple[Any, Callable[[Any], object]], ...] = (
    (numbers.Integral, int),
    (numbers.Real, float),
    (str, str),
    (Mapping, dict),
    (Sequence | AbstractSet, list),
    (dt.date | dt.time, lambda at: at.isoformat()),
    (dt.timedelta, dt.timedelta.total_seconds),
)
_ENCODER = msgspec.json.Encoder(enc_hook=_as_plain, decimal_format="number")
