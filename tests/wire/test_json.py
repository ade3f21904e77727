"""JSON on the wire: whatever a body holds, each row is read the same way, and none brings down the others."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from killick.errors import DataError
from tests.wire.examples import CANONICAL, FLAT, as_json, as_lines, decode, refused

if TYPE_CHECKING:
    from killick.wire.decode import Decoded

NAMES = st.sampled_from(["x", "y", "score", "late", "prediction_id", "event_time", "role", "metadata", "status", ""])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["a\0", "\ud800", "\ud83d\ude00", "2026-02-01", "live", "NaN", "1"])
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
OBJECTS = st.dictionaries(NAMES, VALUES | st.dictionaries(NAMES, SCALARS, max_size=2), max_size=4)
KEYS = st.sampled_from(["a", "b", 3, "", None, "\0"])
ROWS = (
    st.fixed_dictionaries({"prediction_id": KEYS}, optional={"features": OBJECTS | SCALARS, "scores": OBJECTS})
    | st.fixed_dictionaries(
        {"prediction_id": KEYS, "features": OBJECTS},
        optional=dict.fromkeys(("score", "role", "event_time", "decision"), VALUES),
    )
    | OBJECTS
    | VALUES
)


def same(one: Decoded, other: Decoded) -> None:
    """Assert that two answers are equal."""
    assert_frame_equal(one.table, other.table)
    assert (one.rejected, one.rejected_rows) == (other.rejected, other.rejected_rows)


@given(st.lists(ROWS, max_size=6))
@settings(max_examples=150)
def test_an_array_read_at_once_gives_what_its_rows_give_one_by_one(rows: list[Any]) -> None:
    """Lines are read one by one; an array at once, and again one by one where that fails."""
    body = as_json(rows)
    read = decode(body)
    same(read, decode(as_lines(rows), media="ndjson"))
    # One more row that nobody can read makes the array go the slow way.
    slow = decode(body[:-1] + (b", " if rows else b"") + b'{"features": {"x": {"y": {}}}}]')
    if "features" not in str(rows) or all(isinstance(row, dict) and "features" in row for row in rows):
        assert_frame_equal(slow.table, read.table)
        assert slow.rejected[:-1] == read.rejected
        assert slow.rejected_rows == read.rejected_rows + 1


@given(st.lists(ROWS, max_size=6))
@settings(max_examples=150)
def test_refused_rows_leave_no_trace(rows: list[Any]) -> None:
    """What is let in is what would be let in without them: the same columns, types and values."""
    decoded = decode(rows)
    out = {rejected.index for rejected in decoded.rejected}
    rest = [row for at, row in enumerate(rows) if at not in out]
    again = decode(rest)
    assert decoded.table.height == len(rest)
    if len({"features" in row for row in rest}) <= 1 and not again.rejected:
        assert_frame_equal(decoded.table, again.table, check_column_order=False)


@given(st.binary(max_size=60) | st.text('[]{}:,"\\ud8a0123eE+-.ntrfx \n', max_size=60).map(str.encode))
@example(b'[{"prediction_id": "\\ud800", "features": {}}]')
@example(b'{"a":1} {"a":2}\n{"a":\n1}')
@settings(max_examples=300)
def test_any_bytes_are_rows_or_a_mistake(body: bytes) -> None:
    """Nothing else is raised, and every row is let in or refused."""
    for media in ("json", "ndjson", "arrow"):
        try:
            decoded = decode(body, media=media)
        except DataError:
            continue
        assert len(decoded.rejected) == min(decoded.rejected_rows, 1000)


@given(st.data())
@settings(max_examples=100)
def test_a_mangled_body_loses_rows_and_nothing_else(data: st.DataObject) -> None:
    """A few bytes of a good body are changed: every line is let in or refused, and an array is read or a mistake."""
    rows = (CANONICAL + FLAT) * 2
    body = bytearray(as_lines(rows))
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    lines = [line for line in bytes(body).split(b"\n") if line.strip()]
    decoded = decode(bytes(body), media="ndjson")
    assert decoded.table.height + decoded.rejected_rows == len(lines)
    with suppress(DataError):
        assert decode(b"[" + b",".join(lines) + b"]").table.height <= 2 * len(rows)


def test_half_a_surrogate_pair_costs_its_row_alone() -> None:
    """Also in an array, whose other rows would be lost with it; whole pairs and escaped backslashes are text."""
    texts = ["\\ud83d\\ude00", "\\ud83d", "\\\\ud83d", "\\uDC00\\uD800", "é"]
    rows = ", ".join(f'{{"prediction_id": "{at}", "features": {{"x": "{text}"}}}}' for at, text in enumerate(texts))
    decoded = decode(f"[{rows}]".encode())
    assert refused(decoded) == [(1, "features.x"), (3, "features.x")]
    assert decoded.table["x"].to_list() == ["\N{GRINNING FACE}", "\\ud83d", "é"]


def test_bytes_that_are_not_utf8_cost_their_row_alone() -> None:
    """As Latin-1 from an old client."""
    body = b'[{"prediction_id": "a"}, {"prediction_id": "\xe9"}, {"prediction_id": "b"}]'
    decoded = decode(body)
    assert decoded.table["prediction_id"].to_list() == ["a", "b"]
    assert [(r.index, r.field, r.reason) for r in decoded.rejected] == [(1, "prediction_id", "is not UTF-8")]


def test_the_last_of_two_equal_names_counts() -> None:
    """In parts and in features."""
    body = b'{"prediction_id": "a", "prediction_id": "b", "features": {"x": 1, "x": 2}}'
    assert decode(body).table.select("prediction_id", "x").rows() == [("b", 2)]


def test_lines_are_counted_with_the_empty_ones() -> None:
    """As an editor counts them; and a line is one row, whatever is on it."""
    body = b'{"prediction_id": "a"}\r\n\n  \n{"prediction_id": "b"} {"prediction_id": "c"}\n{"prediction_id":\n"d"}\n'
    decoded = decode(body, media="ndjson")
    assert decoded.table["prediction_id"].to_list() == ["a"]
    assert [rejected.index for rejected in decoded.rejected] == [3, 4, 5]
    assert decoded.rejected_rows == 3
    empty = decode(b'\n\n{"prediction_id": ""}\n', media="ndjson")
    assert [rejected.index for rejected in empty.rejected] == [2]


# What each takes is told by the peak of a process of its own, less what it had before.
PEAK = """
import sys
from tests.wire.test_json import BOMBS
from tests.wire.examples import CANONICAL, as_json, decode
from killick.errors import DataError

