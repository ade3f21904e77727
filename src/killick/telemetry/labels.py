"""Labels as numbers: what a profile and the memory of what was counted hold of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.telemetry.keys import text_keys

if TYPE_CHECKING:
    from killick.spec.document import Spec

# How one value is written by those who send it as a boolean, as a number or as text.
_YES: tuple[str, ...] = ("true", "True", "TRUE", "1", "1.0")
_NO: tuple[str, ...] = ("false", "False", "FALSE", "0", "0.0")
# As many bits as a float64 holds exactly.
_EXACT = np.uint64((1 << 53) - 1)


def label_numbers(labels: pl.Series, spec: Spec) -> pl.Series:
    """Return labels as Float64, null where there is none, or where it is none of the model's task.

    A binary label is 0 or 1 and a regression's is itself; a class is a number that its name gives on every machine.
    """
    if spec.task == "multiclass":
        text = labels.cast(pl.String)
        codes = (text_keys(text.drop_nulls().to_list()) & _EXACT).astype(np.float64)
        numbers = _nothing(len(text))
        return numbers.scatter(text.is_not_null().arg_true(), codes) if len(codes) else numbers
    if labels.dtype == pl.String and spec.task == "binary":
        return binary_numbers(labels, spec.schema.label.positive if spec.schema.label else None).cast(pl.Float64)
    return labels.cast(pl.Float64, strict=False).fill_nan(None)


def binary_numbers(text: pl.Series, positive: str | float | None) -> pl.Series:
    """Return binary labels, written as text, as 1 and 0 in Int64; null where there is none, or where it is neither.

    Each says alone what it is, whatever it comes with: who sends one label at a time is understood as who sends a
    million. Where a value is named as the positive one, every other is negative; else true and 1 stand against false
    and 0, and nothing else is a label.

    >>> binary_numbers(pl.Series(["late", "on time", ""]), "late").to_list()
    [1, 0, None]
    >>> binary_numbers(pl.Series(["true", "0", "late"]), None).to_list()
    [1, 0, None]
    """
    if positive is None or isinstance(positive, bool):
        yes, no = (_NO, _YES) if positive is False else (_YES, _NO)
        known = text.is_in(yes) | text.is_in(no)
    else:
        said = str(int(positive)) if isinstance(positive, float) and positive.is_integer() else str(positive)
        yes = _YES if said in _YES else _NO if said in _NO else (said,)
        known = text.str.strip_chars() != ""
    return text.is_in(yes).cast(pl.Int64).set(~known.fill_null(value=False), None).alias(text.name)


def _nothing(rows: int) -> pl.Series:
    return pl.Series([None], dtype=pl.Float64).new_from_index(0, rows)
