"""Translate: what came in somebody else's format, as the rows that our own wire would have brought.

The readers of `formats/` give events of the wire; all rules of the wire's door hold for them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from killick.engine.admit import DECODERS
from killick.formats.foreign import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.clock import Instant
    from killick.formats.foreign import Event
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec
    from killick.wire.decode import Decoded

_lines = msgspec.json.Encoder()


def reading_of(spec: Spec | None, scale: Scale | None) -> Reading:
    """Return what is known of a model to read its payloads, its features in the order of the reference.

    Args:
        spec: what the operator or its first predictions say of it; None while nothing does.
        scale: what it is measured with, if anything yet.
    """
    features = tuple(part.column for part in scale.features) if scale else ()
    if spec is None:
        # Of all tasks this one takes a float for a score and everything else for a decision: nothing is lost.
        return Reading("binary", features)
    return Reading(spec.task, features, tuple(spec.schema.scores), spec.schema.time_zone)


def decode_events(events: Sequence[Event], kind: str, model: str, spec: Spec | None, now: Instant) -> Decoded:
    """Return events of our wire as a table, as if they had been sent to it; `index` is their place among them.

    Raises:
        DataError: together they are more than one body may be.
    """
    return DECODERS[kind](_lines.encode_lines(events), "ndjson", model=model, spec=spec, now=now)
