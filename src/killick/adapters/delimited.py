"""CSV and TSV, where nothing says what a column is: types that hold for every row, and rows that have every field.

Promise: types are guessed from the first rows and then proved by reading all: a column that turns from numbers to text
in its last row is text, and 64-bit ids stay exact. A name that comes twice, a row with too few or too many fields and
bytes that are no UTF-8 are refused, with the line on this machine.

Cost: one streaming read to prove the types, and a part of one again for each column that has to change.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from killick.adapters.refusals import same_columns
from killick.errors import DataError, Mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

# Most columns show their type by then, so that proving them all takes one read.
_GUESSED_ROWS = 6_000
_UNPARSED = re.compile(r"could not parse `(.*?)` as dtype `(.+?)` at column '(.*)' \(column number", re.DOTALL)
_WHOLE = re.compile(r"[+-]?[0-9]+")
# Stands in no text table, so that a line is one field.
_NOWHERE = "\x1e"


def scan_delimited(files: Mapping[str, str], separator: str) -> tuple[pl.LazyFrame, int]:
    """Return a scan of text tables, with types and fields that every row has, and how many rows there are.

    Args:
        files: what to call each in a message, by its path or URI.
        separator: what stands between two fields.

    Raises:
        DataError: a file names a column twice, has other columns than the first, or holds what is no row of it.
        polars.exceptions.PolarsError: anything else that Polars says.
    """
    headers = {file: _header(file, separator, called) for file, called in files.items()}
    first = next(iter(files))
    columns = headers[first]
    for file, called in files.items():
        same_columns(called, headers[file], files[first], columns)
    try:
        types, counts = _proved(headers, separator)
    except pl.exceptions.ComputeError as error:
        _refuse_line(files, headers, separator, str(error))
        raise
    *nulls, rows = counts
    gaps = {column for column, missing in zip(columns, nulls, strict=True) if missing}
    # A row that ends too early reads as if its last fields were empty.
    if any(header[-1] in gaps and len(header) > 1 for header in headers.values()):
        _refuse_ragged(files, headers, separator)
    empty = {column: pl.String() for column, missing in zip(columns, nulls, strict=True) if missing == rows}
    return _joined(headers, separator, types | empty), rows


def _header(file: str, separator: str, called: str) -> list[str]:
    """Return the names of the columns as they are written; Polars would rename the second of two."""
    # What is wrong further down is found, with its line, when everything is read.
    scan = pl.scan_csv(
        file,
        separator=separator,
        has_header=False,
        n_rows=1,
        infer_schema=False,
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
        glob=False,
    )
    names = ["" if name is None else name for name in scan.collect().row(0)]
    if any("\N{REPLACEMENT CHARACTER}" in name for name in names):
        raise DataError(Mistake(called, "holds bytes that are no UTF-8", line=1, hint="save the file as UTF-8"))
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        told = ", ".join(map(repr, twice))
        raise DataError(Mistake(called, f"names a column twice: {told}", line=1, hint="rename one of the two"))
    return names


def _guessed(headers: Mapping[str, list[str]], separator: str) -> dict[str, pl.DataType]:
    """Return types by the first rows of each file. Where there is nothing yet, a number is tried first."""
    guesses: dict[str, set[pl.DataType]] = {name: set() for name in next(iter(headers.values()))}
    for file in headers:
        scan = partial(pl.scan_csv, file, separator=separator, glob=False)
        schema = scan(try_parse_dates=True, infer_schema_length=_GUESSED_ROWS).collect_schema()
        shown = scan(infer_schema=False, n_rows=_GUESSED_ROWS).select(pl.all().count() > 0).collect().row(0, named=True)
        for column, dtype in schema.items():
            guesses[column] |= {dtype} if shown[column] else set()
    return {column: _common(dtypes) for column, dtypes in guesses.items()}


def _common(dtypes: set[pl.DataType]) -> pl.DataType:
    if len(dtypes) < 2:  # noqa: PLR2004 - one guess needs no agreement
        return next(iter(dtypes), pl.Int64())
    if all(dtype.is_numeric() for dtype in dtypes):
        return pl.Float64() if any(dtype.is_float() for dtype in dtypes) else pl.Int128()
    return pl.String()


def _proved(headers: Mapping[str, list[str]], separator: str) -> tuple[dict[str, pl.DataType], tuple[int, ...]]:
    """Return types that every row has; and how many nulls each column has, and how many rows there are."""
    types = _guessed(headers, separator)
    while True:
        counted = _joined(headers, separator, types).select(pl.all().null_count(), pl.len().alias(_NOWHERE))
        try:
            return types, counted.collect(engine="streaming").row(0)
        except pl.exceptions.ComputeError as error:
            changed = _changed(str(error), types)
            if not changed:
                raise
            types |= changed


def _joined(headers: Mapping[str, list[str]], separator: str, types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    columns = list(types)
    return pl.concat(
        [
            pl.scan_csv(file, separator=separator, schema={name: types[name] for name in names}, glob=False).select(
                columns
            )
            for file, names in headers.items()
        ]
    )


def _changed(said: str, types: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the next wider type of the column that could not be read, or nothing when that is not what was said."""
    found = _UNPARSED.search(said)
    if found is None or found[3] not in types:
        return {}
    value, _, column = found.groups()
    now = types[column]
    if now == pl.String:
        return {}
    if now == pl.Int64 and _WHOLE.fullmatch(value):
        return {column: pl.Int128()}
    return {column: pl.Float64() if now.is_integer() and _is_number(value) else pl.String()}


