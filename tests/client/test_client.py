"""The client as a service meets it: what it says on the wire, that it never raises, and that its counts are honest."""

from __future__ import annotations

import datetime as dt
import enum
import logging
import math
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import killick
from killick_client import Answer, Client, Outcome, Prediction
from killick_client.encoding import OutcomeLine, PredictionLine, encode
from killick_client.events import Change, Gauge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.outside import Outside

Make = Callable[..., Client]


def test_a_prediction_arrives_as_it_was_logged(a_client: Make, outside: Outside) -> None:
    """Every part is on the wire under its own name; the model is in the path."""
    client = a_client(model="flight delay/1", version="v3", token="t0")  # noqa: S106 - of a server of our own
    parts = {
        "prediction_id": "2013-05-10-B6-715",
        "event_time": 1_368_180_000_000_000,
        "features": {"origin": "JFK", "temp": 61.5, "night": False, "gust": None, "vector": [1.0, 2.0]},
        "version": "v4",
        "score": 0.31,
        "scores": {"late": 0.31, "on time": 0.69},
        "decision": "hold",
        "entity_id": "N607JB",
        "latency_seconds": 0.012,
        "status": "Timeout",
        "role": "canary",
        "trace_id": "4bf9",
        "log_url": "https://logs/1",
        "metadata": {"pod": "a"},
    }

    assert client.log_prediction(**parts) == "2013-05-10-B6-715"
    assert client.flush()

    (request,) = outside.requests
    assert request.lines == [parts]
    assert request.path == "/v1/models/flight%20delay%2F1/predictions"
    assert request.headers["content-type"] == "application/x-ndjson"
    assert request.headers["authorization"] == "Bearer t0"
    assert request.key[1:] == (client.statistics().producer, 0)


def test_what_is_not_said_is_left_out(a_client: Make, outside: Outside) -> None:
    """Only an id, the time and the version are made up."""
    client = a_client()
    first, second = client.log_prediction(features={}), client.log_prediction(features={})
    client.flush()

    events = outside.events()
    assert [event["prediction_id"] for event in events] == [first, second]
    assert first != second
    assert all(set(event) == {"prediction_id", "event_time", "features", "version"} for event in events)


@pytest.mark.parametrize(("line", "event"), [(PredictionLine, Prediction), (OutcomeLine, Outcome)])
def test_the_lines_have_the_parts_of_the_events(line: type, event: type) -> None:
    """What is sent is what `events.py` promises, without the model."""
    assert set(line.__struct_fields__) == set(event.__struct_fields__) - {"model"}


def test_outcomes_changes_gauges_and_profiles_have_paths_of_their_own(a_client: Make, outside: Outside) -> None:
    """Each kind is numbered from 0 by itself."""
    client = a_client()
    noon = dt.datetime(2013, 5, 10, 12, tzinfo=dt.UTC)
    client.log_outcome(prediction_id="a", label=True, kpis={"cost": 40.0}, known_at=noon)
    client.log_change(kind="pipeline", name="weather-feed", version="2.1", at="2013-05-10T12:00:00Z")
    client.log_gauge("queue_length", 17, at=5)
    client.log_profile(b"\x00packed")
    assert client.flush()

    micro = 1_368_187_200_000_000
    assert outside.events("outcomes") == [
        {"prediction_id": "a", "known_at": micro, "label": True, "kpis": {"cost": 40.0}}
    ]
    (change,) = outside.events("changes")
    assert msgspec.convert({k: v for k, v in change.items() if k != "model"} | {"at": 0}, Change).version == "2.1"
    assert change["model"] == "m"
    (gauge,) = outside.events("gauges")
    assert msgspec.convert(gauge | {"model": "m"}, Gauge) == Gauge(at=5, model="m", name="queue_length", value=17)
    (profile,) = outside.batches("profiles")
    assert (profile.headers["content-type"], profile.body) == ("application/vnd.killick.profiles", b"\x00packed")
    assert {request.key[2] for request in outside.requests} == {0}


def test_the_line_is_a_snapshot(a_client: Make, outside: Outside) -> None:
    """What the caller does to its features after the call is its own affair."""
    client, features = a_client(), {"x": 1}
    client.log_prediction(features=features)
    features["x"] = 2
    client.flush()

    assert outside.events()[0]["features"] == {"x": 1}


def test_batches_are_bounded_and_numbered_without_a_gap(a_client: Make, outside: Outside) -> None:
    """At most 2,000 events or a mebibyte, but for an event that is larger than that alone."""
    client = a_client(flush_seconds=0.05)
    for number in range(5_000):
        client.log_prediction(prediction_id=str(number), features={})
    for number in range(5_000, 5_004):
        client.log_prediction(prediction_id=str(number), features={"text": "x" * 600_000})
    client.log_prediction(prediction_id="5004", features={"text": "x" * 3_000_000})
    assert client.flush()

    batches = outside.batches()
    assert outside.ids() == [str(number) for number in range(5_005)]
    assert [batch.key[2] for batch in batches] == list(range(len(batches)))
    assert all(len(batch.lines) <= 2_000 and (len(batch.body) <= 1 << 20 or len(batch.lines) == 1) for batch in batches)


