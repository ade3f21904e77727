"""Receive: what was sent is durable before it is acknowledged, and is there once, however often it is sent.

A delivery is what one producer sent under one sequence. Its rows are written to a file, which is fsynced; then one
transaction adds the manifest row and notes the delivery with the answer that it gets (DESIGN D3). A delivery that comes
again gets that answer again, and leaves nothing. Deliveries that come at the same time share files and the
transaction: a fsync costs as much for a hundred as for one (group commit: Gawlick and Kinkade 1985).
Nothing is counted here: whoever profiles the batch does that (`engine/profiling.py`).
"""

from __future__ import annotations

import queue
import threading
import zlib
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.clock import Window
from killick.engine.joining import RECEIVED_AT
from killick.engine.record import Book, record_change
from killick.errors import DataError, Mistake, OutsideError
from killick.identity import derive_id
from killick.ports.control import Batch, Half, Quarantined
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, ROLE
from killick.telemetry.quarantine import Rejected  # noqa: TC001 - msgspec reads the annotation of a receipt
from killick.wire.decode import as_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Transaction

PREDICTIONS, OUTCOMES, GAUGES, CHANGES = "predictions", "outcomes", "gauges", "changes"
# What shadows said is sent with the predictions, and lies in files of its own: nobody was answered by it.
SHADOWS = "shadows"
PROFILED = (PREDICTIONS, SHADOWS, OUTCOMES)
# What stands before the name that a sender gave itself: Killick is a producer too, of pairs of halves, of folders and
# of replays, and whoever took one of those names would have their deliveries pass for repetitions.
OUTSIDE = "p:"
# Rows that could not be used, of each model: enough to see what is wrong, and no store of its own.
QUARANTINED_MAX = 1_000
# What waits to be committed; more is refused, and the sender comes back.
_WAITING_MAX = 10_000
# Models whose deliveries failed by themselves, after which it is not the file of one of them that is to blame.
_FAILED_MAX = 2
# One file holds no more of a group: the rest is the next group's, so that no one waits for all.
_GROUP_ROWS_MAX = 500_000
# A float holds every whole number up to here.
_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one producer sent under one sequence: usable rows, and those that were rejected.

    `table` has the house's columns; `rejected` names the first rejected rows, `rejected_rows` counts all. `actor` is
    whose token it came with, for the ledger, if it came with one. `also` is done in the transaction that takes it, and
    not when it was taken before.
    """

    model: str
    kind: str
    producer: str
    sequence: int
    table: pl.DataFrame
    rejected: tuple[Rejected, ...] = ()
    rejected_rows: int = 0
    actor: str = ""
    also: Callable[[Transaction], None] | None = None


class Receipt(msgspec.Struct, frozen=True):
    """The answer to a delivery: rows accepted, rows quarantined, and whether it had been taken before."""

    accepted: int
    quarantined: tuple[Rejected, ...] = ()
    duplicate: bool = False


def commit(world: World, deliveries: Sequence[Delivery], now: Instant, attempt: int = 0) -> list[Receipt]:
    """Make deliveries durable as one, and return the answer to each, in order.

    Args:
        world: where they are kept.
        deliveries: what was sent; of one that is in it twice, the second is a repetition. No file is written for one
            that was taken before, nor while the store does not answer.
        now: when it came.
        attempt: another number each time that other deliveries may be in the group. Files are named by it: a commit
            of which nobody knows whether it succeeded may have made one part of the manifest.

    Raises:
        OutsideError: archive or store failed; nothing of any of them is there, and they may be sent again.
        DataError: one of them holds a row without a time; nothing of any of them is there.
    """
    first = {_key(one): at for at, one in reversed(list(enumerate(deliveries)))}
    answers = [Receipt(one.table.height, one.rejected) for one in deliveries]
    while True:
        with world.control.transaction() as t:
            taken = {key: known for key in first if (known := answered(t, key))}
        fresh = [(at, one) for at, one in enumerate(deliveries) if _key(one) not in taken and first[_key(one)] == at]
        try:
            if fresh:
                batches = _written(world, fresh, now, attempt)
                with world.control.transaction() as t:
                    for at, one in fresh:
                        _take(t, one, answers[at], now)
                    for batch in batches:
                        t.add_batch(batch)
        except _TakenBeforeError:
            # Seldom: another process has taken it since. The files hold rows that are there already; they are swept.
            attempt = -attempt - 1
            continue
        given = [taken[_key(one)] if _key(one) in taken else answers[first[_key(one)]] for one in deliveries]
        is_new = {at for at, _ in fresh}
        return [msgspec.structs.replace(one, duplicate=at not in is_new) for at, one in enumerate(given)]


class _TakenBeforeError(Exception):
    """A delivery of the group turned out to be in: the transaction is rolled back, and made without it."""


def _key(delivery: Delivery) -> tuple[str, str, str, int]:
    return delivery.model, delivery.kind, delivery.producer, delivery.sequence


def answered(t: Transaction, key: tuple[str, str, str, int]) -> Receipt | None:
    """Return the answer that a delivery was given, if it was taken before.

    `key` is its model, kind, producer and sequence.
    """
    packed = t.answer(*key)
    return None if packed is None else unpack_receipt(packed)


def pack_receipt(receipt: Receipt) -> bytes:
    """Return an answer as it is kept: a thousand refused rows are 120 kB, and much alike."""
    if not receipt.quarantined:
        return b"%d" % receipt.accepted
    return zlib.compress(msgspec.json.encode(receipt), level=1)


def unpack_receipt(packed: bytes) -> Receipt:
    """Read an answer; of one that nobody remembers, that it was taken. The first stores kept all as JSON.

    >>> unpack_receipt(pack_receipt(Receipt(5)))
    Receipt(accepted=5, quarantined=(), duplicate=False)
    """
    if not packed or packed.isdigit():
        return Receipt(int(packed or 0))
    return msgspec.json.decode(packed if packed.startswith(b"{") else zlib.decompress(packed), type=Receipt)


def _take(t: Transaction, delivery: Delivery, answer: Receipt, now: Instant) -> None:
    """Note a delivery and what is to be done with it."""
    if t.deliver(*_key(delivery), pack_receipt(answer), now) is not None:
        raise _TakenBeforeError
    _count(t, delivery, now)
    _note_changes(t, delivery, now)
    if delivery.also:
        delivery.also(t)


def _written(world: World, deliveries: Iterable[tuple[int, Delivery]], now: Instant, attempt: int) -> list[Batch]:
    """Write the rows of each model and kind into one file for each of their types."""
    groups: dict[tuple[str, str], list[tuple[Delivery, pl.DataFrame]]] = {}
    for at, one in deliveries:
        # Of two that came together the later is later.
        for kind, table in _by_kind(one, now + at):
            if table.height:
                groups.setdefault((one.model, kind), []).append((one, table))
    files = [
        (model, kind, [group[at] for at in places])
        for (model, kind), group in groups.items()
        for places in sharing(table for _, table in group)
    ]
    batches = []
    for model, kind, group in files:
        tables = [table for _, table in group]
        table = tables[0] if len(tables) == 1 else pl.concat(tables, how="diagonal_relaxed")
        times = table[EVENT_TIME]
        if times.null_count():
            # In a file with others they would keep all of it from being profiled.
            raise DataError(Mistake(EVENT_TIME, f"is missing in {times.null_count()} of {table.height} rows"))
        first, _ = group[0]
        batch_id = derive_id("batch", model, kind, first.producer, first.sequence, world.host, attempt)
        path = world.archive.write(model, kind, batch_id, table)
        window = Window(int(times.min()), int(times.max()) + 1)  # type: ignore[arg-type]
        batches.append(Batch(batch_id, model, kind, path, table.height, window, now, pending=kind in PROFILED))
    return batches


def sharing(tables: Iterable[pl.DataFrame]) -> list[list[int]]:
    """Return which tables may lie in one file, by their places: those that have the columns they share in one form.

    Beside a number `true` would become `1`, and beside a text `1` become `1.0`: what a value counts as must not depend
    on what it came with.

    >>> sharing([pl.DataFrame({"flag": [value]}) for value in (True, 1, None, 0.5)])
    [[0, 2], [1, 3]]
    """
    files: list[tuple[dict[str, pl.DataType], list[int]]] = []
    for at, table in enumerate(tables):
        forms = _forms(table)
        for held, places in files:
            if all(held.get(name, form) == form for name, form in forms.items()):
                held.update(forms)
                places.append(at)
                break
        else:
            files.append((forms, [at]))
    return [places for _, places in files]


def _forms(table: pl.DataFrame) -> dict[str, pl.DataType]:
    """Return the type of each column that has any: whole numbers are floats, unless they are too long for that."""
    forms = {name: dtype for name, dtype in table.schema.items() if dtype != pl.Null}
    for name, dtype in forms.items():
        if dtype.is_integer() and all(-_EXACT <= end <= _EXACT for end in _ends(table[name])):
            forms[name] = pl.Float64()
    return forms


def _ends(numbers: pl.Series) -> list[int]:
    return [int(end) for end in (numbers.min(), numbers.max()) if end is not None]  # type: ignore[arg-type]


def _by_kind(delivery: Delivery, received_at: Instant) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield a delivery's rows by where they lie: an outcome where it became known, and it says when it was received."""
    table = delivery.table
    if delivery.kind == OUTCOMES:
        received = pl.lit(received_at, pl.Int64).alias(RECEIVED_AT)
        yield OUTCOMES, table.with_columns(pl.col(KNOWN_AT).alias(EVENT_TIME), received)
    elif delivery.kind == GAUGES:
        yield GAUGES, table.with_columns(pl.col("at").alias(EVENT_TIME))
    elif delivery.kind == CHANGES:
        return  # changes are documents: few, and looked for by the model that they are about
    elif delivery.kind == PREDICTIONS and ROLE in table.columns:
        along = (table[ROLE] == "shadow").fill_null(value=False)
        if along.any():
            yield SHADOWS, table.filter(along)
            table = table.filter(~along)
        yield PREDICTIONS, table
    else:
        yield delivery.kind, table


