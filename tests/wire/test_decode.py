"""The door on the wire: every format gives the same frame, and a bad row goes alone, with a reason one can act on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from killick.clock import DAY, HOUR, SECOND, parse_instant
from killick.errors import DataError
from killick.profiles.categorical import as_text
from killick.spec.document import Band, Features, Label, Schema, Spec
from killick.wire.decode import as_changes, decode_changes, decode_gauges, decode_outcomes
from killick.wire.values import written
from tests.wire.examples import (
    CANONICAL,
    FLAT,
    NOW,
    SPEC,
    as_arrow,
    as_json,
    as_lines,
    decode,
    refused,
)

FORMS = {
    "an array": as_json(CANONICAL),
    "lines": as_lines(CANONICAL),
    "flat rows": as_json(FLAT),
    "a canonical row and a flat one": as_json([CANONICAL[0], FLAT[1]]),
    "an Arrow table": as_arrow(pl.DataFrame(FLAT)),
    "an Arrow table with a struct": as_arrow(pl.DataFrame(CANONICAL)),
}
MEDIA = {"lines": "ndjson", "an Arrow table": "arrow", "an Arrow table with a struct": "arrow"}


@pytest.mark.parametrize("form", FORMS)
def test_every_format_and_form_gives_the_same_frame(form: str) -> None:
    """Whatever carried them, the rows are equal, in their order, and of the same types."""
    decoded = decode(FORMS[form], media=MEDIA.get(form, "json"))
    assert decoded.rejected == ()
    features = ["temp", "wind", "carrier", "holiday", "route"]
    assert decoded.table.select("prediction_id", "event_time", "score", "decision", *features).rows() == [
        ("a", parse_instant("2026-02-28T10:00Z"), 0.25, "wait", 39.5, 4, "UA", False, [0.5, 1.0]),
        ("b", parse_instant("2026-02-28T10:01Z"), None, "go", None, 6, "B6", True, [2.5, 3.0]),
    ]
    assert decoded.table.schema == decode(CANONICAL).table.schema


@given(st.lists(st.lists(st.none() | st.floats(allow_infinity=False), max_size=4), min_size=1, max_size=5))
def test_a_list_may_have_gaps_whatever_carries_it(values: list[list[float | None]]) -> None:
    """Null is the word for them in JSON, and NaN in NumPy too."""
    ids = [str(at) for at in range(len(values))]
    frame = pl.DataFrame({"prediction_id": ids, "x": pl.Series(values, dtype=pl.List(pl.Float64))})
    rows = frame.with_columns(pl.col("x").list.eval(pl.element().fill_nan(None))).to_dicts()
    assert_frame_equal(decode(frame).table, decode(rows).table)


def test_every_part_has_its_column_whether_it_was_sent_or_not() -> None:
    """Frames of different senders can be put one below the other: what was left out has its default."""
    table = decode([{"prediction_id": 7, "features": {}}]).table
    assert table.to_dicts() == [
        {
            "prediction_id": "7",
            "event_time": NOW,
            "entity_id": None,
            "score": None,
            "version": None,
            "role": "live",
            "decision": None,
            "latency_seconds": None,
            "response_status": "ok",
            "trace_id": None,
            "log_url": None,
            "sampling_weight": 1.0,
            "metadata": None,
        }
    ]


def test_parts_go_by_the_operators_names_and_by_the_houses() -> None:
    """The spec says which column is which; a sender who knows the house's names may use them; the operator's win."""
    row = {"flight": "a", "departs_at": "2026-02-28T05:00", "p_late": 0.5, "hold": True, "took": 0.01, "tail": "N1"}
    table = decode([row | {"temp": 39, "status": "boarding", "late": "yes"}], spec=SPEC).table
    assert table["event_time"].item() == parse_instant("2026-02-28T10:00Z")  # New York is five hours behind
    assert table.select("prediction_id", "score", "decision", "latency_seconds").row(0) == ("a", 0.5, "true", 0.01)
    assert table.columns[-2:] == ["temp", "status"]  # the label is passed over: it comes as an outcome

    both = decode([{"flight": None, "prediction_id": "b"}, {"flight": "c", "prediction_id": "d"}], spec=SPEC).table
    assert both["prediction_id"].to_list() == ["b", "c"]


def test_only_features_and_what_groups_rows_are_kept() -> None:
    """What the spec excludes is not stored, in either form, unless segments are made of it."""
    row = {"temp": 1.0, "secret_name": "x", "secret_origin": "JFK"}
    spec = replace(SPEC, segments=((Band("secret_origin", "secret_origin"),),))
    for body in ([{"prediction_id": "a", **row}], [{"prediction_id": "a", "features": row}]):
        assert decode(body, spec=spec).table.columns[13:] == ["temp", "secret_origin"]


GOOD = {"prediction_id": "good", "features": {"temp": 1.5}}
LATER = NOW + 3 * DAY + HOUR // 2
SECONDS, MILLISECONDS, NANOSECONDS = NOW // SECOND, NOW // 1000, NOW * 1000
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"prediction_id": None}, "prediction_id", "is missing"),
    ({"prediction_id": ""}, "prediction_id", "is empty"),
    ({"prediction_id": "x" * 513}, "prediction_id", "longer than 512"),
    ({"prediction_id": 1.5}, "prediction_id", "is no text, but 1.5"),
    ({"prediction_id": "a\0b"}, "prediction_id", "NUL"),
    ({"prediction_id": "a\ud800"}, "prediction_id", "surrogate"),
    ({"event_time": LATER}, "event_time", "lies 3d in the future: a clock is wrong"),
    ({"event_time": -1}, "event_time", "outside the years 1970 to 2200"),
    ({"event_time": SECONDS}, "event_time", "2026-03-01T12:00Z in seconds: give microseconds"),
    ({"event_time": MILLISECONDS}, "event_time", "2026-03-01T12:00Z in milliseconds: give microseconds"),
    ({"event_time": NANOSECONDS}, "event_time", "2026-03-01T12:00Z in nanoseconds: give microseconds"),
    ({"event_time": "yesterday"}, "event_time", "is no time"),
    ({"event_time": "20260301"}, "event_time", "ISO 8601"),
    ({"event_time": True}, "event_time", "is no time, but True"),
    ({"event_time": 10**30}, "event_time", "is no time"),
    ({"score": "0.5"}, "score", "is no number, but '0.5'"),
    ({"score": "NaN"}, "score", "is no number, but 'NaN'"),
    ({"score": True}, "score", "is no number"),
    ({"score": 10**400}, "score", "inf"),
    ({"scores": {"late": "x"}}, "scores.late", "is no number"),
    ({"scores": 5}, "scores", "is no object"),
    ({"scores": {"": 0.5}}, "scores.", "empty"),
    ({"role": "champion"}, "role", "is 'champion', not live or canary or shadow or fallback"),
    ({"role": "retired"}, "role", "not live"),
    ({"version": "v" * 201}, "version", "is longer than 200 characters"),
    ({"latency_seconds": -0.5}, "latency_seconds", "is negative (found -0.5)"),
    ({"sampling_weight": 0}, "sampling_weight", "is not above 0"),
    ({"decision": [1.0]}, "decision", "is no text or number"),
    ({"metadata": {"a": [1.0]}}, "metadata", "something else than text"),
    ({"metadata": {str(n): "x" for n in range(65)}}, "metadata", "64 is the most"),
    ({"metadata": {"a": "\0"}}, "metadata", "NUL"),
    ({"metadata": "x"}, "metadata", "is no object"),
    ({"latency": 0.5}, "latency", "did you mean 'latency_seconds'"),
    ({"label": True}, "label", "no part of a prediction"),
    ({"model": "other"}, "model", "the request is for 'flight-delay'"),
    ({"features": 5}, "features", "is no object"),
    ({"features": {"x": {"y": 1}}}, "features.x", "is an object"),
    ({"features": {"x": ["a"]}}, "features.x", "does not hold numbers alone"),
    ({"features": {"x": [1, True]}}, "features.x", "does not hold numbers alone"),
    ({"features": {"x": [[1]]}}, "features.x", "does not hold numbers alone"),
    ({"features": {"x": [0.0] * 8193}}, "features.x", "more than 8,192 numbers"),
    ({"features": {"x": "y" * 65_537}}, "features.x", "longer than 65,536"),
    ({"features": {"x": 10**400}}, "features.x", "beyond what a float can hold"),
    ({"features": {"x": "a\0"}}, "features.x", "NUL"),
    ({"features": {"score": 1}}, "features.score", "rename it"),
    ({"features": {"score.late": 1}}, "features.score.late", "rename it"),
    ({"features": {"": 1}}, "features.", "empty"),
    ({"features": {"a\0": 1}}, "features.a\0", "NUL"),
]


@pytest.mark.parametrize("media", ["json", "ndjson"])
@pytest.mark.parametrize(
    ("wrong", "field", "reason"), BAD, ids=[f"{at}-{field!r}" for at, (_, field, _) in enumerate(BAD)]
)
def test_a_bad_row_goes_alone_with_its_index_field_and_reason(
    wrong: dict[str, Any], field: str, reason: str, media: str
) -> None:
    """The rows before and after it stand, as if it had not been sent."""
    with_it = decode([GOOD, {**GOOD, "prediction_id": "bad"} | wrong, GOOD], media=media)
    assert [(r.index, r.field) for r in with_it.rejected] == [(1, field)]
    assert reason in with_it.rejected[0].reason
    assert_frame_equal(with_it.table, decode([GOOD, GOOD], media=media).table)


def test_what_looks_odd_and_is_right_comes_in() -> None:
    """Old times, scores that a check must judge, ids that are numbers, decisions of every type."""
    rows = [
        {"prediction_id": 12, "event_time": 0, "score": 1.5, "decision": True},
        {"prediction_id": "b", "event_time": "2026-02-28", "score": -1, "decision": 1.0},
        {
            "prediction_id": "c",
            "event_time": "1999-12-31T23:59:59.999999+14:00",
            "decision": 2.5,
            "model": "flight-delay",
        },
        {
            "prediction_id": "d",
            "event_time": NOW + DAY,
            "decision": "x",
            "metadata": {"try": 2, "none": None, "who": "é"},
        },
    ]
    decoded = decode([{**row, "features": {}} for row in rows])
    assert decoded.rejected == ()
    assert decoded.table["prediction_id"].to_list() == ["12", "b", "c", "d"]
    assert decoded.table["event_time"].to_list()[:3] == [
        0,
        parse_instant("2026-02-28T00:00Z"),
        parse_instant("1999-12-31T09:59:59.999999Z"),
    ]
    assert decoded.table["decision"].to_list() == ["true", "1", "2.5", "x"]
    assert decoded.table["metadata"].to_list() == [None, None, None, '{"try":"2","who":"é"}']


def test_a_time_is_read_by_itself_whatever_the_others_look_like() -> None:
    """Each way of writing ISO 8601 gives its instant beside each other: no column's format is guessed."""
    ways = ["2026-02-01", "2026-02-01T00:00Z", "2026-02-01 00:00:00.0", "2026-01-31T19:00:00-0500", "2026-02-01T00"]
    rows = [{"prediction_id": str(at), "event_time": way, "features": {}} for at, way in enumerate(ways)]
    for turned in (rows, rows[::-1]):
        assert set(decode(turned).table["event_time"].to_list()) == {parse_instant("2026-02-01")}


