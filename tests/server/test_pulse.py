"""The live worker outlives every fault, says that it has one, and is fast again when it has gone."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import polars as pl
import pytest

from killick.errors import OutsideError
from killick.server.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Iterator


class Script:
    """A clock, and work that does what the script says at each beat: pass, or raise."""

    def __init__(self, *beats: BaseException | None) -> None:
        self.beats: Iterator[BaseException | None] = iter(beats)
        self.seen: list[int] = []
        self.reached = threading.Event()
        self.goes_on = threading.Event()
        self.last_error: dict[str, str] = {}

    def now(self) -> int:
        """Return an instant, always the same."""
        return 7

    def tick(self, now: int) -> None:
        """Do what the script says; at its end wait until the test has looked."""
        self.seen.append(now)
        beat = next(self.beats, None)
        if beat is not None:
            raise beat
        self.reached.set()
        self.goes_on.wait(10)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (OutsideError("sqlite:///secret/place could not begin"), "the store or the archive does not answer"),
        (ZeroDivisionError("division by zero"), "the live worker fails by a mistake of ours; see the log"),
        (pl.exceptions.PanicException("a panic"), "the live worker fails by a mistake of ours; see the log"),
    ],
    ids=["the world's", "ours", "a library's panic"],
)
def test_a_fault_is_logged_told_and_survived(
    fault: BaseException, reason: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it lasts there is a reason, in words that tell nothing about the machine; then there is none."""
    monkeypatch.setattr(logging.getLogger("killick"), "propagate", True)
    told: list[str] = []
    script = Script(fault, fault)
    pulse = Pulse(script, script)
    beat = pulse._beat
    pulse._beat = lambda: (beat(), told.append(pulse.reason))[0]
    pulse.start()
    assert script.reached.wait(30)
    assert pulse.is_alive
    script.goes_on.set()
    pulse.stop()

    assert told[:3] == [reason, reason, ""]
    assert pulse.failures == 2
    assert pulse.last_done_at == 7
    assert str(fault) in caplog.text


def test_what_fails_of_one_model_is_logged_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are watched meanwhile, so it is no failure of the worker; and its end is told."""
    monkeypatch.setattr(logging.getLogger("killick"), "propagate", True)
    script = Script()
    script.goes_on.set()
    pulse = Pulse(script, script)
    with caplog.at_level(logging.INFO, "killick.server"):
        for errors in ({"loans": "the watched folder in is not there"},) * 3 + ({},):
            script.last_error = errors
            assert pulse._beat()

    assert [record.getMessage() for record in caplog.records] == [
        "loans: the watched folder in is not there",
        "loans: what could not be done is done",
    ]
    assert pulse.failures == 0


def test_to_stop_is_to_do_what_is_due_once_more() -> None:
    """What was acknowledged a moment before the end is counted at the end."""
    script = Script()
    script.goes_on.set()
    pulse = Pulse(script, script)
    pulse.start()
    assert script.reached.wait(30)
    before = len(script.seen)
    pulse.stop()

    assert len(script.seen) > before
    assert not pulse.is_alive
