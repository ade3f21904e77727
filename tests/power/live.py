"""A server's life, to be traced: two starts, each with a crowd of senders, profiling, aging and a sweep.

    python -m tests.power.live FOLDER

lives once as the code is, in FOLDER/0, and once more for each fault that we might have put into it, in FOLDER/1 and so
on. What is acknowledged is written into FOLDER/0.acknowledged, one number a line.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest.mock import patch

from killick.adapters import archive, control, durable
from killick.engine.receive import Receiver
from tests.engine.telemetry import MODEL, NOW, Post
from tests.power.story import delivery, open_post, sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COUNT = 28
# Told when a file was removed, as for a person who is to be forgotten.
REMOVED, FORGOTTEN = 1_000, "forgotten"


def _nothing(*_: object) -> None:
    """Flush nothing."""


def _remove(self: archive.FolderArchive, path: str) -> None:
    """Remove a file, and leave the rest to chance."""
    (self._root / path).unlink()


# A checkpoint comes after sixteen pages instead of a thousand, so that a short life has many.
_PRAGMAS = (*control._PRAGMAS, "wal_autocheckpoint = 16")
_SOON = (control, "_PRAGMAS", _PRAGMAS)
FAULTS: dict[str, list[tuple[object, str, object]]] = {
    "none": [],
    "a file without its fsync": [(archive, "os", SimpleNamespace(**vars(os) | {"fsync": _nothing}))],
    "a file's folder without its fsync": [(archive, "sync_folder", _nothing)],
    "a removed file's folder without its fsync": [(archive.FolderArchive, "remove", _remove)],
    "folders above without their fsync": [(durable, "sync_folder", _nothing)],
    "SQLite in a hurry": [(control, "_PRAGMAS", tuple(one.replace("FULL", "OFF") for one in _PRAGMAS))],
}


def live(folder: Path, tell: Callable[[int], object]) -> None:
    """Take everything in, twice started; the first start ends in order, the second one does not."""
    with open_post(folder) as post:
        take(post, tell, one_by_one=range(5), at_once=range(5, 11))
        post.profile()
        path = post.world.archive.write(MODEL, "predictions", FORGOTTEN, delivery(0).table)
        post.world.archive.remove(path)
        tell(REMOVED)
        take(post, tell, one_by_one=(11, 12), at_once=())
    post = open_post(folder).__enter__()
    take(post, tell, one_by_one=(2, 13, 14), at_once=(12, 15, 16, 17, 18, 19, 20))
    post.profile()
    post.age()
    sweep(post.world)
    take(post, tell, one_by_one=range(21, 24), at_once=range(24, COUNT))
    post.profile()


def take(post: Post, tell: Callable[[int], object], one_by_one: Iterable[int], at_once: Iterable[int]) -> None:
    """Receive deliveries, some of them from several threads."""
    receiver = Receiver(post.world, lambda: NOW)

    def send(number: int) -> None:
        receiver.receive(delivery(number))
        tell(number)

    for number in one_by_one:
        send(number)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, at_once))
    receiver.close()


def store_in(folder: Path) -> Path:
    """Where a life has its store: in folders that were not there before."""
    return folder / "srv" / "killick"


def main(folder: str) -> None:
    """Live once with each fault."""
    for number, changes in enumerate(FAULTS.values()):
        told = os.open(f"{folder}/{number}.acknowledged", os.O_WRONLY | os.O_CREAT)
        with ExitStack() as stack:
            for module, attribute, instead in (_SOON, *changes):
                stack.enter_context(patch.object(module, attribute, instead))
            live(store_in(Path(folder, str(number))), lambda delivered, told=told: os.write(told, b"%d\n" % delivered))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
