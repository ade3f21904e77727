"""What each part of a control store promises about what is put into it: the greater part of `control_battery`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from killick.checks.verdict import Verdict
from killick.clock import HOUR, Window
from killick.errors import StaleWrite
from killick.ledger.chain import extend, verify
from killick.ports.control import Control, ProfileKey
from killick.testing.control_examples import MODEL, SCALE, a_batch, a_command, a_fact, a_key, a_verdict, raises

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.ledger.entry import Entry

Make: TypeAlias = "Callable[[], Control]"


# --------------------------------------------------------------------------------------------------- documents


def a_document_is_replaced_over_the_revision_that_was_read(make: Make) -> None:
    """Revisions count from 1; a writer who read another one is told, and nothing of his is written."""
    control = make()
    with control.transaction() as t:
        t.put("plan", MODEL, "a", b"one", revision=0)
        t.put("plan", MODEL, "a", b"two", revision=1)
    for stale in (0, 1, 3):
        with raises(StaleWrite), control.transaction() as t:
            t.put("plan", MODEL, "a", b"lost", revision=stale)
    with raises(StaleWrite), control.transaction() as t:
        t.put("plan", MODEL, "never written", b"lost", revision=1)
    with control.transaction() as t:
        assert t.documents("plan", MODEL) == [("plan", MODEL, "a", b"two", 2)]


def a_stale_write_that_is_caught_spoils_nothing_else(make: Make) -> None:
    """Who catches it inside the block may read again, write again, and commit."""
    control = make()
    with control.transaction() as t:
        t.put("plan", MODEL, "a", b"one", revision=0)
        with raises(StaleWrite):
            t.put("plan", MODEL, "a", b"lost", revision=0)
        t.put("plan", MODEL, "a", b"two", revision=1)
    with control.transaction() as t:
        assert t.get("plan", MODEL, "a") == ("plan", MODEL, "a", b"two", 2)


def documents_come_in_order_of_their_keys(make: Make) -> None:
    """By code point, as Python sorts them; other kinds and models are not among them."""
    keys = ["b", "a", "Z", "é", "10", "9", "", "\U0001f600", "\ufb01"]
    with make().transaction() as t:
        for key in keys:
            t.put("incident", MODEL, key, key.encode(), revision=0)
        t.put("incident", "another", "a", b"", revision=0)
        t.put("rollout", MODEL, "a", b"", revision=0)
        assert [document.key for document in t.documents("incident", MODEL)] == sorted(keys)
        assert t.documents("incident", "nobody") == []
        assert t.get("incident", MODEL, "none") is None


def models_are_those_of_which_anything_was_stored(make: Make) -> None:
    """Whichever kind of thing it was; the empty name is the store's own, and asking about a model stores nothing."""
    with make().transaction() as t:
        assert t.models() == []
        t.put("lease", "", "runner", b"", revision=0)
        t.documents("incident", "asked-about")
        t.put("plan", "m-document", "a", b"", revision=0)
        t.add_batch(a_batch(1, model="m-batch"))
        t.tally("m-tally", {"accepted": 1})
        t.add_profiles("m-profile", SCALE, {a_key(1): b""})
        t.add_verdicts("m-verdict", [a_verdict(1)])
        t.post(a_command(1, model="m-command"))
        t.append(extend(None, a_fact("x", model="m-ledger")))
        names = ["m-batch", "m-command", "m-document", "m-ledger", "m-profile", "m-tally", "m-verdict"]
        assert t.models() == names


def big_and_strange_values_come_back_as_they_were(make: Make) -> None:
    """Megabytes, every byte, every alphabet, and the ends of 64-bit time."""
    body = bytes(range(256)) * 16_384
    names = [
        "",
        " ",
        "'; DROP TABLE documents; --",
        'quote"\\',
        "航班-延误",
        "מטוס",
        "\U0001f6eb",
        "e\u0301",
        "%_*?[]",
        "a\nb\tc",
    ]
    far = Window(-(2**62), 2**62)
    with make().transaction() as t:
        for name in names:
            t.put("kind " + name, "model " + name, name, body, revision=0)
            document = t.get("kind " + name, "model " + name, name)
            assert document is not None
            assert document.body == body
        assert t.models() == sorted("model " + name for name in names)
        assert [t.deliver(MODEL, "outcomes", name, 2**62, body, 1) for name in names] == [None] * len(names)
        assert [t.deliver(MODEL, "outcomes", name, 2**62, b"", 2) for name in names] == [body] * len(names)
        key = ProfileKey("版本", "live", tuple((name, name) for name in names), far)
        t.add_profiles(MODEL, SCALE, {key: b""})
        assert t.profiles(MODEL, SCALE, far) == {key: b""}


# --------------------------------------------------------------------------------------------------- profiles, verdicts


