"""Binary labels on the wire, row by row: which text is the positive one, which the other, and what is neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from killick.telemetry.quarantine import shown
from killick.telemetry.roles import OPPOSITES

if TYPE_CHECKING:
    from killick.telemetry.quarantine import Quarantine

# What a negative label is called, whatever the positive one is.
_USUAL = sorted(OPPOSITES)
_YES, _NO = frozenset({"true", "1"}), frozenset({"false", "0"})


def binary_texts(text: pl.Series, positive: str | float | None, field: str, quarantine: Quarantine) -> pl.Series:
    """Return labels, written as text, as 0 and 1; a row with a third one is refused.

    With true and false it is clear what the other label is; with others it is what usually goes with the positive one
    (0 with 1, no with yes), or, where no row says that, a usual word for no, or what most of the rest say: a batch may
    hold an odd row. What is said but once, and is no such word, proves nothing and is refused.

    >>> from killick.telemetry.quarantine import Quarantine
    >>> quarantine = Quarantine(range(4))
    >>> binary_texts(pl.Series(["late", "on time", "on time", "?"]), "late", "label", quarantine).to_list()
    [1, 0, 0, None]
    >>> quarantine.named[0].reason
    "is neither 'late' nor 'on time', but '?'"
    """
    text = text.zip_with(pl.Series(quarantine.kept), pl.Series([None], dtype=pl.String))
    yes, no, sure = _pair(positive)
    if not sure and not text.is_in(sorted(no)).any():
        rest = text.filter(~text.is_in(sorted(yes)).fill_null(value=True))
        no = frozenset(rest.filter(rest.str.to_lowercase().is_in(_USUAL))) or _repeated(rest)
    labels = pl.select(
        pl.when(text.is_in(sorted(yes))).then(pl.lit(1, pl.Int64)).when(text.is_in(sorted(no))).then(0)
    ).to_series()
    hint = "; name the positive one: schema: {label: {positive: ...}}" if positive is None else ""
    if not (sure or no):
        hint = ", and one row alone shows no negative label: send it as false or 0, or with more outcomes in a body"
    pair = f"neither {max(yes)!r} nor {max(no)!r}" if no else f"not {max(yes)!r}"
    quarantine.refuse(
        labels.is_null() & text.is_not_null(), field, lambda row: f"is {pair}, but {shown(text[row])}{hint}"
    )
    return labels.alias(text.name)


def _repeated(rest: pl.Series) -> frozenset[str]:
    """Return what is said most, and more than once; of equally common ones the first in the alphabet."""
    said = rest.alias("text").value_counts(name="rows").filter(pl.col("rows") > 1)
    return frozenset(said.sort(["rows", "text"], descending=[True, False])["text"].head(1))


def _pair(positive: str | float | None) -> tuple[frozenset[str], frozenset[str], bool]:
    """Return how the positive label is written, how the other one may be, and whether it surely is one of these."""
    if positive is None or isinstance(positive, bool):
        yes, no = (_NO, _YES) if positive is False else (_YES, _NO)
        return yes | {word.capitalize() for word in yes}, no | {word.capitalize() for word in no}, True
    text = str(int(positive)) if isinstance(positive, float) and positive.is_integer() else str(positive)
    same = _YES if text in _YES else _NO if text in _NO else frozenset({text})
    opposite = {yes: no for no, yes in OPPOSITES.items()} | OPPOSITES
    other = {opposite[word] for word in map(str.lower, same) if word in opposite}
    return same, frozenset(other | {word.capitalize() for word in other} | {word.upper() for word in other}), False
