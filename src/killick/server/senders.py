"""Who sends a batch, and which of theirs it is: what makes sending it again harmless."""

from __future__ import annotations

import itertools
import secrets
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from killick.engine.receive import OUTSIDE
from killick.server.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

PRODUCER, SEQUENCE, KEY = "killick-producer", "killick-sequence", "idempotency-key"
PRODUCER_CHARACTERS_MAX = 200
SEQUENCE_MAX = 2**63 - 1


class Sender(NamedTuple):
    """A producer, by its name in the store, and the number that it gave a batch."""

    producer: str
    sequence: int


class Senders:
    """Reads from a request's headers who sends it; names those who do not say."""

    def __init__(self) -> None:
        # What came without a name can never come again, so it has one that nobody else has.
        self._own = f"server:{secrets.token_hex(8)}"
        # Without gaps for each model and kind, so that the store remembers them as one range.
        self._next: defaultdict[tuple[str, str], itertools.count[int]] = defaultdict(itertools.count)

    def read(self, headers: Mapping[str, str], model: str, kind: str) -> Sender:
        """Return the sender of a request: by both Killick headers, or by an idempotency key, or a new one.

        Raises:
            Refused: 400, only one of the two is there, one cannot be used, or both ways are taken at once.
        """
        producer, sequence, key = (headers.get(name) for name in (PRODUCER, SEQUENCE, KEY))
        if key is not None:
            if producer is not None or sequence is not None:
                raise Refused(400, "give Idempotency-Key, or Killick-Producer and Killick-Sequence, not all of them")
            # A structured field (draft-ietf-httpapi-idempotency-key-header) is quoted; a plain one means the same.
            return Sender(f"key:{_text('Idempotency-Key', key.strip(chr(34)))}", 0)
        if producer is None and sequence is None:
            return self.own(model, kind)
        if producer is None or sequence is None:
            raise Refused(400, "Killick-Producer and Killick-Sequence belong together: give both, or neither")
        return Sender(OUTSIDE + _text("Killick-Producer", producer), _number(sequence))

    def own(self, model: str, kind: str) -> Sender:
        """Return a new sender, for what came without a name."""
        return Sender(self._own, next(self._next[model, kind]))


def _text(header: str, value: str) -> str:
    if not value or len(value) > PRODUCER_CHARACTERS_MAX or not value.isprintable():
        raise Refused(400, f"{header} must be a text of 1 to {PRODUCER_CHARACTERS_MAX} printable characters")
    return value


def _number(value: str) -> int:
    # 19 digits are enough for what int64 holds, and few enough to be read without a thought.
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= len(str(SEQUENCE_MAX)) else -1
    if not 0 <= number <= SEQUENCE_MAX:
        raise Refused(400, f"Killick-Sequence must be a whole number from 0 to {SEQUENCE_MAX}")
    return number
