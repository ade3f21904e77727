"""What services log in the kill test: all of a prediction and of its outcomes follows from its number, whoever logs it.

Light, so that a service starts as fast as one that serves: no table, no array.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

MODEL = "loans"
HOUR, DAY = 3_600_000_000, 86_400_000_000
AT = 1_763_000_000_000_000 // DAY * DAY
CITIES = ("Oslo", "Rome", "Bern", "Lima")  # the reference does not know the last one


def draws(number: int) -> list[float]:
    """Return eight numbers from 0 to 1."""
    digest = blake2b(str(number).encode(), digest_size=32).digest()
    return [int.from_bytes(digest[at : at + 4], "big") / 2**32 for at in range(0, 32, 4)]


def prediction(number: int, *, shadow: bool = False) -> dict[str, Any]:
    """Return what is logged of a prediction: most are of one day, some came two weeks late."""
    time, score, income, city, late, version, missing, other = draws(number)
    features = {"income": None if missing < 0.05 else income * 100, "city": CITIES[int(city * 3.2)]}
    return {
        "prediction_id": f"loan-{number}",
        "event_time": AT + int(time * 6 * HOUR) - (14 * DAY if late < 0.1 else 0),
        "score": other if shadow else score,
        "version": "v2" if shadow or version < 0.2 else "v1",
        "role": "shadow" if shadow else "canary" if version < 0.2 else "live",
        "features": features,
    }


def outcome(number: int, revision: int) -> dict[str, Any]:
    """Return what is logged of an outcome; a later revision, known later, says the opposite."""
    time, score, *_ = draws(number)
    return {
        "prediction_id": f"loan-{number}",
        "known_at": AT + int(time * 6 * HOUR) + (1 + revision) * HOUR,
        "label": (score < 0.3) ^ bool(revision % 2),
    }


def log(client: Any, event: tuple[str, int, int]) -> None:
    """Log an event: its kind, its prediction's number, and which one it is of its kind."""
    kind, number, which = event
    if kind == "outcome":
        client.log_outcome(**outcome(number, which))
    else:
        client.log_prediction(**prediction(number, shadow=kind == "shadow"))
