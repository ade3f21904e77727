"""What a process did to files, as strace saw it, done again to a model of a disk.

Everything below one folder is followed; of what lies outside only the acknowledgements are, a file of numbers. A call
that the model does not know stops the test: it must not pass because something went unseen.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.power.disk import Disk, File, Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
# Ten times what it takes on two busy cores.
_PATIENCE_SECONDS = 200.0

_WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2")
_FLUSHES = ("fsync", "fdatasync")
_UNKNOWN = (
    *("creat", "truncate", "link", "linkat", "symlink", "symlinkat", "copy_file_range", "sendfile", "splice"),
    *("io_submit", "io_uring_setup"),
)
_NAMES = ("openat", "open", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir")
_OTHERS = ("ftruncate", "fallocate", "sync_file_range", "mmap", "lseek")
# A question mark: machines have not all of them.
_TRACED = ",".join(f"?{name}" for name in (*_WRITES, *_FLUSHES, *_NAMES, *_OTHERS, *_UNKNOWN))
# Bytes and paths all in hexadecimal, nothing shortened, and with each descriptor its path.
_STRACE = ("strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-e", f"trace={_TRACED}")

_LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. (?P<on>\w+) resumed>|(?P<name>\w+)\()(?P<rest>.*)")
_END = re.compile(r"\) += (?P<answer>-?\d+|\?|0x[0-9a-f]+)(?:<[^>]*>)?(?: .*)?$")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_DESCRIPTOR = re.compile(r"^(?:-?\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


@cache
def why_not() -> str:
    """Why strace cannot be had here; empty when it can."""
    if not shutil.which("strace"):
        return "strace is not installed"
    tried = subprocess.run([*_STRACE, "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()[-200:]}"


def trace(command: Sequence[str], log: Path) -> None:
    """Run a command, and write down what it does to files."""
    subprocess.run([*_STRACE, "-o", str(log), *command], check=True, cwd=ROOT, timeout=_PATIENCE_SECONDS)


class Call(NamedTuple):
    """A call that succeeded; when it began and when it was over, in lines of the log."""

    name: str
    arguments: list[str]
    answer: int
    began: int
    ended: int


def calls(log: Path) -> Iterator[Call]:
    """Yield what was called, in the order in which it was over."""
    begun: dict[str, tuple[int, str]] = {}
    with log.open() as lines:
        for at, line in enumerate(lines):
            found = _LINE.match(line)
            if not found:
                continue  # a signal, or the end of a thread
            pid, rest = found["pid"], found["rest"]
            began = at
            if found["on"]:
                began, before = begun.pop(pid)
                rest = before + rest
            if rest.endswith("<unfinished ...>"):
                begun[pid] = began, rest.removesuffix("<unfinished ...>")
                continue
            ended = _END.search(rest)
            assert ended, f"line {at + 1} of the log cannot be read: {line[:200]}"
            if not ended["answer"].startswith(("-", "?")):
                arguments = [one.strip() for one in rest[: ended.start()].split(",")]
                yield Call(found["on"] or found["name"], arguments, int(ended["answer"], 0), began, at)


class Step(NamedTuple):
    """A point at which the power may be cut, and why it is worth it."""

    kind: str
    number: int = -1


@dataclass
class Replay:
    """Does what was done again, on a disk.

    Attributes:
        root: the folder that is followed.
        acknowledged: the file of acknowledgements.
        mapped: files that were mapped into memory to be written, of which nobody sees the writes.
    """

    root: Path
    acknowledged: Path
    disk: Disk = field(default_factory=Disk)
    mapped: set[str] = field(default_factory=set)

    def steps(self, log: Path) -> Iterator[Step]:
        """Do it, and stop where the power may be cut: around each flush, and where something was told or removed."""
        done = list(calls(log))
        # What is flushed is what was done before the flush began; what it promises holds when it is over.
        moments = [(call.began, call._replace(name="begin to flush")) for call in done if call.name in _FLUSHES]
        moments += [(call.ended, call) for call in done]
        since: dict[int, int] = {}
        for _, call in sorted(moments, key=itemgetter(0)):
            path = self._path(call)
            if path is None:
                continue
            if call.name == "begin to flush":
                since[call.ended] = self.disk.moment()
                yield Step("before a flush")
            elif call.name in _FLUSHES:
                thing = self.disk.find(path)
                if thing is not None:
                    self.disk.flushed(thing, since[call.ended])
                yield Step("flushed")
            else:
                yield from self._do(call, path)

    def _path(self, call: Call) -> str | None:
        """The path that a call is about, below the root; None when it is about none."""
        first = call.arguments[4 if call.name == "mmap" else 0]
        place = _descriptor(first)
        if place is None or (first.startswith("AT_FDCWD") and len(call.arguments) > 1):
            place = _texts(call.arguments)[0] if _texts(call.arguments) else None
        if place is None:
            return None
        if place == str(self.acknowledged):
            return "//acknowledged"
        return self._below(place)

    def _below(self, place: str) -> str | None:
        if place == str(self.root):
            return ""
        return place.removeprefix(f"{self.root}/") if place.startswith(f"{self.root}/") else None

    def _do(self, call: Call, path: str) -> Iterator[Step]:
        if path == "//acknowledged":
            if call.name == "write":
                yield Step("acknowledged", int(_bytes(call)))
            return
        assert call.name not in _UNKNOWN, f"{call.name} of {path} is more than the model knows"
        if call.name in {"rename", "renameat", "renameat2"}:
            old, new = (self._below(text) for text in _texts(call.arguments))
            assert old is not None, path
            assert new is not None, path
            self.disk.bind({old: None, new: self.disk.find(old)})
        elif call.name in {"unlink", "unlinkat", "rmdir"}:
            self.disk.bind({path: None})
            yield Step("removed")
        elif call.name in {"mkdir", "mkdirat"}:
            self.disk.bind({path: Folder()})
        elif call.name in {"open", "openat"}:
            self._open(path, next(flags for flags in call.arguments if flags.startswith("O_")))
        elif call.name == "mmap":
            if "MAP_SHARED" in call.arguments[3] and "PROT_WRITE" in call.arguments[2]:
                self.mapped.add(path)
        else:
            self._change(call, path)

    def _open(self, path: str, flags: str) -> None:
        said = set(flags.split("|"))
        assert not said & {"O_APPEND", "O_SYNC", "O_DSYNC", "O_TMPFILE", "O_DIRECT"}, f"{flags} of {path}"
        if self.disk.find(path) is None and "O_CREAT" in said:
            self.disk.bind({path: File()})
        if "O_TRUNC" in said:
            self.disk.write(self.disk.file(path), 0, None)
        if said & {"O_WRONLY", "O_RDWR"}:
            self.disk.file(path).position = 0

    def _change(self, call: Call, path: str) -> None:
        if _DESCRIPTOR.match(call.arguments[0])[2]:  # type: ignore[index]
            return  # it has no name any more: nobody will find it
        file = self.disk.find(path)
        if not isinstance(file, File):
            return
        if call.name == "lseek":
            file.position = call.answer
        elif call.name in {"write", "writev"}:
            self.disk.write(file, file.position, _bytes(call))
            file.position += call.answer
        elif call.name in _WRITES:
            self.disk.write(file, int(call.arguments[-1], 0), _bytes(call))
        elif call.name == "ftruncate":
            self.disk.write(file, int(call.arguments[1], 0), None)
        else:
            assert call.name == "sync_file_range", f"{call.name} of {path} is more than the model knows"


def _descriptor(argument: str) -> str | None:
    found = _DESCRIPTOR.match(argument)
    return _plain(found[1]).decode() if found else None


def _texts(arguments: Sequence[str]) -> list[str]:
    return [_plain(found[1]).decode() for one in arguments if (found := _TEXT.fullmatch(one))]


def _bytes(call: Call) -> bytes:
    """What was written: as much of it as was taken."""
    return b"".join(_plain(text) for text in _TEXT.findall(",".join(call.arguments[1:])))[: call.answer]


def _plain(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
