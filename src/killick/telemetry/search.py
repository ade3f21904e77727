"""The search for the column that plays a part: by its name first, then by whether its values fit.

A part is given to a column with the usual name whose values fit, or, with a doubt noted, to the only one that has a
name like it. An `unfit_` function says why a column cannot play a part; nothing when it can.

Cost: names, then some 10,000 rows drawn from the table, then in full only the columns that are left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from killick.telemetry.frames import drawn_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # Says why a column cannot play a part; empty when it can.
    Unfit: TypeAlias = Callable[[pl.Series], str]

BY_NAME = "chosen by its name"
"""The note of a part about which there is no doubt."""

_SAMPLE_ROWS = 10_000
# A note names so many columns and counts the others.
_LISTED_MAX = 8


@dataclass(slots=True)
class Search:
    """A table, which of its columns have a part, and the notes so far."""

    table: pl.DataFrame
    taken: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)
    sample: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        # Spread over the table, since tables are often sorted: the first rows may all be alike.
        drawn = drawn_rows(self.table.height, _SAMPLE_ROWS)
        self.sample = self.table if drawn is None else self.table[drawn]

    @property
    def free(self) -> list[str]:
        """The columns that have no part yet. What has no name cannot be named in a spec."""
        return [column for column in self.table.columns if column not in self.taken and column.strip()]

    def pick(self, part: str, usual: Sequence[str], likely: re.Pattern[str], unfit: Unfit) -> str | None:
        """Return the column for a part, taken and noted, or None, noted when there were candidates."""
        names = {column: normal(column) for column in self.free}
        ranked = sorted((column for column in names if names[column] in usual), key=lambda c: usual.index(names[c]))
        others = [column for column in names if column not in ranked and likely.search(names[column])]
        refused = {}
        for column in ranked:
            refused[column] = self._refusal(column, unfit)
            if not refused[column]:
                rest = [other for other in ranked if other not in refused]
                also = f"; {listed(rest)} could be meant too" if rest else ""
                return self.take(part, column, f"{BY_NAME}{also}")
        refused |= {column: self._refusal(column, unfit) for column in others}
        fitting = [column for column in others if not refused[column]]
        if len(fitting) == 1:
            return self.take(part, fitting[0], "IN DOUBT: the only column with a name and values like this")
        if fitting:
            self.note(part, f"IN DOUBT: not chosen, since several columns could be meant: {listed(fitting)}")
        elif refused:
            reasons = [f"{column} {reason}" for column, reason in refused.items()][:_LISTED_MAX]
            self.note(part, f"not chosen: {'; '.join(reasons)}")
        return None

    def take(self, part: str, column: str, why: str) -> str:
        """Give the part to the column and note why."""
        self.taken.add(column)
        self.note(part, why)
        return column

    def note(self, part: str, text: str) -> None:
        """Note something about a part, after what is noted there already."""
        path = f"schema.{part}"
        self.notes[path] = f"{self.notes[path]}\n{text}" if path in self.notes else text

    def _refusal(self, column: str, unfit: Unfit) -> str:
        """Ask about the sample first, and about all rows only when it fits."""
        return unfit(self.sample[column]) or unfit(self.table[column])


def normal(column: str) -> str:
    """Return a column's name in snake case.

    >>> normal("PredictionId"), normal("y pred.proba")
    ('prediction_id', 'y_pred_proba')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def listed(columns: Sequence[str]) -> str:
    """Name the first few columns, and count the others."""
    more = len(columns) - _LISTED_MAX
    return ", ".join(columns[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


def _is_word(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _has_classes(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean or _is_word(dtype)


def is_time(dtype: pl.DataType) -> bool:
    """Whether a type holds dates or instants."""
    return isinstance(dtype, pl.Datetime | pl.Date)


def unfit_time(column: pl.Series) -> str:
    """Say why a column cannot be a time."""
    return "" if is_time(column.dtype) else f"has no type for times ({column.dtype})"


def unfit_key(column: pl.Series) -> str:
    """Say why a column cannot name things."""
    return (
        ""
        if column.dtype.is_integer() or _is_word(column.dtype)
        else f"is neither text nor whole numbers ({column.dtype})"
    )


def unfit_prediction_id(column: pl.Series) -> str:
    """Say why a column cannot name each row."""
    if reason := unfit_key(column):
        return reason
    if column.null_count():
        return "has nulls"
    return "" if column.n_unique() == len(column) else "is not unique"


def unfit_number(column: pl.Series) -> str:
    """Say why a column cannot be a number."""
    return "" if column.dtype.is_numeric() else f"is not a number ({column.dtype})"


def unfit_label(column: pl.Series) -> str:
    """Say why a column cannot be a label."""
    return "" if _has_classes(column.dtype) else f"has a type that no label has ({column.dtype})"


def unfit_flag(column: pl.Series) -> str:
    """Refuse as a label what is only named a little like one (`day_label`), unless it has two values."""
    if reason := unfit_label(column):
        return reason
    return "" if column.drop_nulls().n_unique() <= 2 else "has more than two values"  # noqa: PLR2004


def unfit_score(column: pl.Series) -> str:
    """Say why a column cannot be a probability."""
    if not column.dtype.is_float():
        return f"is not a fraction ({column.dtype})"
    inside = column.fill_nan(None).drop_nulls().is_between(0, 1)
    return "" if inside.all() else "leaves [0, 1]"


def unfit_decision(column: pl.Series) -> str:
    """Say why a column cannot be a decision."""
    if column.dtype.is_float():
        whole = (column.fill_nan(None).drop_nulls() % 1 == 0).all()
        return "" if whole else "has fractions"
    return "" if _has_classes(column.dtype) else f"has a type that no decision has ({column.dtype})"