def test_local_times_are_the_specs_also_where_the_clocks_leap() -> None:
    """On 8 March 2026 New York has no half past two: it is taken as if the clocks had not leapt."""
    row = {"flight": "a", "departs_at": "2025-03-09T02:30"}
    assert decode([row], spec=SPEC).table["event_time"].item() == parse_instant("2025-03-09T07:30Z")


def test_a_feature_has_one_type_however_it_is_mixed() -> None:
    """Numbers and text make text, booleans among numbers are 0 and 1; nothing at all stays Null."""
    mixed: dict[str, tuple[list[Any], pl.DataType, list[Any]]] = {
        "text": ([1, 2.0, "x"], pl.String(), ["1", "2", "x"]),
        "words": ([True, 1e22, "x"], pl.String(), ["true", "1e+22", "x"]),
        "numbers": ([1, 2.5, None], pl.Float64(), [1.0, 2.5, None]),
        "switches": ([True, 2, None], pl.Int64(), [1, 2, None]),
        "fractions": ([True, 2.5, None], pl.Float64(), [1.0, 2.5, None]),
        "flags": ([True, None, False], pl.Boolean(), [True, None, False]),
        "whole": ([2**63 - 1, 1, 2], pl.Int64(), [2**63 - 1, 1, 2]),
        "huge": ([2**63, 1, 2], pl.Float64(), [2.0**63, 1.0, 2.0]),
        "lists": ([[1, None], [], None], pl.List(pl.Float64), [[1.0, None], [], None]),
        "nothing": ([None, None, None], pl.Null(), [None, None, None]),
    }
    rows = [
        {"prediction_id": str(at), "features": {name: values[at] for name, (values, _, _) in mixed.items()}}
        for at in range(3)
    ]
    table = decode(rows).table
    for name, (_, dtype, expected) in mixed.items():
        assert (table.schema[name], table[name].to_list()) == (dtype, expected), name


