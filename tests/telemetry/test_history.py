"""History: what could be known when, and nothing later; and the changes that an operator recorded."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.clock import Window, parse_instant
from killick.engine.replay import read_changes
from killick.errors import DataError
from killick.telemetry.history import History
from killick_client.events import Change

SCHEMA = {"prediction_id": pl.String, "event_time": pl.Int64, "known_at": pl.Int64, "label": pl.Int64, "x": pl.Float64}

rows = st.lists(
    st.tuples(st.integers(0, 30), st.none() | st.integers(0, 20), st.none() | st.integers(0, 1)), max_size=30
)


@given(rows, st.integers(-5, 60), st.integers(0, 30))
def test_a_window_holds_what_became_known_in_it(held: list[tuple], start: int, width: int) -> None:
    """Against a filter, row by row: predictions by event time, outcomes by when they were known."""
    table = pl.DataFrame(
        [
            (f"p{at}", time, None if delay is None else time + delay, label, 1.0)
            for at, (time, delay, label) in enumerate(held)
        ],
        schema=SCHEMA,
        orient="row",
    )
    history, window = History.of(table), Window(start, start + width)
    expected = {f"p{at}" for at, (time, _, _) in enumerate(held) if time in window}
    assert set(history.predictions_in(window)["prediction_id"]) == expected
    known = {
        (f"p{at}", label)
        for at, (time, delay, label) in enumerate(held)
        if delay is not None and label is not None and time + delay in window
    }
    assert set(history.outcomes_in(window).select("prediction_id", "label").iter_rows()) == known
    assert not {"label", "known_at"} & set(history.predictions.columns)


def test_predictions_hold_nothing_that_was_known_later() -> None:
    """Neither the label nor its time is in the table that is scored."""
    table = pl.DataFrame([("a", 1, 9, 1, 2.0)], schema=SCHEMA, orient="row")
    assert History.of(table).predictions.columns == ["prediction_id", "event_time", "x"]


def test_windows_cover_every_prediction_once() -> None:
    """From the first to the last, half-open; an empty history has an empty window."""
    table = pl.DataFrame([(str(at), at, at, 1, 0.0) for at in (7, 3, 5)], schema=SCHEMA, orient="row")
    history = History.of(table)
    assert history.window == Window(3, 8)
    held = [history.predictions_in(window).height for window in history.window.tumbling(2)]
    assert sum(held) == 3
    assert History.of(table.clear()).window == Window(0, 0)
    assert History.of(table.clear()).predictions_in(Window(0, 5)).is_empty()


def test_a_table_without_labels_has_no_outcomes() -> None:
    """A model that is never told the truth has a history all the same."""
    history = History.of(pl.DataFrame({"prediction_id": ["a"], "event_time": [5]}))
    assert history.outcomes_in(Window(0, 100)).is_empty()
    assert history.predictions_in(Window(0, 100)).height == 1


def test_changes_are_told_in_order_of_time() -> None:
    """However the operator's file is sorted; a change at the end of a window is in the next."""
    changes = [Change(at=at, kind="release", name=str(at)) for at in (9, 2, 5)]
    history = History.of(pl.DataFrame({"prediction_id": ["a"], "event_time": [5]}), changes)
    assert [change.at for change in history.changes_in(Window(2, 9))] == [2, 5]


def test_changes_are_read_from_json_lines() -> None:
    """`at` in ISO 8601 or microseconds; blank lines are nothing."""
    text = '{"at": "2013-05-10T05:00Z", "kind": "pipeline", "name": "feed", "version": "2.1"}\n\n'
    text += '{"at": 7, "kind": "release", "name": "m"}'
    first, second = read_changes(text, "changes.jsonl")
    assert first == Change(at=parse_instant("2013-05-10T05:00Z"), kind="pipeline", name="feed", version="2.1")
    assert second.at == 7
    assert read_changes("", "changes.jsonl") == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is no change"),
        ("[1]", "is no change"),
        ('{"kind": "release", "name": "m"}', "missing required field `at`"),
        ('{"at": "yesterday", "kind": "release", "name": "m"}', "Invalid isoformat string"),
        ('{"at": 7, "kind": "release"}', "missing required field `name`"),
        ('{"at": 7, "kind": 3, "name": "m"}', r"at `\$.kind`"),
    ],
)
def test_a_line_that_is_no_change_is_named(line: str, said: str) -> None:
    """With its number and an example; all lines at once."""
    with pytest.raises(DataError, match=said) as refusal:
        read_changes(f'{{"at": 1, "kind": "a", "name": "b"}}\n{line}\n{line}', "changes.jsonl")
    assert str(refusal.value).startswith("line 2, changes.jsonl: ")
    assert "line 3, changes.jsonl: " in str(refusal.value)
    assert len(refusal.value.mistakes) == 2


def test_a_history_lasts_until_the_last_thing_is_known() -> None:
    """Labels come after the last prediction, and so may a change; both are still to be lived through."""
    table = pl.DataFrame(
        [("a", 1, 4, 1, 0.0), ("b", 3, 9, 1, 0.0), ("c", 2, None, None, 0.0)], schema=SCHEMA, orient="row"
    )
    history = History.of(table)
    assert history.window == Window(1, 10)
    assert history.outcomes_in(history.window).height == 2
    later = History.of(table, [Change(at=20, kind="release", name="m"), Change(at=0, kind="release", name="m")])
    assert later.window == Window(1, 21)
