"""Tables by path: every format, globs, and messages for what is not there or not whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from killick.adapters.tables import FileTables
from killick.errors import CallError, DataError

if TYPE_CHECKING:
    from pathlib import Path

ROWS = pl.DataFrame({"x": [1, 2, 3], "c": ["a", None, "ü"]})

WRITERS = {
    "rows.parquet": pl.DataFrame.write_parquet,
    "rows.pq": pl.DataFrame.write_parquet,
    "rows.PARQUET": pl.DataFrame.write_parquet,
    "rows.csv": pl.DataFrame.write_csv,
    "rows.ndjson": pl.DataFrame.write_ndjson,
    "rows.jsonl": pl.DataFrame.write_ndjson,
    "rows.arrow": pl.DataFrame.write_ipc,
    "rows.feather": pl.DataFrame.write_ipc,
    "rows.ipc": pl.DataFrame.write_ipc,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_read(tmp_path: Path, name: str) -> None:
    """By its suffix, in whatever case, relative to the root."""
    WRITERS[name](ROWS, tmp_path / name)
    assert FileTables(tmp_path).read(name).equals(ROWS)


def test_other_programs_files_are_read(tmp_path: Path) -> None:
    """Pandas and pyarrow wrote them."""
    import pyarrow as pa
    from pyarrow import feather, parquet

    parquet.write_table(pa.table(ROWS.to_dict(as_series=False)), tmp_path / "a.parquet")
    feather.write_feather(pa.table(ROWS.to_dict(as_series=False)), tmp_path / "a.feather", compression="uncompressed")
    ROWS.to_pandas().to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.feather", "a.csv"):
        assert FileTables(tmp_path).read(name).equals(ROWS)


def test_a_glob_is_one_table(tmp_path: Path) -> None:
    """In order of the names; an absolute path does not care about the root."""
    for part in range(3):
        ROWS[part : part + 1].write_parquet(tmp_path / f"part-{part}.parquet")
    assert FileTables(tmp_path).read("part-*.parquet").equals(ROWS)
    assert FileTables("/").read(str(tmp_path / "part-1.parquet")).equals(ROWS[1:2])
    assert FileTables("/").read(str(tmp_path / "part-*.parquet")).height == 3


def test_text_that_looks_like_a_time_is_one(tmp_path: Path) -> None:
    """And a column whose first thousands of rows are empty is not text for ever."""
    lines = "at,x\n" + "2013-04-01T00:00:00,\n" * 5_000 + "2013-04-01T00:00:00,1.5\n"
    (tmp_path / "a.csv").write_text(lines)
    table = FileTables(tmp_path).read("a.csv")
    assert table.dtypes == [pl.Datetime("us"), pl.Float64]


def write_broken(folder: Path) -> None:
    """Write files that cannot be used."""
    ROWS.write_parquet(folder / "whole.parquet")
    whole = (folder / "whole.parquet").read_bytes()
    (folder / "short.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.parquet").write_bytes(b"")
    (folder / "text.parquet").write_text("x,c\n1,a\n")
    (folder / "empty.csv").write_text("")
    (folder / "ragged.csv").write_text("x,c\n1,a\n2,b,too,many\n")
    (folder / "empty.ndjson").write_text("")
    (folder / "bad.ndjson").write_text('{"x": 1}\n{"x": \n')
    (folder / "bad.arrow").write_bytes(b"ARROW1 not really")
    (folder / "rows.xlsx").write_bytes(b"PK")
    (folder / "folder.parquet").mkdir()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none.parquet", "none.parquet: is not there; .*looked in"),
        ("none.csv", "none.csv: is not there; .*looked in"),
        ("none-*.parquet", r"none-\*.parquet: is not there; no file matches; looked in"),
        ("none/deep/*.csv", "is not there; no file matches"),
        (
            "rows.xlsx",
            "is of no kind that can be read .found '.xlsx'.; give a path that ends in one of .arrow",
        ),
        ("rows", "rows: is of no kind that can be read .found ''"),
        ("short.parquet", "short.parquet: cannot be read: .*; is the file whole, and what its name says"),
        ("empty.parquet", "empty.parquet: cannot be read: "),
        ("text.parquet", "text.parquet: cannot be read: "),
        ("empty.csv", "empty.csv: is empty"),
        ("empty.ndjson", "empty.ndjson: is empty"),
        ("ragged.csv", "line 3, ragged.csv: has 4 fields, and the header names 2"),
        ("bad.ndjson", "bad.ndjson: cannot be read: "),
        ("bad.arrow", "bad.arrow: cannot be read: "),
        ("folder.parquet", "folder.parquet: is a folder without tables"),
    ],
)
def test_what_cannot_be_read_says_why_in_one_line(tmp_path: Path, path: str, said: str) -> None:
    """A person sees the path as he wrote it, one line, and what to look at."""
    write_broken(tmp_path)
    with pytest.raises(DataError, match=said) as refusal:
        FileTables(tmp_path).read(path)
    assert "\n" not in str(refusal.value)


def test_a_folder_is_one_table(tmp_path: Path) -> None:
    """What a program keeps beside the tables for itself is none; the folders' names are a column."""
    for year in (2012, 2013):
        (tmp_path / f"flights/year={year}").mkdir(parents=True)
        ROWS.write_parquet(tmp_path / f"flights/year={year}/part-0.parquet")
    (tmp_path / "flights/_SUCCESS").touch()
    (tmp_path / "flights/.part-1.parquet").write_bytes(b"half written")
    expected = pl.concat([ROWS.with_columns(year=pl.lit(year, pl.Int64)) for year in (2012, 2013)])
    for path in ("flights", "flights/*/*.parquet", "flights/year=*", (tmp_path / "flights").as_uri()):
        assert FileTables(tmp_path).read(path).equals(expected)