def profiles_are_found_by_the_window_that_holds_them(make: Make) -> None:
    """Wholly inside, on the same scale, of this model; in order of their keys."""
    keys = [a_key(2), a_key(1), a_key(3), a_key(1, role="canary"), a_key(1, segment=(("origin", "JFK"),))]
    wide = ProfileKey("v1", "live", (), Window(0, 24 * HOUR))
    with make().transaction() as t:
        t.add_profiles(MODEL, SCALE, {key: repr(key).encode() for key in [*keys, wide]})
        t.add_profiles(MODEL, "another scale", {a_key(1): b"other"})
        t.add_profiles("another", SCALE, {a_key(1): b"other"})
        everything = t.profiles(MODEL, SCALE, Window(0, 24 * HOUR))
        assert list(everything) == sorted([*keys, wide])
        assert all(body == repr(key).encode() for key, body in everything.items())
        assert list(t.profiles(MODEL, SCALE, Window(HOUR, 3 * HOUR))) == sorted(k for k in keys if k != a_key(3))
        assert t.profiles(MODEL, SCALE, Window(HOUR + 1, 2 * HOUR)) == {}
        assert t.profiles(MODEL, "unknown scale", Window(0, 24 * HOUR)) == {}
        for segment in {key.segment for key in everything} | {(("city", "nowhere"),)}:
            found = t.profiles(MODEL, SCALE, Window(0, 24 * HOUR), segment=segment)
            assert found == {key: body for key, body in everything.items() if key.segment == segment}
        other = a_key(1)._replace(version="v2")
        t.add_profiles(MODEL, SCALE, {other: b"v2"})
        day = Window(0, 24 * HOUR)
        assert t.profiles(MODEL, SCALE, day, version="v2") == {other: b"v2"}
        assert t.profiles(MODEL, SCALE, day, version="v2", segment=(("origin", "JFK"),)) == {}
        assert t.profile_keys(MODEL, SCALE, day, version="v2") == [other]
        assert t.profile_keys(MODEL, SCALE, day) == list(t.profiles(MODEL, SCALE, day))


def profiles_are_replaced_and_dropped(make: Make) -> None:
    """A key has one profile, the last; dropping takes what was named and no more, and may name what is not there."""
    with make().transaction() as t:
        t.add_profiles(MODEL, SCALE, {a_key(1): b"old", a_key(2): b"stays"})
        t.add_profiles(MODEL, SCALE, {a_key(1): b"new", a_key(3): b"goes"})
        t.add_profiles(MODEL, SCALE, {})
        t.drop_profiles(MODEL, SCALE, [a_key(3), a_key(7), a_key(3, role="nobody")])
        t.drop_profiles(MODEL, "another scale", [a_key(1)])
        assert t.profiles(MODEL, SCALE, Window(0, 9 * HOUR)) == {a_key(1): b"new", a_key(2): b"stays"}


def profiles_expire_with_their_windows(make: Make) -> None:
    """Of one model, on every scale: those that end by then, and no more."""
    with make().transaction() as t:
        t.add_profiles(MODEL, SCALE, {a_key(number): b"body" for number in range(4)})
        t.add_profiles(MODEL, "another scale", {a_key(0): b"other"})
        t.add_profiles("another", SCALE, {a_key(0): b"other"})
        assert t.expire_profiles(MODEL, HOUR, SCALE)
        assert list(t.profiles(MODEL, "another scale", Window(0, 9 * HOUR))) == [a_key(0)]
        assert list(t.profiles(MODEL, SCALE, Window(0, 9 * HOUR))) == [a_key(1), a_key(2), a_key(3)]
        assert t.expire_profiles(MODEL, 2 * HOUR)
        assert not t.expire_profiles(MODEL, 2 * HOUR)
        assert list(t.profiles(MODEL, SCALE, Window(0, 9 * HOUR))) == [a_key(2), a_key(3)]
        assert t.profiles(MODEL, "another scale", Window(0, 9 * HOUR)) == {}
        assert t.profiles("another", SCALE, Window(0, 9 * HOUR)) == {a_key(0): b"other"}


def verdicts_come_in_order_of_window_and_of_adding(make: Make) -> None:
    """Inside the window, of the check asked for; those without a window first, and only when none is asked for."""
    late, early, second = a_verdict(2), a_verdict(1), a_verdict(1, column="distance")
    loose, other = a_verdict(None), a_verdict(1, check="quality.missing")
    control = make()
    with control.transaction() as t:
        t.add_verdicts(MODEL, [late, second])
        t.add_verdicts(MODEL, [early, other, loose])
        t.add_verdicts("another", [a_verdict(1)])
        t.add_verdicts(MODEL, [])
    with control.transaction() as t:
        assert t.verdicts(MODEL) == [loose, second, early, other, late]
        assert t.verdicts(MODEL, Window(HOUR, 2 * HOUR)) == [second, early, other]
        assert t.verdicts(MODEL, check="quality.missing") == [other]
        assert t.verdicts(MODEL, Window(2 * HOUR, 9 * HOUR), "drift.univariate") == [late]
        assert t.verdicts("nobody") == []


