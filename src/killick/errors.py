"""The one error tree: whose fault it is, where, which value, and what to do.

    KillickError
    |- Mistaken            yours: exit 2, HTTP 422; carries every mistake at once
    |  |- CallError        the call: an option, an argument, a name that does not exist
    |  |- SpecError        the spec
    |  `- DataError        the data
    |- OutsideError        theirs: the world did not answer; exit 3, HTTP 503; try again
    |- StaleWrite          somebody else wrote first; exit 3, HTTP 409; read again
    |- Fenced              an older epoch tried to act after a newer one; exit 3, HTTP 409
    |- Tampered            the ledger does not verify; exit 1, HTTP 500
    `- IllegalMove         ours: a state table was asked for a move it does not have; exit 70, HTTP 500

A failed check is not an error: it is a `Verdict`. What is in this file stops the work at hand and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing a person wrote that cannot be used: where it is, what stands there, and what to do.

    `place` is a path such as `features.override.temp.range` or `delays.parquet`; `line` counts from 1.

    >>> print(Mistake("value.unit", "is empty", value="", line=14, hint="write a currency, for example USD"))
    line 14, value.unit: is empty (found ''); write a currency, for example USD
    """

    place: str
    problem: str
    value: object = None
    line: int | None = None
    hint: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}, {self.place}" if self.line else self.place
        found = "" if self.value is None else f" (found {_shortened(self.value)})"
        hint = f"; {self.hint}" if self.hint else ""
        return f"{where}: {self.problem}{found}{hint}"


class KillickError(Exception):
    """Anything Killick refuses or cannot do. `exit_code` and `http_status` are what the outside is told."""

    exit_code: ClassVar[int] = 70
    http_status: ClassVar[int] = 500


class Mistaken(KillickError):
    """Something the caller gave cannot be used. All mistakes that could be found are in `mistakes`."""

    exit_code = 2
    http_status = 422

    def __init__(self, *mistakes: Mistake) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class CallError(Mistaken):
    """The call itself: an option, an argument, a name that does not exist."""


class SpecError(Mistaken):
    """The spec."""


class DataError(Mistaken):
    """The data: unreadable, or not what the spec says it is."""


class OutsideError(KillickError):
    """The world did not do what was asked (disk, store, network, trainer). Trying again may help."""

    exit_code = 3
    http_status = 503


class StaleWrite(KillickError):
    """A document was written by somebody else after it was read. Reading it again and deciding anew is the way on."""

    exit_code = 3
    http_status = 409


class Fenced(KillickError):
    """A write to traffic carried an epoch that is not newer than the one in force, and was refused."""

    exit_code = 3
    http_status = 409


class Tampered(KillickError):
    """The ledger does not verify: an entry was changed, removed, or the head is not the one expected."""

    exit_code = 1


class IllegalMove(KillickError):
    """A state table was asked for a move it does not have. Nothing was changed."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or lists what is known when nothing is near.

    >>> did_you_mean("featurs", ["features", "schema"])
    "did you mean 'features'?"
    >>> did_you_mean("zebra", ["features", "schema"])
    'known here: features, schema'
    """
    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names)}"


# A message must fit a terminal line: what is longer was almost surely pasted by accident.
_SHOWN_CHARACTERS_MAX = 60


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else text[: _SHOWN_CHARACTERS_MAX - 1] + "…"
