"""Tables of any make: columns go out as Arrow, rows as lines, and what comes out is what went in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest

from killick_client import Client
from killick_client.tables import ARROW

if TYPE_CHECKING:
    from tests.client.outside import Outside

Make = Callable[..., Client]

ROWS = [
    {"flight": f"f{at}", "temp": at / 2, "origin": "JFK" if at % 2 else None, "late": at % 3 == 0} for at in range(9)
]
FRAME = pl.DataFrame(ROWS)


class Interface:
    """Anybody's table that speaks Arrow and nothing else."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return FRAME.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize(
    ("table", "as_arrow"),
    [
        (FRAME, True),
        (FRAME.to_arrow(), True),
        (FRAME.to_arrow().to_batches()[0], True),
        (FRAME.with_columns(pl.col("origin").cast(pl.Categorical)).to_arrow(), True),
        (Interface(), True),
        (FRAME.to_pandas(), False),
        (ROWS, False),
        (iter(ROWS), False),
        ({name: FRAME[name].to_list() for name in FRAME.columns}, False),
    ],
    ids=["polars", "pyarrow", "batch", "dictionary", "interface", "pandas", "rows", "iterator", "columns"],
)
def test_every_row_arrives(table: Any, as_arrow: bool, a_client: Make, outside: Outside) -> None:
    """With the client's version beside it."""
    client = a_client()
    client.log_predictions(table)
    assert client.flush()

    (batch,) = outside.batches()
    assert (batch.headers["content-type"] == ARROW) == as_arrow
    rows = pl.read_ipc_stream(batch.body).to_dicts() if as_arrow else batch.lines
    assert rows == [row | {"version": "v1"} for row in ROWS]
    assert client.statistics().acknowledged == len(ROWS)


def test_a_large_table_goes_in_pieces(a_client: Make, outside: Outside) -> None:
    """Each of about a mebibyte, in order, and readable by itself."""
    frame = pl.DataFrame({"prediction_id": [f"id{at}" for at in range(200_000)], "x": range(200_000)})
    client = a_client()
    client.log_predictions(frame)
    client.log_predictions(frame.to_arrow())
    assert client.flush()

    sent = [pl.read_ipc_stream(batch.body) for batch in outside.batches()]
    assert pl.concat(sent).drop("version").equals(pl.concat([frame, frame]))
    assert len(sent) > 5
    assert all(len(batch.body) < 1.5 * (1 << 20) for batch in outside.batches())


def test_pyarrow_reads_what_polars_wrote(a_client: Make, outside: Outside) -> None:
    """The oldest level of the format, for readers of any age: text is text."""
    client = a_client()
    client.log_outcomes(pl.DataFrame({"prediction_id": ["a"], "label": ["late"]}))
    assert client.flush()

    (batch,) = outside.batches("outcomes")
    read = pa.ipc.open_stream(batch.body).read_all()
    assert read.schema.field("label").type == pa.large_string()
    assert read.to_pylist() == [{"prediction_id": "a", "label": "late"}]


def test_a_version_in_the_table_goes_before_the_clients(a_client: Make, outside: Outside) -> None:
    """The table knows better."""
    client = a_client()
    client.log_predictions([{"prediction_id": "a", "version": "v9"}])
    client.log_predictions(pl.DataFrame({"prediction_id": ["b"], "version": ["v9"]}))
    assert client.flush()

    lines, arrow = outside.batches()
    assert lines.lines[0]["version"] == pl.read_ipc_stream(arrow.body)["version"][0] == "v9"


def test_a_row_that_cannot_be_encoded_costs_itself_alone(a_client: Make, outside: Outside) -> None:
    """Its neighbours arrive."""
    client = a_client()
    client.log_predictions([{"prediction_id": "a"}, {"prediction_id": "b", "x": object()}, 7, {"prediction_id": "c"}])
    assert client.flush()

    assert outside.ids() == ["a", "c"]
    assert client.statistics().dropped == {"unencodable": 2}


@pytest.mark.parametrize("table", [None, 3, "text", [1], {"a": 1}, object], ids=repr)
def test_what_is_no_table_is_counted_as_dropped(table: object, a_client: Make) -> None:
    """And does not raise."""
    client = a_client()
    client.log_predictions(table)

    assert client.statistics().dropped == {"unencodable": 1}


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ({"prediction_id": ["a", "b", "c"], "x": [1, 2]}, 3),
        ({"prediction_id": iter(["a", "b", "c"]), "x": [1, 2]}, 1),
    ],
    ids=["unequal", "unequal iterator"],
)
def test_a_table_that_fails_is_dropped_whole(table: object, rows: int, a_client: Make, outside: Outside) -> None:
    """No part of it is logged, as if it were all; of what does not say how long it is, one row is counted."""
    client = a_client()
    client.log_predictions(table)
    client.log_gauge("x", 1)
    assert client.flush()

    assert outside.batches() == []
    assert client.statistics().dropped == {"unencodable": rows}


def test_the_rows_of_a_table_that_fails_are_counted_once(a_client: Make) -> None:
    """Some of them have been left out of the sample before."""
    client = a_client(sample=0.5)
    client.log_predictions(pl.DataFrame({"prediction_id": [f"n{at}" for at in range(99)], "sampling_weight": "heavy"}))

    counts = client.statistics()
    assert counts.logged == 99
    assert counts.sampled_out > 0 < counts.dropped["unencodable"]


def test_a_stream_is_read_once(a_client: Make, outside: Outside) -> None:
    """Row by row too, as what is private asks for."""
    rows = [{"prediction_id": "a", "features": {"x": 1, "ssn": "s"}}, {"prediction_id": "b", "features": {"x": 2}}]
    client = a_client(privacy={"ssn": "drop"})
    client.log_predictions(pa.Table.from_pylist(rows).to_reader())
    assert client.flush()

    assert outside.ids() == ["a", "b"]
    assert [event["features"] for event in outside.events()] == [{"x": 1}, {"x": 2}]
    assert client.statistics().logged == 2


@pytest.mark.parametrize(
    "table", [[], {}, FRAME.clear(), FRAME.clear().to_arrow()], ids=["rows", "columns", "polars", "pyarrow"]
)
def test_an_empty_table_is_nothing(table: object, a_client: Make, outside: Outside) -> None:
    """No batch, no drop."""
    client = a_client()
    client.log_predictions(table)

    assert client.flush()
    assert (outside.requests, client.statistics().logged) == ([], 0)


def test_the_callers_table_is_left_as_it_was(a_client: Make) -> None:
    """Neither a column nor a key is added to it."""
    frame, rows = FRAME.clone(), [dict(row) for row in ROWS]
    client = a_client(sample=0.5)
    client.log_predictions(frame)
    client.log_predictions(rows)

    assert frame.equals(FRAME)
    assert rows == ROWS