def test_lists_and_single_values_do_not_mix() -> None:
    """What more rows have decides; the others are refused, wherever they are."""
    values = ["oops", None, [1.0], [2.0], "a", [3.0]]
    rows = [{"prediction_id": str(at), "features": {"x": value}} for at, value in enumerate(values)]
    decoded = decode(rows)
    assert refused(decoded) == [(0, "features.x"), (4, "features.x")]
    assert decoded.table["x"].to_list() == [None, [1.0], [2.0], [3.0]]
    assert decode(rows[:3] + rows[4:5]).table["x"].dtype == pl.String


def test_a_feature_that_only_some_rows_have_is_missing_in_the_others() -> None:
    """And a row that is refused brings no column and no type of its own."""
    rows = [
        {"prediction_id": "a", "features": {"x": 1}},
        {"prediction_id": "b", "features": {"y": 2}},
        {"prediction_id": "", "features": {"x": "text"}},
    ]
    assert decode(rows).table.select("x", "y").rows() == [(1, None), (None, 2)]


def test_decisions_are_written_as_the_categories_of_a_profile_are() -> None:
    """Two rooms that do not know each other write the same text."""
    for values in ([1.0, 2.5, None, 1e22, -0.0], [True, False, None], [3, None]):
        assert written(pl.Series(values)).to_list() == as_text(pl.Series(values)).to_list()


