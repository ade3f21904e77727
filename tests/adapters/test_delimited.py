"""CSV: every row counts for a type, and every line for the table's form."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from killick.adapters.tables import FileTables
from killick.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

MANY = 7_000
"""Beyond the rows by which types are guessed."""

LATE = {
    "text": (["1"], "high", pl.String, "high"),
    "a fraction": (["1"], "1.5", pl.Float64, 1.5),
    "a wide whole number": (["1"], str(2**64), pl.Int128, 2**64),
    "what is no date": (["2013-04-01"], "soon", pl.String, "soon"),
    "what is not true or false": (["true"], "maybe", pl.String, "maybe"),
    "anything at all": ([""], "1.5", pl.Float64, 1.5),
}


@pytest.mark.parametrize(("first", "last", "dtype", "value"), LATE.values(), ids=LATE)
def test_a_column_may_show_its_type_in_its_last_row(
    tmp_path: Path, first: list[str], last: str, dtype: pl.DataType, value: object
) -> None:
    """It is read again as what it is: neither a failure nor a null."""
    (tmp_path / "late.csv").write_text("\n".join(["x,y", *(f"{each},1" for each in first * MANY), f"{last},1"]))
    source = FileTables(tmp_path).open("late.csv")
    assert (source.schema["x"], source.schema["y"], source.size()) == (dtype, pl.Int64, MANY + 1)
    read = pl.concat(source.batches())
    assert (read["x"][-1], read.height) == (value, MANY + 1)
    assert read["x"].null_count() == (MANY if first == [""] else 0)


REFUSED = {
    "too many fields": ("x,c\n1,a\n2,b,too,many\n", "line 3, a.csv: has 4 fields, and the header names 2"),
    "too few fields": ("x,c\n1,a\n2\n3,b\n", "line 3, a.csv: has 1 field, and the header names 2"),
    "too few beside quotes": ('x,c\n1,"a,b"\n2\n', "line 3, a.csv: has 1 field"),
    "too few after a text of two lines": ('x,c\n1,"a\nb"\n2\n', "line 4, a.csv: has 1 field"),
    "an empty line": ("x,c\n1,a\n\n3,b\n", "line 3, a.csv: is empty, and the header names 2; remove the line"),
    "too many fields, late": ("x,c\n" + "1,a\n" * MANY + "2,b,c\n", "line 7002, a.csv: has 3 fields"),
    "a name twice": ("x,y,x\n1,2,3\n", "line 1, a.csv: names a column twice: 'x'; rename one"),
    "two names that are empty": (",,x\n1,2,3\n", "line 1, a.csv: names a column twice: ''"),
    "a quote that stays open": ('x,c\n1,"a\n2,b\n', "a.csv: opens a quote that it never closes; .*column 'c'"),
    "bytes of Latin-1": ("x,c\n1,a\n2,ü\n".encode("latin-1"), "line 3, a.csv: holds bytes that are no UTF-8"),
    "a header of Latin-1": ("x,ü\n1,a\n".encode("latin-1"), "line 1, a.csv: holds bytes that are no UTF-8"),
    "nothing": ("", "a.csv: is empty"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused_with_its_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    """One line of message, whichever reader found it."""
    (tmp_path / "a.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=said) as refusal:
        FileTables(tmp_path).open("a.csv")
    assert "\n" not in str(refusal.value)


ACCEPTED = {
    "a header alone": ("x,c\n", []),
    "an empty last field": ("x,c\n1,\n2,b\n", [(1, None), (2, "b")]),
    "a mark of the byte order": ("\ufeffx,c\n1,a\n", [(1, "a")]),
    "lines of Windows": ("x,c\r\n1,a\r\n", [(1, "a")]),
    "a separator and a line in quotes": ('x,c\n1,"a,\nb"\n', [(1, "a,\nb")]),
    "one column with gaps": ("x\n1\n\n3\n", [(1,), (None,), (3,)]),
    "64-bit ids beside a gap": (f"x,c\n{2**62 + 1},a\n,b\n", [(2**62 + 1, "a"), (None, "b")]),
}


@pytest.mark.parametrize(("text", "rows"), ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_unusual_but_whole_is_read(tmp_path: Path, text: str, rows: list[tuple[object, ...]]) -> None:
    """Also behind gzip."""
    (tmp_path / "a.csv").write_text(text, encoding="utf-8", newline="")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    for path in ("a.csv", "a.csv.gz"):
        table = FileTables(tmp_path).read(path)
        assert (table.rows(), table.columns[0]) == (rows, "x")


def test_files_of_one_table_agree_on_types_and_columns(tmp_path: Path) -> None:
    """Columns are matched by name; a column that is empty in one file has its type from the others."""
    (tmp_path / "1.csv").write_text("x,y\n1,2\n")
    (tmp_path / "2.csv").write_text("y,x\n2.5,7\n")
    (tmp_path / "3.csv").write_text("x,y\n,5\n")
    table = FileTables(tmp_path).read("*.csv")
    assert table.rows() == [(1, 2.0), (7, 2.5), (None, 5.0)]
    (tmp_path / "4.csv").write_text("x,z\n1,2\n")
    with pytest.raises(DataError, match=r"4\.csv: has other columns than .*1\.csv: it lacks 'y' and adds 'z'"):
        FileTables(tmp_path).open("*.csv")


def test_tabs_separate_too(tmp_path: Path) -> None:
    """By the suffix."""
    (tmp_path / "a.tsv").write_text("x\tc\n1\ta,b\n")
    assert FileTables(tmp_path).read("a.tsv").rows() == [(1, "a,b")]


VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=8))
def test_no_row_is_lost_and_no_value_becomes_null(tmp_path: Path, rows: list[tuple[object, object]]) -> None:
    """Whatever stands in the columns: as many rows, and nulls only where nothing was written."""
    frame = pl.DataFrame(
        {name: [None if row[at] is None else str(row[at]) for row in rows] for at, name in enumerate("xy")},
        schema={"x": pl.String, "y": pl.String},
    )
    frame.write_csv(tmp_path / "a.csv", quote_style="non_numeric")
    read = FileTables(tmp_path).read("a.csv")
    assert read.height == frame.height
    assert read.null_count().equals(frame.null_count())