def _count(t: Transaction, delivery: Delivery, now: Instant) -> None:
    t.tally(
        delivery.model,
        {
            f"{delivery.kind}.accepted": delivery.table.height,
            f"{delivery.kind}.quarantined": max(delivery.rejected_rows, len(delivery.rejected)),
        },
    )
    put_aside(t, delivery.model, delivery.kind, (delivery.producer, delivery.sequence), delivery.rejected, now)


def put_aside(
    t: Transaction, model: str, kind: str, whose: tuple[str, int], rejected: Iterable[Rejected], now: Instant
) -> None:
    """Keep rows that could not be used, of a producer's body, to be looked at."""
    producer, sequence = whose
    told = {"kind": kind, "producer": producer.removeprefix(OUTSIDE), "sequence": sequence}
    rows = [Quarantined(now, msgspec.json.encode(told | msgspec.structs.asdict(row))) for row in rejected]
    if rows:
        t.quarantine(model, rows, keep=QUARANTINED_MAX)


def _note_changes(t: Transaction, delivery: Delivery, now: Instant) -> None:
    """Record changes once each, about the model that each names or about all of them, and in the ledger."""
    if delivery.kind != CHANGES:
        return
    models = delivery.table["model"].fill_null("") if delivery.table.height else ()
    for model, change in zip(models, as_changes(delivery.table), strict=True):
        record_change(Book(t, model, now, actor=delivery.actor or delivery.producer.removeprefix(OUTSIDE)), change)


