"""A table in pieces is the table: the same rows, in their order, however they are stored."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from scipy.stats import kstest

from killick.adapters.sources import ScanSource
from killick.adapters.tables import FileTables
from killick.errors import DataError, OutsideError
from killick.ports.tables import FrameSource
from killick.testing.tables import MemoryTables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = 300_000
TABLE = pl.DataFrame(
    {"row": np.arange(ROWS), "x": np.random.default_rng(1).normal(size=ROWS), "c": np.arange(ROWS) % 24}
).with_columns(pl.col("c").cast(pl.String))

WRITERS = {
    "a.parquet": pl.DataFrame.write_parquet,
    "a.csv": pl.DataFrame.write_csv,
    "a.ndjson": pl.DataFrame.write_ndjson,
    "a.arrow": pl.DataFrame.write_ipc,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the table once in every format."""
    folder = tmp_path_factory.mktemp("sources")
    for name, write in WRITERS.items():
        write(TABLE, folder / name)
    return folder


@pytest.mark.parametrize("name", WRITERS)
def test_batches_are_the_table(folder: Path, name: str) -> None:
    """In its order, in pieces of bounded size, as often as one likes; and only the columns that are asked for."""
    source = FileTables(folder).open(name)
    for _ in range(2):
        batches = list(source.batches())
        assert pl.concat(batches).equals(TABLE.cast(source.schema))
        assert max(batch.height for batch in batches) <= 524_288
    assert pl.concat(source.batches(["c", "row"])).columns == ["c", "row"]
    assert source.size() in {ROWS, None}


@pytest.mark.parametrize("name", WRITERS)
def test_a_sample_is_drawn_from_the_whole_table(folder: Path, name: str) -> None:
    """Of so many rows, in order, none twice, the same each time; uniform over the table, and over a period of 24."""
    source = FileTables(folder).open(name)
    sample = source.sample(5_000)
    rows = sample["row"].to_numpy()
    assert (np.diff(rows) > 0).all()
    assert len(rows) == 5_000
    assert sample.equals(source.sample(5_000))
    assert kstest(rows / ROWS, "uniform").pvalue > 0.001
    assert sample["c"].n_unique() == 24
    assert source.sample(ROWS).equals(TABLE.cast(source.schema))


def test_a_sample_of_a_large_table_comes_from_every_part_of_it() -> None:
    """Only slices are read; each of eight equal parts has its share."""
    height = 2_400_000
    scan = pl.LazyFrame({"row": np.arange(height)})
    source = ScanSource("large", scan, scan.collect_schema(), height, is_indexed=True)
    rows = source.sample(10_001)["row"].to_numpy()
    assert (np.diff(rows) > 0).all()
    assert len(rows) == 10_001
    shares = np.bincount(rows * 8 // height)
    assert shares.max() - shares.min() <= 1
    assert (rows == source.sample(10_001)["row"].to_numpy()).all()


@pytest.mark.parametrize("name", WRITERS)
def test_a_table_without_rows_has_no_batches(tmp_path: Path, name: str) -> None:
    """But still its columns, where the format tells them; NDJSON without a line is no table."""
    if name != "a.ndjson":
        WRITERS[name](TABLE.clear(), tmp_path / name)
        source = FileTables(tmp_path).open(name)
        assert list(source.batches()) == []
        assert source.sample(10).columns == TABLE.columns


def test_a_frame_is_a_source_too() -> None:
    """One batch, uncopied; sampled like any other; and so is what the fake knows."""
    source = FrameSource(TABLE, "current")
    assert [batch is TABLE for batch in source.batches()] == [True]
    assert next(source.batches(["x"])).columns == ["x"]
    rows = source.sample(1_000)["row"].to_numpy()
    assert (len(rows), (np.diff(rows) > 0).all(), source.size()) == (1_000, True, ROWS)
    assert kstest(rows / ROWS, "uniform").pvalue > 0.001
    assert source.sample(ROWS) is TABLE
    assert list(FrameSource(TABLE.clear(), "current").batches()) == []
    assert MemoryTables({"t": TABLE}).open("t").schema == TABLE.schema


def test_a_file_that_is_broken_inside_is_refused_when_it_is_read(tmp_path: Path) -> None:
    """The footer is whole, so only the rows show it."""
    TABLE.write_parquet(tmp_path / "a.parquet")
    held = bytearray((tmp_path / "a.parquet").read_bytes())
    held[1_000:200_000] = bytes(199_000)
    (tmp_path / "a.parquet").write_bytes(held)
    source = FileTables(tmp_path).open("a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
        list(source.batches())
    with pytest.raises(DataError, match=r"a\.parquet: cannot be read"):
        source.sample(10)


class _Store(BaseHTTPRequestHandler):
    """A server that knows ranges, as object stores do; it denies what is called so."""

    folder: Path

    def do_HEAD(self) -> None:
        self.do_GET(has_body=False)

    def do_GET(self, *, has_body: bool = True) -> None:
        path = self.folder / self.path.partition("?")[0].lstrip("/")
        if "denied" in self.path or not path.exists():
            self.send_error(403 if "denied" in self.path else 404)
            return
        held, asked = path.read_bytes(), self.headers.get("Range")
        first, last = 0, len(held) - 1
        if asked:
            low, high = asked.removeprefix("bytes=").split("-")
            first = int(low) if low else max(0, len(held) - int(high))
            last = min(int(high), last) if low and high else last
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(last + 1 - first))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 01 Apr 2013 00:00:00 GMT")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(held)}")
        self.end_headers()
        if has_body:
            self.wfile.write(held[first : last + 1])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store(folder: Path) -> Iterator[str]:
    """Serve the folder on the loopback."""
    (folder / "short.parquet").write_bytes((folder / "a.parquet").read_bytes()[:5_000])
    (folder / "ragged.csv").write_text("x,c\n1\n2,b\n")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Here", (_Store,), {"folder": folder}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_table_behind_a_uri_is_the_same_table(folder: Path, store: str) -> None:
    """Over HTTP, signed or not, in every format; and in a file that is named by a URI."""
    for name in (*WRITERS, "a.parquet?signature=1"):
        source = FileTables().open(f"{store}/{name}")
        assert pl.concat(source.batches()).equals(TABLE.cast(source.schema))
        assert source.sample(100).height == 100
    assert FileTables().read((folder / "a.parquet").as_uri()).equals(TABLE)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("none.parquet", DataError, "none.parquet: is not there"),
        ("none.csv", DataError, "none.csv: is not there"),
        ("short.parquet", DataError, "short.parquet: cannot be read: .*is the file whole"),
        ("ragged.csv", DataError, "line 2, .*ragged.csv: has 1 field"),
        ("denied.parquet", OutsideError, "denied.parquet may not be read: .*credentials"),
        ("denied.csv", OutsideError, "denied.csv may not be read: .*credentials"),
    ],
)
def test_what_a_store_refuses_is_one_message(store: str, name: str, error: type[Exception], said: str) -> None:
    """Whose fault it is decides the exit code: 2 for the file, 3 for the world."""
    with pytest.raises(error, match=said) as refusal:
        FileTables().open(f"{store}/{name}")
    assert "\n" not in str(refusal.value)
    assert "object-store" not in str(refusal.value)
