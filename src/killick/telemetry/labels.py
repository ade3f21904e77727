"""Labels as numbers: what a profile and the memory of what was counted hold of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.telemetry.keys import text_keys

if TYPE_CHECKING:
    from killick.spec.document import Spec

_TRUE, _FALSE = ("true", "1", "1.0"), ("false", "0", "0.0")
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
        positive = spec.schema.label.positive if spec.schema.label else None
        true = (str(positive).lower(),) if positive is not None else _TRUE
        lower = labels.str.to_lowercase()
        known = lower.is_in(true) | (lower.is_in(_FALSE) if positive is None else lower.is_not_null())
        return lower.is_in(true).cast(pl.Float64).zip_with(known.fill_null(value=False), _nothing(len(labels)))
    return labels.cast(pl.Float64, strict=False).fill_nan(None)


def _nothing(rows: int) -> pl.Series:
    return pl.Series([None], dtype=pl.Float64).new_from_index(0, rows)
