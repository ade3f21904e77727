"""The spool: what was written is read again, whatever happened to the file in between; and nobody reads another's."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick_client import Client
from killick_client.segment import HEADER, Batch
from killick_client.spool import Lock, Spool
from tests.client.outside import Outside, until

Make = Callable[..., Client]


def a_spool(folder: Path, producer: str, bytes_max: int = 1 << 20) -> Spool:
    """A spool without a client."""
    return Spool(folder, producer, bytes_max=bytes_max, fsync_seconds=0.0)


def batch(number: int, body: bytes = b"{}\n", producer: str = "dead") -> Batch:
    """One batch."""
    return Batch(producer, number, "gauges", "/v1/models/m/gauges", "application/x-ndjson", 1, body)


def read(spool: Spool, *, mine: bool) -> Iterator[Batch]:
    """Everything that there is, in order, each marked as done."""
    while found := spool.next(mine=mine):
        yield found
        spool.done()


def died(spool: Spool) -> None:
    """End without a word, as a process does that is killed: all its descriptors are closed."""
    spool.abandon()


@given(bodies=st.lists(st.binary(max_size=200) | st.just(b"KLK1") | st.just(b"KLK1" * 50), max_size=20))
def test_what_is_written_is_read_in_order(bodies: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """By the same process, and by the next one, also where a body looks like the beginning of a record."""
    folder = tmp_path_factory.mktemp("spool")
    batches = [batch(number, body) for number, body in enumerate(bodies)]
    spool = a_spool(folder, "dead")
    for one in batches[:10]:
        assert spool.put(one)
    assert list(read(spool, mine=True)) == batches[:10]
    for one in batches[10:]:
        assert spool.put(one)
    died(spool)

    heir = a_spool(folder, "heir")
    heir.adopt()
    assert list(read(heir, mine=False)) == batches[10:]
    assert heir.corrupt == 0
    heir.close()
    assert list(folder.iterdir()) == []


@given(data=st.data())
def test_a_damaged_file_gives_what_is_whole_and_nothing_else(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut off anywhere, or with bytes changed: no record comes out changed, and the untouched ones come out."""
    folder = tmp_path_factory.mktemp("spool")
    spool = a_spool(folder, "dead")
    batches = [batch(number, bytes([number]) * number * 7) for number in range(8)]
    for one in batches:
        assert spool.put(one)
    died(spool)
    (path,) = folder.rglob("*.segment")
    ends = [0]
    content = bytearray(path.read_bytes())
    at = 0
    while at < len(content):
        at += HEADER.size + HEADER.unpack(content[at : at + HEADER.size])[2]
        ends.append(at)
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    spots = data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3))
    for spot in spots:
        content[spot] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content[:cut])

    heir = a_spool(folder, "heir")
    heir.adopt()
    found = list(read(heir, mine=False))
    heir.close()

    whole = [
        one
        for number, one in enumerate(batches)
        if ends[number + 1] <= cut and not any(ends[number] <= spot < ends[number + 1] for spot in spots)
    ]
    assert [one for one in found if one in whole] == whole
    assert all(one in batches for one in found)
    assert list(folder.iterdir()) == []


def test_a_damaged_record_that_was_answered_costs_no_other(tmp_path: Path) -> None:
    """One bit of its length would lead far past its neighbours."""
    spool = a_spool(tmp_path, "dead")
    for number in range(30):
        spool.put(batch(number, b"x" * 1_000))
    spool.next(mine=True)
    spool.done()
    died(spool)
    (path,) = tmp_path.rglob("*.segment")
    content = bytearray(path.read_bytes())
    content[9] ^= 0x40  # the length, and 16,384 more
    path.write_bytes(content)

    heir = a_spool(tmp_path, "heir")
    heir.adopt()
    assert [one.sequence for one in read(heir, mine=False)] == list(range(1, 30))
    assert heir.corrupt == 1
    heir.close()


def test_what_was_answered_is_not_sent_again(tmp_path: Path) -> None:
    """The mark is in the file, so that the next process knows."""
    spool = a_spool(tmp_path, "dead")
    for number in range(5):
        spool.put(batch(number))
    for _ in range(3):
        spool.next(mine=True)
        spool.done()
    died(spool)

    heir = a_spool(tmp_path, "heir")
    heir.adopt()
    assert [one.sequence for one in read(heir, mine=False)] == [3, 4]
    heir.close()


