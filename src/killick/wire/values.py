"""What a value on the wire may be, and what it becomes: the rules that JSON and Arrow share.

A column is read as one of five kinds. *Text* may be written as whole numbers (ids often are); a *number* is a number; a
*time* is whole microseconds or ISO 8601; a *word* is any scalar, stored as text (decisions, labels); a *feature* is a
scalar or a list of numbers, some of which may be missing, stored in one of few types, so that batches can be put one
below the other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import msgspec
import numpy as np
import polars as pl

from killick.clock import SECOND, format_instant
from killick.telemetry.door import located

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from killick.clock import Instant
    from killick.telemetry.quarantine import Mask, Quarantine

Kind: TypeAlias = Literal["text", "number", "time", "word", "feature"]

# A longer text is a document, and belongs into a store of its own.
TEXT_MAX = 65_536
# The longest embeddings in use have 4,096 numbers.
LIST_MAX = 8_192
NAME_MAX = 512
# What becomes part of a key of the store is shorter: one of PostgreSQL's has 2,704 bytes for all of its parts.
KEY_MAX = 200
# Metadata is for finding a prediction's logs; what a model looked at are features.
ENTRIES_MAX = 64

BROKEN_TEXT = "holds a NUL character or half of a surrogate pair, which no text may have: remove it"
TOO_LONG = f"is text longer than {TEXT_MAX:,} characters: shorten it, or log where it lies"
LIST_TOO_LONG = f"is a list of more than {LIST_MAX:,} numbers"
NO_LIST = "is a list that does not hold numbers alone"
OBJECT = "is an object: give its values as features of their own"
NO_TIME = "is no time: give whole microseconds since 1970 UTC, or ISO 8601, as 2013-04-01T00:00:00Z"
BEYOND = "is a number beyond what a float can hold"
MISMATCH = "mixes lists and single values: the first row decides which it is"

# 2001-01-01 and 2034-01-01 in seconds: an integer between them that was meant as microseconds would be of January 1970.
SECONDS = (978_307_200, 2_019_686_400)
_UNITS = ((1, "seconds"), (1_000, "milliseconds"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Columns(Protocol):
    """Rows by column, whatever format they came in. What is wrong with a value refuses its row in `quarantine`."""

    quarantine: Quarantine

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns, in their order."""
        ...

    def read(self, name: str, kind: Kind, field: str) -> pl.Series:
        """Return a column as `kind`; `field` is what to call it in a reason."""
        ...

    def filled(self, name: str) -> Mask:
        """Whether each row has anything in a column."""
        ...

    def inside(self, name: str, field: str) -> Columns:
        """Return what a column of objects holds, as columns."""
        ...

    def objects(self, name: str, field: str) -> Sequence[dict[str, object] | None]:
        """Return a column of small objects, one a row."""
        ...

    def kept(self) -> Columns:
        """Return the rows that are not refused, as if the others had never been there."""
        ...


def written(series: pl.Series) -> pl.Series:
    """Return scalars as text: booleans as `false` and `true`, whole numbers without a point.

    As `killick.profiles.categorical.as_text`, so that a decision is the category that a reference knows.

    >>> written(pl.Series([1.0, 2.5])).to_list(), written(pl.Series([True])).to_list()
    (['1', '2.5'], ['true'])
    """
    text = series.cast(pl.String, strict=False)
    if not series.dtype.is_float():
        return text
    whole = series.cast(pl.Int64, strict=False)
    return text.zip_with((whole.cast(series.dtype) != series).fill_null(value=True), whole.cast(pl.String))


def written_times(texts: Sequence[str | None], time_zone: str) -> list[Instant | None]:
    """Read ISO 8601, each text by itself; one without a zone is a local time. None where it is no time.

    >>> written_times(["2013-04-01T00:00Z", "2013-04-01T02:00:00+02:00", "01/04/2013"], "UTC")
    [1364774400000000, 1364774400000000, None]
    """
    found: list[Instant | None] = []
    local: dict[int, datetime] = {}
    for at, text in enumerate(texts):
        moment = _moment(text) if text else None
        if moment is not None and moment.tzinfo is None:
            local[at], moment = moment, None
        since = None if moment is None else moment - _EPOCH
        found.append(None if since is None else (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)
    if local:
        naive = pl.Series(list(local.values()), dtype=pl.Datetime("us"))
        for at, instant in zip(local, located(naive, time_zone).dt.epoch("us").to_list(), strict=True):
            found[at] = instant
    return found


def _moment(text: str) -> datetime | None:
    # `fromisoformat` also reads 20130401 and 2013W14, and any character between date and time: ids may look like that.
    if text[4:5] != "-" or text[7:8] != "-" or text[10:11] not in {"", "T", " "}:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def refuse_units(numbers: pl.Series, field: str, quarantine: Quarantine) -> None:
    """Refuse whole numbers that are times in seconds or milliseconds: as microseconds they lie in January 1970."""
    low, high = SECONDS
    lowest = numbers.min()
    if lowest is None or int(lowest) >= high * 1_000:  # type: ignore[arg-type]
        return
    for factor, unit in _UNITS:
        meant = numbers.is_between(low * factor, high * factor, closed="left").fill_null(value=False)
        quarantine.refuse(meant, field, _unit_reason(numbers, SECOND // factor, unit))


def _unit_reason(numbers: pl.Series, factor: int, unit: str) -> Callable[[int], str]:
    def reason(row: int) -> str:
        number = int(numbers[row])
        return f"is {number}, which is {format_instant(number * factor)} in {unit}: give microseconds since 1970"

    return reason


def sound_texts(frame: pl.DataFrame) -> frozenset[str]:
    """Return which columns of texts hold none that `refuse_texts` would refuse: one look at all of them."""
    if not frame.width:
        return frozenset()
    every = pl.all().str
    wrong = frame.select(((every.len_chars() > TEXT_MAX) | every.contains("\0", literal=True)).any())
    return frozenset(name for name, found in wrong.row(0, named=True).items() if not found)


def refuse_texts(texts: pl.Series, field: str, quarantine: Quarantine) -> None:
    """Refuse rows with texts that are too long, or hold a NUL: PostgreSQL has none, and C stops reading there."""
    quarantine.refuse((texts.str.len_chars() > TEXT_MAX).fill_null(value=False), field, TOO_LONG)
    quarantine.refuse(texts.str.contains("\0", literal=True).fill_null(value=False), field, BROKEN_TEXT)


def metadata_texts(objects: Sequence[dict[str, object] | None], field: str, quarantine: Quarantine) -> pl.Series:
    """Return small objects of texts as JSON; what is null in them is left out, and scalars are taken as text."""
    found: list[str | None] = []
    wrong: list[str] = []
    for entries in objects:
        texts = {key: _entry(value) for key, value in (entries or {}).items() if value is not None}
        wrong.append(_wrong_metadata(texts))
        found.append(None if entries is None or wrong[-1] else msgspec.json.encode(texts).decode())
    quarantine.refuse(np.fromiter(map(bool, wrong), np.bool_), field, wrong.__getitem__)
    return pl.Series(field, found, dtype=pl.String)


def _entry(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else None


def _wrong_metadata(texts: dict[str, str | None]) -> str:
    if len(texts) > ENTRIES_MAX:
        return f"has {len(texts):,} entries, and {ENTRIES_MAX} is the most"
    if None in texts.values():
        return "holds something else than text: metadata are names and texts"
    if any("\0" in key or "\0" in (text or "") for key, text in texts.items()):
        return BROKEN_TEXT
    return ""
