"""What the control store's rows and parameters look like: from our values and back."""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from killick.adapters.control_tables import TIME_MAX, TIME_MIN
from killick.checks.verdict import Verdict
from killick.clock import Window
from killick.errors import DataError, Mistake
from killick.identity import canonical_json
from killick.ledger.entry import Entry
from killick.ports.control import Batch, ProfileKey, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from killick.ports.control import Stretch

# MessagePack and not JSON: a one-sided interval has an infinite end, and JSON has no word for it.
as_verdict = msgspec.msgpack.Decoder(Verdict).decode
# The ledger's entries are kept as the JSON that is hashed, for whoever audits them with other tools.
as_entry = msgspec.json.Decoder(Entry).decode
as_segment = msgspec.json.Decoder(Segment).decode
# A parameter of some megabytes at most, however many ids are asked for.
_IDS_AT_ONCE = 50_000


def listed(ids: Iterable[str], name: str) -> Iterator[str]:
    """Yield the ids, which go by this name, as JSON arrays of a bounded length."""
    everything = list(ids)
    for first in range(0, len(everything), _IDS_AT_ONCE):
        part = everything[first : first + _IDS_AT_ONCE]
        bad = next((one for one in part if "\0" in one), None)
        if bad is not None:
            # SQLite would cut the id there, PostgreSQL refuse it: two might pass for one.
            raise DataError(Mistake(name, "holds a NUL character", bad))
        try:
            yield msgspec.json.encode(part).decode()
        except UnicodeError as error:
            raise DataError(Mistake(name, f"is not Unicode text: {error}")) from error


def of_producer(stretch: Stretch) -> dict[str, Any]:
    """Return whose a stretch is, as parameters of the statements that ask for it."""
    return {"the_model": stretch.model, "the_kind": stretch.kind, "the_producer": stretch.producer}


def of_delivery(prefix: str, key: Sequence[object]) -> dict[str, object]:
    """Return where a delivery stands, as parameters whose names begin so."""
    return {f"{prefix}_{name}": part for name, part in zip(("model", "kind", "producer", "first"), key, strict=True)}


@lru_cache(maxsize=4096)
def segment_text(segment: tuple[tuple[str, str], ...]) -> str:
    """Return a segment as it is stored."""
    return canonical_json(segment).decode()


def series_name(key: ProfileKey) -> tuple[str, str, str]:
    """Return under which names the series of a profile stands."""
    return key.version, key.role, segment_text(key.segment)


def profile_row(numbers: Mapping[tuple[str, str, str], int], key: ProfileKey) -> dict[str, Any]:
    """Return where a profile stands."""
    return {"series": numbers[series_name(key)], "window_start": key.window.start, "window_end": key.window.end}


def keyed(
    rows: Iterable[Sequence[Any]], series: Mapping[int, tuple[str, str, str]]
) -> Iterator[tuple[ProfileKey, bytes]]:
    """Yield rows of profiles under their keys, in order of these; `series` names each by its number."""
    found: dict[int, list[Any]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    names = {number: (*series[number][:2], as_segment(series[number][2])) for number in found}
    for number in sorted(found, key=names.__getitem__):
        for _, start, end, body in sorted(found[number], key=itemgetter(1, 2)):
            yield ProfileKey(*names[number], Window(start, end)), body


def verdict_row(model: str, verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as it is stored."""
    start, end = (verdict.window.start, verdict.window.end) if verdict.window else (TIME_MIN, TIME_MAX)
    body = msgspec.msgpack.encode(verdict)
    row = {"model": model, "window_start": start, "window_end": end, "body": body}
    return row | {"fingerprint": verdict.fingerprint, "check_name": verdict.check}


def as_batch(row: Sequence[Any]) -> Batch:
    """Return a row of the manifest as a batch."""
    number, batch_id, model, kind, path, rows, start, end, written_at, pending = row
    return Batch(batch_id, model, kind, path, rows, Window(start, end), written_at, bool(pending), number)
