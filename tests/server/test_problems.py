"""Each error of the house is a problem document: the caller's in full, ours without a word about our insides."""

from __future__ import annotations

import json
import logging

import pytest
from litestar.exceptions import NotFoundException

from killick.errors import (
    CallError,
    DataError,
    Fenced,
    IllegalMove,
    KillickError,
    Mistake,
    OutsideError,
    SpecError,
    StaleWrite,
    Tampered,
)
from killick.server.problems import MEDIA, MISTAKES_MAX, Refused, answer_error

INSIDE = "/var/lib/killick/control.sqlite"
ERRORS: list[tuple[Exception, int]] = [
    (CallError(Mistake("a", "b")), 422),
    (SpecError(Mistake("a", "b")), 422),
    (DataError(Mistake("a", "b")), 422),
    (OutsideError(INSIDE), 503),
    (StaleWrite("read it again"), 409),
    (Fenced("an older epoch"), 409),
    (Tampered(INSIDE), 500),
    (IllegalMove(INSIDE), 500),
    (KillickError(INSIDE), 500),
    (ZeroDivisionError(INSIDE), 500),
    (Refused(413, "too large"), 413),
    (NotFoundException(), 404),
]


@pytest.mark.parametrize(("error", "status"), ERRORS, ids=lambda one: type(one).__name__)
def test_an_error_has_the_status_that_its_class_says(error: Exception, status: int) -> None:
    """And is a document of RFC 9457 that holds nothing of where we keep things."""
    answer = answer_error(None, error)
    told = json.loads(answer.content)

    assert (answer.status_code, answer.media_type, told["status"]) == (status, MEDIA, status)
    assert {"type", "title", "detail"} <= set(told)
    assert INSIDE not in answer.content.decode()
    assert ("Retry-After" in answer.headers) == (status == 503)


def test_a_fault_of_ours_can_be_found_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer has an id, the log has the id and the traceback."""
    monkeypatch.setattr(logging.getLogger("killick"), "propagate", True)
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        told = json.loads(answer_error(None, error).content)

    assert told["instance"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_every_mistake_is_told_up_to_a_bound() -> None:
    """With its place, its value and a hint; a value of any size is shortened."""
    many = [Mistake(f"row {n}", "is wrong", "x" * 10_000, hint="mend it") for n in range(MISTAKES_MAX + 50)]
    told = json.loads(answer_error(None, DataError(*many)).content)

    assert len(told["mistakes"]) == MISTAKES_MAX
    assert told["mistakes"][0]["place"] == "row 0"
    assert told["mistakes"][0]["hint"] == "mend it"
    assert len(told["mistakes"][0]["value"]) <= 200