def test_a_thousand_refused_rows_are_named_and_all_are_counted() -> None:
    """Whether they could be read or not."""
    decoded = decode([{"prediction_id": ""}] * 1200 + [5] * 300)
    assert (len(decoded.rejected), decoded.rejected_rows, decoded.table.height) == (1000, 1500, 0)


BINARY = [(True, 1), ("true", 1), (1, 1), (0.0, 0), ("yes", None), (2, None), ([1.0], None)]
LABELS: list[tuple[Any, list[tuple[Any, int | None]]]] = [
    (None, BINARY),
    (True, BINARY),
    (False, [(False, 1), (1, 0), ("no", None)]),
    ("yes", [("yes", 1), ("no", 0), ("Yes", 0), ("", None), (" ", None), ([1.0], None)]),
    ("churned", [("stayed", 0), ("churned", 1)]),
    (1, [(1, 1), (True, 1), (0, 0), (-1, 0), (2, 0)]),
    (0, [(False, 1), (1, 0)]),
    (2.0, [(2, 1), (2.0, 1), (1, 0)]),
]


@pytest.mark.parametrize(("positive", "labels"), LABELS)
def test_a_binary_label_is_one_of_two(positive: Any, labels: list[tuple[Any, int | None]]) -> None:
    """Row by row: what is neither is refused, and spoils no other."""
    spec = replace(SPEC, schema=replace(SPEC.schema, label=Label("late", positive=positive)))
    rows = [{"prediction_id": str(at), "late": label} for at, (label, _) in enumerate(labels)]
    decoded = decode_outcomes(as_json(rows), "json", model="flight-delay", spec=spec, now=NOW)
    found = dict(decoded.table.select("prediction_id", "label").rows())
    assert [found.get(str(at)) for at in range(len(labels))] == [expected for _, expected in labels]
    assert refused(decoded) == [(at, "late") for at, (_, expected) in enumerate(labels) if expected is None]
    assert decoded.table.schema["label"] == pl.Int64


