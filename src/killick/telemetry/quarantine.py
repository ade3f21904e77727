"""The rows of a body that are not let in: each with its index, the field that is wrong, and why in words.

A row is refused once, for the first thing that is found wrong with it; the rest of the body stands. However many rows
are refused, a thousand at most are named: more help nobody, and an answer must have a bound.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl
    from numpy.typing import NDArray

    Mask: TypeAlias = NDArray[np.bool_]

NAMED_MAX = 1000
# A reason is read in a log line.
_SHOWN_MAX = 60
# Every escape of a JSON text, the lone half of a surrogate pair as a group of its own.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class Rejected(msgspec.Struct, frozen=True):
    """A row that was not let in: its place in the body, counted from 0, and what is wrong with which field.

    `field` is empty where the row as a whole is wrong.

    >>> Rejected(3, "score", "is no number (found 'high')").field
    'score'
    """

    index: int
    field: str
    reason: str


class Quarantine:
    """Collects the rows that are refused.

    Args:
        index: each row's place in the body.
        named: rows of the body that are refused already, and are not among those; a thousand at most.
        rows: how many these are.
    """

    def __init__(self, index: Sequence[int], named: Sequence[Rejected] = (), rows: int = 0) -> None:
        self._index = index
        self._out = np.zeros(len(index), np.bool_)
        self._named = list(named)
        self._before = rows

    @property
    def kept(self) -> Mask:
        """Whether each row is still in."""
        return ~self._out

    @property
    def asked(self) -> int:
        """How many rows are asked about, refused or not."""
        return len(self._index)

    @property
    def rows(self) -> int:
        """How many rows are refused, named or not."""
        return self._before + int(self._out.sum())

    @property
    def named(self) -> tuple[Rejected, ...]:
        """The refused rows by their place in the body."""
        return tuple(sorted(self._named, key=lambda rejected: rejected.index))

    def rest(self) -> Quarantine:
        """Return a quarantine for the rows that are still in, which knows of those that are not."""
        return Quarantine([self._index[at] for at in np.flatnonzero(~self._out).tolist()], self._named, self.rows)

    def refuse(self, wrong: Mask | pl.Series, field: str, reason: str | Callable[[int], str]) -> None:
        """Refuse rows: where `wrong` is true, for a reason, which may depend on the row's position among those read."""
        fresh = np.asarray(wrong, np.bool_) & ~self._out
        if not fresh.any():
            return
        self._out |= fresh
        for at in np.flatnonzero(fresh)[: NAMED_MAX - len(self._named)].tolist():
            self._named.append(Rejected(self._index[at], field, reason if isinstance(reason, str) else reason(at)))


def shown(value: object) -> str:
    """Write a value as a reason shows it: shortened.

    >>> shown("x" * 100)[-4:]
    'xxx…'
    """
    # Of a long text its beginning is enough: repr of 64 KiB would be made for nothing.
    text = repr(value[:_SHOWN_MAX] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"


def whole_characters(body: bytes) -> bytes:
    r"""Write NUL for every half of a surrogate pair in JSON: its row is then read, and refused alone.

    >>> whole_characters(rb'["\ud83d", "\ud83d\ude00"]')
    b'["\\u0000", "\\ud83d\\ude00"]'
    """
    return _ESCAPES.sub(lambda found: b"\\u0000" if found[1] else found[0], body)
