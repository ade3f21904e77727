"""Privacy at the door: what becomes of a column's value before anything of it is kept.

Promise: of a column that is dropped, hashed or truncated, the plain value is neither written, nor sent, nor logged, nor
held after the call. A missing value stays missing. Columns are the parts of an event, by their names, and what the
parts in `GROUPS` hold: the features, the keys of `metadata`, the classes of `scores`, the KPIs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from killick_client.encoding import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# 64 bits: among a million people the chance that any two share a hash is 3 in 100 million.
_DIGEST_BYTES = 8
_KEY_BYTES_MAX = 64  # BLAKE2b takes no more
# Parts that hold others, by name.
GROUPS = ("features", "metadata", "scores", "kpis")
# Without these, or with others in their place, an event would be counted wrongly.
_NEEDED = frozenset({"event_time", "known_at", "features", "version", "role", "sampling_weight"})


@dataclass(frozen=True, slots=True)
class Hash:
    """Replace a value by its keyed BLAKE2b, 16 hexadecimal digits: equal values stay equal, and are not told.

    Without the key nobody can try out values; with it, every service gives a person the same hash.

    >>> Hash("a key of your own")("ada@example.org") == Hash("a key of your own")("ada@example.org")
    True
    """

    key: str | bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a key that hides nothing, or that cannot be used whole."""
        if not 0 < len(self._key()) <= _KEY_BYTES_MAX:
            raise ValueError(f"the key of a hash has 1 to {_KEY_BYTES_MAX} bytes, not {len(self._key())}")

    def __call__(self, value: object) -> str:
        """Return the hash of a value, as text."""
        return blake2b(_text(value), key=self._key(), digest_size=_DIGEST_BYTES).hexdigest()

    def _key(self) -> bytes:
        return self.key.encode() if isinstance(self.key, str) else self.key


@dataclass(frozen=True, slots=True)
class Truncate:
    """Keep the first characters of a value.

    >>> Truncate(3)("10115")
    '101'
    """

    characters: int

    def __post_init__(self) -> None:
        """Refuse what keeps nothing."""
        if self.characters < 1:
            raise ValueError(f"{self.characters} characters keep nothing: write 'drop'")

    def __call__(self, value: object) -> str:
        """Return the beginning of a value, as text."""
        return _text(value).decode(errors="replace")[: self.characters]


T = TypeVar("T")
Treatment: TypeAlias = Literal["drop"] | Hash | Truncate


class Privacy:
    """What becomes of which column.

    Raises:
        ValueError: a treatment is none, or drops what an event cannot be without.
    """

    def __init__(self, treatments: Mapping[str, Treatment]) -> None:
        for name, treatment in treatments.items():
            if treatment != "drop" and not isinstance(treatment, Hash | Truncate):
                raise ValueError(f"privacy of {name!r}: write 'drop', Hash(key) or Truncate(characters)")
            if name in _NEEDED or (name == "prediction_id" and treatment == "drop"):
                raise ValueError(f"privacy of {name!r}: no event can be without it")
        self.changed: dict[str, Callable[[object], str]] = {
            name: treatment for name, treatment in treatments.items() if not isinstance(treatment, str)
        }
        self.dropped = frozenset(treatments) - frozenset(self.changed)

    def __bool__(self) -> bool:
        return bool(self.changed or self.dropped)

    def event(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of an event of which only what may be told is left, in its groups too.

        >>> Privacy({"zip": "drop", "score": "drop"}).event({"features": {"zip": "10115", "age": 37}, "score": 0.5})
        {'features': {'age': 37}}

        Raises:
            AttributeError: a group has no names, and nobody could say what is in it.
        """
        told = self.row(parts)
        for group in GROUPS:
            if group in told and group not in self.changed:
                told[group] = None if is_missing(told[group]) else self.row(told[group])
        return told

    def row(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        """Return a copy of a row of which only what may be told is left.

        >>> Privacy({"zip": Truncate(3), "ssn": "drop"}).row({"zip": "10115", "ssn": "1", "age": 37})
        {'zip': '101', 'age': 37}
        """
        # What is no text has the name under which it would be sent.
        named = ((name if isinstance(name, str) else str(plain(name)), value) for name, value in row.items())
        return {name: self.value(name, value) for name, value in named if name not in self.dropped}

    def value(self, name: str, value: T) -> T | str | None:
        """Return what may be told of a column's value; nothing of one that is dropped."""
        if value is None or name in self.dropped:
            return None
        change = self.changed.get(name)
        if change is None:
            return value
        return None if is_missing(value) else change(value)


def is_missing(value: object) -> bool:
    """Whether a value is none, or NaN or NaT, which differ from themselves, or pandas' NA, which says neither.

    >>> [is_missing(value) for value in (None, float("nan"), "nan", 0)]
    [True, True, False, False]
    """
    differs: object = value != value  # noqa: PLR0124 - only what is missing does
    # What compares by its elements, such as an array, does not say it in one word.
    return (
        value is None
        or type(value).__name__ == "NAType"
        or (type(differs).__name__ in {"bool", "bool_"} and bool(differs))
    )


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")
