"""What every control store promises, as laws that it can be held to: ours, and anyone's who writes another.

    @pytest.mark.parametrize("law", control_battery(make_my_store), ids=str)
    def test_my_store_keeps(law):
        law()

`make` returns a new, empty store; a law calls it once. A store that outlives its process also gives `reopen`, which
returns another handle on the same store; without it, the laws about re-opening are not in the list.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from killick.clock import HOUR, Window
from killick.errors import IllegalMove, StaleWrite
from killick.ledger.chain import extend, verify
from killick.ports.control import Half, Quarantined
from killick.testing.control_examples import MODEL, SCALE, a_batch, a_command, a_fact, a_key, a_verdict, raises
from killick.testing.control_laws import LAWS
from killick.testing.telemetry_laws import TELEMETRY_LAWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.ports.control import Control, Transaction
    from killick.testing.control_laws import Make


@dataclass(frozen=True, slots=True)
class Law:
    """One promise, ready to be checked: its name, its sentence, and the check, which raises when it is broken."""

    name: str
    sentence: str
    check: Callable[[], None]

    def __call__(self) -> None:
        """Check the law."""
        self.check()

    def __str__(self) -> str:
        return self.name


def control_battery(make: Make, *, reopen: Callable[[Control], Control] | None = None) -> list[Law]:
    """Return the laws, for the stores that `make` makes."""
    laws = [
        Law(law.__name__, law.__doc__ or "", partial(law, make)) for law in (*TRANSACTION_LAWS, *LAWS, *TELEMETRY_LAWS)
    ]
    if reopen:
        laws += [Law(law.__name__, law.__doc__ or "", partial(law, make, reopen)) for law in REOPENING_LAWS]
    return laws


# --------------------------------------------------------------------------------------------------- transactions


def a_block_that_raises_leaves_nothing_behind(make: Make) -> None:
    """State, manifest, deliveries, profiles, verdicts, outbox and ledger roll back as one, kills included."""
    control = make()
    with control.transaction() as t:
        _write_everything(t, 1)
    before = _everything(control)
    for error in (StaleWrite, KeyboardInterrupt):
        with raises(error), control.transaction() as t:
            _write_everything(t, 2)
            t.settle(["batch-1"])
            t.replace_batches(["batch-2"])
            t.release(MODEL, ["half-1"])
            t.drop_profiles(MODEL, SCALE, [a_key(1)])
            t.add_verdicts(MODEL, [a_verdict(1, value=99.0)])
            t.finish("command-1", 5)
            raise error
        assert _everything(control) == before


def a_transaction_sees_its_own_writes(make: Make) -> None:
    """What was written a line above is there, before anything is committed."""
    with make().transaction() as t:
        _write_everything(t, 1)
        document, (batch,) = t.get("alias", MODEL, "live-1"), t.batches(MODEL, "predictions")
        assert document is not None
        assert (document.body, document.revision) == (b"body 1", 1)
        assert batch == a_batch(1)
        assert t.pending(MODEL) == [batch]
        assert t.deliver(MODEL, "predictions", "host", 1, b"again", 9) == b"taken 1"
        assert t.tallies(MODEL) == {"accepted": 1}
        assert t.profiles(MODEL, SCALE, Window(0, 9 * HOUR)) == {a_key(1): b"profile 1"}
        assert t.verdicts(MODEL) == [a_verdict(1)]
        assert t.due(MODEL, 10) == [a_command(1)]
        assert t.ledger_head() == t.ledger()[-1]


def what_was_committed_is_there_for_the_next(make: Make) -> None:
    """A second transaction reads what the first one wrote, and writing on top of it works."""
    control = make()
    numbers = (1, 2, 3)
    for number in numbers:
        with control.transaction() as t:
            _write_everything(t, number)
    with control.transaction() as t:
        assert [document.key for document in t.documents("alias", MODEL)] == [f"live-{number}" for number in numbers]
        assert verify(t.ledger()) == len(numbers)


def a_transaction_inside_another_is_refused(make: Make) -> None:
    """One thread has one transaction at a time; the outer one is not harmed, and another may follow."""
    control = make()
    with control.transaction() as t:
        t.put("alias", MODEL, "live", b"v1", revision=0)
        with raises(IllegalMove), control.transaction():
            pass
    with control.transaction() as t:
        assert t.get("alias", MODEL, "live") is not None


def a_transaction_that_has_ended_is_refused(make: Make) -> None:
    """Nothing can be read or written once the block is left."""
    control = make()
    with control.transaction() as t:
        pass
    with raises(IllegalMove):
        t.get("alias", MODEL, "live")
    with raises(IllegalMove):
        t.put("alias", MODEL, "live", b"v1", revision=0)


def threads_lose_no_update(make: Make) -> None:
    """Two threads that read, add one and write, many times each, end at the sum: transactions are serialised."""
    control = make()
    with control.transaction() as t:
        t.put("counter", MODEL, "n", b"0", revision=0)
    broken: list[BaseException] = []
    rounds, names = 25, ("a", "b")

    def count(name: str) -> None:
        try:
            for number in range(rounds):
                with control.transaction() as t:
                    document = t.get("counter", MODEL, "n")
                    assert document is not None
                    body = str(int(document.body) + 1).encode()
                    t.put("counter", MODEL, "n", body, revision=document.revision)
                    t.append(extend(t.ledger_head(), a_fact(f"{name}-{number}")))
        except BaseException as error:  # noqa: BLE001 - reported by the thread that can
            broken.append(error)

    threads = [threading.Thread(target=count, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not broken, broken
    with control.transaction() as t:
        document = t.get("counter", MODEL, "n")
        assert document is not None
        assert (document.body, document.revision) == (b"%d" % (rounds * len(names)), rounds * len(names) + 1)
        assert verify(t.ledger()) == rounds * len(names)


TRANSACTION_LAWS: tuple[Callable[[Make], None], ...] = (
    a_block_that_raises_leaves_nothing_behind,
    a_transaction_sees_its_own_writes,
    what_was_committed_is_there_for_the_next,
    a_transaction_inside_another_is_refused,
    a_transaction_that_has_ended_is_refused,
    threads_lose_no_update,
)


# --------------------------------------------------------------------------------------------------- re-opening


def what_was_committed_outlives_the_handle(make: Make, reopen: Callable[[Control], Control]) -> None:
    """All of it, and nothing of what was rolled back."""
    control = make()
    with control.transaction() as t:
        _write_everything(t, 1)
    with raises(StaleWrite), control.transaction() as t:
        _write_everything(t, 2)
        raise StaleWrite
    before = _everything(control)
    assert _everything(reopen(control)) == before


def two_handles_lose_no_update(make: Make, reopen: Callable[[Control], Control]) -> None:
    """What one commits the other reads, and a stale revision is told."""
    one = make()
    other = reopen(one)
    with one.transaction() as t:
        t.put("counter", MODEL, "n", b"1", revision=0)
    with other.transaction() as t:
        t.put("counter", MODEL, "n", b"2", revision=1)
    with raises(StaleWrite), one.transaction() as t:
        t.put("counter", MODEL, "n", b"lost", revision=1)
    with one.transaction() as t:
        assert t.get("counter", MODEL, "n") == ("counter", MODEL, "n", b"2", 2)


REOPENING_LAWS: tuple[Callable[[Make, Callable[[Control], Control]], None], ...] = (
    what_was_committed_outlives_the_handle,
    two_handles_lose_no_update,
)


# --------------------------------------------------------------------------------------------------- examples


def _write_everything(t: Transaction, number: int) -> None:
    """Write one of everything there is."""
    t.put("alias", MODEL, f"live-{number}", f"body {number}".encode(), revision=0)
    t.add_batch(a_batch(number))
    t.deliver(MODEL, "predictions", "host", number, f"taken {number}".encode(), 1)
    t.tally(MODEL, {"accepted": number})
    t.quarantine(MODEL, [Quarantined(number, b"bad")], keep=9)
    t.hold(MODEL, [Half(f"half-{number}", "request", 1, b"half")])
    t.add_profiles(MODEL, SCALE, {a_key(number): f"profile {number}".encode()})
    t.add_verdicts(MODEL, [a_verdict(number)])
    t.post(a_command(number))
    t.append(extend(t.ledger_head(), a_fact(f"subject {number}")))


def _everything(control: Control) -> list[object]:
    """Read all that `_write_everything` may have written."""
    with control.transaction() as t:
        return [
            t.models(),
            t.documents("alias", MODEL),
            t.batches(MODEL, "predictions"),
            t.pending(),
            t.waiting(),
            t.paths(),
            [t.answer(MODEL, "predictions", "host", number) is not None for number in (1, 2)],
            t.tallies(MODEL),
            t.quarantined(MODEL, 9),
            t.halves(MODEL, before=9, limit=9),
            t.holding(),
            t.profiles(MODEL, SCALE, Window(0, 99 * HOUR)),
            t.verdicts(MODEL),
            t.due(MODEL, 99),
            t.ledger(),
        ]