def test_two_processes_never_adopt_the_same(tmp_path: Path) -> None:
    """Neither what a living one still writes, nor what another is already sending."""
    living = a_spool(tmp_path, "living")
    living.put(batch(0, producer="living"))
    spool = a_spool(tmp_path, "dead")
    spool.put(batch(0))
    died(spool)
    heirs = [a_spool(tmp_path, f"heir{number}") for number in range(3)]
    for heir in heirs:
        heir.adopt()

    assert [one and one.producer for heir in heirs if (one := heir.next(mine=False))] == ["dead"]
    for heir in heirs:
        heir.close()
    living.close()


def test_a_crash_loop_is_adopted_with_few_descriptors(tmp_path: Path) -> None:
    """A hundred starts that died are read to their end, a few at a time."""
    for start in range(100):
        spool = a_spool(tmp_path, f"start{start:03}")
        spool.put(batch(start))
        died(spool)
    heir = a_spool(tmp_path, "heir")
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    heir.adopt()
    sequences, most = [], 0
    for one in read(heir, mine=False):
        sequences.append(one.sequence)
        most = max(most, len(list(descriptors.iterdir())))

    assert sequences == list(range(100))
    assert most - before < 30
    assert list(tmp_path.iterdir()) == []
    heir.close()


def test_what_is_put_aside_is_bounded_and_nobodys_to_adopt(tmp_path: Path) -> None:
    """A quarter of the spool at most; it counts towards the bound of all."""
    spool = a_spool(tmp_path, "p", bytes_max=20_000)
    kept = [spool.put_aside(batch(number, b"x" * 1_000)) for number in range(20)]
    spool.adopt()

    assert kept == [True] * 4 + [False] * 16
    assert spool.next(mine=False) is None
    assert len(list((tmp_path / "aside").iterdir())) == 4
    assert sum(spool.put(batch(number, b"x" * 1_000)) for number in range(20)) == 14
    spool.close()


def test_a_segment_leaves_the_disk_when_it_has_been_sent(tmp_path: Path) -> None:
    """So that a spool which was full has room again, however small it is."""
    spool = a_spool(tmp_path, "p", bytes_max=10_000)
    number = 0
    for _ in range(3):
        while spool.put(batch(number, b"x" * 1_500)):
            number += 1
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.segment")) <= 10_000
        assert list(read(spool, mine=True))
        assert not list(tmp_path.rglob("*.segment"))
    assert number == 18
    spool.close()


def test_the_bound_is_that_of_all_processes_together(tmp_path: Path) -> None:
    """A service that dies and starts again, over and over, does not fill the disk."""
    for start in range(10):
        spool = a_spool(tmp_path, f"start{start}", bytes_max=10_000)
        while spool.put(batch(start, b"x" * 1_000)):
            pass
        died(spool)

    assert sum(path.stat().st_size for path in tmp_path.rglob("*.segment")) <= 10_000


