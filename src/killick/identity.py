"""Ids, idempotency keys and fingerprints: names that two runs of the same history give alike.

Nothing here is random. What a crash interrupts is begun again under the same name, so the second attempt is recognised.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec

# 16 hex digits (64 bits): a store of a million ids has a chance of about 3e-8 that any two are equal.
_ID_DIGITS = 16

# A model's name is that of a folder, percent-encoded, and file systems take 255 bytes: `model=` and room to spare.
MODEL_BYTES_MAX = 200

# Canonical JSON in the sense of RFC 8785 for what we hold: sorted keys, no spaces, shortest floats, no NaN.
_canonical = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """Return the one JSON text of a value: sorted keys, no white space.

    >>> canonical_json({"b": 1, "a": [1.5, None]})
    b'{"a":[1.5,null],"b":1}'
    """
    return _canonical.encode(value)


def fingerprint(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return the SHA-256, in hex, of a value's canonical JSON.

    >>> fingerprint({"a": 1})[:12]
    '015abd7f5cc5'
    """
    return sha256(canonical_json(value)).hexdigest()


def is_model_name(name: str) -> bool:
    """Whether a model may have this name: it is printable, and not too long for a folder when it is percent-encoded.

    >>> [is_model_name(name) for name in ("flight-delay", "", "x" * 201, "ü" * 33, "ü" * 34)]
    [True, False, False, True, False]
    """
    return name.isprintable() and 0 < len(quote(name, safe="")) <= MODEL_BYTES_MAX


def derive_id(kind: str, *parts: Any) -> str:  # noqa: ANN401 - any JSON values
    """Return an id that depends on nothing but its parts, such as `incident-0b6f1c...`.

    >>> derive_id("incident", "flight-delay", 3) == derive_id("incident", "flight-delay", 3)
    True
    """
    return f"{kind}-{fingerprint([kind, *parts])[:_ID_DIGITS]}"
