"""Aging: fine windows become days, small files become large ones, and what is too old goes.

Every step is one transaction and may be repeated; files that are no longer in the manifest are swept later, so that
whoever is reading them can finish. Age is measured in a model's own time, by the newest event that it has seen: a
history that is sent today is not old. What goes is gone, so that time is believed when it is a day old: a clock that
is wrong for an hour makes nothing old.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
import polars as pl

from killick.clock import DAY, FOREVER, HOUR, Window
from killick.engine.copies import are_first
from killick.engine.identities import RUNS
from killick.engine.profiling import ASIDE
from killick.engine.receive import GAUGES, OUTCOMES, PREDICTIONS, SHADOWS, sharing
from killick.engine.turns import old_before, read_turn, write_turn
from killick.errors import StaleWrite
from killick.identity import derive_id
from killick.ports.control import Batch
from killick.profiles.codec import pack_profile, unpack_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from killick.clock import Duration, Instant
    from killick.engine.turns import Watched
    from killick.engine.world import World
    from killick.ports.control import ProfileKey, Transaction
    from killick.profiles.profile import Profile

# Groups of files of which none may lie with another, by a hash of their names; a process keeps so many in mind.
Apart: TypeAlias = set[str]
_APART_MAX = 100_000

KINDS = (PREDICTIONS, SHADOWS, OUTCOMES, GAUGES)
# Which outcome is the latest its own times say, wherever it lies.
_UNORDERED = (OUTCOMES, GAUGES)
# What lies in an hour's folder is merged when there are so many files, or when the hour has been over for a while.
_FILES_MAX, _OVER_FOR = 16, HOUR
# In these hours there is something to merge nearly always: what is over for a while is done.
_RECENT = 3 * HOUR
# A merged file holds no more: it is read whole when a batch of it is asked for; ten million numbers are 80 MB.
_MERGED_ROWS_MAX, _MERGED_CELLS_MAX = 2_000_000, 10_000_000
# Nor is it made of more files at once, and no more are asked for their copies in a row: each takes some milliseconds.
_MERGED_FILES_MAX, _ASKED_MAX = 100, 200
# In one transaction, which takes a tenth of a second: a model whose first event was of 1970 has 20,000 days behind it.
_EMPTY_DAYS_MAX = 500
# How long the answers to deliveries are kept word for word: whoever has not heard one asks again within minutes. A row
# for each, of 200 models with a batch a second, would be 42 GB in a week. Then it is known that they were taken: of an
# idempotency key, which is a row of its own, for a week, in which a job is run again.
_ANSWERS_FOR, _KEYS_FOR = HOUR, 7 * DAY
_NEVER: Instant = -(2**62)


class OwnTime(msgspec.Struct, frozen=True):
    """A model's own time, for aging.

    Attributes:
        newest: the newest event that it has.
        steady: the newest that it had a day ago, or some more; what was never seen a day ago is before everything.
    """

    newest: int
    steady: int


class _Noted(msgspec.Struct, frozen=True):
    """What was the newest event at some instant, and what is believed meanwhile."""

    newest: int
    at: int
    steady: int = _NEVER


def own_time(world: World, model: str, now: Instant) -> OwnTime | None:
    """Return a model's own time by now; None while it has sent nothing.

    The newest event is noted once a day; a day later it is believed, and the next one noted.
    """
    with world.control.transaction() as t:
        newest = _newest(t, model)
        if newest is None:
            return None
        newest = min(newest, now)
        document = t.get("aging", model, "time")
        noted = msgspec.json.decode(document.body, type=_Noted) if document else None
        if noted is None or not 0 <= now - noted.at < DAY:
            # One from the future was noted by a clock that was wrong, and is never believed.
            believed = noted.steady if noted and now < noted.at else noted.newest if noted else _NEVER
            noted = _Noted(newest, now, believed)
            t.put("aging", model, "time", msgspec.json.encode(noted), revision=document.revision if document else 0)
        return OwnTime(newest, min(noted.steady, now))


def _newest(t: Transaction, model: str) -> Instant | None:
    turn, _ = read_turn(t, model)
    if turn.number and turn.newest >= 0:
        return turn.newest
    # Nothing of it was ever profiled: its files say how far it has come.
    return max((batch.window.end - 1 for kind in KINDS for batch in t.batches(model, kind)), default=None)


def age(
    world: World,
    model: str,
    keep: Duration,
    own: OwnTime,
    watched: Watched | None,
    *,
    is_thorough: bool,
    apart: Apart | None = None,
) -> Iterator[bool]:
    """Merge windows and files of a model, and drop what is older than it is kept; in its own time.

    It goes by pieces, so that nobody has to wait for all of it.

    Args:
        world: where they are.
        model: whose they are.
        keep: how long it is kept.
        own: the model's own time.
        watched: how it is watched, if it is.
        is_thorough: look at the files of all hours, and not of the last ones alone.
        apart: what was found before to be of types that may not lie together; what is found now is added.

    Yields:
        after each piece, whether there was anything to do.

    Raises:
        OutsideError: archive or store failed; what was done is done.
        StaleWrite: a round of profiling came in between; likewise.
    """
    # First of all, so that no file which cannot be merged keeps what is too old.
    yield expire(world, model, own.steady - keep)
    while watched and age_days(world, watched, own.steady):
        yield True
    for kind in KINDS:
        yield False
        if is_thorough or _is_due(world, model, kind, own.newest):
            since = -FOREVER if is_thorough else own.newest - _RECENT
            for _ in compacting(world, model, kind, own.newest, since, apart):
                yield True


def _is_due(world: World, model: str, kind: str, now: Instant) -> bool:
    """Whether files of the last hours are to be merged: to look at those of 90 days takes a twentieth of a second."""
    with world.control.transaction() as t:
        batches = t.batches(model, kind, Window(now - _RECENT, FOREVER))
    return next(_groups(batches, _MERGED_ROWS_MAX, now, lambda _: kind in _UNORDERED), None) is not None


def compacting(
    world: World, model: str, kind: str, now: Instant, since: Instant = -FOREVER, apart: Apart | None = None
) -> Iterator[int]:
    """Merge the small files of hours since then: many of them at once, and all of an hour that is over.

    Yields how many went of each group that was looked at.

    A file takes its place in the order of commit with it, so that the first copy of a prediction stays the first: it
    is merged with its neighbours there, and across files of other hours and those that are not profiled yet only where
    the identities say that it holds no later copy of anything. The order of outcomes and gauges means nothing.
    A file is written again only with others that are together at least half as large: however late rows come, each
    is written a few times at most for every doubling of its file.
    """
    apart = set() if apart is None else apart
    with world.control.transaction() as t:
        batches = t.batches(model, kind)
    settled = [batch for batch in batches if not batch.pending]
    if len(settled) < 2:  # noqa: PLR2004 - one file is merged already
        return
    width = len(world.archive.columns(settled[-1].path))
    asked = iter(range(_ASKED_MAX))

    def may_move(batch: Batch) -> bool:
        is_asked = kind == PREDICTIONS and batch.window.start >= since and next(asked, None) is not None
        return kind in _UNORDERED or (is_asked and are_first(world, batch))

    for group in _groups(batches, min(_MERGED_ROWS_MAX, _MERGED_CELLS_MAX // max(width, 1)), now, may_move):
        known = derive_id("group", *(batch.batch_id for batch in group))
        if group[0].window.start >= since and known not in apart:
            went = _merge_files(world, group, may_move)
            if not went and len(apart) < _APART_MAX:
                apart.add(known)
            yield went


def _groups(
    batches: Iterable[Batch], rows_max: int, now: Instant, may_move: Callable[[Batch], bool]
) -> Iterator[list[Batch]]:
    """Yield which files are to be merged."""
    for run in _runs(sorted(batches, key=lambda batch: batch.number), rows_max, may_move):
        is_over = _hour(run[0]).end + _OVER_FOR <= now
        yield from _worthwhile(run, 2 if is_over else _FILES_MAX)


def _runs(batches: Iterable[Batch], rows_max: int, may_move: Callable[[Batch], bool]) -> Iterator[list[Batch]]:
    """Yield files of one hour that fit into one: neighbours, and what is free to move to them."""
    runs: dict[Window, list[Batch]] = {}
    began: dict[Window, int] = {}
    for at, batch in enumerate(batches):
        hour = _hour(batch)
        fits = not batch.pending and batch.rows < rows_max // 2
        if run := runs.get(hour):
            has_room = sum(one.rows for one in run) + batch.rows <= rows_max and len(run) < _MERGED_FILES_MAX
            # Once a file has moved, what comes after it has others before it too.
            is_next = at == began[hour] + len(run)
            if not (fits and has_room and (is_next or may_move(batch))):
                yield runs.pop(hour)
        if fits and hour not in runs:
            runs[hour], began[hour] = [], at
        if fits:
            runs[hour].append(batch)
    yield from runs.values()


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


def _merge_files(world: World, group: Sequence[Batch], may_move: Callable[[Batch], bool]) -> int:
    """Merge files, each with those of its types that it may move to; return how many went."""
    tables = [world.archive.read(batch.path) for batch in group]
    return sum(
        _merge_alike(world, [group[at] for at in part], [tables[at] for at in part])
        for places in sharing(tables)
        for part in _parted(places, lambda at: may_move(group[at]))
        if len(part) > 1
    )


def _parted(places: Sequence[int], may_move: Callable[[int], bool]) -> list[list[int]]:
    """Return places in parts, which end before one that may not move over those that lie between.

    >>> _parted([0, 1, 3, 5, 6], lambda place: place == 5)
    [[0, 1], [3, 5], [6]]
    """
    parts = [[places[0]]]
    for place in places[1:]:
        if place == parts[-1][0] + len(parts[-1]) or may_move(place):
            parts[-1].append(place)
        else:
            parts.append([place])
    return parts


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


def expire(world: World, model: str, before: Instant) -> bool:
    """Drop rows, identities and profiles that are wholly older than an instant; return whether there were files."""
    dropped = False
    with world.control.transaction() as t:
        for kind in (*KINDS, *ASIDE.values(), *RUNS):
            batches = t.batches(model, kind, Window(-FOREVER, before))
            if old := [batch.batch_id for batch in batches if batch.window.end <= before]:
                t.replace_batches(old)
                dropped = True
        if t.expire_profiles(model, before):
            # A round that is under way would put back what it has read.
            turn, revision = read_turn(t, model)
            write_turn(t, model, turn.until(turn.aged), revision)
    return dropped


def forget_answers(world: World, now: Instant) -> bool:
    """Forget answers to old deliveries, and after a year that they were; return whether there are more."""
    with world.control.transaction() as t:
        return t.age_deliveries(now - _ANSWERS_FOR, now - _KEYS_FOR, now - 365 * DAY)


def age_windows(world: World, watched: Watched, now: Instant) -> None:
    """Merge the fine windows of all days that have become old.

    Raises:
        StaleWrite: a round of profiling came in between; the days that were done are done.
    """
    while age_days(world, watched, now):
        pass


def age_days(world: World, watched: Watched, now: Instant) -> bool:
    """Merge the fine windows of the next day that has become old; return whether there is another.

    Raises:
        StaleWrite: a round of profiling came in between.
    """
    with world.control.transaction() as t:
        turn, revision = read_turn(t, watched.spec.model)
        until = old_before(now)
        # A model whose labels came before its first prediction has no time yet.
        if not turn.number or turn.newest < 0 or turn.aged >= until:
            return False
        day = Window.around(turn.aged, DAY)
        last = min(until, day.start + _EMPTY_DAYS_MAX * DAY)
        while not _merge_day(t, watched, day) and day.end < last:
            day = Window.around(day.end, DAY)
        # Days of columns hold the same counts of signals.
        t.expire_profiles(watched.spec.model, day.end, watched.scale.signals.fingerprint)
        write_turn(t, watched.spec.model, turn.until(day.end), revision)
    return day.end < until


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
