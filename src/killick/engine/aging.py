"""Aging: fine windows become days, small files become large ones, and what is too old goes.

Every step is one transaction and may be repeated; files that are no longer in the manifest are swept later, so that
whoever is reading them can finish. Age is measured in a model's own time, by the newest event that it has seen: a
history that is sent today is not old.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import polars as pl

from killick.clock import DAY, HOUR, Window
from killick.engine.identities import RUNS
from killick.engine.receive import GAUGES, OUTCOMES, PREDICTIONS, SHADOWS, sharing
from killick.engine.turns import old_before, read_turn, write_turn
from killick.errors import StaleWrite
from killick.identity import derive_id
from killick.ports.control import Batch
from killick.profiles.codec import pack_profile, unpack_profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from killick.clock import Instant
    from killick.engine.turns import Watched
    from killick.engine.world import World
    from killick.ports.control import ProfileKey, Transaction
    from killick.profiles.profile import Profile


# What lies in an hour's folder is merged when there are so many files, or when the hour has been over for a while.
_FILES_MAX, _OVER_FOR = 16, HOUR
# A merged file holds no more: it is read whole when a batch of it is asked for; 40 million numbers are 320 MB.
_MERGED_ROWS_MAX, _MERGED_CELLS_MAX = 2_000_000, 40_000_000
# In one transaction, which takes a tenth of a second: a model whose first event was of 1970 has 20,000 days behind it.
_EMPTY_DAYS_MAX = 500
# How long the answers to deliveries are kept word for word: whoever has not heard one asks again within minutes. A row
# for each, of 200 models with a batch a second, would be 42 GB in a week. Then it is known that they were taken: of an
# idempotency key, which is a row of its own, for a week, in which a job is run again.
_ANSWERS_FOR, _KEYS_FOR = HOUR, 7 * DAY


def age(world: World, watched: Watched) -> None:
    """Merge windows and files, and drop what is older than the spec keeps; in the model's own time.

    Raises:
        OutsideError: archive or store failed; what was done is done.
    """
    model = watched.spec.model
    with world.control.transaction() as t:
        turn, _ = read_turn(t, model)
    if not turn.number or turn.newest < 0:
        return
    # First of all, so that no file which cannot be merged keeps what is too old.
    expire(world, watched, turn.newest - watched.spec.keep.days * DAY)
    with suppress(StaleWrite):  # a round of profiling came in between: the rest is done next time
        age_windows(world, watched, turn.newest)
    for kind in (PREDICTIONS, SHADOWS, OUTCOMES, GAUGES):
        compact(world, model, kind, turn.newest)


def compact(world: World, model: str, kind: str, now: Instant) -> int:
    """Merge the small files of hours: many of them at once, and all of an hour that is over. Return how many went.

    Only neighbours in the order of commit are merged: no file of another hour, and none that is not profiled yet, was
    committed between them. So rows stay in the order of commit, and the first copy of a prediction stays the first.
    A file is written again only with others that are together at least half as large: however late rows come, each
    is written a few times at most for every doubling of its file.
    """
    with world.control.transaction() as t:
        batches = sorted(t.batches(model, kind), key=lambda batch: batch.number)
    settled = [batch for batch in batches if not batch.pending]
    if len(settled) < 2:  # noqa: PLR2004 - one file is merged already
        return 0
    width = len(world.archive.columns(settled[-1].path))
    merged = 0
    for run in _runs(batches, min(_MERGED_ROWS_MAX, _MERGED_CELLS_MAX // max(width, 1))):
        is_over = _hour(run[0]).end + _OVER_FOR <= now
        for group in _worthwhile(run, 2 if is_over else _FILES_MAX):
            merged += _merge_files(world, group)
    return merged


def _runs(batches: Iterable[Batch], rows_max: int) -> Iterator[list[Batch]]:
    """Yield neighbours that lie in one hour and fit into one file; what is pending or large stands between them."""
    run: list[Batch] = []
    rows = 0
    for batch in batches:
        fits = not batch.pending and batch.rows < rows_max // 2
        if run and not (fits and _hour(batch) == _hour(run[0]) and rows + batch.rows <= rows_max):
            yield run
            run, rows = [], 0
        if fits:
            run.append(batch)
            rows += batch.rows
    if run:
        yield run


def _hour(batch: Batch) -> Window:
    return Window.around(batch.window.start, HOUR)


def _worthwhile(run: list[Batch], files_min: int) -> Iterator[list[Batch]]:
    """Yield a run whole, or the parts before and after its largest file where the others are too small for that one."""
    parts = [run]
    while parts:
        part = parts.pop()
        if len(part) < files_min:
            continue
        largest = max(range(len(part)), key=lambda at: part[at].rows)
        others = sum(batch.rows for batch in part) - part[largest].rows
        if 2 * others >= part[largest].rows:
            yield part
        else:
            parts += [part[:largest], part[largest + 1 :]]


def _merge_files(world: World, group: Sequence[Batch]) -> int:
    """Merge files, each with those of its types; return how many went."""
    tables = [world.archive.read(batch.path) for batch in group]
    return sum(
        _merge_alike(world, [group[at] for at in places], [tables[at] for at in places])
        for places in sharing(tables)
        if len(places) > 1
    )


def _merge_alike(world: World, group: Sequence[Batch], tables: Sequence[pl.DataFrame]) -> int:
    first = group[0]
    names = [batch.batch_id for batch in group]
    table = pl.concat(tables, how="diagonal_relaxed")
    # Each host writes a file of its own, so that who is too late can remove it.
    batch_id = derive_id("batch", first.model, first.kind, "merged", world.host, *names)
    path = world.archive.write(first.model, first.kind, batch_id, table)
    span = Window(min(batch.window.start for batch in group), max(batch.window.end for batch in group))
    written = max(batch.written_at for batch in group)
    whole = Batch(
        batch_id, first.model, first.kind, path, table.height, span, written, pending=False, number=first.number
    )
    try:
        with world.control.transaction() as t:
            t.replace_batches(names, [whole])
    except StaleWrite:
        # Another host was faster, and its file is as good; or somebody is being forgotten, and this one holds them.
        with world.control.transaction() as t:
            is_there = path in t.paths()
        if not is_there:
            world.archive.remove(path)
        return 0
    return len(names)


def expire(world: World, watched: Watched, before: Instant) -> None:
    """Drop rows, identities and profiles that are wholly older than an instant."""
    model, ever = watched.spec.model, Window(-(2**62), before)
    with world.control.transaction() as t:
        for kind in (PREDICTIONS, SHADOWS, OUTCOMES, GAUGES, *RUNS):
            old = [batch.batch_id for batch in t.batches(model, kind, ever) if batch.window.end <= before]
            t.replace_batches(old)
        if t.expire_profiles(model, before):
            # A round that is under way would put back what it has read.
            turn, revision = read_turn(t, model)
            write_turn(t, model, turn.until(turn.aged), revision)


def forget_answers(world: World, now: Instant) -> None:
    """Forget the answers to old deliveries, and after a year that they were; in short transactions."""
    more = True
    while more:
        with world.control.transaction() as t:
            more = t.age_deliveries(now - _ANSWERS_FOR, now - _KEYS_FOR, now - 365 * DAY)


def age_windows(world: World, watched: Watched, now: Instant) -> None:
    """Merge the fine windows of the days that have become old since the last time.

    Raises:
        StaleWrite: a round of profiling came in between; the days that were done are done.
    """
    while True:
        with world.control.transaction() as t:
            turn, revision = read_turn(t, watched.spec.model)
            until = old_before(now)
            if not turn.number or turn.aged >= until:
                return
            day = Window.around(turn.aged, DAY)
            last = min(until, day.start + _EMPTY_DAYS_MAX * DAY)
            while not _merge_day(t, watched, day) and day.end < last:
                day = Window.around(day.end, DAY)
            # Days of columns hold the same counts of signals.
            t.expire_profiles(watched.spec.model, day.end, watched.scale.signals.fingerprint)
            write_turn(t, watched.spec.model, turn.until(day.end), revision)


def _merge_day(t: Transaction, watched: Watched, day: Window) -> bool:
    """Merge the windows of a day; False where there are none."""
    model, scale = watched.spec.model, watched.scale
    held = t.profiles(model, scale.fingerprint, day)
    fine = [key for key in held if key.window != day]
    if not fine:
        return False
    merged: dict[ProfileKey, Profile] = {}
    for key, packed in sorted(held.items()):
        whole, profile = key._replace(window=day), unpack_profile(packed, scale)
        merged[whole] = merged[whole] + profile if whole in merged else profile
    t.drop_profiles(model, scale.fingerprint, fine)
    t.add_profiles(model, scale.fingerprint, {key: pack_profile(profile) for key, profile in merged.items()})
    return True
