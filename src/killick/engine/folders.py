"""Folders: files that appear in a folder which the spec names become deliveries, each file once.

Every batch of a file goes in under `(file, 0)`, `(file, 1)` ...; after the last the file is noted as taken. Killed in
between, the next process begins the file again, and batches that are in are passed over. A file that cannot be read is
quarantined with the reason and noted too: it is tried again when it has changed. Notes of files that are no longer in
the folder are forgotten.

A call does a bounded part of what there is to do, so that ten years of files hold nobody up.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from killick.clock import SECOND
from killick.engine.files import FileReader
from killick.engine.receive import Delivery, commit, put_aside
from killick.engine.translate import reading_of
from killick.errors import Mistaken, OutsideError
from killick.formats.folders import due, is_of, producer_of
from killick.identity import derive_id, fingerprint
from killick.telemetry.quarantine import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from killick.clock import Duration, Instant
    from killick.engine.world import World
    from killick.formats.folders import Due, Seen
    from killick.ports.control import Transaction
    from killick.profiles.scale import Scale
    from killick.spec.document import Folder, Spec

# Whoever writes a file into a folder is done within seconds, or writes on when it is looked at again.
LOOK_EVERY: Duration = 5 * SECOND
# A look costs some 15 us a file: one look for so many of them in that time is a thirtieth of a processor.
_FILES_A_LOOK = 10_000
# Found at one look: what a minute's calls can take.
_WAITING_MAX = 10_000
# Of one call, which is one commit: some tenths of a second.
_STEPS_MAX, _ROWS_MAX = 50, 100_000


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A file that is being taken, and its batches that are not yet."""

    file: Due
    batches: Iterator[tuple[Delivery, ...]]


class FolderWatch:
    """Watches one folder of a model.

    Attributes:
        model: whose it is.
        error: why it cannot be looked into, or why a file of it could not be read the last time; empty: all is well.
    """

    def __init__(self, world: World, spec: Spec, folder: Folder) -> None:
        self.model = spec.model
        self.error = ""
        self._world, self._spec, self._folder = world, spec, folder
        self._key = derive_id("folder", folder.path.rstrip("/"), folder.format, folder.kind)
        self._looked_at: Instant | None = None
        self._look_after: Duration = LOOK_EVERY
        self._present: dict[str, Seen] = {}
        # Of the files that are there, those that are taken, by the name of each; as the notes of this revision say.
        self._taken: dict[Seen, str] = {}
        self._revision = 0
        self._gone: set[str] = set()
        self._waiting: deque[Due] = deque()
        self._under_way: _UnderWay | None = None

    def tick(self, scale: Scale | None, now: Instant) -> int:
        """Look into the folder when it is time, and take a part of what is new; return how many batches.

        Args:
            scale: what the model is measured with, if anything yet.
            now: the present.

        Raises:
            OutsideError: archive or store failed; what was not taken is taken later.
        """
        try:
            if self._looked_at is None or not 0 <= now - self._looked_at < self._look_after:
                self._look(now)
            return self._take_some(scale, now) if self._waiting or self._under_way else 0
        except BaseException:
            # Nobody knows which batches are in: the files are begun again, and what is in is passed over.
            self._waiting.clear()
            self._under_way = self._looked_at = None
            raise

    # -------------------------------------------------------------------------------------------- looking

    def _look(self, now: Instant) -> None:
        """Find out which files are new and whole."""
        self.error, self._looked_at = "", now
        try:
            seen = self._world.folders.look(self._folder.path)
        except OutsideError as error:
            self.error = str(error)
            return
        before, self._present = self._present, {file.path: file for file in seen}
        self._look_after = LOOK_EVERY * (1 + len(seen) // _FILES_A_LOOK)
        self._compare_notes(seen)
        if not self._waiting:
            fresh = [file for file in seen if file not in self._taken]
            busy = {self._under_way.file.producer} if self._under_way else set()
            self._waiting.extend(due(self._folder, fresh, before, busy, at_most=_WAITING_MAX))

    def _compare_notes(self, seen: tuple[Seen, ...]) -> None:
        """Learn which files are taken, by this process, by one before it or by another host."""
        with self._world.control.transaction() as t:
            noted, revision = self._noted(t)
        if revision != self._revision:
            self._revision = revision
            for file in seen:
                if file not in self._taken and is_of(self._folder.format, file.path):
                    producer = producer_of(self._folder, file)
                    if producer in noted:
                        self._taken[file] = producer
        self._taken = {file: self._taken[file] for file in seen if file in self._taken}
        self._gone = noted.difference(self._taken.values())

    def _noted(self, t: Transaction) -> tuple[set[str], int]:
        document = t.get("folder", self.model, self._key)
        return (msgspec.json.decode(document.body, type=set[str]), document.revision) if document else (set(), 0)

    # -------------------------------------------------------------------------------------------- taking

    def _take_some(self, scale: Scale | None, now: Instant) -> int:
        """Commit the next batches as one, and note the files that are done with."""
        reader = FileReader(self._world, self._spec, self._folder, reading_of(self._spec, scale), now)
        group: list[Delivery] = []
        ended: dict[Due, str] = {}
        for _ in range(_STEPS_MAX):
            way = self._begun(reader)
            if way is None or sum(one.table.height for one in group) >= _ROWS_MAX:
                break
            try:
                group.extend(next(way.batches))
                continue
            except StopIteration:
                ended[way.file] = ""
            except OutsideError as error:
                self.error = f"{way.file.path}: {error}"  # the next look finds it again
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this file's alone
                ended[way.file] = _said(error)
            self._under_way = None
        if group:
            # Whether an earlier commit has succeeded, nobody may know: another group never writes over its file.
            names = [(one.producer, one.sequence) for one in group]
            commit(self._world, group, now, int(fingerprint([names, now])[:12], 16))
        if ended:
            self._note(ended, now)
        return len(group)

    def _begun(self, reader: FileReader) -> _UnderWay | None:
        """Return the file that is under way, or else begin the next."""
        while self._under_way is None and self._waiting:
            file = self._waiting.popleft()
            if seen := self._as_found(file):
                self._under_way = _UnderWay(file, reader.batches(file, seen.modified))
        return self._under_way

    def _as_found(self, file: Due) -> Seen | None:
        """Return a file as the last look saw it; None if it has been removed or written anew since it was found."""
        seen = self._present.get(file.path)
        return seen if seen and producer_of(self._folder, seen) == file.producer else None

    def _note(self, ended: Mapping[Due, str], now: Instant) -> None:
        """Note files as taken, and why each that could not be read could not, once."""
        with self._world.control.transaction() as t:
            noted, revision = self._noted(t)
            fresh = {file: why for file, why in ended.items() if file.producer not in noted}
            told = {file: why for file, why in fresh.items() if why}
            kept = sorted((noted - self._gone) | {file.producer for file in ended})
            t.put("folder", self.model, self._key, msgspec.json.encode(kept), revision=revision)
            for file, why in told.items():
                unread = Rejected(0, f"{self._folder.path.rstrip('/')}/{file.path}", why)
                put_aside(t, self.model, self._folder.kind, (file.producer, 0), [unread], now)
            t.tally(self.model, {"files.taken": len(fresh) - len(told), "files.unreadable": len(told)})
        if revision == self._revision:
            self._revision += 1
        self._taken |= {seen: file.producer for file in ended if (seen := self._as_found(file))}


def _said(error: Exception) -> str:
    # What others' errors say may be somebody's data.
    return str(error.mistakes[0]) if isinstance(error, Mistaken) else f"cannot be read: {type(error).__name__}"
