"""What is in work at once is bounded, and what breaks in a thread breaks its request alone."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from killick.cli.serving import limits_of
from killick.errors import CallError
from killick.server.intake import Held, Intake
from killick.server.limits import Limits
from killick.server.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable


class PanicError(BaseException):
    """What a library written in Rust raises when it breaks: no `Exception`."""


def test_more_than_may_wait_is_sent_back_at_once() -> None:
    """One works, two wait, the fourth is told to come back; when there is room it is taken."""

    async def story() -> tuple[list[int], int, int]:
        intake, go = Intake(Limits(threads=1, waiting_max=2)), threading.Event()

        def work(number: int) -> Callable[[], int]:
            return lambda: (go.wait(30), number)[1]

        running = [asyncio.create_task(intake.run(work(number))) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await intake.run(work(3))
        waited = intake.waiting
        go.set()
        done = [await one for one in running]
        done.append(await intake.run(work(4)))
        intake.close()
        assert refused.value.headers == {"Retry-After": "2"}
        return done, refused.value.status_code, waited

    assert asyncio.run(story()) == ([0, 1, 2, 4], 503, 2)


def test_a_panic_in_a_library_is_an_error_of_one_request() -> None:
    """It must neither pass for nothing nor end the event loop; the thread goes on to serve others."""

    def panic() -> None:
        raise PanicError("index out of bounds")

    async def story() -> str:
        intake = Intake(Limits(threads=1))
        with pytest.raises(RuntimeError, match="index out of bounds"):
            await intake.run(panic)
        found = await intake.run(lambda: "goes on")
        intake.close()
        return found

    assert asyncio.run(story()) == "goes on"


def test_shares_are_given_back_whatever_happens() -> None:
    """What a request held is free when it ends, also by an error; nobody takes more than there is."""
    held = Held(100)
    with held.share() as one, held.share() as other:
        one.take(60)
        with pytest.raises(Refused):
            other.take(41)
        other.take(40)
        assert held.size == 100
    with pytest.raises(Refused), held.share() as third:
        third.take(101)

    assert held.size == 0


class Slow:
    """A request whose body never comes to its end."""

    headers: ClassVar[dict[str, str]] = {}

    async def receive(self) -> dict[str, object]:
        """Wait for the next piece, for ever."""
        await asyncio.Event().wait()
        return {}


def test_who_is_still_sending_at_the_end_is_not_waited_for() -> None:
    """Bodies that were begun before the server is to stop, and those that begin after: 408, soon."""

    async def story() -> list[int]:
        intake = Intake(Limits())
        with intake.held.share() as share:
            before = asyncio.create_task(intake.read(Slow(), share))
            await asyncio.sleep(0)
            intake.hurry(0.01)
            after = asyncio.create_task(intake.read(Slow(), share))
            ended = await asyncio.gather(before, after, return_exceptions=True)
        intake.close()
        return [error.status_code for error in ended]

    assert asyncio.run(story()) == [408, 408]


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ((0, None, None, None), "--body-mib-max"),
        ((None, 0, None, None), "--inflated-mib-max"),
        ((None, None, 0.0, None), "--requests-per-second"),
        ((None, None, None, 0), "--burst"),
    ],
)
def test_a_setting_that_lets_nothing_through_is_named_as_it_was_written(given: Any, setting: str) -> None:
    """Not as the field that it becomes."""
    with pytest.raises(CallError) as caught:
        limits_of(*given)
    assert caught.value.mistakes[0].place == setting
