"""What a control store promises about telemetry: the manifest, deliveries, totals, quarantine and halves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from killick.clock import HOUR, Window
from killick.errors import StaleWrite
from killick.ports.control import Half, Quarantined
from killick.testing.control_examples import MODEL, a_batch, raises

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.ports.control import Transaction
    from killick.testing.control_laws import Make


def a_batch_is_added_once(make: Make) -> None:
    """Its id is its own; numbers grow in the order of commit."""
    control = make()
    with control.transaction() as t:
        t.add_batch(a_batch(2))
        t.add_batch(a_batch(1))
        with raises(StaleWrite):
            t.add_batch(a_batch(1, model="another"))
    with control.transaction() as t:
        assert [batch.batch_id for batch in t.batches(MODEL, "predictions")] == ["batch-1", "batch-2"]
        second, first = t.batches(MODEL, "predictions")
        assert first == a_batch(2)
        assert second == a_batch(1)
        assert 0 < first.number < second.number


def batches_are_found_by_the_window_they_touch(make: Make) -> None:
    """Half-open at both ends, oldest first, ties by id; other kinds and models are not among them."""
    spans = {"d": (2, 4), "c": (0, 2), "b": (2, 3), "a": (3, 5), "wide": (0, 9)}
    with make().transaction() as t:
        for name, (start, end) in spans.items():
            t.add_batch(a_batch(1, batch_id=name, window=Window(start * HOUR, end * HOUR)))
        t.add_batch(a_batch(9, batch_id="other kind", kind="outcomes", window=Window(2 * HOUR, 3 * HOUR)))

        def found(window: Window | None) -> list[str]:
            return [batch.batch_id for batch in t.batches(MODEL, "predictions", window)]

        assert found(None) == ["c", "wide", "b", "d", "a"]
        assert found(Window(2 * HOUR, 3 * HOUR)) == ["wide", "b", "d"]
        assert found(Window(3 * HOUR, 4 * HOUR)) == ["wide", "d", "a"]
        assert found(Window(9 * HOUR, 10 * HOUR)) == []


def a_batch_is_pending_until_it_is_settled(make: Make) -> None:
    """In the order of commit; settled once, all that are named or none."""
    control = make()
    with control.transaction() as t:
        for number in (3, 1, 2):
            t.add_batch(a_batch(number))
        t.add_batch(a_batch(4, model="another", kind="outcomes"))
        t.add_batch(a_batch(5, pending=False))
        assert _pending(t) == ["batch-3", "batch-1", "batch-2", "batch-4"]
        assert _pending(t, MODEL) == ["batch-3", "batch-1", "batch-2"]
        assert t.waiting() == {"another": 1, MODEL: 3}
        t.settle(["batch-1", "batch-3"])
    for taken in (["batch-2", "batch-1"], ["batch-5"], ["nobody"]):
        with raises(StaleWrite), control.transaction() as t:
            t.settle(taken)
    with control.transaction() as t:
        assert _pending(t, MODEL) == ["batch-2"]
        assert [batch.pending for batch in t.batches(MODEL, "predictions")] == [False, True, False, False]
        assert t.paths() == {a_batch(number).path for number in range(1, 6)}
        assert t.waiting() == {"another": 1, MODEL: 1}


def as_many_pending_batches_are_listed_as_hold_so_many_rows(make: Make) -> None:
    """The first ones, until there are rows or batches enough: one at least, and all where there are not so many."""
    with make().transaction() as t:
        for number, rows in ((1, 10), (2, 0), (3, 30), (4, 5)):
            t.add_batch(a_batch(number, rows=rows))
        t.add_batch(a_batch(5, model="another", rows=7))
        for rows, expected in ((1, [1]), (10, [1]), (11, [1, 2, 3]), (41, [1, 2, 3, 4]), (99, [1, 2, 3, 4])):
            assert _pending(t, MODEL, rows) == [f"batch-{number}" for number in expected]
        assert _pending(t, rows=46) == [f"batch-{number}" for number in range(1, 6)]
        assert _pending(t, rows=1) == ["batch-1"]
        for limit, found in ((1, 1), (3, 3), (4, 4), (9, 4)):
            assert len(t.pending(MODEL, limit=limit)) == found
        assert len(t.pending(MODEL, rows=11, limit=2)) == 2  # noqa: PLR2004 - of the three that hold so many


def batches_are_replaced_as_one(make: Make) -> None:
    """The old ones are no more, the new ones are there; when one of the old is missing, nothing changes."""
    control = make()
    with control.transaction() as t:
        for number in (1, 2, 3):
            t.add_batch(a_batch(number))
    with raises(StaleWrite), control.transaction() as t:
        t.replace_batches(["batch-1", "nobody"], [a_batch(4)])
    with control.transaction() as t:
        first = t.batches(MODEL, "predictions")[0]
        t.replace_batches(["batch-1", "batch-2"], [replace(a_batch(4, pending=False), number=first.number)])
        merged = t.batches(MODEL, "predictions")[-1]
        assert (merged.batch_id, merged.number) == ("batch-4", first.number)
        t.replace_batches(["batch-3"])
        t.replace_batches([])
        assert [batch.batch_id for batch in t.batches(MODEL, "predictions")] == ["batch-4"]
        assert _pending(t) == []


def paths_that_left_the_manifest_are_noted(make: Make) -> None:
    """With the time at which they left; what rolls back never left, and what is gone is no longer noted."""
    control = make()
    with control.transaction() as t:
        for number in (1, 2, 3):
            t.add_batch(a_batch(number))
        t.replace_batches(["batch-2", "batch-1"], [a_batch(4)])
    with raises(StaleWrite), control.transaction() as t:
        t.replace_batches(["batch-3", "nobody"])
    with control.transaction() as t:
        assert t.removed() == t.removed(0) == [a_batch(1).path, a_batch(2).path]
        assert t.removed(3600) == []
        t.forget_removed([a_batch(1).path, "never noted"])
        t.forget_removed([])
        assert t.removed() == [a_batch(2).path]


def a_delivery_is_taken_once(make: Make) -> None:
    """The same model, kind, producer and sequence gets the answer that it got first; gaps and older ones are fine."""
    control = make()
    with control.transaction() as t:
        for sequence in (5, 0, 9):
            assert t.deliver(MODEL, "predictions", "host", sequence, b"%d" % sequence, 1) is None
        assert t.deliver(MODEL, "predictions", "host", 5, b"again", 2) == b"5"
        assert [t.answer(MODEL, "predictions", "host", sequence) is not None for sequence in (0, 1, 5, 9, 10)] == [
            *(True, False, True, True, False)
        ]
    with control.transaction() as t:
        assert t.deliver(MODEL, "predictions", "host", 0, b"again", 3) == b"0"
        assert t.deliver(MODEL, "predictions", "host", 4, b"4", 3) is None
        assert t.deliver(MODEL, "outcomes", "host", 5, b"other kind", 3) is None
        assert t.deliver(MODEL, "predictions", "other host", 5, b"other host", 3) is None
        assert t.deliver("another", "predictions", "host", 5, b"other model", 3) is None


def answers_are_rewritten(make: Make) -> None:
    """The long ones, however many, whoever they were given to; that they were taken is known as before."""
    given = [(model, producer, at) for model in (MODEL, "m") for producer in "ab" for at in (-1, *range(60))]
    with make().transaction() as t:
        for at, one in enumerate(given):
            t.deliver(one[0], "predictions", *one[1:], b"long" if at % 9 else b"abc", 1)
        t.redact(3, lambda receipt: receipt[:1] + b"ast")
        answers = [t.deliver(one[0], "predictions", *one[1:], b"again", 2) for one in given]
        assert answers == [b"last" if at % 9 else b"abc" for at in range(len(given))]


def old_deliveries_are_remembered_without_their_answers(make: Make) -> None:
    """Which were taken is still known, gaps too, until they are dropped; younger ones keep their answers."""
    control = make()
    with control.transaction() as t:
        for sequence, at in ((0, 10), (1, 11), (2, 12), (4, 13), (5, 99)):
            t.deliver(MODEL, "predictions", "host", sequence, b"%d" % sequence, at)
        t.deliver(MODEL, "predictions", "ancient", 0, b"0", 1)
        _age(t, 11)
        _age(t, 50)
        _age(t, 50)
    with control.transaction() as t:
        taken = [t.deliver(MODEL, "predictions", "host", sequence, b"new", 100) for sequence in range(7)]
        assert taken == [b"", b"", b"", None, b"", b"5", None]
        assert t.deliver(MODEL, "predictions", "ancient", 0, b"new", 100) is None


def a_lone_old_delivery_loses_its_answer(make: Make) -> None:
    """Also where it has no neighbour to be merged with, or one that is young."""
    with make().transaction() as t:
        t.deliver(MODEL, "predictions", "host", 7, b"7", 10)
        t.deliver(MODEL, "predictions", "host", 8, b"8", 99)
        _age(t, 50)
        assert [t.deliver(MODEL, "predictions", "host", sequence, b"new", 100) for sequence in (6, 7, 8)] == [
            *(None, b"", b"8")
        ]


def who_comes_but_once_is_forgotten_sooner(make: Make) -> None:
    """An idempotency key is a row of its own, and gone before others are; who cannot come again, with the answer."""
    many = 2_100
    with make().transaction() as t:
        for number in range(many):
            t.deliver(MODEL, "predictions", f"key:{number}", 0, b"0", number)
        for producer in ("server:1", "p:key:1"):
            t.deliver(MODEL, "predictions", producer, 0, b"0", 10)
        t.deliver(MODEL, "predictions", "key:young", 0, b"young", many)
        _age(t, many, keys_before=1_500)
        assert [
            t.answer(MODEL, "predictions", f"key:{number}", 0) is not None for number in (0, 1_499, 1_500, many - 1)
        ] == [*(False, False, True, True)]
        assert t.answer(MODEL, "predictions", "server:1", 0) is None
        for producer, answer in (("p:key:1", b""), ("key:1500", b""), ("key:young", b"young")):
            assert t.deliver(MODEL, "predictions", producer, 0, b"new", many) == answer


def totals_add_up(make: Make) -> None:
    """By name and by model."""
    control = make()
    with control.transaction() as t:
        t.tally(MODEL, {"accepted": 3, "duplicates": 0})
        t.tally("another", {"accepted": 7})
    with control.transaction() as t:
        t.tally(MODEL, {"accepted": 2, "quarantined": 1})
        t.tally(MODEL, {})
        assert t.tallies(MODEL) == {"accepted": 5, "quarantined": 1}
        assert t.tallies("nobody") == {}


def the_newest_quarantined_rows_are_kept(make: Make) -> None:
    """As many as asked for, newest first, by model."""
    rows = [Quarantined(at, b"%d" % at) for at in range(6)]
    with make().transaction() as t:
        t.quarantine(MODEL, rows[:4], keep=3)
        t.quarantine("another", rows, keep=2)
        t.quarantine(MODEL, rows[4:5], keep=3)
        t.quarantine(MODEL, [], keep=3)
        assert t.quarantined(MODEL, 9) == [rows[4], rows[3], rows[2]]
        assert t.quarantined(MODEL, 1) == [rows[4]]
        assert t.quarantined("another", 9) == [rows[5], rows[4]]
        t.quarantine(MODEL, [], keep=0)
        assert t.quarantined(MODEL, 9) == []


def halves_are_held_until_they_are_released(make: Make) -> None:
    """Pairs at once, lone ones when they are old; a half that comes again is passed over."""
    asked, answered = Half("a", "request", 1, b"asked"), Half("a", "response", 5, b"answered")
    lone, late = Half("b", "request", 2, b"lone"), Half("c", "response", 8, b"late")
    control = make()
    with control.transaction() as t:
        t.hold(MODEL, [asked, lone])
        t.hold(MODEL, [late, answered, asked._replace(body=b"again")])
        t.hold("another", [Half("b", "response", 1, b"not its other half")])
    with control.transaction() as t:
        assert t.halves(MODEL, before=0, limit=99) == [[asked, answered]]
        assert t.halves(MODEL, before=3, limit=99) == [[asked, answered], [lone]]
        assert t.halves(MODEL, before=99, limit=99) == [[asked, answered], [lone], [late]]
        assert t.holding() == sorted([MODEL, "another"])
        t.release(MODEL, ["a", "never held"])
        assert t.halves(MODEL, before=99, limit=99) == [[lone], [late]]
        t.release(MODEL, ["b", "c"])
        assert t.holding() == ["another"]


def pairs_are_found_however_many_requests_came_first(make: Make) -> None:
    """As many as asked for, by the half that came first, also when all requests came before the first response."""
    asked = [Half(name, "request", 1, b"asked") for name in "dabc"]
    answered = [Half(name, "response", 2, b"answered") for name in "abcd"]
    with make().transaction() as t:
        t.hold(MODEL, [*asked, *answered])
        found = t.halves(MODEL, before=0, limit=2)
        assert [{half.half_id for half in held} for held in found] == [{"d"}, {"a"}]
        assert [[half.part for half in held] for held in found] == [["request", "response"]] * 2


def pairs_and_old_lone_halves_come_in_the_order_of_holding(make: Make) -> None:
    """However many young ones lie between them; of a bounded number, the first."""
    with make().transaction() as t:
        t.hold(MODEL, [Half(f"young-{at}", "request", 50, b"") for at in range(9)])
        t.hold(MODEL, [Half("old-1", "response", 1, b""), Half("pair-1", "request", 2, b"")])
        t.hold(MODEL, [Half("old-2", "request", 3, b""), Half("pair-2", "response", 4, b"")])
        t.hold(MODEL, [Half("pair-2", "request", 50, b""), Half("pair-1", "response", 50, b"")])
        for limit in (1, 2, 3, 9):
            found = [held[0].half_id for held in t.halves(MODEL, before=9, limit=limit)]
            assert found == ["old-1", "pair-1", "old-2", "pair-2"][:limit]


def _pending(t: Transaction, model: str | None = None, rows: int | None = None) -> list[str]:
    return [batch.batch_id for batch in t.pending(model, rows=rows)]


def _age(t: Transaction, answers_before: int, *, keys_before: int = 5) -> None:
    while t.age_deliveries(answers_before, keys_before, 5):
        pass


TELEMETRY_LAWS: tuple[Callable[[Make], None], ...] = (
    a_batch_is_added_once,
    batches_are_found_by_the_window_they_touch,
    a_batch_is_pending_until_it_is_settled,
    as_many_pending_batches_are_listed_as_hold_so_many_rows,
    batches_are_replaced_as_one,
    paths_that_left_the_manifest_are_noted,
    a_delivery_is_taken_once,
    answers_are_rewritten,
    old_deliveries_are_remembered_without_their_answers,
    a_lone_old_delivery_loses_its_answer,
    who_comes_but_once_is_forgotten_sooner,
    totals_add_up,
    the_newest_quarantined_rows_are_kept,
    halves_are_held_until_they_are_released,
    pairs_are_found_however_many_requests_came_first,
    pairs_and_old_lone_halves_come_in_the_order_of_holding,
)
