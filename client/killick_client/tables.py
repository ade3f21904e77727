"""Tables, in the caller's thread: Arrow where the table is columns already, a line of JSON for each row otherwise.

| the table | how it goes |
|---|---|
| Polars, pyarrow | an Arrow stream, in pieces of about a mebibyte; no row is touched |
| anything else with the Arrow interface (DuckDB ...) | the same, if Polars or pyarrow is loaded |
| pandas, whatever its columns are made of | rows of `to_dict("records")` |
| a mapping of columns; rows that are mappings | rows |

Nothing is imported for it: whoever hands over a Polars table has loaded Polars. Columns that are hashed or truncated,
and the ids where a sample is drawn, are the only ones that are gone through value by value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from killick_client.assignment import point
from killick_client.encoding import encode
from killick_client.privacy import GROUPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick_client.privacy import Privacy

ARROW = "application/vnd.apache.arrow.stream"
# As large as the writer's batches of lines.
_PIECE_BYTES = 1 << 20
SAMPLE_SALT = "killick.sample"  # not that of any traffic plan, so that the sample is not the canary's draw again


def is_drawn(prediction_id: object, sample: float) -> bool:
    """Whether a prediction is in the sample: the same answer in every service, for its outcomes too.

    >>> sum(is_drawn(number, 0.1) for number in range(10_000))
    962
    """
    return point(SAMPLE_SALT, str(prediction_id)) < sample


class Piece(NamedTuple):
    """Some rows of a table as an Arrow stream."""

    rows: int
    stream: bytes


class _Columns(Protocol):
    """A table of columns, whoever made it."""

    names: list[str]
    rows: int
    bytes_held: int

    def values(self, name: str) -> list[Any]:
        """Return a column's values."""
        ...

    def put(self, name: str, values: list[Any]) -> _Columns:
        """Return the table with a column put in its place, or behind the others."""
        ...

    def drop(self, names: list[str]) -> _Columns:
        """Return the table without some columns."""
        ...

    def keep(self, rows: list[bool]) -> _Columns:
        """Return the table with some of its rows."""
        ...

    def stream(self, start: int, rows: int) -> bytes:
        """Return a piece as an Arrow stream."""
        ...


class _Polars:
    """A `polars.DataFrame`."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names, self.rows = list(frame.columns), frame.height
        # The estimate counts characters, and not where each text begins: eight bytes more for a cell, at most.
        self.bytes_held = frame.estimated_size() + 8 * frame.height * frame.width

    def values(self, name: str) -> list[Any]:
        values: list[Any] = self._frame.get_column(name).to_list()
        return values

    def put(self, name: str, values: list[Any]) -> _Polars:
        return _Polars(self._frame.with_columns(_module("polars").Series(name, values)))

    def drop(self, names: list[str]) -> _Polars:
        return _Polars(self._frame.drop(names))

    def keep(self, rows: list[bool]) -> _Polars:
        return _Polars(self._frame.filter(_module("polars").Series(rows)))

    def stream(self, start: int, rows: int) -> bytes:
        sink = BytesIO()
        # The oldest level of the format: text as every reader of Arrow knows it, not as views.
        self._frame.slice(start, rows).write_ipc_stream(sink, compat_level=_module("polars").CompatLevel.oldest())
        return sink.getvalue()


class _PyArrow:
    """A `pyarrow.Table`."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.names, self.rows, self.bytes_held = list(table.column_names), table.num_rows, table.nbytes

    def values(self, name: str) -> list[Any]:
        values: list[Any] = self._table.column(name).to_pylist()
        return values

    def put(self, name: str, values: list[Any]) -> _PyArrow:
        column = _module("pyarrow").array(values)
        if name in self.names:
            return _PyArrow(self._table.set_column(self.names.index(name), name, column))
        return _PyArrow(self._table.append_column(name, column))

    def drop(self, names: list[str]) -> _PyArrow:
        return _PyArrow(self._table.drop_columns(names))

    def keep(self, rows: list[bool]) -> _PyArrow:
        return _PyArrow(self._table.filter(_module("pyarrow").array(rows)))

    def stream(self, start: int, rows: int) -> bytes:
        piece = self._table.slice(start, rows)
        sink = BytesIO()
        with _module("pyarrow").ipc.new_stream(sink, piece.schema) as writer:
            writer.write_table(piece)
        return sink.getvalue()