def test_files_are_for_their_user_alone(tmp_path: Path) -> None:
    """They hold what a service's users sent."""
    spool = a_spool(tmp_path, "p")
    spool.put(batch(0))

    assert {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")} == {0}
    spool.close()


def test_a_fork_lets_go_of_its_parents_spool(tmp_path: Path) -> None:
    """And the parent goes on holding it, and writing."""
    spool = a_spool(tmp_path, "parent")
    spool.put(batch(0, producer="parent"))
    child = os.fork()
    if not child:
        spool.abandon()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

    with pytest.raises(OSError, match="temporarily unavailable"):
        Lock(tmp_path / "parent" / "lock", create=False)
    assert spool.put(batch(1, producer="parent"))
    assert len(list(read(spool, mine=True))) == 2
    spool.close()


def test_empty_folders_of_starts_that_died_are_swept(tmp_path: Path) -> None:
    """Once no start can still be at work in them."""
    for name, age in (("old", 7_200), ("new", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
        os.utime(tmp_path / name, times=(tmp_path.stat().st_mtime - age,) * 2)
    heir = a_spool(tmp_path, "heir")
    heir.adopt()
    assert heir.next(mine=False) is None

    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_folder_that_cannot_be_made_leaves_memory(
    a_client: Make, outside: Outside, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything still arrives, once, numbered without a gap; it is said once."""
    (tmp_path / "file").write_text("in the way")
    client = a_client(spool=tmp_path / "file")
    with caplog.at_level(logging.WARNING, "killick_client"):
        for number in range(5_000):
            client.log_prediction(prediction_id=str(number), features={})
        assert client.flush()

    assert outside.ids() == [str(number) for number in range(5_000)]
    assert [one.key[2] for one in outside.batches()] == list(range(len(outside.batches())))
    assert len([line for line in caplog.messages if "memory alone" in line]) == 1


def test_a_disk_that_fails_in_the_midst_of_a_record_costs_no_event(
    a_client: Make, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a record stays behind, is skipped, and its batch goes by way of memory with the same number."""
    client = a_client()
    client.log_prediction(prediction_id="0", features={})
    assert client.flush()
    fragile = client._pipeline._spool
    assert fragile._file is not None

    class Full:
        def __init__(self, file: object) -> None:
            self._file, self._room = file, 10

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def write(self, data: bytes) -> int:
            if not self._room:
                raise OSError(28, "No space left on device")
            written, self._room = self._file.write(data[: self._room]), 0  # type: ignore[attr-defined]
            return written

    monkeypatch.setattr(fragile, "_file", Full(fragile._file))
    for number in range(1, 10):
        client.log_prediction(prediction_id=str(number), features={})
    assert client.flush()

    assert outside.ids() == [str(number) for number in range(10)]
    assert "No space" in str(client.statistics().last_error)


@pytest.mark.parametrize("free", range(5))
def test_a_process_without_descriptors_spools_again_once_it_has_some(free: int, tmp_path: Path) -> None:
    """Wherever the opening of a spool breaks off, the next try begins where it can, and all is read."""
    spool = a_spool(tmp_path, "p")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    next_one = os.open(os.devnull, os.O_RDONLY)
    os.close(next_one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one + free, limits[1]))
    try:
        is_put = False
        with contextlib.suppress(OSError):
            is_put = spool.put(batch(0))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert is_put or spool.put(batch(0))
    assert spool.put(batch(1))
    assert [one.sequence for one in read(spool, mine=True)] == [0, 1]
    spool.close()


def test_a_spool_that_is_deleted_under_the_client_does_not_stop_it(
    a_client: Make, outside: Outside, tmp_path: Path
) -> None:
    """Somebody tidies up: what was on its way in the file is still read, for it is open."""
    client = a_client()
    client.log_prediction(prediction_id="0", features={})
    assert client.flush()
    shutil.rmtree(tmp_path / "spool")
    client.log_prediction(prediction_id="1", features={})

    assert client.flush()
    assert outside.ids() == ["0", "1"]


def test_a_spool_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    """It is nobody else's then either, and what is in it is read by the next start."""
    spool = a_spool(tmp_path / "spool", "dead")
    spool.put(batch(0))
    shutil.rmtree(tmp_path / "spool")
    spool.put(batch(1))
    with pytest.raises(OSError, match="temporarily unavailable"):
        Lock(tmp_path / "spool" / "dead" / "lock", create=False)
    assert [one.sequence for one in read(spool, mine=True)] == [0, 1]
    spool.put(batch(2))
    died(spool)

    heir = a_spool(tmp_path / "spool", "heir")
    heir.adopt()
    assert [one.sequence for one in read(heir, mine=False)] == [2]
    heir.close()


def test_damage_on_the_way_is_counted(a_client: Make, outside: Outside, tmp_path: Path) -> None:
    """A record that is spoiled while it waits is lost; flush does not wait for it, and the next is sent."""
    client = a_client("http://127.0.0.1:9")
    client.log_prediction(prediction_id="0", features={"x": "lost"})
    client._pipeline._turn()
    client.log_prediction(prediction_id="1", features={})
    client.close(0)
    (path,) = tmp_path.rglob("*.segment")
    path.write_bytes(path.read_bytes().replace(b"lost", b"LOST"))
    key = path.parents[1].name

    again = a_client(flush_seconds=0.01)
    (tmp_path / "spool" / key).rename(again._pipeline._spool._folder)
    again.log_gauge("x", 1)
    assert again.flush()

    assert until(lambda: again.statistics().adopted == 1)
    assert again.statistics().corrupt == 1
    assert outside.ids() == ["1"]


def test_the_checksum_is_crc_32_of_the_payload(tmp_path: Path) -> None:
    """As the file's header says: whoever has to, can read it."""
    spool = a_spool(tmp_path, "p")
    spool.put(batch(0))
    (path,) = tmp_path.rglob("*.segment")
    content = path.read_bytes()
    magic, state, length, checksum = HEADER.unpack(content[: HEADER.size])

    assert (magic, state, length) == (b"KLK1", 0, len(content) - HEADER.size)
    assert checksum == zlib.crc32(content[HEADER.size :])
    spool.close()
