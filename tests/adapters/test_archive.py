"""The archive keeps batches where any engine finds them, whole or not at all; its fake does as it does."""

import os
import time
from pathlib import Path

import polars as pl
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.adapters.archive import FolderArchive
from killick.clock import parse_instant
from killick.errors import DataError, OutsideError
from killick.ports.archive import batch_path
from killick.testing.archive import MemoryArchive

AT = parse_instant("2013-05-10T14:30:00Z")
TABLE = pl.DataFrame(
    {
        "event_time": [AT + 1, AT, AT + 2],
        "prediction_id": ["b", "a", "é"],
        "score": [0.1, float("nan"), None],
        "origin": pl.Series(["JFK", "EWR", None], dtype=pl.Categorical),
    }
)


@pytest.fixture(params=["folder", "memory"])
def archive(request, tmp_path):
    """The real one and the fake."""
    return FolderArchive(tmp_path / "archive", spared_seconds=0) if request.param == "folder" else MemoryArchive()


def test_a_batch_comes_back_as_it_was(archive):
    """Rows in their order, nulls and NaN told apart, and only the columns that were asked for, in that order."""
    path = archive.write("flight-delay", "predictions", "batch-1", TABLE)
    assert archive.read(path).equals(TABLE)
    assert archive.read(path, ["score", "event_time"]).columns == ["score", "event_time"]
    assert archive.read(path, []).columns == []


def test_the_place_follows_from_the_earliest_event(archive):
    """Whatever the order of the rows."""
    path = archive.write("flight-delay", "predictions", "batch-1", TABLE)
    assert path == "model=flight-delay/kind=predictions/date=2013-05-10/hour=14/batch-1.parquet"


def test_writing_again_changes_nothing(archive):
    """A sender that heard no answer sends again: one file, the same content."""
    paths = {archive.write("m", "predictions", "b", TABLE) for _ in range(3)}
    assert len(paths) == 1
    assert archive.read(*paths).equals(TABLE)
    assert archive.sweep(paths) == []


@pytest.mark.parametrize(
    "table",
    [
        TABLE.clear(),
        TABLE.drop("event_time"),
        TABLE.with_columns(pl.col("event_time").cast(pl.Float64)),
        TABLE.with_columns(pl.lit(None, pl.Int64).alias("event_time")),
        TABLE.with_columns(pl.col("event_time") * 1_000_000),
    ],
    ids=["no row", "no column", "no integer", "nothing but nulls", "picoseconds"],
)
def test_a_batch_without_a_time_is_a_mistake(archive, table):
    """It could not be found again."""
    with pytest.raises(DataError, match="event_time"):
        archive.write("m", "predictions", "b", table)


def test_a_column_that_is_not_there_is_named(archive):
    """With those that are there."""
    path = archive.write("m", "predictions", "b", TABLE)
    with pytest.raises(DataError, match=r"scoer.*it has event_time, prediction_id, score, origin"):
        archive.read(path, ["scoer", "score"])


def test_a_batch_that_is_not_there_is_the_worlds_fault(archive):
    """The manifest says it exists, so somebody took it away."""
    with pytest.raises(OutsideError, match="none"):
        archive.read("model=m/none.parquet")


def test_orphans_are_swept_and_batches_are_not(archive):
    """What no manifest row speaks of goes; sweeping twice finds nothing."""
    kept, orphan = (archive.write("m", "predictions", name, TABLE) for name in ("kept", "orphan"))
    assert archive.sweep({kept}) == [orphan]
    assert archive.sweep({kept}) == []
    assert archive.read(kept).equals(TABLE)


def test_half_written_files_are_swept_and_foreign_ones_are_not(tmp_path):
    """Ours are known by their place and their name."""
    archive = FolderArchive(tmp_path, spared_seconds=0)
    folder = (tmp_path / archive.write("m", "predictions", "kept", TABLE)).parent
    half = folder / ".0a1b.writing"
    for path in (half, folder / "README", tmp_path / "control.db", tmp_path / "mine.parquet"):
        path.write_bytes(b"half")
    swept = archive.sweep({path.relative_to(tmp_path).as_posix() for path in folder.glob("kept.parquet")})
    assert swept == [half.relative_to(tmp_path).as_posix()]
    assert (folder / "README").exists()
    assert (tmp_path / "mine.parquet").exists()