class Colour(enum.Enum):
    """Something that has a value."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float32(0.5), 0.5),
        (np.float64("nan"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.longdouble(2), 2.0),
        (Decimal("1.5"), 1.5),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2013-05-10"), "2013-05-10T00:00:00"),
        (dt.datetime(2013, 5, 10, tzinfo=dt.UTC), "2013-05-10T00:00:00Z"),
        (np.datetime64("2013-05-10T00:00", "ns"), "2013-05-10T00:00:00"),
        (np.datetime64("2013-05-10"), "2013-05-10T00:00:00"),
        (np.array(["2013-05-10", "NaT"], "datetime64[ns]"), ["2013-05-10T00:00:00", None]),
        (pd.Series(pd.to_datetime(["2013-05-10"])), ["2013-05-10T00:00:00"]),
        (np.datetime64("NaT"), None),
        (dt.timedelta(seconds=1), 1.0),
        ([dt.timedelta(days=-2, seconds=3.5)], [-172_796.5]),
        (pd.Timedelta("90s"), 90.0),
        (np.timedelta64(1_500, "ms"), 1.5),
        (np.timedelta64("NaT"), None),
        (np.array([1, 2], "timedelta64[m]"), [60.0, 120.0]),
        (["PT", "P1D", "PT109"], ["PT", "P1D", "PT109"]),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        ({1}, [1]),
        (range(2), [0, 1]),
        ({None: 1, (1, 2): 2}, {"None": 1, "[1, 2]": 2}),
        ("half \ud800", "half ?"),
        ("NaN\nInfinity", "NaN\nInfinity"),
        (2**70, 2**70),
        (pd.Series({"a": 1}), [1]),
    ],
    ids=repr,
)
def test_values_of_all_sorts_become_json(value: object, sent: object) -> None:
    """What stands for something that JSON knows is sent as that; the line is one line."""
    line = encode({"x": value})

    assert b"\n" not in line
    assert msgspec.json.decode(line) == {"x": sent}


def holding_itself() -> list[Any]:
    """A list without an end."""
    endless: list[Any] = []
    endless.append(endless)
    return endless


class Hostile:
    """Fails at whatever is done to it."""

    def __getattr__(self, name: str) -> object:
        raise ValueError("the plain value 4711")

    def __str__(self) -> str:
        raise ValueError("the plain value 4711")

    __repr__ = __str__


@pytest.mark.parametrize(
    "junk",
    [object(), holding_itself(), Hostile(), 1j, object, msgspec.Raw(b"{\n"), lambda: 0],
    ids=lambda junk: type(junk).__name__,
)
def test_what_cannot_be_encoded_is_dropped_counted_and_told_without_its_value(
    junk: object, a_client: Make, outside: Outside
) -> None:
    """The event is gone, its neighbours are not, and the value is in no message."""
    client = a_client()
    client.log_prediction(prediction_id="junk", features={"x": junk})
    client.log_prediction(prediction_id="good", features={})
    client.flush()

    statistics = client.statistics()
    assert outside.ids() == ["good"]
    assert statistics.dropped == {"unencodable": 1}
    assert "4711" not in str(statistics.last_error)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers()
    | st.decimals()
    | st.datetimes()
    | st.just(object())
    | st.builds(Hostile),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text() | st.none(), inner) | st.tuples(inner),
    max_leaves=5,
)
PARTS = [field for field in PredictionLine.__struct_fields__ if field not in {"features", "sampling_weight"}]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_junk_never_raises_and_is_always_accounted_for(data: st.DataObject, a_client: Make, nowhere: str) -> None:
    """Whatever is handed over, in whatever place, the caller goes on, and each event is kept or counted as dropped."""
    # The writer has no turn meanwhile, in which it would report drops by an event of its own.
    client = a_client(nowhere, privacy={"a": "drop"} if data.draw(st.booleans()) else {}, flush_seconds=3_600)
    parts = data.draw(st.fixed_dictionaries({"features": anything}, optional=dict.fromkeys(PARTS, anything)))

    client.log_prediction(**parts)
    client.log_outcome(prediction_id=data.draw(anything), label=data.draw(anything), kpis=data.draw(anything))
    client.log_gauge(data.draw(anything), data.draw(anything), data.draw(anything))
    client.log_change(kind=data.draw(anything), name=data.draw(anything), at=data.draw(anything))
    client.log_profile(data.draw(anything))

    counts = client.statistics()
    assert counts.logged == 5 == client._pipeline.ring.kept.total() + sum(counts.dropped.values())
    client.log_predictions(data.draw(anything))
    client.log_outcomes(data.draw(anything))
    client.close(timeout_seconds=0)


@pytest.mark.parametrize(
    "mistake",
    [
        {"model": ""},
        {"url": "localhost"},
        {"url": "ftp://localhost"},
        {"url": "http://user@localhost"},
        {"sample": 0.0},
        {"sample": 1.5},
        {"memory_bytes_max": 0},
        {"privacy": {"ssn": "hide"}},
        {"privacy": {"prediction_id": "drop"}},
    ],
    ids=str,
)
def test_a_mistake_in_the_settings_is_told_at_once(mistake: dict[str, Any]) -> None:
    """Only what a person writes once raises, and when it is written."""
    with pytest.raises(ValueError, match=r"model|address|sample|bytes|privacy"):
        Client(**({"model": "m"} | mistake))


def test_the_environment_says_what_the_call_does_not(
    outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`KILLICK_URL`, `KILLICK_TOKEN` and `KILLICK_SPOOL`."""
    monkeypatch.setenv("KILLICK_URL", outside.url)
    monkeypatch.setenv("KILLICK_TOKEN", "t")
    monkeypatch.setenv("KILLICK_SPOOL", str(tmp_path))
    with Client(model="m") as client:
        client.log_gauge("x", 1)
        assert client.flush()
        assert any(tmp_path.iterdir())

    assert outside.requests[0].headers["authorization"] == "Bearer t"


