"""A disk whose power can be cut: what survives is what was flushed, and of the rest whatever fate decides.

A file's bytes are safe after a fsync of that file, a name after a fsync of its folder, and neither one through the
other: file systems promise no more (POSIX; Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014). A
rename is whole or not at all. Pure: nothing here touches a real file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from random import Random

SECTOR = 512


class Edit(NamedTuple):
    """A change of a file: these bytes at this place, or, without any, its new length."""

    number: int
    at: int
    data: bytes | None


class Binding(NamedTuple):
    """A change of a folder's names that happens as one: what each stands for from then on."""

    number: int
    names: dict[str, File | Folder | None]


@dataclass(eq=False)
class File:
    """A file: the bytes that are safe, and what was done since."""

    safe: bytearray = field(default_factory=bytearray)
    unsafe: list[Edit] = field(default_factory=list)
    position: int = 0


@dataclass(eq=False)
class Folder:
    """A folder: the names that are safe, what was done since, and the names as a running process sees them."""

    safe: dict[str, File | Folder] = field(default_factory=dict)
    unsafe: list[Binding] = field(default_factory=list)
    seen: dict[str, File | Folder] = field(default_factory=dict)


class Fate(Protocol):
    """What becomes of what was not flushed."""

    def name(self, binding: Binding) -> bool:
        """Whether names survive."""
        ...

    def data(self, edit: Edit, last: Edit | None) -> Edit | None:
        """What survives of an edit; `last` is the last one that the disk was given."""
        ...


@dataclass(frozen=True)
class Whole:
    """Names survive or not, bytes survive or not; and each kind altogether."""

    names: bool
    bytes: bool

    def name(self, _binding: Binding) -> bool:
        """All or none."""
        return self.names

    def data(self, edit: Edit, _last: Edit | None) -> Edit | None:
        """All or none."""
        return edit if self.bytes else None


@dataclass(frozen=True)
class Mixed:
    """Each edit and each name survives or not by itself: a disk writes in the order that it likes."""

    chance: Random

    def name(self, _binding: Binding) -> bool:
        """Heads."""
        return self.chance.random() < 0.5

    def data(self, edit: Edit, _last: Edit | None) -> Edit | None:
        """Heads."""
        return edit if self.chance.random() < 0.5 else None


@dataclass(frozen=True)
class Torn:
    """All survives, but of the last write some sectors only: the first ones, or the last ones."""

    chance: Random

    def name(self, _binding: Binding) -> bool:
        """Every one."""
        return True

    def data(self, edit: Edit, last: Edit | None) -> Edit | None:
        """All of it, or a part of the last."""
        if edit is not last or edit.data is None:
            return edit
        first, end = edit.at // SECTOR, -(-(edit.at + len(edit.data)) // SECTOR)
        cut = self.chance.randint(first, end) * SECTOR - edit.at
        cut = min(max(cut, 0), len(edit.data))
        if self.chance.random() < 0.5:
            return edit._replace(data=edit.data[:cut])
        return edit._replace(at=edit.at + cut, data=edit.data[cut:])


class Disk:
    """All below one folder, which is there from the beginning. Paths are relative to it, with slashes."""

    def __init__(self) -> None:
        self.root = Folder()
        self._numbers = count(1)
        self._last: Edit | None = None

    def find(self, path: str) -> File | Folder | None:
        """What a running process sees under a path."""
        here: File | Folder | None = self.root
        for part in path.split("/") if path else ():
            here = here.seen.get(part) if isinstance(here, Folder) else None
        return here

    def file(self, path: str) -> File:
        """The file of a path."""
        found = self.find(path)
        assert isinstance(found, File), path
        return found

    def bind(self, names: dict[str, File | Folder | None]) -> None:
        """Give names to things, or take them away, as one, in one folder."""
        above, *others = {path.rpartition("/")[0] for path in names}
        assert not others, f"between folders a rename may come apart: {names}"
        folder = self.find(above)
        assert isinstance(folder, Folder), above
        binding = Binding(next(self._numbers), {path.rpartition("/")[2]: thing for path, thing in names.items()})
        _put(folder.seen, binding)
        folder.unsafe.append(binding)

    def write(self, file: File, at: int, data: bytes | None) -> None:
        """Write bytes, or, without any, set the length."""
        self._last = Edit(next(self._numbers), at, data)
        file.unsafe.append(self._last)

    def moment(self) -> int:
        """Now: what is flushed from here on is at least what was done before."""
        return next(self._numbers)

    def flushed(self, thing: File | Folder, since: int) -> None:
        """What was done to a file, or to a folder's names, before that moment is safe."""
        if isinstance(thing, File):
            for edit in thing.unsafe:
                if edit.number < since:
                    _apply(thing.safe, edit)
            thing.unsafe = [edit for edit in thing.unsafe if edit.number > since]
        else:
            for binding in thing.unsafe:
                if binding.number < since:
                    _put(thing.safe, binding)
            thing.unsafe = [binding for binding in thing.unsafe if binding.number > since]

    def cut(self, fate: Fate) -> dict[str, bytes | None]:
        """What is there after a power cut: bytes by path, and None for a folder."""
        found: dict[str, bytes | None] = {}
        waiting = [("", self.root)]
        while waiting:
            path, folder = waiting.pop()
            names = dict(folder.safe)
            for binding in folder.unsafe:
                if fate.name(binding):
                    _put(names, binding)
            for name, thing in sorted(names.items()):
                place = f"{path}/{name}" if path else name
                found[place] = None if isinstance(thing, Folder) else self._surviving(thing, fate)
                if isinstance(thing, Folder):
                    waiting.append((place, thing))
        return found

    def _surviving(self, file: File, fate: Fate) -> bytes:
        content = bytearray(file.safe)
        for edit in file.unsafe:
            kept = fate.data(edit, self._last)
            if kept is not None:
                _apply(content, kept)
        return bytes(content)


def _put(names: dict[str, File | Folder], binding: Binding) -> None:
    for name, thing in binding.names.items():
        names.pop(name, None)
        if thing is not None:
            names[name] = thing


def _apply(content: bytearray, edit: Edit) -> None:
    """Change bytes; what was never written is zeros."""
    end = edit.at if edit.data is None else edit.at + len(edit.data)
    if edit.data is None:
        del content[end:]
    if edit.data != b"" and len(content) < end:
        content.extend(bytes(end - len(content)))
    if edit.data:
        content[edit.at : end] = edit.data
