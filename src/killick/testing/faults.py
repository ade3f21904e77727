"""Fault injection: fail the N-th port call, for every N, and see whether what must hold still holds.

    counted = FaultPlan()
    story(faulty(MemoryControl(), counted))
    for plan in every_fault(len(counted.calls)):
        control = MemoryControl()
        with suppress(Killed):
            story(faulty(control, plan))
        story(control)                # what starts again after the crash
        assert_all_is_well(control)

A call can fail before it had its effect or after: an answer that never came says nothing about what was done. A
transaction's begin, each of its calls and its commit count as calls; rolling back does not, since whoever crashes rolls
back by crashing. After SQLite's "anomaly testing" (https://www.sqlite.org/testing.html).
"""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, get_args

from killick.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

P = TypeVar("P")

Moment: TypeAlias = Literal["before", "after"]
# `kill` ends the story as a crash would; `error` is an `OutsideError`; `sigkill` ends this very process, for a child.
Fault: TypeAlias = Literal["kill", "error", "sigkill"]


class Killed(BaseException):
    """The process has died here. Not an `Exception`: no handler of the code under test may survive its own death."""


@dataclass(slots=True)
class FaultPlan:
    """Which port call fails, and how. One plan may be shared by all ports of a story; `calls` then tells what it did.

    `kill_at` counts from 1; None fails nothing and only counts. An error strikes once; the dead stay dead.
    """

    kill_at: int | None = None
    moment: Moment = "before"
    fault: Fault = "kill"
    # What has happened so far is no part of the plan: `dataclasses.replace(plan)` is the same plan, afresh.
    calls: list[str] = field(default_factory=list, init=False)
    struck: bool = field(default=False, init=False)

    def begin(self, call: str) -> int:
        """Count a call that is about to be made, fail if it is the one, and return its number."""
        if self.struck and self.fault == "kill":
            raise Killed(f"{call} was called after death")
        self.calls.append(call)
        number = len(self.calls)
        self._strike(number, call, "before")
        return number

    def end(self, number: int, call: str) -> None:
        """Fail if it is this call, which has just had its effect, whose answer must not arrive."""
        self._strike(number, call, "after")

    def _strike(self, number: int, call: str, moment: Moment) -> None:
        if (number, moment) != (self.kill_at, self.moment):
            return
        self.struck = True
        if self.fault == "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "error":
            raise OutsideError(f"injected {moment} call {number}, {call}")
        raise Killed(f"{moment} call {number}, {call}")

    def __str__(self) -> str:
        return f"{self.fault} {self.moment} call {self.kill_at}"


def every_fault(calls: int, *, fault: Fault = "kill") -> list[FaultPlan]:
    """Return a plan for each of so many calls, before and after its effect."""
    return [FaultPlan(number, moment, fault) for number in range(1, calls + 1) for moment in get_args(Moment)]


def faulty(port: P, plan: FaultPlan) -> P:
    """Return the port, whose calls now go through the plan.

    Works for any object: methods are counted and may fail, what is no method is passed on. Of a method that returns a
    context manager (a transaction), entering is the effect; leaving it well is another call, `commit`, and so is every
    call on what it yields. Calls must have their effect before they return: no generators, no coroutines.
    """
    return cast("P", _FaultyPort(port, plan))


class _FaultyPort:
    def __init__(self, port: object, plan: FaultPlan) -> None:
        self._port = port
        self._plan = plan

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the port has
        found = getattr(self._port, name)
        return partial(_call, self._plan, name, found) if callable(found) else found

    def __call__(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - a port may be a plain function
        return _call(self._plan, "call", cast("Callable[..., Any]", self._port), *arguments, **options)


def _call(plan: FaultPlan, name: str, method: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401
    number = plan.begin(name)
    answer = method(*arguments, **options)
    if isinstance(answer, AbstractContextManager):
        return _FaultyTransaction(answer, plan, name, number)
    plan.end(number, name)
    return answer


class _FaultyTransaction(AbstractContextManager[Any]):
    def __init__(self, inner: AbstractContextManager[Any], plan: FaultPlan, name: str, number: int) -> None:
        self._inner = inner
        self._plan = plan
        self._name = name
        self._number = number

    def __enter__(self) -> Any:  # noqa: ANN401 - whatever it yields
        yielded = self._inner.__enter__()
        with self._rolled_back():
            self._plan.end(self._number, self._name)
        return _FaultyPort(yielded, self._plan)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if error is not None:
            return self._inner.__exit__(kind, error, trace)
        with self._rolled_back():
            number = self._plan.begin("commit")
        self._inner.__exit__(None, None, None)
        self._plan.end(number, "commit")
        return None

    @contextmanager
    def _rolled_back(self) -> Iterator[None]:
        """Leave the real transaction by the injected fault, as a crash would have left it: rolled back."""
        try:
            yield
        except BaseException as fault:
            self._inner.__exit__(type(fault), fault, fault.__traceback__)
            raise
