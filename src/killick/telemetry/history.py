"""History in the order in which it could be known: what a replay may see, and nothing later.

A prediction can be known at its event time, an outcome at its `known_at`, a change when it happened. A history hands
out what became known in a window; whoever holds it cannot ask for more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from killick.clock import Window
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick_client.events import Change


@dataclass(frozen=True, slots=True)
class History:
    """Arranged predictions in order of event time, their outcomes in order of `known_at`, and changes."""

    predictions: pl.DataFrame
    outcomes: pl.DataFrame
    changes: tuple[Change, ...]

    @classmethod
    def of(cls, arranged: pl.DataFrame, changes: Sequence[Change] = ()) -> History:
        """Split an arranged table into what was known at once and what only later.

        >>> rows = pl.DataFrame({"prediction_id": ["a"], "event_time": [5], "known_at": [9], "label": [1]})
        >>> history = History.of(rows)
        >>> history.outcomes_in(Window(0, 9)).height, history.outcomes_in(Window(9, 10)).height
        (0, 1)
        """
        late = [column for column in (LABEL, KNOWN_AT) if column in arranged.columns]
        predictions = arranged.drop(late).sort(EVENT_TIME, maintain_order=True)
        if len(late) == 2:  # noqa: PLR2004 - both of the two
            outcomes = arranged.select(PREDICTION_ID, LABEL, KNOWN_AT).drop_nulls()
        else:
            outcomes = pl.DataFrame(schema={PREDICTION_ID: pl.String, LABEL: pl.Int64, KNOWN_AT: pl.Int64})
        outcomes = outcomes.sort(KNOWN_AT, maintain_order=True)
        return cls(predictions, outcomes, tuple(sorted(changes, key=lambda change: change.at)))

    @property
    def window(self) -> Window:
        """From the first prediction to the last thing that became known: a prediction, an outcome or a change."""
        if self.predictions.is_empty():
            return Window(0, 0)
        times = self.predictions[EVENT_TIME]
        last = [times[-1], *self.outcomes[KNOWN_AT].tail(1), *(change.at for change in self.changes[-1:])]
        return Window(times[0], max(last) + 1)

    def predictions_in(self, window: Window) -> pl.DataFrame:
        """Return what was predicted in the window."""
        return _between(self.predictions, EVENT_TIME, window)

    def outcomes_in(self, window: Window) -> pl.DataFrame:
        """Return the outcomes that became known in the window."""
        return _between(self.outcomes, KNOWN_AT, window)

    def changes_in(self, window: Window) -> tuple[Change, ...]:
        """Return the changes that happened in the window."""
        return tuple(change for change in self.changes if change.at in window)


def _between(table: pl.DataFrame, column: str, window: Window) -> pl.DataFrame:
    """Slice a sorted table: two binary searches."""
    start, end = table[column].search_sorted(pl.Series([window.start, window.end]), side="left").to_list()
    return table.slice(start, end - start)
