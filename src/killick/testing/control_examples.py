"""What the laws of the control store are told with: numbered batches, profiles, verdicts, commands and facts."""

from __future__ import annotations

from typing import Any

from killick.checks.verdict import Verdict
from killick.clock import HOUR, Window
from killick.ledger.entry import Fact
from killick.ports.control import Batch, Command, ProfileKey

MODEL = "flight-delay"
SCALE = "5ca1e"


def a_batch(number: int, **other: Any) -> Batch:  # noqa: ANN401 - fields of a batch
    """The numbered batch, an hour long, with other values where they are given."""
    fields: dict[str, Any] = {
        "batch_id": f"batch-{number}",
        "model": MODEL,
        "kind": "predictions",
        "path": f"model={MODEL}/batch-{number}.parquet",
        "rows": 100,
        "window": Window(number * HOUR, (number + 1) * HOUR),
        "written_at": number * HOUR + 5,
    }
    return Batch(**(fields | other))


def a_key(number: int, role: str = "live", segment: tuple[tuple[str, str], ...] = ()) -> ProfileKey:
    """The key of the numbered hour's profile."""
    return ProfileKey("v1", role, segment, Window(number * HOUR, (number + 1) * HOUR))


def a_verdict(number: int | None, **other: Any) -> Verdict:  # noqa: ANN401 - fields of a verdict
    """A verdict on the numbered hour, or on no window."""
    window = None if number is None else Window(number * HOUR, (number + 1) * HOUR)
    fields: dict[str, Any] = {
        "check": "drift.univariate",
        "metric": "psi",
        "status": "ok",
        "reason": "0.01 is below 0.1",
        "window": window,
    }
    return Verdict(**(fields | other))


def a_command(number: int, model: str = MODEL, due: int = 10, body: bytes = b"{}") -> Command:
    """The numbered command."""
    return Command(f"command-{number}", model, "page", body, due)


def a_fact(subject: str, model: str = MODEL) -> Fact:
    """A fact about a subject, with evidence of every kind that JSON knows."""
    evidence = {"psi": 0.1 + 0.2, "rows": 2**53 + 1, "ids": ["é", None, True], "nested": {"b": 1, "a": -1.5e-300}}
    return Fact(
        at=1, model=model, actor="killick", action="rollback", subject=subject, reason="harm", evidence=evidence
    )


class raises:  # noqa: N801 - reads as it does in pytest, which a user's installation need not have
    """Hold the block to raising this."""

    def __init__(self, expected: type[BaseException]) -> None:
        self._expected = expected

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> bool:
        assert kind is not None, f"{self._expected.__name__} was not raised"
        return issubclass(kind, self._expected)
