"""Who sends: no name that a sender gives itself is one of those that Killick sends under."""

import pytest

from killick.engine.halves import _PRODUCER as HALVES
from killick.engine.receive import OUTSIDE
from killick.engine.replay import PRODUCER as REPLAY
from killick.ports.control import KEYS, SERVERS
from killick.server.senders import Senders

INSIDE = (HALVES, REPLAY, "file-00112233", f"{KEYS}a", f"{SERVERS}a")


@pytest.mark.parametrize("name", [*INSIDE, f"{OUTSIDE}host", "host"])
def test_a_sender_cannot_take_a_name_of_ours(name):
    """Its deliveries would pass for ours, and ours for repetitions of them."""
    taken = Senders().read({"killick-producer": name, "killick-sequence": "7"}, "loans", "predictions")
    assert taken == (f"{OUTSIDE}{name}", 7)
    assert not any(inside.startswith(OUTSIDE) for inside in INSIDE)


def test_a_key_and_what_has_no_name_come_once():
    """So that the store keeps no stretch of them."""
    senders = Senders()
    for sender in (senders.read({"idempotency-key": "p:host"}, "loans", "gauges"), senders.own("loans", "gauges")):
        assert sender.producer.startswith((KEYS, SERVERS))
