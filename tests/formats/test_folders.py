"""Which files of a watched folder are taken, when, in which order, and under which name."""

from __future__ import annotations

import pytest

from killick.formats.folders import Seen, columns_of, due, is_of
from killick.spec.document import FOLDER_FORMATS, Folder

PARQUET = Folder("scored", "parquet")


def take(now, before=(), taken=(), folder=PARQUET, **more):
    """Return the paths that are due."""
    return [each.path for each in due(folder, now, {file.path: file for file in before}, taken, **more)]


def test_a_file_waits_until_two_looks_find_it_alike():
    """It may still be written to: by size or by time of the last change."""
    file = Seen("a.parquet", 4_000, 10)
    assert take([file]) == []
    assert take([file], [Seen("a.parquet", 3_000, 10)]) == []
    assert take([file], [Seen("a.parquet", 4_000, 9)]) == []
    assert take([file], [file]) == ["a.parquet"]


def test_a_file_is_taken_once():
    """Whoever asks, and after a crash: its name follows from what it is."""
    file = Seen("a.parquet", 4_000, 10)
    (first,) = due(PARQUET, [file], {file.path: file}, ())
    assert first == due(Folder("scored/", "parquet"), [file], {file.path: file}, ())[0]
    assert take([file], [file], {first.producer}) == []
    changed = Seen("a.parquet", 5_000, 20)
    assert take([changed], [changed], {first.producer}) == ["a.parquet"]


@pytest.mark.parametrize(
    "other",
    [Folder("other", "parquet"), Folder("scored", "csv"), Folder("scored", "parquet", "outcomes")],
    ids=str,
)
def test_the_same_file_in_another_folder_has_another_name(other):
    """One folder may be watched for predictions and for outcomes."""
    file = Seen("a.parquet.csv" if other.format == "csv" else "a.parquet", 4_000, 10)
    names = {due(folder, [file], {file.path: file}, ())[0].producer for folder in (other,)}
    own = Seen("a.parquet", 4_000, 10)
    names |= {due(PARQUET, [own], {own.path: own}, ())[0].producer}
    assert len(names) == 2


def test_older_files_come_first_and_a_look_is_bounded():
    """In the order of their last change, then of their names."""
    files = [Seen(f"{name}.parquet", 1, at) for name, at in (("c", 1), ("a", 2), ("b", 2), ("z", 0))]
    assert take(files, files) == ["z.parquet", "c.parquet", "a.parquet", "b.parquet"]
    assert take(files, files, at_most=2) == ["z.parquet", "c.parquet"]


def test_spark_vouches_for_what_it_wrote():
    """`_SUCCESS` is written last; while there is a `_temporary` nothing below it is taken."""
    part = Seen("out/day=1/part-0.parquet", 9, 10)
    assert take([part, Seen("out/_SUCCESS", 0, 11)]) == [part.path]
    assert take([part, Seen("_SUCCESS", 0, 11)]) == [part.path]
    assert take([part, Seen("elsewhere/_SUCCESS", 0, 11)]) == []
    assert take([part, Seen("out/_SUCCESS", 0, 9)]) == []
    writing = Seen("out/_temporary/0/task/part-1.parquet", 9, 10)
    assert take([part, writing, Seen("out/_SUCCESS", 0, 11)], [part, writing]) == []
    assert take([part, Seen("elsewhere/_temporary/0/x", 1, 1)], [part]) == [part.path]


@pytest.mark.parametrize(
    "path",
    [
        ".a.parquet",
        "_a.parquet",
        ".cache/a.parquet",
        "a.parquet.tmp",
        "a.parquet.part",
        "a.parquet.crdownload",
        "a.parquet._COPYING_",
        "a.parquet~",
        ".a.parquet.x7Zq",
        "a.txt",
        "a",
    ],
)
def test_what_is_hidden_temporary_or_something_else_waits(path):
    """However long it stays."""
    file = Seen(path, 9, 1)
    assert take([file], [file]) == []


def test_an_empty_file_waits():
    """It has been made, not written."""
    file = Seen("a.parquet", 0, 1)
    assert take([file], [file]) == []


@pytest.mark.parametrize(
    ("format", "path"),
    [
        ("parquet", "a/b/part-0.snappy.parquet"),
        ("parquet", "a.PQ"),
        ("csv", "labels.csv"),
        ("ndjson", "a.ndjson"),
        ("ndjson", "a.jsonl"),
        ("sagemaker", "AllTraffic/2021/02/03/13/12-26-957-d5938b7b.jsonl"),
        ("sagemaker-ground-truth", "2021/02/03/13/labels.jsonl"),
        ("bentoml", "iris/data/data.0.log.2024-05-07"),
        ("bentoml", "data/data.12.log.1"),
    ],
)
def test_a_format_is_known_by_its_names(format, path):  # noqa: A002 - the spec's word
    """As those who write it call their files; and only one of the formats with a suffix of its own."""
    assert is_of(format, path)
    assert [other for other in FOLDER_FORMATS if is_of(other, path) and columns_of(other, path)] == (
        ["bentoml"] if format == "bentoml" else []
    )


@pytest.mark.parametrize("path", ["iris/data/data.0.log", "iris/schema/schema.0.log.1", "iris/other/data.0.log.1"])
def test_bentomls_newest_log_is_still_written_to(path):
    """And its schema is not data."""
    assert not is_of("bentoml", path)


def test_bentomls_schema_lies_beside_its_data():
    """Of the same worker."""
    file = Seen("iris/data/data.3.log.2024-05-07", 9, 1)
    (found,) = due(Folder("monitoring", "bentoml"), [file], {file.path: file}, ())
    assert found.columns == "iris/schema/schema.3.log"
