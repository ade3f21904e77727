"""Keys: texts as 64 bits, the same on every machine and in every version of anything."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray


def text_keys(texts: Iterable[str]) -> NDArray[np.uint64]:
    """Return 64 bits of BLAKE2b (RFC 7693) of each text: half a microsecond each.

    >>> text_keys(["flight-1"]).tolist()
    [10284663267614295964]
    """
    digests = b"".join([blake2b(text.encode(), digest_size=8).digest() for text in texts])
    return np.frombuffer(digests, dtype="<u8")
