"""Which files of a watched folder are whole and new, in which order, and under which name each is taken.

Promise: a file is taken once it is whole, and once only, after a crash too. Whole is what two looks found alike, or
what Spark's `_SUCCESS` vouches for; what is hidden or has the name of something that is being written waits. Taken once
is by its name, `producer`, which is derived from the folder, the path, the size and the time of the last change: every
batch of it goes into the store as `(producer, 0)`, `(producer, 1)` ..., where a second one of the same name is known to
be a copy (DESIGN D3). A file that was changed after it was taken is a new one: rows of it that are known are counted as
duplicates, rows that are new are not lost.

Of BentoML's logs those are taken that it has rotated away (`data.0.log.2024-05-07`): the newest is still written to.

Cost: a sort of the listing, and a hash of each file that is whole: a tenth of a second for 10,000 files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from killick.formats.bentoml import between_requests
from killick.formats.foreign import ROWS_MAX
from killick.identity import derive_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from killick.clock import Instant
    from killick.spec.document import Folder, FolderFormat

TABLES = frozenset({"parquet", "csv"})
"""Formats that are read as frames, by columns of the operator's names; the others are lines of JSON."""

_SUFFIXES: Mapping[FolderFormat, tuple[str, ...]] = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv",),
    "ndjson": (".ndjson", ".jsonl"),
    "sagemaker": (".jsonl",),
    "sagemaker-ground-truth": (".jsonl",),
}
# What TimedRotatingFileHandler and RotatingFileHandler make of `data.0.log`.
_ROTATED = re.compile(r"data\.\d+\.log\.[0-9][0-9_-]*")
# Hadoop, Spark and Flink; rsync and browsers; editors. Hidden names need no list.
_UNFINISHED = re.compile(r"(\._COPYING_|\.tmp|\.temp|\.part|\.partial|\.inprogress|\.crdownload|\.writing|~)$")
_SUCCESS = "_SUCCESS"
_TEMPORARY = "_temporary"

# Twice what a server takes as one body.
_REQUEST_BYTES_MAX = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as a look finds it. `path` is within the folder, with slashes; `modified` is its last change."""

    path: str
    size: int
    modified: Instant


@dataclass(frozen=True, slots=True)
class Due:
    """A file to be taken: batch after batch under `(producer, 0)`, `(producer, 1)` ...

    `columns` is the file beside it that says what its columns are, where the format has one.
    """

    path: str
    producer: str
    columns: str | None = None


def due(
    folder: Folder,
    now: Iterable[Seen],
    before: Mapping[str, Seen],
    taken: Collection[str],
    *,
    at_most: int | None = None,
) -> list[Due]:
    """Return the files to be taken now, those that were changed first, first.

    Args:
        folder: what the operator wrote.
        now: what is in the folder.
        before: what the last look found, by path; empty after a start.
        taken: the producers of which every batch is in the store.
        at_most: how many; None: all.

    >>> from killick.spec.document import Folder
    >>> file = Seen("2013/april.csv", 4_000, 1)
    >>> due(Folder("in", "csv"), [file], {}, ())
    []
    >>> due(Folder("in", "csv"), [file], {file.path: file}, ())[0].path
    '2013/april.csv'
    """
    files = sorted(now, key=lambda file: (file.modified, file.path))
    finished = {file.path.rpartition("/")[0]: file.modified for file in files if file.path.endswith(_SUCCESS)}
    writing = {file.path.partition(_TEMPORARY)[0].rstrip("/") for file in files if _TEMPORARY in file.path.split("/")}
    found: list[Due] = []
    for file in files:
        if len(found) == at_most:
            break
        if not file.size or not is_of(folder.format, file.path):
            continue
        jobs = _folders_above(file.path)
        # An old `_SUCCESS` says nothing of what was written later.
        vouched = any(file.modified <= finished[job] for job in jobs if job in finished)
        if (vouched or before.get(file.path) == file) and writing.isdisjoint(jobs):
            producer = producer_of(folder, file)
            if producer not in taken:
                found.append(Due(file.path, producer, columns_of(folder.format, file.path)))
    return found


def is_of(format: FolderFormat, path: str) -> bool:  # noqa: A002 - the spec's word
    """Whether a file is one of a format by its name, and not one that is still being written.

    >>> is_of("parquet", "day=1/part-0.parquet"), is_of("parquet", "_temporary/0/part-0.parquet")
    (True, False)
    """
    parts = path.split("/")
    if any(part.startswith((".", "_")) for part in parts) or _UNFINISHED.search(path):
        return False
    name = parts[-1]
    if format == "bentoml":
        return bool(_ROTATED.fullmatch(name)) and len(parts) > 1 and parts[-2] == "data"
    return name.lower().endswith(_SUFFIXES[format])


def columns_of(format: FolderFormat, path: str) -> str | None:  # noqa: A002 - the spec's word
    """Return the file that says what the columns of another are: BentoML's schema of the same worker.

    >>> columns_of("bentoml", "iris/data/data.0.log.2024-05-07")
    'iris/schema/schema.0.log'
    """
    if format != "bentoml":
        return None
    place = PurePosixPath(path)
    worker = place.name.split(".")[1]
    return str(place.parent.parent / "schema" / f"schema.{worker}.log")


def producer_of(folder: Folder, file: Seen) -> str:
    """Return the name under which a file is taken: the same for the same file, whoever looks, whenever."""
    return derive_id("file", folder.path.rstrip("/"), folder.format, folder.kind, file.path, file.size, file.modified)


def whole_requests(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut pieces of BentoML's lines between requests, so that no request's rows are torn apart.

    Rows with less than a piece between them stay together, and the same file is cut in the same places each time. What
    would be longer than a request can be is cut all the same: nobody's memory holds a file of one request.

    Args:
        pieces: whole lines, in their order.
    """
    held = b""
    for piece in pieces:
        whole = len(held)
        held += piece
        cut = between_requests(held, whole)
        if whole - cut > _REQUEST_BYTES_MAX or held.count(b"\n", cut, whole) > ROWS_MAX // 2:
            cut = whole
        if cut:
            yield held[:cut]
            held = held[cut:]
    if held:
        yield held


def _folders_above(path: str) -> list[str]:
    """Return the folders that a file is in, the watched one first, which is empty."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts))]