def peak():
    status = open("/proc/self/status").read()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

decode(as_json(CANONICAL))
body = BOMBS[sys.argv[1]]()
before = peak()
try:
    decoded = decode(body)
    print(peak() - before, len(body), decoded.rejected_rows)
except DataError as error:
    print(peak() - before, len(body), 1_000_000 if "rows" in str(error) else 0)
"""
MEGABYTES = 4 * 2**20
BOMBS = {
    "numbers for rows": lambda: b"[" + b"1," * (MEGABYTES // 2) + b"1]",
    "empty rows": lambda: b"[" + b"{}," * (MEGABYTES // 3) + b"{}]",
    "tiny rows": lambda: b"[" + b",".join([b'{"":1}'] * (MEGABYTES // 7)) + b"]",
    "objects in a feature": lambda: b'[{"features":{"x":[' + b'{"a":1},' * (MEGABYTES // 8) + b"1]}}]",
    "a name for each row": lambda: json.dumps(
        [{"prediction_id": "a", "features": {str(at): 1}} for at in range(MEGABYTES // 50)]
    ).encode(),
    "a text that never ends": lambda: b"[" + b"1," * 10**6 + b'"' + b'\\"' * (MEGABYTES // 4),
    "names in one row": lambda: json.dumps([{"features": {str(at): 1 for at in range(MEGABYTES // 12)}}]).encode(),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_body_takes_much_more_memory_than_it_has_bytes(bomb: str) -> None:
    """Some 10 times what it holds, and 250 bytes for each row that there may be."""
    done = subprocess.run([sys.executable, "-c", PEAK, bomb], capture_output=True, text=True, check=True, timeout=120)
    taken, size, rows = map(int, done.stdout.split())
    assert taken <= 16 * size + 250 * rows + 2**25
