"""Privacy at the door, and the draw: what may not be told is nowhere, and what is left out can be counted back in."""

from __future__ import annotations

import gc
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick_client import Client, Hash, Truncate
from killick_client.encoding import encode
from killick_client.privacy import Privacy
from killick_client.tables import is_drawn

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.outside import Outside

Make = Callable[..., Client]

PLAIN = "ada@example.org-4711"
TREATED = dict.fromkeys(("ssn", "email", "street"), PLAIN)
PRIVACY = {"ssn": "drop", "email": Hash("a key"), "street": Truncate(3), "entity_id": Hash("a key")}
HIDDEN = {"email": Hash("a key")(PLAIN), "street": "ada"}


def everywhere(outside: Outside, folder: Path) -> bytes:
    """All that was sent, and all that is on disk."""
    sent = b"".join(request.body + repr(request.headers).encode() for request in outside.requests)
    return sent + b"".join(path.read_bytes() for path in folder.rglob("*.segment"))


@dataclass
class Person:
    """Features with names, and no mapping."""

    email: str


ROWS = [{"prediction_id": "a", "entity_id": PLAIN, "age": 37, **TREATED}]


@pytest.mark.parametrize(
    "log",
    [
        lambda client: client.log_prediction(
            prediction_id="a", entity_id=PLAIN, features={"age": 37, **TREATED}, metadata=TREATED
        ),
        lambda client: client.log_predictions(ROWS),
        lambda client: client.log_predictions([{"prediction_id": "a", "features": {"age": 37, **TREATED}}]),
        lambda client: client.log_predictions({name: [value] for name, value in ROWS[0].items()}),
        lambda client: client.log_predictions(pl.DataFrame(ROWS)),
        lambda client: client.log_predictions(pa.Table.from_pylist(ROWS)),
        lambda client: client.log_predictions(pl.DataFrame({"prediction_id": ["a"], "features": [TREATED]})),
        lambda client: client.log_predictions(pl.DataFrame({"prediction_id": ["a"], "metadata": [TREATED]})),
        lambda client: client.log_outcomes(pa.Table.from_pylist([{"prediction_id": "a", "kpis": TREATED}])),
        lambda client: client.log_predictions([{"prediction_id": "a", "features": Person(PLAIN)}]),
        lambda client: client.log_predictions([{"prediction_id": "a", "metadata": f'{{"email": "{PLAIN}"}}'}]),
        lambda client: client.log_predictions(pl.DataFrame(ROWS).to_pandas()),
        lambda client: client.log_outcome(prediction_id="a", label=True, kpis=TREATED),
        lambda client: client.log_outcomes(pl.DataFrame(ROWS)),
        lambda client: client.log_prediction(prediction_id="a", features={}, scores=TREATED),
        lambda client: client.log_predictions(pl.DataFrame({"prediction_id": ["a"], "scores": [TREATED]})),
        lambda client: client.log_prediction(prediction_id="a", features={"x": {1: object(), **TREATED}}),
    ],
    ids=[
        "event",
        "rows",
        "nested rows",
        "columns",
        "polars",
        "pyarrow",
        "struct",
        "struct of metadata",
        "struct of kpis",
        "dataclass",
        "metadata as text",
        "pandas",
        "outcome",
        "outcomes",
        "scores",
        "struct of scores",
        "junk",
    ],
)
def test_the_plain_value_is_nowhere(
    log: Callable[[Client], None], a_client: Make, outside: Outside, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not on the wire, not in the spool, not in a log, and the client holds on to nothing of it."""
    client = a_client(privacy=PRIVACY)
    with caplog.at_level(logging.DEBUG):
        log(client)
        assert client.flush()

    found = everywhere(outside, tmp_path)
    assert PLAIN.encode() not in found
    assert PLAIN not in caplog.text + repr(client.statistics())
    held = [thing for thing in gc.get_objects() if isinstance(thing, dict) and thing.get("email") == PLAIN]
    assert all(thing in (TREATED, *ROWS) for thing in held)


def test_what_is_left_is_what_was_asked_for(a_client: Make, outside: Outside) -> None:
    """Dropped is gone, hashed is 16 digits, truncated is its beginning; missing stays missing."""
    client = a_client(privacy=PRIVACY)
    client.log_prediction(entity_id=PLAIN, features={"age": 37, **TREATED}, metadata=TREATED)
    client.log_prediction(features={"email": None, "street": None, "ssn": None})
    client.log_predictions(pl.DataFrame(ROWS))
    client.flush()

    first, second = outside.batches()[0].lines
    assert first["features"] == {"age": 37, **HIDDEN}
    assert first["metadata"] == HIDDEN
    assert first["entity_id"] == HIDDEN["email"]
    assert len(HIDDEN["email"]) == 16
    assert second["features"] == {"email": None, "street": None}
    table = pl.read_ipc_stream(outside.batches()[-1].body)
    assert table.drop("version").to_dicts() == [
        {"prediction_id": "a", "entity_id": HIDDEN["email"], "age": 37, **HIDDEN}
    ]


PARTS = {
    "prediction_id": "a",
    "entity_id": PLAIN,
    "decision": PLAIN,
    "status": PLAIN,
    "trace_id": PLAIN,
    "log_url": PLAIN,
    "metadata": {"x": PLAIN},
    "scores": {PLAIN: 0.5},
    "score": 0.5,
    "latency_seconds": 0.5,
}


@pytest.mark.parametrize("part", sorted(PARTS.keys() - {"prediction_id"}))
def test_every_part_of_a_prediction_can_be_dropped(part: str, a_client: Make, outside: Outside) -> None:
    """By its name, whichever it is, in an event and in a row."""
    client = a_client(privacy={part: "drop"})
    client.log_prediction(features={}, **PARTS)
    client.log_predictions([{"features": {}, **PARTS}])
    assert client.flush()

    for event in outside.events():
        assert PARTS.keys() - event.keys() == {part}


@pytest.mark.parametrize("part", ["label", "kpis"])
def test_every_part_of_an_outcome_can_be_dropped(part: str, a_client: Make, outside: Outside) -> None:
    """By its name too."""
    client = a_client(privacy={part: "drop"})
    client.log_outcome(prediction_id="a", label=PLAIN, kpis={PLAIN: 1.0})
    assert client.flush()

    (event,) = outside.events("outcomes")
    assert {"label", "kpis"} - event.keys() == {part}


@pytest.mark.parametrize("part", ["event_time", "known_at", "features", "version", "role", "sampling_weight"])
def test_what_an_event_is_counted_by_is_not_private(part: str) -> None:
    """Neither gone nor changed: it is told when the client is made."""
    for treatment in ("drop", Hash("k")):
        with pytest.raises(ValueError, match=f"privacy of '{part}'"):
            Privacy({part: treatment})


def test_a_status_without_an_error_is_not_hidden(a_client: Make, outside: Outside) -> None:
    """Many a feature is called so; a hash instead of `ok` would make an error of every prediction."""
    client = a_client(privacy={"status": Hash("k")})
    client.log_prediction(features={"status": "married"})
    assert client.flush()

    (event,) = outside.events()
    assert event["features"] == {"status": Hash("k")("married")}
    assert "status" not in event


@pytest.mark.parametrize(("name", "sent"), [(0, "0"), (None, "None"), ((1, 2), "[1, 2]")])
def test_a_name_that_is_no_text_is_private_as_it_is_sent(name: object, sent: str) -> None:
    """Nobody gets round privacy by way of a number."""
    assert encode({name: 1}) == encode({sent: 1})
    assert Privacy({sent: "drop"}).row({name: PLAIN}) == {}


@pytest.mark.parametrize("treatment", [Hash("k"), Truncate(3)], ids=["hash", "truncate"])
@pytest.mark.parametrize("missing", [None, math.nan, np.float32("nan"), np.datetime64("NaT"), pd.NaT, pd.NA], ids=repr)
def test_what_is_missing_stays_missing(missing: object, treatment: Hash | Truncate) -> None:
    """It has no text that could be hashed; what holds several values is none that is missing."""
    privacy = Privacy({"x": treatment})

    assert privacy.value("x", missing) is None
    assert privacy.value("x", "nan") == treatment("nan")
    assert privacy.value("x", np.array([math.nan])) == treatment(np.array([math.nan]))


@given(st.text(), st.text())
def test_a_hash_tells_equal_from_unequal_and_no_more(one: str, other: str) -> None:
    """The same value has the same hash under the same key, and another under another."""
    hidden = Hash("k")

    assert (hidden(one) == hidden(other)) == (one == other)
    assert hidden(one) != Hash("l")(one)
    assert len(hidden(one)) == 16
    assert "key" not in repr(hidden)


@pytest.mark.parametrize("mistake", [lambda: Hash(""), lambda: Hash("k" * 65), lambda: Truncate(0)])
def test_what_hides_nothing_is_refused(mistake: Callable[[], object]) -> None:
    """An empty key can be guessed by anybody; no character is said by `drop`."""
    with pytest.raises(ValueError, match=r"key|characters"):
        mistake()


def test_privacy_without_treatments_is_free() -> None:
    """The hot path asks once."""
    assert not Privacy({})
    assert Privacy({"a": "drop"})


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_counts_by_weight_are_unbiased(share: float, a_client: Make, outside: Outside) -> None:
    """The drawn ones, each counted with its weight, give all of them back, within five standard errors."""
    client, number = a_client(sample=share), 20_000
    for at in range(number):
        client.log_prediction(prediction_id=f"flight/{at}", features={})
    assert client.flush(30)

    weights = [event["sampling_weight"] for event in outside.events()]
    error = math.sqrt(number * (1 - share) / share)
    assert set(weights) == {1 / share}
    assert abs(sum(weights) - number) < 5 * error
    assert client.statistics().sampled_out == number - len(weights)


def test_every_service_draws_the_same_and_outcomes_with_them(a_client: Make, outside: Outside) -> None:
    """Events, rows, Arrow tables, and outcomes logged by another client of the same share."""
    names = [f"n{at}" for at in range(2_000)]
    drawn = [name for name in names if is_drawn(name, 0.2)]
    table = pl.DataFrame({"prediction_id": names, "x": range(2_000)})
    client, other = a_client(sample=0.2), a_client(sample=0.2)
    for name in names:
        client.log_prediction(prediction_id=name, features={})
        other.log_outcome(prediction_id=name, label=True)
    assert client.flush()
    assert outside.ids() == drawn
    outside.requests[:] = [one for one in outside.requests if one.path.endswith("outcomes")]
    client.log_predictions(table)
    client.log_predictions(table.to_arrow())
    assert client.flush()
    assert other.flush()

    assert outside.ids("outcomes") == drawn
    for batch in outside.batches():
        sent = pl.read_ipc_stream(batch.body)
        assert sent["prediction_id"].to_list() == drawn
        assert set(sent["sampling_weight"]) == {5.0}
    outside.requests.clear()
    client.log_predictions(table.to_dicts())
    assert client.flush()
    assert outside.ids() == drawn


@pytest.mark.parametrize("make", [list, pl.DataFrame, pa.Table.from_pylist], ids=["rows", "polars", "pyarrow"])
def test_a_sample_of_a_sample_has_the_weight_of_both(
    make: Callable[[list[dict[str, object]]], object], a_client: Make, outside: Outside
) -> None:
    """Of predictions, each by its own; an outcome has none."""
    names = [f"n{at}" for at in range(100)]
    drawn = [name for name in names if is_drawn(name, 0.5)]
    own = [10.0 if at % 2 else None for at in range(100)]
    client = a_client(sample=0.5)
    client.log_predictions(
        make([{"prediction_id": name, "sampling_weight": one} for name, one in zip(names, own, strict=True)])
    )
    client.log_outcomes(make([{"prediction_id": name, "label": True} for name in names]))
    assert client.flush()

    sent = {
        kind: batch.lines if make is list else pl.read_ipc_stream(batch.body).to_dicts()
        for kind in ("predictions", "outcomes")
        for batch in outside.batches(kind)
    }
    weights = {name: 20.0 if one else 2.0 for name, one in zip(names, own, strict=True)}
    assert {row["prediction_id"]: row["sampling_weight"] for row in sent["predictions"]} == {
        name: weights[name] for name in drawn
    }
    assert sent["outcomes"] == [{"prediction_id": name, "label": True} for name in drawn]


def test_a_share_that_grows_keeps_whom_it_had() -> None:
    """Who is in at 5 % is in at 10 %."""
    names = range(10_000)

    assert {name for name in names if is_drawn(name, 0.05)} < {name for name in names if is_drawn(name, 0.1)}
