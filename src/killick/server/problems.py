"""Errors on the wire: problem documents as RFC 9457 has them, with our list of mistakes.

Nothing of a traceback leaves the process. What a caller did wrong is said in full; what failed on our side is said in a
sentence, and its details go to the log under the id that the document carries.
"""

from __future__ import annotations

import logging
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

from killick.errors import KillickError, Mistake, Mistaken, OutsideError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar import Request

MEDIA = "application/problem+json"
# Long enough for a disk to be emptied a little or a store to come back, short enough not to be felt.
RETRY_SECONDS = 2
# What is repeated to the caller of a body with a thousand mistakes; the rest is as wrong.
MISTAKES_MAX = 100

_log = logging.getLogger("killick.server")


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """One mistake of the caller's: where, what, the value that was found, and what to do."""

    place: str
    problem: str
    value: str = ""
    hint: str = ""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457). `instance` finds the same fault in the server's log."""

    type: str
    title: str
    status: int
    detail: str
    mistakes: tuple[Told, ...] = ()
    instance: str = ""


class Refused(HTTPException):
    """A request that is not served: the status says why, the detail in words, headers tell a program what to do."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        mistakes: Sequence[Mistake] = (),
        headers: Mapping[str, str] | None = None,
        retry_seconds: int | None = None,
    ) -> None:
        more = dict(headers or {})
        if retry_seconds is not None:
            more["Retry-After"] = str(retry_seconds)
        super().__init__(detail, status_code=status, headers=more)
        self.mistakes = tuple(mistakes)


def answer_error(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Turn whatever was raised into a problem document."""
    if isinstance(error, HTTPException):
        mistakes = error.mistakes if isinstance(error, Refused) else ()
        return _answer(error.status_code, error.detail, mistakes, error.headers)
    if isinstance(error, Mistaken):
        count = len(error.mistakes)
        said = str(error.mistakes[0]) if count == 1 else f"{count} mistakes, all of them under 'mistakes'"
        return _answer(error.http_status, said, error.mistakes)
    instance = f"urn:killick:fault:{secrets.token_hex(8)}"
    if isinstance(error, OutsideError):
        _log.error("%s: %s", instance, error)
        said = "the disk or the store did not take it; nothing was acknowledged; send the same again"
        return _answer(error.http_status, said, headers={"Retry-After": str(RETRY_SECONDS)}, instance=instance)
    if isinstance(error, KillickError) and error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _answer(error.http_status, str(error))
    _log.error("%s: a mistake of ours", instance, exc_info=error)
    said = "a mistake of ours; nothing was acknowledged; the log has the details under this instance"
    return _answer(HTTPStatus.INTERNAL_SERVER_ERROR, said, instance=instance)


def _answer(
    status: int,
    detail: str,
    mistakes: Sequence[Mistake] = (),
    headers: Mapping[str, str] | None = None,
    instance: str = "",
) -> Response[bytes]:
    told = tuple(
        Told(one.place, one.problem, "" if one.value is None else repr(one.value)[:200], one.hint)
        for one in mistakes[:MISTAKES_MAX]
    )
    # "about:blank": the status says which kind of problem it is, and its title is the status's own phrase.
    problem = Problem("about:blank", HTTPStatus(status).phrase, status, detail, told, instance)
    return Response(msgspec.json.encode(problem), status_code=status, media_type=MEDIA, headers=dict(headers or {}))