def test_a_token_from_a_file_is_sent_without_the_end_of_its_line(a_client: Make, outside: Outside) -> None:
    """As a secret that is mounted has one."""
    client = a_client(token="t0\n")  # noqa: S106 - of a server of our own
    client.log_gauge("x", 1)
    assert client.flush()

    assert outside.requests[0].headers["authorization"] == "Bearer t0"


@pytest.mark.parametrize("token", ["s3cret\nX-Evil: 1", "s3cret\x00", "s3crét"])
def test_a_token_that_cannot_be_sent_is_refused_without_a_word_of_it(token: str) -> None:
    """When the client is made, and not in a log at every try."""
    with pytest.raises(ValueError, match="token") as raised:
        Client(model="m", token=token)

    assert "s3c" not in str(raised.value)


def test_after_the_end_events_are_counted_as_dropped(a_client: Make) -> None:
    """A handler that still runs while the service ends does not fail."""
    client = a_client()
    client.log_gauge("x", 1)
    client.close()
    client.close()
    client.log_gauge("x", 2)
    client.log_predictions([{"prediction_id": "a"}])

    assert client.statistics().dropped == {"closed": 2}


def test_what_is_left_at_the_end_is_still_waiting(a_client: Make, nowhere: str) -> None:
    """It is neither sent nor gone: `flush` says so at once, and the counts do."""
    client = a_client(nowhere)
    client.log_gauge("x", 1)
    client.close(0)

    assert not client.flush(timeout_seconds=60)
    assert client.statistics().spooled_bytes > 0
    done = a_client()
    done.log_gauge("x", 1)
    done.close()
    assert done.flush()
    assert done.statistics().spooled_bytes == 0


def test_a_local_client_needs_killick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that brings the store, it says so when it is made."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    with pytest.raises(RuntimeError, match="pip install killick"):
        Client.local("store", model="m")


class Drawer:
    """A transport that keeps what it is sent: what stands behind the entry point, in small."""

    kept: ClassVar[list[tuple[str, str, bytes]]] = []

    def __init__(self, path: str) -> None:
        self.path = path

    def send(self, path: str, _: dict[str, str], body: bytes) -> Answer:
        """Keep it."""
        self.kept.append((self.path, path, body))
        return Answer(200)


class LocalPoint:
    """An entry point as the installed package has one."""

    def load(self) -> type[Drawer]:
        """Return what it names."""
        return Drawer


@pytest.fixture
def local_point(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the store be installed."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: (LocalPoint(),))
    Drawer.kept = []
    yield
    Drawer.kept = []


def test_a_local_client_stores_without_a_server(local_point: None, tmp_path: Path) -> None:
    """The same batches go to the transport of the entry point `local`."""
    with Client.local(tmp_path / "store", model="m", spool=tmp_path / "spool") as client:
        client.log_gauge("x", 1, at=0)
        assert client.flush()

    assert Drawer.kept == [(str(tmp_path / "store"), "/v1/models/m/gauges", b'{"at":0,"name":"x","value":1}\n')]


def test_killick_gives_the_client_by_name() -> None:
    """`killick.Client` is the client of the serving image."""
    assert killick.Client is Client


def test_two_things_are_said_once_a_minute(a_client: Make, caplog: pytest.LogCaptureFixture, nowhere: str) -> None:
    """However much is dropped."""
    client = a_client(nowhere, memory_bytes_max=1_000, spool_bytes_max=1)
    with caplog.at_level(logging.WARNING, "killick_client"):
        for _ in range(300):
            client.log_prediction(features={"text": "x" * 100})
        client._pipeline._turn()
        client._pipeline._turn()
        client.close(0)

    said = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(said) == 1