@pytest.mark.parametrize(("positive", "labels"), LABELS)
def test_a_label_means_the_same_whatever_it_comes_with(positive: Any, labels: list[tuple[Any, int | None]]) -> None:
    """Who sends one at a time is understood as who sends them together."""
    spec = replace(SPEC, schema=replace(SPEC.schema, label=Label("late", positive=positive)))
    for label, expected in labels:
        body = as_json([{"prediction_id": "a", "late": label}])
        table = decode_outcomes(body, "json", model="flight-delay", spec=spec, now=NOW).table
        assert table["label"].to_list() == ([] if expected is None else [expected])


def test_outcomes_have_labels_of_their_task_and_kpis() -> None:
    """In an object or flat, by the operator's names; without either there is nothing to say."""
    rows = [
        {"prediction_id": "a", "known_at": "2026-02-28T00:00Z", "label": 3, "kpis": {"cost": 40, "hours": 1.5}},
        {"prediction_id": "b", "kpis": {"cost": None}, "cost": 2},
        {"prediction_id": "c", "label": None, "kpis": {}},
        {"prediction_id": "d", "label": 1, "known_at": NOW + 2 * DAY},
        {"prediction_id": "e", "label": 1, "kpis": {"cost": "x"}},
        {"prediction_id": "f", "label": "high"},
        {"prediction_id": "g", "label": 1, "lable": 2},
    ]
    spec = replace(SPEC, task="regression")
    decoded = decode_outcomes(as_json(rows), "json", model="flight-delay", spec=spec, now=NOW)
    assert refused(decoded) == [(2, "label"), (3, "known_at"), (4, "kpis.cost"), (5, "label"), (6, "lable")]
    assert decoded.table.schema["label"] == pl.Float64
    assert decoded.table.select("prediction_id", "known_at", "label", "cost", "hours").rows() == [
        ("a", parse_instant("2026-02-28"), 3.0, 40.0, 1.5),
        ("b", NOW, None, 2.0, None),
    ]
    for task in ("multiclass", None):
        other = replace(spec, task=task) if task else None
        body = as_json([{"prediction_id": "a", "label": 3.0}])
        labels = decode_outcomes(body, "json", model="flight-delay", spec=other, now=NOW).table["label"]
        assert labels.to_list() == ["3"]


def test_an_arrow_table_of_outcomes_is_read_by_its_types() -> None:
    """Booleans are labels, NaN is none yet, and columns of the prediction are passed over."""
    frame = pl.DataFrame({"flight": ["a", "b"], "late": [True, None], "cost": [1.5, 2.0], "p_late": [0.1, 0.2]})
    spec = replace(SPEC, schema=replace(SPEC.schema, label=Label("late")))
    table = decode_outcomes(as_arrow(frame), "arrow", model="flight-delay", spec=spec, now=NOW).table
    assert table.rows() == [("a", NOW, 1, 1.5), ("b", NOW, None, 2.0)]
    values = pl.DataFrame({"flight": ["a", "b"], "late": [1.5, float("nan")]})
    decoded = decode_outcomes(as_arrow(values), "arrow", model="m", spec=replace(spec, task="regression"), now=NOW)
    assert (decoded.table["label"].to_list(), refused(decoded)) == ([1.5], [(1, "late")])


def test_gauges_are_a_name_a_number_and_a_time() -> None:
    """Each of them is judged."""
    rows = [
        {"name": "queue", "value": 17, "at": "2026-02-28T00:00Z"},
        {"name": "queue"},
        {"name": "", "value": 1},
        {"name": "queue", "value": "many"},
        {"name": "queue", "value": 1, "at": 5, "model": "flight-delay"},
        {"name": "queue", "value": 1, "at": SECONDS},
    ]
    decoded = decode_gauges(as_lines(rows), "ndjson", model="flight-delay", spec=None, now=NOW)
    assert refused(decoded) == [(1, "value"), (2, "name"), (3, "value"), (5, "at")]
    assert decoded.table.rows() == [("queue", 17.0, parse_instant("2026-02-28")), ("queue", 1.0, 5)]


