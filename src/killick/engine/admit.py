"""Admit: a body of telemetry becomes a delivery, whatever brought it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from killick.engine.receive import CHANGES, GAUGES, OUTCOMES, PREDICTIONS, Delivery
from killick.wire.decode import decode_changes, decode_gauges, decode_outcomes, decode_predictions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Instant
    from killick.spec.document import Spec
    from killick.wire.decode import Decoded, Media


class Decoder(Protocol):
    """Turns a body into a table of the house, and says of each bad row why it is bad."""

    def __call__(self, body: bytes, media: Media, *, model: str, spec: Spec | None, now: Instant) -> Decoded:
        """Decode a body; one that cannot be read at all is a `DataError`."""
        ...


def _changes(body: bytes, media: Media, *, model: str, spec: Spec | None, now: Instant) -> Decoded:  # noqa: ARG001
    return decode_changes(body, media, now=now)


DECODERS: Mapping[str, Decoder] = {
    PREDICTIONS: decode_predictions,
    OUTCOMES: decode_outcomes,
    GAUGES: decode_gauges,
    CHANGES: _changes,
}


def delivery_of(decoded: Decoded, *, model: str, kind: str, producer: str, sequence: int, actor: str = "") -> Delivery:
    """Return decoded rows as a delivery."""
    return Delivery(
        model=model,
        kind=kind,
        producer=producer,
        sequence=sequence,
        table=decoded.table,
        rejected=decoded.rejected,
        rejected_rows=decoded.rejected_rows,
        actor=actor,
    )
