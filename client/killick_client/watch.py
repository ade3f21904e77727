"""A prediction under way: timed, filled in by whoever knows more, and logged when it ends, with its error if it failed.

Promise: what is watched goes on as if it were not. Its errors are its own and are raised as they came.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from killick_client.encoding import PredictionLine

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

# What `log_prediction` takes: the weight is the sample's affair.
PARTS = tuple(part for part in PredictionLine.__struct_fields__ if part != "sampling_weight")


class OpenPrediction:
    """A prediction that is not over yet. Each part that `log_prediction` takes is an attribute, to be set at any time.

    Without features it was no prediction after all, and is not logged.

    Raises:
        AttributeError: a prediction has no such part.
    """

    __slots__ = (*PARTS, "_began", "_log")
    prediction_id: str | None
    features: Any
    score: Any
    scores: Any
    decision: Any
    entity_id: Any
    event_time: Any
    latency_seconds: float | None
    status: str
    role: str
    version: str | None
    trace_id: Any
    log_url: Any
    metadata: Any

    def __init__(self, log: Callable[..., object], parts: Mapping[str, Any]) -> None:
        self._log = log
        self._began = time.perf_counter()
        for name in PARTS:
            setattr(self, name, None)
        self.status, self.role = "ok", "live"
        for name, value in parts.items():
            setattr(self, name, value)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(error)

    def pause(self) -> None:
        """Take the time: what comes after is no part of the latency."""
        self.latency_seconds = time.perf_counter() - self._began

    def end(self, error: BaseException | None = None) -> None:
        """Log it."""
        if self.features is None:
            return
        if self.latency_seconds is None:
            self.pause()
        if error is not None:
            self.status = type(error).__name__
        self._log(**{name: getattr(self, name) for name in PARTS})

    def take(self, result: object) -> None:
        """Take what a function returned for what it looks like: scores, a score or a decision."""
        if isinstance(result, Mapping):
            self.scores = result
        elif isinstance(result, str | bool):
            self.decision = result
        elif isinstance(result, Real):
            self.score = result


def watched(
    begin: Callable[..., OpenPrediction],
    function: Callable[..., Any],
    features: Callable[..., Mapping[str, Any]] | None,
    parts: Mapping[str, Callable[..., Any]],
) -> Callable[..., Any]:
    """Return a function that does the same, and logs each call as a prediction."""
    choose = features or _chooser(function)
    choosers = {"features": choose, **parts}

    def opened(arguments: tuple[Any, ...], named: dict[str, Any]) -> OpenPrediction:
        prediction = begin()
        for name, chooser in choosers.items():
            try:
                value = chooser(*arguments, **named)
                # A copy: the function may change what it was given in its place.
                setattr(prediction, name, dict(value) if isinstance(value, Mapping) else value)
            except Exception:  # noqa: BLE001, S112 - the watched function may still know what to do with its arguments
                continue
        return prediction

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call_async(*arguments: Any, **named: Any) -> Any:
            with opened(arguments, named) as prediction:
                result = await function(*arguments, **named)
                prediction.take(result)
            return result

        return call_async

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with opened(arguments, named) as prediction:
            result = function(*arguments, **named)
            prediction.take(result)
        return result

    return call


def _chooser(function: Callable[..., Any]) -> Callable[..., Mapping[str, Any]]:
    """Return how to get the features from a call when nobody has said: the first mapping, or all arguments by name."""
    signature = inspect.signature(function)
    gathered = [name for name, parameter in signature.parameters.items() if parameter.kind is parameter.VAR_KEYWORD]

    def choose(*arguments: Any, **named: Any) -> Mapping[str, Any]:
        for value in (*arguments, *named.values()):
            if isinstance(value, Mapping):
                return value
        told = dict(signature.bind(*arguments, **named).arguments)
        told.pop("self", None)
        for name in gathered:
            told |= told.pop(name, {})
        return told

    return choose
