"""Folders on a disk: what is seen, what is read, and that no path leads out. The fake does the same."""

from __future__ import annotations

import os

import polars as pl
import pytest

from killick.adapters.folders import LocalFolders
from killick.errors import DataError, OutsideError
from killick.formats.folders import Seen
from killick.testing.folders import MemoryFolders

TABLE = pl.DataFrame({"id": ["a", "b"], "score": [0.5, 0.25]})
LINES = b'{"a": 1}\n{"a": 2}\n'


def local(tmp_path):
    """Return folders on a disk with a table and lines, last changed at a known time."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    TABLE.write_parquet(tmp_path / "in" / "deep" / "t.parquet")
    (tmp_path / "in" / "l.ndjson").write_bytes(LINES)
    for path in ("deep/t.parquet", "l.ndjson"):
        os.utime(tmp_path / "in" / path, ns=(0, 5_000_000_000))
    return LocalFolders(tmp_path)


def memory(_):
    """Return the same in memory."""
    folders = MemoryFolders()
    folders.put("in", "deep/t.parquet", TABLE, 5_000_000)
    folders.put("in", "l.ndjson", LINES, 5_000_000)
    return folders


@pytest.mark.parametrize("make", [local, memory])
def test_what_is_in_a_folder_is_seen_and_read(make, tmp_path):
    """Below it too; of a folder that is not there, that it is not."""
    folders = make(tmp_path)
    assert {(seen.path, seen.modified) for seen in folders.look("in")} == {
        ("deep/t.parquet", 5_000_000),
        ("l.ndjson", 5_000_000),
    }
    assert Seen("l.ndjson", len(LINES), 5_000_000) in folders.look("in")
    assert pl.concat(folders.tables("in", "deep/t.parquet")).equals(TABLE)
    assert b"".join(folders.lines("in", "l.ndjson")) == LINES
    with pytest.raises(OutsideError, match="later is not there"):
        folders.look("later")


@pytest.mark.parametrize("make", [local, memory])
def test_what_has_gone_is_a_mistake_of_the_data(make, tmp_path):
    """Somebody tidied up between two looks."""
    folders = make(tmp_path)
    with pytest.raises(DataError, match=r"gone\.ndjson: is not there"):
        list(folders.lines("in", "gone.ndjson"))
    with pytest.raises(DataError, match=r"gone\.parquet: is not there"):
        list(folders.tables("in", "gone.parquet"))


@pytest.mark.parametrize(
    "path",
    ["../secret.ndjson", "/etc/passwd", "deep/../../secret.ndjson", "", "deep", "link.ndjson", "out/secret.ndjson"],
)
def test_no_path_leads_out_of_the_folder(tmp_path, path):
    """Neither by dots nor by links, to a file or to a folder; nor is what a link names listed."""
    folders = local(tmp_path)
    (tmp_path / "secret.ndjson").write_bytes(LINES)
    (tmp_path / "in" / "link.ndjson").symlink_to(tmp_path / "secret.ndjson")
    (tmp_path / "in" / "out").symlink_to(tmp_path)
    assert {seen.path for seen in folders.look("in")} == {"deep/t.parquet", "l.ndjson"}
    with pytest.raises(DataError):
        list(folders.lines("in", path))
    with pytest.raises(DataError):
        list(folders.tables("in", path))


def test_a_circle_of_links_and_a_pipe_are_passed_over(tmp_path):
    """A look ends, and waits for nobody."""
    folders = local(tmp_path)
    (tmp_path / "in" / "deep" / "up").symlink_to(tmp_path / "in")
    os.mkfifo(tmp_path / "in" / "pipe.ndjson")
    assert len(folders.look("in")) == 2
    with pytest.raises(DataError, match="is no file"):
        list(folders.lines("in", "pipe.ndjson"))


def test_a_look_is_bounded(tmp_path):
    """In files, and in how deep it goes."""
    (tmp_path / "in" / "/".join("d" * 40)).mkdir(parents=True)
    (tmp_path / "in" / "/".join("d" * 40) / "far.csv").write_text("a\n1\n")
    for at in range(5):
        (tmp_path / "in" / f"{at}.csv").write_text("a\n1\n")
    assert len(LocalFolders(tmp_path).look("in")) == 5
    assert [seen.path for seen in LocalFolders(tmp_path, files_max=3).look("in")] == ["0.csv", "1.csv", "2.csv"]


def test_pieces_are_whole_lines_and_the_same_each_time(tmp_path):
    """However they fall on what is read at once; the last line may have no end."""
    (tmp_path / "in").mkdir()
    written = b"".join(b"%d\n" % (10**at) for at in range(40)) + b"end"
    (tmp_path / "in" / "l.ndjson").write_bytes(written)
    folders = LocalFolders(tmp_path, line_bytes_max=50)
    pieces = list(folders.lines("in", "l.ndjson"))
    assert b"".join(pieces) == written
    assert all(piece.endswith(b"\n") for piece in pieces[:-1])
    assert pieces == list(folders.lines("in", "l.ndjson"))


def test_many_short_lines_are_several_pieces(tmp_path):
    """No more at once than a payload may have."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "l.ndjson").write_bytes(b"1\n" * 120_000)
    assert [piece.count(b"\n") for piece in LocalFolders(tmp_path).lines("in", "l.ndjson")] == [50_000, 50_000, 20_000]


def test_a_line_without_end_is_refused(tmp_path):
    """It would have to be held whole."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "l.ndjson").write_bytes(b"x" * 1_000)
    with pytest.raises(DataError, match="a line of more than 100 bytes"):
        list(LocalFolders(tmp_path, line_bytes_max=100).lines("in", "l.ndjson"))


def test_a_disk_that_fails_is_the_worlds_fault(tmp_path):
    """A file where a folder should be is one, too."""
    (tmp_path / "in").write_text("no folder")
    with pytest.raises(OutsideError, match="in cannot be read"):
        LocalFolders(tmp_path).look("in")