def _is_number(written: str) -> bool:
    try:
        float(written)
    except ValueError:
        return False
    return True


# ------------------------------------------------------------------------------------------------ which line it is


def _refuse_line(files: Mapping[str, str], headers: Mapping[str, list[str]], separator: str, said: str) -> None:
    """Name the line that keeps a table from being read, if it is one of the usual faults."""
    for file, called in files.items():
        if "://" not in file:
            _refuse_bytes(file, called)
    unparsed = _UNPARSED.search(said)
    if unparsed and unparsed[1].startswith('"'):
        hint = f"look for a single quote in column {unparsed[3]!r}"
        raise DataError(Mistake(" or ".join(files.values()), "opens a quote that it never closes", hint=hint))
    _refuse_ragged(files, headers, separator)


def _refuse_bytes(file: str, called: str) -> None:
    with _bytes(file) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                problem = f"holds bytes that are no UTF-8: {error.object[error.start : error.end]!r}"
                raise DataError(Mistake(called, problem, line=number, hint="save the file as UTF-8")) from None


def _bytes(file: str) -> BinaryIO | gzip.GzipFile:
    return gzip.open(file) if file.endswith(".gz") else Path(file).open("rb")


def _refuse_ragged(files: Mapping[str, str], headers: Mapping[str, list[str]], separator: str) -> None:
    for file, called in files.items():
        width = len(headers[file])
        if found := _ragged(file, separator, width):
            line, fields = found
            has = f"has {fields} field{'s' * (fields != 1)}" if fields else "is empty"
            hint = "quote a text that holds the separator, and end no line early" if fields else "remove the line"
            raise DataError(Mistake(called, f"{has}, and the header names {width}", line=line, hint=hint))


def _ragged(file: str, separator: str, width: int) -> tuple[int, int] | None:
    """Return the first line with another number of fields than the header, and that number."""
    lines = pl.scan_csv(
        file,
        has_header=False,
        separator=_NOWHERE,
        quote_char=None,
        schema={"line": pl.String()},
        row_index_name="number",
        row_index_offset=1,
        glob=False,
    )
    line = pl.col("line").fill_null("")
    is_open = (line.str.count_matches('"', literal=True) % 2 == 1).any()
    fields = line.str.replace_all('"[^"]*"', "").str.count_matches(separator, literal=True) + 1
    found = lines.select("number", fields=pl.when(line == "").then(0).otherwise(fields)).filter(
        pl.col("fields") != width
    )
    try:
        if lines.select(is_open).collect(engine="streaming").item():
            return _ragged_quoted(file, separator, width)
        first = found.head(1).collect(engine="streaming")
    except pl.exceptions.ComputeError:
        # Somebody's text holds the separator that stands nowhere.
        return _ragged_quoted(file, separator, width)
    return (first["number"][0], first["fields"][0]) if first.height else None


def _ragged_quoted(file: str, separator: str, width: int) -> tuple[int, int] | None:
    """Look for it in a table whose texts go over several lines, which takes a reader that follows quotes."""
    if "://" in file:
        return None
    with _bytes(file) as lines:
        rows = csv.reader((line.decode(errors="replace") for line in lines), delimiter=separator)
        return next(((rows.line_num, len(row)) for row in rows if len(row) != width), None)
