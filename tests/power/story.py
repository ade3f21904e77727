"""What is sent in these tests, a server that takes it in, and what must hold of its store whatever happened to it."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.clock import DAY, HOUR, Window
from killick.engine.identities import RUNS
from killick.engine.profiling import profile_pending
from killick.engine.receive import CHANGES, GAUGES, OUTCOMES, PREDICTIONS, SHADOWS, Delivery, commit
from killick.ledger.chain import verify
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.telemetry.columns import PREDICTION_ID
from killick.testing.laws import assert_same
from tests.engine.telemetry import MODEL, NOW, Post, names, outcomes, predictions

if TYPE_CHECKING:
    from pathlib import Path

    from killick.engine.world import World

Make: TypeAlias = Callable[[int], Delivery]
EVER = Window(-(2**62), 2**62)
_KINDS = (PREDICTIONS, SHADOWS, OUTCOMES, GAUGES)


@cache
def delivery(number: int) -> Delivery:
    """A delivery, which follows from its number: copies, shadows, old rows, labels too early, corrected and unasked."""
    first, turn = 3 * number, number % 8
    sent = {"model": MODEL, "producer": f"producer-{number % 3}", "sequence": number // 3}
    if turn == 2:
        labels = {name: (number + at) % 2 for at, name in enumerate(names(max(0, first - 9), first + 6))}
        return Delivery(kind=OUTCOMES, table=outcomes(labels, known_at=NOW + number % 5 * HOUR), **sent)
    if turn == 4:
        table = predictions(names(first - 12, first - 6), role="shadow", version="v2")
        return Delivery(kind=PREDICTIONS, table=table, **sent)
    if turn == 5:
        gauge = pl.DataFrame({"name": [f"queue-{number}"], "value": [1.0 * number], "at": [NOW]})
        change = pl.DataFrame(
            {"at": [NOW], "kind": ["pipeline"], "name": [f"feed-{number}"], "version": ["2"], "note": [""]}
            | {"model": [MODEL]}
        )
        return (
            Delivery(kind=GAUGES, table=gauge, **sent)
            if number % 16 == 5
            else Delivery(kind=CHANGES, table=change, **sent)
        )
    if turn == 6:
        return Delivery(
            kind=PREDICTIONS, table=predictions(names(100_000 + first, 100_006 + first), at=NOW - 12 * DAY), **sent
        )
    return Delivery(kind=PREDICTIONS, table=predictions(names(first, first + 6)), **sent)


@cache
def hourly(number: int) -> Delivery:
    """A delivery of predictions in an hour of its own, for which folders have to be made."""
    table = predictions(names(3 * number, 3 * number + 3), at=NOW - number * HOUR, spread=HOUR)
    return Delivery(MODEL, PREDICTIONS, "producer", number, table)


@contextmanager
def open_post(folder: Path) -> Iterator[Post]:
    """Start: on the real store and archive, as `killick serve` does, under a name that no start has had before."""
    control = open_control(folder / "control.sqlite")
    archive = FolderArchive(folder / "telemetry", spared_seconds=0)
    try:
        yield Post(replace(_nothing_besides(), control=control, archive=archive, host=secrets.token_hex(8)))
    finally:
        control.close()


@cache
def _nothing_besides() -> World:
    return Post.in_memory().world


def sweep(world: World) -> list[str]:
    """Remove what is in no manifest: nobody writes now."""
    with world.control.transaction() as t:
        known = t.paths()
    return world.archive.sweep(known)


def counted(post: Post) -> dict[object, Profile]:
    """All that is counted, by version, role, segment and day."""
    scale = post.watched.scale
    with post.world.control.transaction() as t:
        held = t.profiles(MODEL, scale.fingerprint, EVER)
    found: dict[object, Profile] = {}
    for key, body in held.items():
        place = key._replace(window=Window.around(key.window.start, DAY))
        found[place] = found.get(place, Profile.empty(scale)) + unpack_profile(body, scale)
    return found


@cache
def expected(count: int, make: Make) -> dict[object, Profile]:
    """One profile of all rows of so many deliveries, made at once and in memory."""
    post = Post.in_memory()
    commit(post.world, [make(number) for number in range(count)], NOW)
    post.profile()
    return counted(post)


def holds(post: Post, count: int, acknowledged: Collection[int], make: Make = delivery) -> None:
    """Every delivery is there once or not at all, and those that were acknowledged are; no file is missing or damaged.

    Args:
        post: on the store that was found.
        count: of how many deliveries some may be there.
        acknowledged: the numbers of those that must be.
        make: makes a delivery from its number.
    """
    sent = [make(number) for number in range(count)]
    with post.world.control.transaction() as t:
        taken = [t.answer(one.model, one.kind, one.producer, one.sequence) is not None for one in sent]
        batches = [batch for kind in (*_KINDS, *RUNS) for batch in t.batches(MODEL, kind)]
        entries = t.ledger()
        changes = len(t.documents("change", MODEL))
        health = t._connection.exec_driver_sql("PRAGMA integrity_check").scalar()  # type: ignore[attr-defined]
    assert health == "ok"
    verify(entries)
    assert [number for number in acknowledged if not taken[number]] == [], "acknowledged, and not there"
    assert changes == sum(one.kind == CHANGES and there for one, there in zip(sent, taken, strict=True))
    found: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        if batch.kind in RUNS:
            keys = post.world.archive.map_run(batch.path)[0]
            assert len(keys) == batch.rows, batch.path
            assert (np.diff(keys.astype(object)) >= 0).all(), batch.path
        else:
            table = post.world.archive.read(batch.path)
            assert table.height == batch.rows, batch.path
            found.update(_rows(batch.kind, table))
    right: Counter[tuple[str, str]] = Counter()
    for one, there in zip(sent, taken, strict=True):
        if there and one.kind != CHANGES:
            along = one.kind == PREDICTIONS and one.table["role"][0] == "shadow"
            right.update(_rows(SHADOWS if along else one.kind, one.table))
    assert found == right, f"too few: {right - found}; too many: {found - right}"


def _rows(kind: str, table: pl.DataFrame) -> list[tuple[str, str]]:
    return [(kind, name) for name in table["name" if kind == GAUGES else PREDICTION_ID]]


def catches_up(post: Post, count: int, groups: Sequence[Sequence[int]]) -> None:
    """After everything was sent again, in these groups, everything is counted once, and nothing else lies about."""
    for attempt, group in enumerate(groups, 1):
        commit(post.world, [delivery(number) for number in group], NOW, attempt)
    settles(post, count)


def settles(post: Post, count: int, make: Make = delivery) -> None:
    """What came is profiled; then the profiles are those of all rows, and the folder holds what is in the manifest."""
    while profile_pending(post.world, post.watched, NOW).batches:
        pass
    post.age()
    holds(post, count, range(count), make)
    right, found = expected(count, make), counted(post)
    assert found.keys() == right.keys()
    for place, profile in right.items():
        assert_same(found[place], profile, 1.0 + np.abs(profile.sums))
    with post.world.control.transaction() as t:
        assert t.pending() == []
        known = t.paths()
    sweep(post.world)
    assert sweep(post.world) == []
    root = post.world.archive._root  # type: ignore[attr-defined]
    assert {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} == known
