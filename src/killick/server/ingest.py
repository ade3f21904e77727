"""Telemetry in our own formats: predictions, outcomes, gauges, changes, and profiles made elsewhere."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from killick.engine.admit import DECODERS
from killick.engine.summaries import take_summaries
from killick.errors import Mistake
from killick.server.bodies import MEDIA, media_type
from killick.server.problems import MISTAKES_MAX, Refused
from killick.server.routes import PACKED, TABLES
from killick.server.taking import Stored, readable, receipt_answer
from killick.telemetry.quarantine import NAMED_MAX, Rejected
from killick.wire.decode import Decoded

if TYPE_CHECKING:
    from litestar import Request, Response

    from killick.engine.world import World
    from killick.server.known import Known
    from killick.server.senders import Senders
    from killick.server.taking import Taking

ON_ERROR = ("quarantine", "reject")
# Changes are about the world: each row may name a model, the batch is of none.
THE_WORLD = ""
# Each is an entry of the ledger, made in the transaction that all that comes in waits for: a thousand take 0.3 s.
CHANGES_MAX = 1_000


class Ingest:
    """The handlers."""

    def __init__(self, taking: Taking, senders: Senders, world: World) -> None:
        self._taking = taking
        self._senders = senders
        self._world = world

    async def predictions(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store predictions of a model."""
        return await self._rows(request, "predictions", request.path_params["model"])

    async def outcomes(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store outcomes of a model."""
        return await self._rows(request, "outcomes", request.path_params["model"])

    async def gauges(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store gauges of a model."""
        return await self._rows(request, "gauges", request.path_params["model"])

    async def changes(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store changes in the world."""
        return await self._rows(request, "changes", THE_WORLD)

    async def profiles(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Add profiles that were made elsewhere."""
        model: str = request.path_params["model"]
        spec = self._taking.known.admit(model)
        sender = self._senders.read(request.headers, model, "profiles")
        media_type(request.headers.get("content-type", ""), PACKED)

        def store(body: bytes) -> list[Stored]:
            now = self._taking.clock.now()
            with self._taking.known.storing(model):
                receipt = take_summaries(self._world, model, spec, sender.producer, sender.sequence, body, now)
            return [Stored(model, "profiles", receipt)]

        return await self._taking.take(request, store, receipt_answer)

    async def _rows(self, request: Request[Any, Any, Any], kind: str, model: str) -> Response[bytes]:
        spec = None if model == THE_WORLD else self._taking.known.admit(model)
        sender = self._senders.read(request.headers, model, kind)
        media = MEDIA[media_type(request.headers.get("content-type", ""), TABLES)]
        strict, actor = _is_strict(request), request.state["actor"]

        def store(body: bytes) -> list[Stored]:
            now = self._taking.clock.now()
            decoded = readable(partial(DECODERS[kind], body, media, model=model, spec=spec, now=now))
            if kind == "changes" and decoded.table.height > CHANGES_MAX:
                raise Refused(413, f"a body may have {CHANGES_MAX:,} changes; send them in parts")
            new = None
            if kind == "changes":
                new, decoded = _of_known(decoded, self._taking.known)
            if strict and decoded.rejected_rows:
                raise _rejected(decoded)
            with self._taking.known.storing(new) if new else nullcontext():
                return [self._taking.deliver(model, kind, sender, decoded, actor)]

        return await self._taking.take(request, store, receipt_answer)


def _of_known(decoded: Decoded, known: Known) -> tuple[str | None, Decoded]:
    """Return the model that changes bring with them, if any, and put aside those about others that nobody knows.

    A service may tell of its release before it has predicted anything: one new model a body. Whoever writes anything
    into `model` fills no list with it.
    """
    about = decoded.table["model"].fill_null(THE_WORLD)
    strange = {name for name in about.unique() if name != THE_WORLD and name not in known}
    new = next((name for name in strange if len(strange) == 1 and known.may_come(name)), None)
    if new or not strange:
        return new, decoded
    out = about.is_in(strange)
    unread = {one.index for one in decoded.rejected}
    places = [at for at in range(len(about) + decoded.rejected_rows) if at not in unread]
    reason = "names a model that has sent nothing, and is in no spec"
    refused = [Rejected(places[at], "model", reason) for at in out.arg_true()]
    named = sorted((*decoded.rejected, *refused[: NAMED_MAX - len(unread)]), key=lambda one: one.index)
    return None, Decoded(decoded.table.filter(~out), tuple(named), decoded.rejected_rows + len(refused))


def _is_strict(request: Request[Any, Any, Any]) -> bool:
    asked = request.query_params.getall("on_error", [])
    if unknown := [word for word in asked if word not in ON_ERROR]:
        raise Refused(400, f"on_error must be one of {', '.join(ON_ERROR)}, and is {unknown[0][:100]!r}")
    return "reject" in asked


def _rejected(decoded: Decoded) -> Refused:
    mistakes = [Mistake(f"[{one.index}].{one.field}", one.reason) for one in decoded.rejected[:MISTAKES_MAX]]
    said = f"{decoded.rejected_rows:,} rows cannot be used, and nothing was stored: on_error=reject"
    return Refused(422, said, mistakes=mistakes)