def a_later_verdict_replaces_the_earlier_in_its_place(make: Make) -> None:
    """One fingerprint and window, one verdict; without a window too, and within one call."""
    with make().transaction() as t:
        t.add_verdicts(MODEL, [a_verdict(1, value=1.0), a_verdict(1, column="distance"), a_verdict(None, value=1.0)])
        t.add_verdicts(MODEL, [a_verdict(1, value=2.0), a_verdict(None, value=2.0), a_verdict(1, value=3.0)])
        assert t.verdicts(MODEL) == [
            a_verdict(None, value=2.0),
            a_verdict(1, value=3.0),
            a_verdict(1, column="distance"),
        ]


def every_field_of_a_verdict_comes_back(make: Make) -> None:
    """One-sided intervals, with their infinite end, too."""
    full = Verdict(
        check="performance.realised",
        metric="log_loss",
        status="fail",
        reason="0.71 is over 0.62 \u2013 so nicht",
        column="é",
        segment=(("origin", "JFK"), ("carrier", "AA")),
        version="v1",
        window=Window(0, HOUR),
        reference="trailing",
        severity="page",
        value=0.1 + 0.2,
        interval=(0.65, float("inf")),
        threshold=5e-324,
        effect=-1e308,
        direction="up",
        p_value=1e-300,
        p_adjusted=0.0,
        n_reference=2**53 + 1,
        n_current=0,
    )
    with make().transaction() as t:
        t.add_verdicts(MODEL, [full])
        assert t.verdicts(MODEL) == [full]


# --------------------------------------------------------------------------------------------------- outbox, ledger


def commands_are_due_in_the_order_of_posting(make: Make) -> None:
    """When their time has come, of this model only, until they are done."""
    control = make()
    with control.transaction() as t:
        for number, due in ((3, 30), (1, 10), (2, 10)):
            t.post(a_command(number, due=due))
        t.post(a_command(4, model="another"))
    with control.transaction() as t:
        assert t.due(MODEL, 9) == []
        assert [command.key for command in t.due(MODEL, 10)] == ["command-1", "command-2"]
        assert [command.key for command in t.due(MODEL, 30)] == ["command-3", "command-1", "command-2"]
        t.finish("command-1", 31)
        t.finish("command-1", 32)
        t.finish("never posted", 32)
    with control.transaction() as t:
        assert t.due(MODEL, 99) == [a_command(3, due=30), a_command(2, due=10)]
        assert t.due("another", 99) == [a_command(4, model="another")]


def a_command_is_posted_once(make: Make) -> None:
    """A key that is there, open or done, is not posted again: the first body and the first time stand."""
    control = make()
    with control.transaction() as t:
        t.post(a_command(1))
        t.post(a_command(1, due=0, body=b"another"))
        assert t.due(MODEL, 99) == [a_command(1)]
        t.finish("command-1", 20)
    with control.transaction() as t:
        t.post(a_command(1))
        assert t.due(MODEL, 99) == []


def the_ledger_is_a_chain(make: Make) -> None:
    """Entries come back as written, oldest first; the head is the newest; the chain verifies after the round trip."""
    control = make()
    with control.transaction() as t:
        assert t.ledger_head() is None
        assert t.ledger() == []
    entries: list[Entry] = []
    for number in range(4):
        with control.transaction() as t:
            head = t.ledger_head()
            assert head == (entries[-1] if entries else None)
            entries.append(extend(head, a_fact(f"é{number}")))
            t.append(entries[-1])
    with control.transaction() as t:
        assert t.ledger() == entries
        assert verify(t.ledger(), head=entries[-1].hash) == len(entries)


def an_entry_that_does_not_follow_the_head_is_refused(make: Make) -> None:
    """A second entry after the same head, a gap, a first entry that is not the first: nothing is appended."""
    control = make()
    first = extend(None, a_fact("first"))
    second = extend(first, a_fact("second"))
    with raises(StaleWrite), control.transaction() as t:
        t.append(second)
    with control.transaction() as t:
        t.append(first)
        for stray in (first, extend(None, a_fact("other")), extend(second, a_fact("third"))):
            with raises(StaleWrite):
                t.append(stray)
        t.append(second)
    with control.transaction() as t:
        assert t.ledger() == [first, second]


LAWS: tuple[Callable[[Make], None], ...] = (
    a_document_is_replaced_over_the_revision_that_was_read,
    a_stale_write_that_is_caught_spoils_nothing_else,
    documents_come_in_order_of_their_keys,
    models_are_those_of_which_anything_was_stored,
    big_and_strange_values_come_back_as_they_were,
    profiles_are_found_by_the_window_that_holds_them,
    profiles_are_replaced_and_dropped,
    profiles_expire_with_their_windows,
    verdicts_come_in_order_of_window_and_of_adding,
    a_later_verdict_replaces_the_earlier_in_its_place,
    every_field_of_a_verdict_comes_back,
    commands_are_due_in_the_order_of_posting,
    a_command_is_posted_once,
    the_ledger_is_a_chain,
    an_entry_that_does_not_follow_the_head_is_refused,
)
