"""The power is cut: what was acknowledged is there, once, whatever the disk did with what was not flushed."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from random import Random
from shutil import rmtree
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy.exc import DatabaseError

from killick.errors import KillickError
from tests.power import trace
from tests.power.disk import Mixed, Torn, Whole
from tests.power.live import COUNT, FAULTS, FORGOTTEN, REMOVED, store_in
from tests.power.story import catches_up, holds, open_post

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.skipif(bool(trace.why_not()), reason=f"nobody can watch what is written: {trace.why_not()}"),
]

SEED = 1985
ALL_LOST = "all of it is lost"
FATES = {
    ALL_LOST: lambda _: Whole(names=False, bytes=False),
    "none of it is lost": lambda _: Whole(names=True, bytes=True),
    "names are there before bytes": lambda _: Whole(names=True, bytes=False),
    "bytes are there before names": lambda _: Whole(names=False, bytes=True),
    "each write by itself is lost or not": Mixed,
    "the last write is torn": Torn,
}
# Of so many states everything is sent again, and profiled: a seventh of a second each.
_CAUGHT_UP = 0.2


@pytest.fixture(scope="module")
def lives(tmp_path_factory) -> Path:
    """A folder with a life for each fault, and the log of all that they did to files."""
    folder = tmp_path_factory.mktemp("power")
    for number in range(len(FAULTS)):
        (folder / str(number)).mkdir()
    trace.trace([sys.executable, "-m", "tests.power.live", str(folder)], folder / "log")
    return folder


@pytest.fixture
def memory(tmp_path) -> Iterator[Path]:
    """A folder that is never really flushed, where there is one: thousands of fsyncs would only take time."""
    shared = Path("/dev/shm")  # noqa: S108 - the folder in it has a name of its own
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else tmp_path) as folder:
        yield Path(folder)


def cuts(lives: Path, number: int, fate: str) -> Iterator[tuple[str, dict[str, bytes | None], frozenset[int], Random]]:
    """Cut the power around every flush, acknowledgement and removal: what is there, and what had been acknowledged."""
    replay = trace.Replay(lives / str(number), lives / f"{number}.acknowledged")
    acknowledged: set[int] = set()
    seen: set[bytes] = set()
    for at, step in enumerate(replay.steps(lives / "log")):
        if step.kind == "acknowledged":
            acknowledged.add(step.number)
        if step.kind == ("before a flush" if fate == ALL_LOST else "flushed"):
            continue  # nothing has been lost since the last stop, or nothing can be lost that could not there
        chance = Random(SEED + at)
        # SQLite maps its index of the log into memory, where nobody sees it change: anything may be in there.
        tree = {
            path: chance.randbytes(len(content)) if path.endswith("-shm") and content else content
            for path, content in replay.disk.cut(FATES[fate](chance)).items()
        }
        if (mark := _mark(tree, acknowledged)) not in seen:
            seen.add(mark)
            yield f"{step.kind}, step {at}", tree, frozenset(acknowledged), chance
    assert all(path.endswith("-shm") for path in replay.mapped), replay.mapped


def _mark(tree: dict[str, bytes | None], acknowledged: set[int]) -> bytes:
    mark = blake2b(repr(sorted(acknowledged)).encode())
    for path, content in sorted(tree.items()):
        if not path.endswith("-shm"):
            mark.update(f"\n{path} {'folder' if content is None else len(content)}\n".encode())
            mark.update(content or b"")
    return mark.digest()


def put(tree: dict[str, bytes | None], folder: Path) -> Path:
    """Write down what a power cut has left."""
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in sorted(tree.items()):
        place = folder / path
        if content is None:
            place.mkdir()
        else:
            place.write_bytes(content)
    return store_in(folder)


def survives(store: Path, acknowledged: frozenset[int], chance: Random) -> None:
    """Start again on what is left."""
    if REMOVED in acknowledged:
        assert list(store.rglob(f"{FORGOTTEN}.*")) == []
    with open_post(store) as post:
        holds(post, COUNT, acknowledged - {REMOVED})
        if chance.random() < _CAUGHT_UP:
            everything = chance.sample(range(COUNT), COUNT)
            half = chance.randrange(COUNT)
            catches_up(post, COUNT, [group for group in (everything[:half], everything[half:]) if group])


@pytest.mark.parametrize("fate", FATES)
def test_what_was_acknowledged_is_there_once(fate, lives, memory):
    """The power is cut around every flush and acknowledgement of a life, and the next start finds all in order."""
    states = 0
    for place, tree, acknowledged, chance in cuts(lives, 0, fate):
        states += 1
        try:
            survives(put(tree, memory / "found"), acknowledged, chance)
        except Exception as error:
            error.add_note(f"the power was cut {place} (seed {SEED}), and {fate}")
            raise
    # As many as there are acknowledgements at least: each is a state of its own.
    assert states >= COUNT


@pytest.mark.parametrize("fault", [name for name in FAULTS if name != "none"])
def test_a_fault_of_ours_would_be_found(fault, lives, memory):
    """Without any one of the fsyncs something is lost, and these tests see it."""
    number = list(FAULTS).index(fault)
    for fate in FATES:
        for _, tree, acknowledged, chance in cuts(lives, number, fate):
            with suppress(AssertionError, KillickError, DatabaseError):
                survives(put(tree, memory / "found"), acknowledged, chance)
                continue
            return
    pytest.fail(f"nothing was lost for want of {fault}")