def test_folders_that_have_long_been_empty_are_swept(tmp_path):
    """Of an hour, and then of its day; a young one may be about to get its first file."""
    archive = FolderArchive(tmp_path)
    path = archive.write("m", "predictions", "b", TABLE)
    archive.remove(path)
    hour = (tmp_path / path).parent
    archive.sweep(set())
    assert hour.is_dir()
    for folder in (hour, hour.parent):
        os.utime(folder, (0, 0))
    archive.sweep(set())
    os.utime(hour.parent, (0, 0))
    archive.sweep(set())
    assert not hour.parent.exists()
    assert archive.read(archive.write("m", "predictions", "b", TABLE)).equals(TABLE)


def test_columns_are_told_without_the_rows(archive):
    """In their order; of what is not there, that it is not there."""
    path = archive.write("m", "predictions", "b", TABLE)
    assert archive.columns(path) == TABLE.columns
    with pytest.raises(OutsideError, match="none"):
        archive.columns("model=m/none.parquet")


def test_what_may_be_on_its_way_to_the_manifest_is_spared(tmp_path):
    """A file is older than its manifest row; only after an hour it will never get one."""
    archive = FolderArchive(tmp_path)
    path = archive.write("m", "predictions", "b", TABLE)
    assert archive.sweep(set()) == []
    an_hour_ago = time.time() - 3601
    os.utime(tmp_path / path, (an_hour_ago, an_hour_ago))
    assert archive.sweep(set()) == [path]


def test_an_empty_archive_is_swept_in_peace(archive):
    """Before anything was written."""
    assert archive.sweep(set()) == []


def test_any_engine_reads_it(tmp_path):
    """Polars and pyarrow find the partitions and their decoded names without our help; the file is zstd."""
    archive = FolderArchive(tmp_path)
    path = archive.write("flights/é delay", "predictions", "b", TABLE)
    archive.write("other", "predictions", "b", TABLE)
    found = ds.dataset(tmp_path, partitioning="hive", exclude_invalid_files=False).to_table()
    assert set(found["model"].to_pylist()) == {"flights/é delay", "other"}
    assert set(found["hour"].to_pylist()) == {14}
    frame = pl.read_parquet(tmp_path, hive_partitioning=True)
    assert set(frame["model"]) == {"flights/é delay", "other"}
    assert pq.ParquetFile(tmp_path / path).metadata.row_group(0).column(0).compression == "ZSTD"


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_name_leaves_its_folder(model, kind, batch_id):
    """Names come from data: whatever is in them, the path has five parts and none of them goes up."""
    path = batch_path(model, kind, batch_id, AT)
    parts = Path(path).parts
    assert len(parts) == 5
    assert not {"..", ".", "/"} & set(parts)
    assert path.isascii()
    assert "\\" not in path
    assert "\0" not in path


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=2, max_size=2, unique=True))
def test_different_names_have_different_places(names):
    """Encoding loses nothing."""
    one, other = (batch_path(model, "predictions", batch_id, AT) for model, batch_id in names)
    assert one != other


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "model=m/../../x", "", "a\\..\\b"])
def test_a_path_that_leads_out_is_not_read(tmp_path, path):
    """Paths are kept in a database that somebody may have written into."""
    with pytest.raises(DataError, match="no such path"):
        FolderArchive(tmp_path / "archive").read(path)


def test_a_damaged_file_is_the_worlds_fault(tmp_path):
    """Cut off, overwritten, or a folder in its place."""
    archive = FolderArchive(tmp_path)
    path = tmp_path / archive.write("m", "predictions", "b", TABLE)
    content = path.read_bytes()
    for damaged in (content[:-20], content[:60] + b"\0" * (len(content) - 60), b"", b"PAR1" * 20):
        path.write_bytes(damaged)
        with pytest.raises(OutsideError, match="could not read"):
            archive.read(path.relative_to(tmp_path).as_posix())


def test_a_disk_that_refuses_is_the_worlds_fault(tmp_path):
    """A file stands where the archive's folder should be; nothing temporary is left behind."""
    (tmp_path / "archive").write_text("not a folder")
    with pytest.raises(OutsideError, match="could not write"):
        FolderArchive(tmp_path / "archive").write("m", "predictions", "b", TABLE)


def test_a_failed_write_leaves_nothing(tmp_path):
    """What cannot be written as Parquet leaves no file under any name."""
    archive = FolderArchive(tmp_path)
    with pytest.raises(OutsideError, match="could not write"):
        archive.write("m", "predictions", "b", TABLE.with_columns(pl.Series("o", [object()] * 3, dtype=pl.Object)))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_folder_that_was_removed_is_made_again(tmp_path):
    """Retention takes folders away under a running process."""
    archive = FolderArchive(tmp_path)
    path = tmp_path / archive.write("m", "predictions", "b", TABLE)
    path.unlink()
    path.parent.rmdir()
    assert archive.read(archive.write("m", "predictions", "b", TABLE)).equals(TABLE)