class Receiver:
    """Takes deliveries from any thread, and answers each when it is durable.

    One thread of its own commits what has come while the last commit was under way.

    Args:
        world: where they are kept.
        now: tells the time.
    """

    def __init__(self, world: World, now: Callable[[], Instant]) -> None:
        self._world = world
        self._now = now
        self._waiting: queue.Queue[_Waiting | None] = queue.Queue(_WAITING_MAX)
        self._attempt = 0
        self._is_closed = False
        # Nothing comes in behind the end of what waits: nobody would answer it.
        self._door = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="killick-receiver", daemon=True)
        self._thread.start()

    def receive(self, delivery: Delivery) -> Receipt:
        """Make a delivery durable.

        Raises:
            OutsideError: it could not be, and may be sent again; or the receiver is closed.
        """
        waiting = _Waiting(delivery)
        try:
            with self._door:
                if self._is_closed:
                    raise OutsideError("the receiver is closed; send it again to the next")
                self._waiting.put_nowait(waiting)
        except queue.Full:
            raise OutsideError(f"{_WAITING_MAX} deliveries wait to be written; come back later") from None
        return waiting.answer.result()

    def hold(self, model: str, halves: Sequence[Half]) -> None:
        """Make halves of predictions durable: they are put together when both are there.

        Raises:
            OutsideError: they could not be, and may be sent again.
        """
        with self._world.control.transaction() as t:
            t.hold(model, halves)

    def close(self) -> None:
        """Commit what waits, and end the thread."""
        with self._door:
            is_first, self._is_closed = not self._is_closed, True
        if is_first:
            self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            group, goes_on = self._group()
            if group:
                self._answer(group)

    def _answer(self, group: Sequence[_Waiting]) -> None:
        """Commit a group; where one of its deliveries cannot be, the others do not suffer for it."""
        self._attempt += 1
        try:
            receipts = commit(self._world, [one.delivery for one in group], self._now(), self._attempt)
        except OutsideError as error:
            self._answer_apart(group, error)
        except BaseException as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
            if len(group) == 1:
                group[0].answer.set_exception(error)
            else:
                for one in group:
                    self._answer([one])
        else:
            for one, receipt in zip(group, receipts, strict=True):
                one.answer.set_result(receipt)

    def _answer_apart(self, group: Sequence[_Waiting], error: OutsideError) -> None:
        """Commit what is of each model by itself after all of it has failed: one file may be to blame.

        Where the first two of them fail too it is the world, and nobody waits for the others to fail.
        """
        models = dict.fromkeys(one.delivery.model for one in group)
        failed = 0 if len(models) > 1 else _FAILED_MAX
        for model in models:
            mine = [one for one in group if one.delivery.model == model]
            if failed < _FAILED_MAX:
                self._answer(mine)
                failed += isinstance(mine[0].answer.exception(), OutsideError)
            else:
                for one in mine:
                    one.answer.set_exception(error)

    def _group(self) -> tuple[list[_Waiting], bool]:
        """Wait for a delivery, and take with it what else is there; False when no more will come."""
        group: list[_Waiting] = []
        rows = 0
        first = self._waiting.get()
        while first is not None:
            group.append(first)
            rows += first.delivery.table.height
            if rows >= _GROUP_ROWS_MAX:
                return group, True
            try:
                first = self._waiting.get_nowait()
            except queue.Empty:
                return group, True
        return group, False


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A delivery, and the answer that somebody waits for."""

    delivery: Delivery
    answer: Future[Receipt] = field(default_factory=Future)