def test_changes_are_read_and_say_which_model_they_are_about() -> None:
    """A change without a time tells nothing."""
    rows = [
        {"at": "2026-02-28T00:00Z", "kind": "pipeline", "name": "weather", "version": 2, "model": "flight-delay"},
        {"at": NOW, "kind": "release", "name": "v2"},
        {"kind": "release", "name": "v2"},
        {"at": NOW, "kind": "release"},
    ]
    decoded = decode_changes(as_json(rows), "json", now=NOW)
    assert refused(decoded) == [(2, "at"), (3, "name")]
    assert decoded.table["model"].to_list() == ["flight-delay", None]
    first, second = as_changes(decoded.table)
    assert (first.at, first.version, first.note, second.version) == (parse_instant("2026-02-28"), "2", "", None)


def test_class_scores_come_as_an_object_or_as_columns() -> None:
    """Under the class they are of."""
    spec = Spec("m", "multiclass", Schema(scores={"late": "p_late", "lost": "p_lost"}), Features())
    flat = [{"prediction_id": "a", "p_late": 0.25, "p_lost": 0.75}]
    nested = [{"prediction_id": "a", "scores": {"late": 0.25, "lost": 0.75}, "features": {}}]
    house = [{"prediction_id": "a", "score.late": 0.25, "score.lost": 0.75}]
    for rows in (flat, nested, house, pl.DataFrame(nested[0] | {"features": {"x": 1}})):
        assert decode(rows, spec=spec).table.select("score.late", "score.lost").rows() == [(0.25, 0.75)]


def test_a_body_without_rows_is_a_frame_without_rows() -> None:
    """Nothing is wrong with it."""
    empty = pl.DataFrame(schema={"prediction_id": pl.String, "at": pl.Datetime("us")})
    for body, media in ((b"[]", "json"), (b"", "ndjson"), (b"\n \n", "ndjson"), (as_arrow(empty), "arrow")):
        decoded = decode(body, media=media)
        assert (decoded.table.height, decoded.rejected) == (0, ())


def test_what_cannot_be_read_as_a_whole_is_one_mistake() -> None:
    """With what to do about it."""
    for body, media, said in (
        (b"", "json", "no array of JSON objects"),
        (b"[1", "json", "no array of JSON objects"),
        (b'[{"a": NaN}]', "json", "write null"),
        (b'{"prediction_id": "a"}\n{"prediction_id": "b"}', "json", "application/x-ndjson"),
        (b'"text"', "json", "no array of JSON objects"),
        (b"[" * 100_000, "json", "nested too deeply"),
        (b"PAR1", "arrow", "Arrow stream"),
        (b"", "arrow", "Arrow stream"),
    ):
        with pytest.raises(DataError) as error:
            decode(body, media=media)
        assert said in str(error.value), body[:40]
        assert len(error.value.mistakes) == 1


def test_one_object_and_a_byte_order_mark_are_understood() -> None:
    """Curl and Windows."""
    for body in (b' {"prediction_id": "a"}', b'\xef\xbb\xbf[{"prediction_id": "a"}]'):
        assert decode(body).table["prediction_id"].to_list() == ["a"]


def test_stored_times_of_features_are_instants() -> None:
    """A timestamp without a zone is a local time; dates are midnights."""
    frame = pl.DataFrame(
        {
            "flight": ["a"],
            "built": [datetime.fromisoformat("2020-01-01T12:00")],
            "seen": [datetime(2020, 1, 1, tzinfo=UTC)],
        }
    )
    table = decode(frame, spec=SPEC).table
    assert table["built"].item() == datetime(2020, 1, 1, 17, tzinfo=UTC)
    assert {table.schema["built"], table.schema["seen"]} == {pl.Datetime("us", "UTC")}