def pack(table: Any, privacy: Privacy, sample: float, version: str | None) -> Iterator[bytes | Piece | int | Exception]:
    """Yield a table as lines or pieces; between them how many rows are not drawn, and why one cannot be encoded.

    A table without a column `prediction_id` is not sampled. One without `version` gets the client's.

    Raises:
        TypeError: it is no table.
    """
    columns = _columns(table)
    # What is private may also be a field of a column that holds others: row by row it is found.
    if columns is not None and not (privacy and any(group in columns.names for group in GROUPS)):
        yield from _pieces(columns, privacy, sample, version)
        return
    for row in _mappings(table):
        try:
            line = _line(row, privacy, sample, version)
        except Exception as error:  # noqa: BLE001 - of this row; the others may be better
            yield error
        else:
            yield 1 if line is None else line


def _columns(table: Any) -> _Columns | None:
    """Return a table that is columns already; None for any other."""
    home = type(table).__module__.partition(".")[0]
    if home == "pyarrow":
        return _PyArrow(_module("pyarrow").table(table))
    if home == "pandas" or not hasattr(table, "__arrow_c_stream__"):
        return None
    if polars := sys.modules.get("polars"):
        return _Polars(table if home == "polars" else polars.DataFrame(table))
    if pyarrow := sys.modules.get("pyarrow"):
        return _PyArrow(pyarrow.table(table))
    return None


def _pieces(columns: _Columns, privacy: Privacy, sample: float, version: str | None) -> Iterator[Piece | int]:
    if sample < 1 and "prediction_id" in columns.names:
        drawn = [is_drawn(name, sample) for name in columns.values("prediction_id")]
        yield drawn.count(False)
        columns = columns.keep(drawn)
        columns = columns.put("sampling_weight", [1 / sample] * columns.rows)
    if gone := [name for name in columns.names if name in privacy.dropped]:
        columns = columns.drop(gone)
    for name in [name for name in columns.names if name in privacy.changed]:
        columns = columns.put(name, [privacy.value(name, value) for value in columns.values(name)])
    if version is not None and "version" not in columns.names:
        columns = columns.put("version", [version] * columns.rows)
    rows = max(1, columns.rows * _PIECE_BYTES // max(columns.bytes_held, _PIECE_BYTES))
    for start in range(0, columns.rows, rows):
        taken = min(rows, columns.rows - start)
        yield Piece(taken, columns.stream(start, taken))


def _mappings(table: Any) -> Iterable[Mapping[str, Any]]:
    """Return the rows of a table."""
    if isinstance(table, Mapping):
        names = list(table)
        return (dict(zip(names, values, strict=True)) for values in zip(*table.values(), strict=True))
    for way, arguments in (("to_dicts", ()), ("to_pylist", ()), ("to_dict", ("records",))):
        if callable(found := getattr(table, way, None)):
            rows: Iterable[Mapping[str, Any]] = found(*arguments)
            return rows
    if isinstance(table, Iterable) and not isinstance(table, str | bytes):
        return table
    raise TypeError(f"{type(table).__name__} is no table")


def _line(row: Mapping[str, Any], privacy: Privacy, sample: float, version: str | None) -> bytes | None:
    """Return a row as a line; None when it is not drawn."""
    told = dict(row)
    if sample < 1 and "prediction_id" in told:
        if not is_drawn(told["prediction_id"], sample):
            return None
        told["sampling_weight"] = 1 / sample
    if version is not None:
        told.setdefault("version", version)
    return encode(privacy.event(told) if privacy else told)


def _module(name: str) -> Any:
    """Return a library that is loaded: the table in hand is its own."""
    return sys.modules[name]
