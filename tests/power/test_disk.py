"""The disk of these tests loses what was not flushed, and nothing else; and strace's log is read as it was meant."""

from random import Random

from tests.power.disk import SECTOR, Disk, File, Folder, Mixed, Torn, Whole
from tests.power.trace import Replay, calls

LOST, KEPT = Whole(names=False, bytes=False), Whole(names=True, bytes=True)


def written(disk: Disk, path: str, content: bytes) -> File:
    """A new file."""
    file = File()
    disk.bind({path: file})
    disk.write(file, 0, content)
    return file


def flush(disk: Disk, path: str) -> None:
    """Flush a file, or a folder's names."""
    thing = disk.find(path)
    assert thing is not None
    disk.flushed(thing, disk.moment())


def test_a_file_needs_its_bytes_and_its_name_flushed():
    """Each by itself saves nothing but itself."""
    disk = Disk()
    written(disk, "a", b"bytes")
    assert (disk.cut(LOST), disk.cut(KEPT)) == ({}, {"a": b"bytes"})
    flush(disk, "a")
    assert disk.cut(LOST) == {}
    flush(disk, "")
    assert disk.cut(LOST) == {"a": b"bytes"}
    written(disk, "b", b"bytes")
    flush(disk, "")
    assert disk.cut(LOST)["b"] == b""


def test_a_folder_is_there_when_all_above_it_are():
    """Its own names do not help when it has none."""
    disk = Disk()
    disk.bind({"over": Folder()})
    disk.bind({"over/under": Folder()})
    written(disk, "over/under/a", b"")
    flush(disk, "over/under")
    flush(disk, "over")
    assert disk.cut(LOST) == {}
    flush(disk, "")
    assert disk.cut(LOST) == {"over": None, "over/under": None, "over/under/a": b""}


def test_a_rename_happens_or_does_not():
    """Whatever else is lost, one of the names is there, and never both."""
    disk = Disk()
    written(disk, "a", b"new")
    written(disk, "b", b"old")
    for path in ("a", "b", ""):
        flush(disk, path)
    disk.bind({"a": None, "b": disk.find("a")})
    found = [disk.cut(Mixed(Random(seed))) for seed in range(20)]
    assert {tuple(sorted(tree.items())) for tree in found} == {(("a", b"new"), ("b", b"old")), (("b", b"new"),)}


def test_what_was_written_while_a_flush_was_under_way_is_not_flushed():
    """It may have come too late."""
    disk = Disk()
    file = written(disk, "a", b"before ")
    flush(disk, "")
    since = disk.moment()
    disk.write(file, 7, b"meanwhile")
    disk.flushed(file, since)
    assert disk.cut(LOST) == {"a": b"before "}


def test_a_write_is_torn_between_sectors():
    """Some of its sectors are new, the others as they were, and other writes are whole."""
    disk = Disk()
    disk.write(written(disk, "a", b"o" * 4 * SECTOR), SECTOR, b"n" * 2 * SECTOR)
    found = {disk.cut(Torn(Random(seed)))["a"] for seed in range(40)}
    old, new = b"o" * SECTOR, b"n" * SECTOR
    assert found == {old * 4, old + new + old * 2, old * 2 + new + old, old + new * 2 + old}


def test_what_was_never_written_is_zeros():
    """In a gap, and where a file was made longer."""
    disk = Disk()
    file = written(disk, "a", b"abc")
    disk.write(file, 5, b"f")
    assert disk.cut(KEPT) == {"a": b"abc\0\0f"}
    disk.write(file, 2, None)
    disk.write(file, 4, None)
    assert disk.cut(KEPT) == {"a": b"ab\0\0"}


def test_a_log_of_two_threads_is_done_again(tmp_path):
    """A call that was interrupted by another thread's is put together; one that failed has done nothing."""
    watched = tmp_path / "watched"

    def told(text: str) -> str:
        return "".join(f"\\x{byte:02x}" for byte in text.encode())

    file, text = told(f"{watched}/a"), '"' + told("abc") + '"'
    (tmp_path / "log").write_text(
        f'1 openat(AT_FDCWD<{told("/")}>, "{file}", O_WRONLY|O_CREAT, 0666 <unfinished ...>\n'
        f'2 mkdir("{told(str(watched))}", 0777) = -1 EEXIST (File exists)\n'
        f"1 <... openat resumed>) = 3<{file}>\n"
        f"1 write(3<{file}>, {text}, 3) = 2\n"
        f"2 fsync(3<{file}> <unfinished ...>\n"
        f"1 pwrite64(3<{file}>, {text}, 3, 4) = 3\n"
        "2 <... fsync resumed>) = 0\n"
        f"1 close(3<{file}>) = ?\n"
        "1 +++ exited with 0 +++\n"
    )
    replay = Replay(watched, tmp_path / "acknowledged")
    assert [step.kind for step in replay.steps(tmp_path / "log")] == ["before a flush", "flushed"]
    assert [call.name for call in calls(tmp_path / "log")] == ["openat", "write", "pwrite64", "fsync"]
    assert replay.disk.cut(KEPT) == {"a": b"ab\0\0abc"}
    assert replay.disk.cut(Whole(names=True, bytes=False)) == {"a": b"ab"}