def test_what_files_of_one_table_call_alike_is_one_column(tmp_path: Path) -> None:
    """In whatever order; whole numbers, fractions and nulls have a type that holds them all."""
    ROWS.write_parquet(tmp_path / "1.parquet")
    ROWS.select("c", x=pl.col("x") + 0.5).write_parquet(tmp_path / "2.parquet")
    ROWS.with_columns(x=None).write_parquet(tmp_path / "3.parquet")
    table = FileTables(tmp_path).read("*.parquet")
    assert table["x"].to_list() == [1, 2, 3, 1.5, 2.5, 3.5, None, None, None]
    assert table["c"].to_list() == ROWS["c"].to_list() * 3


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (ROWS.drop("c"), "2.parquet: has other columns than .*1.parquet: it lacks 'c'"),
        (ROWS.rename({"c": "d"}), "2.parquet: has other columns than .*1.parquet: it lacks 'c' and adds 'd'"),
        (ROWS.with_columns(x=pl.struct("c")), "2.parquet.x: has another type than in .*1.parquet, Int64"),
    ],
)
def test_files_that_do_not_fit_together_are_named(tmp_path: Path, other: pl.DataFrame, said: str) -> None:
    """One of a thousand would be hard to find otherwise."""
    ROWS.write_parquet(tmp_path / "1.parquet")
    other.write_parquet(tmp_path / "2.parquet")
    with pytest.raises(DataError, match=said):
        FileTables(tmp_path).open("*.parquet")


def test_a_broken_file_of_many_is_named(tmp_path: Path) -> None:
    """And a folder of several formats is refused, since nobody meant both."""
    ROWS.write_parquet(tmp_path / "1.parquet")
    (tmp_path / "2.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"2\.parquet: cannot be read"):
        FileTables(tmp_path).open("*.parquet")
    ROWS.write_csv(tmp_path / "3.csv")
    with pytest.raises(DataError, match="holds several kinds of files: CSV, Parquet"):
        FileTables(tmp_path).open(".")


def test_a_nested_column_comes_in_as_it_is(tmp_path: Path) -> None:
    """Whoever watches columns says that it cannot be watched; the others are not lost."""
    nested = ROWS.with_columns(pair=pl.struct("x", "c"), several=pl.concat_list("x", "x"))
    nested.write_parquet(tmp_path / "a.parquet")
    assert FileTables(tmp_path).read("a.parquet").equals(nested)


def test_a_line_of_json_may_bring_a_new_key_or_type(tmp_path: Path) -> None:
    """Late in the file too: nothing is dropped, and numbers that turn into text are text."""
    (tmp_path / "a.ndjson").write_text('{"x":1}\n' * 7_000 + '{"x":"high","y":2}\n')
    table = FileTables(tmp_path).read("a.ndjson")
    assert (table["x"][-1], table["y"][-1], table["x"][0]) == ("high", 2, "1")


def test_an_arrow_stream_is_read_like_an_arrow_file(tmp_path: Path) -> None:
    """Several libraries give a stream the same suffix."""
    ROWS.write_ipc_stream(tmp_path / "a.arrow")
    assert FileTables(tmp_path).read("a.arrow").equals(ROWS)


def test_text_is_read_or_refused(tmp_path: Path) -> None:
    """What is not there, is a folder, or is no UTF-8."""
    (tmp_path / "a.jsonl").write_text("Zürich", encoding="utf-8")
    (tmp_path / "latin").write_bytes("Zürich".encode("latin-1"))
    tables = FileTables(tmp_path)
    assert tables.text("a.jsonl") == "Zürich"
    for path, said in (("none", "none: is not there; looked in"), (".", "cannot be read"), ("latin", "cannot be read")):
        with pytest.raises(CallError, match=said):
            tables.text(path)
