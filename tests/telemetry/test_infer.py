"""A first spec is worth having, and never pretends to know."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import process_time

import numpy as np
import polars as pl
import pytest

from killick.api import check
from killick.errors import CallError
from killick.spec.document import Label, Override, Schema
from killick.spec.load import parse_spec
from killick.spec.write import write_spec
from killick.telemetry.infer import infer_spec
from killick.telemetry.kinds import column_kinds

DATA = Path(os.environ.get("KILLICK_DATA", Path(__file__).parents[3] / "shared" / "data"))
MONDAY = datetime(2013, 4, 1, tzinfo=UTC)


def table(**columns):
    """Return a table of six rows with a feature, and the columns asked for."""
    return pl.DataFrame({"temp": [20.5, 3.0, 7.5, 9.0, 11.0, 2.0], **columns})


def hours(start=0):
    """Return six times, an hour apart."""
    return [MONDAY + timedelta(hours=start + hour) for hour in range(6)]


PARTS = {
    "prediction_id": (("prediction_id", "id", "RequestId"), list("abcdef")),
    "event_time": (("event_time", "timestamp", "departs_at", "booking date", "When"), hours()),
    "entity_id": (("entity_id", "user_id", "customerId"), [1, 1, 2, 2, 3, 3]),
    "score": (("score", "y_pred_proba", "p_delayed", "risk_score", "prediction"), [0.1, 0.2, 0.3, 0.0, 1.0, 0.5]),
    "decision": (("y_pred", "prediction", "decision"), [True, False, True, True, False, False]),
    "version": (("model_version", "version"), ["v1"] * 6),
    "latency": (("latency", "latency_seconds"), [0.01] * 6),
}


@pytest.mark.parametrize(
    ("part", "name", "values"), [(part, name, values) for part, (names, values) in PARTS.items() for name in names]
)
def test_a_column_with_the_usual_name_and_fitting_values_gets_the_part(part, name, values):
    """Names of the glossary and of other libraries; the note says that it was the name."""
    spec, notes = infer_spec(table(**{name: values}), model="m")
    assert getattr(spec.schema, part) == name
    assert notes[f"schema.{part}"]


@pytest.mark.parametrize(
    ("values", "task", "positive"),
    [
        ([True, False, True, True, None, False], "binary", None),
        ([1, 0, 1, 1, None, 0], "binary", None),
        (["yes", "no", "yes", None, "no", "no"], "binary", "yes"),
        ([1, -1, 1, 1, -1, -1], "binary", 1),
        (["a", "b", "c", "a", "b", "c"], "multiclass", None),
        ([1, 2, 3, 1, 2, 3], "multiclass", None),
        ([1.5, 2.5, 0.1, 7.0, 8.0, 9.0], "regression", None),
    ],
)
@pytest.mark.parametrize("name", ["label", "y_true", "target", "outcome"])
def test_the_label_tells_the_task(name, values, task, positive):
    """Two values are binary, a few are classes, fractions are a quantity."""
    spec, notes = infer_spec(table(**{name: values}), model="m")
    assert (spec.task, spec.schema.label) == (task, Label(name, positive=positive))
    assert notes["task"]


@pytest.mark.parametrize(
    ("part", "name", "values"),
    [
        ("score", "prediction_score", [0.1, 0.2, 0.3, 0.0, 1.0, 0.5]),
        ("score", "prediction_probas", [0.1, 0.2, 0.3, 0.0, 1.0, 0.5]),
        ("decision", "prediction_label", ["a", "b"] * 3),
        ("version", "model_id", ["v1"] * 6),
        ("event_time", "inference_timestamp", hours()),
    ],
)
def test_the_names_of_other_platforms_are_known(part, name, values):
    """Arize's, Databricks', Evidently's: chosen without a doubt."""
    spec, notes = infer_spec(table(**{name: values}), model="m")
    assert getattr(spec.schema, part) == name
    assert "IN DOUBT" not in notes[f"schema.{part}"]


def test_of_two_labels_the_one_with_the_higher_scores_is_positive():
    """In doubt, but better than not to know; where scores tell nothing, it stays a question."""
    rows = 200
    random = np.random.default_rng(1)
    settled = random.random(rows) < 0.3
    label = np.where(settled, "churned", "stayed")
    telling = pl.DataFrame({"y_true": label, "y_pred_proba": 0.5 * random.random(rows) + 0.3 * settled})
    spec, notes = infer_spec(telling, model="m")
    assert spec.schema.label == Label("y_true", positive="churned")
    assert "IN DOUBT: 'churned' is taken for positive: its y_pred_proba is higher" in notes["schema.label"]
    silent = telling.with_columns(y_pred_proba=pl.Series(random.random(rows)))
    spec, notes = infer_spec(silent, model="m")
    assert spec.schema.label == Label("y_true")
    assert "IN DOUBT: say which value is positive: 'churned', 'stayed'" in notes["schema.label"]


@pytest.mark.parametrize("prefix", ["y_pred_proba", "proba", "P"])
def test_each_class_may_have_a_score(prefix):
    """As NannyML names them; unless one of the classes has none."""
    frame = table(y_true=["red", "Blue", "red"] * 2, **{f"{prefix}_red": [0.5] * 6, f"{prefix}_Blue": [0.5] * 6})
    frame = frame.with_columns(y_true=pl.Series(["red", "Blue", "green"] * 2))
    spec, _ = infer_spec(frame, model="m")
    assert (spec.task, spec.schema.scores) == ("multiclass", {})
    spec, notes = infer_spec(frame.with_columns(pl.lit(0.5).alias(f"{prefix}_green")), model="m")
    assert spec.schema.scores == {name: f"{prefix}_{name}" for name in ("Blue", "green", "red")}
    assert notes["schema.score"] == "chosen by their names: one for each class"
    assert spec.features.select(["temp", f"{prefix}_red"]) == ("temp", f"{prefix}_red")
    assert parse_spec(write_spec(spec, notes)) == spec


def test_a_time_that_is_named_for_the_label_is_no_feature():
    """Even without a label in the table: a model cannot have looked at it. Other times are features."""
    spec, notes = infer_spec(table(timestamp=hours(), label_time=hours(1), booked=hours(-5)), model="m")
    assert spec.features.exclude == ("label_time",)
    assert "label_time says when the label is known" in notes["features.exclude"]
    assert "timestamp (1): booked" in notes["features"]


def test_nothing_is_guessed_silently():
    """Each part that was chosen has a note, and so has each that could not be."""
    spec, notes = infer_spec(table(up=[True] * 6, credit_score=[300, 400, 500, 600, 700, 800]), model="m")
    assert spec.schema == Schema()
    assert "credit_score is not a fraction" in notes["schema.score"]
    assert "up" in notes["schema.label"]
    assert "IN DOUBT" in notes["task"]


def test_of_several_candidates_none_is_taken():
    """Two scores with unusual names are a question for the operator."""
    fractions = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    spec, notes = infer_spec(table(a_score=fractions, b_score=fractions), model="m")
    assert spec.schema.score is None
    assert "a_score, b_score" in notes["schema.score"]


def test_the_usual_name_wins_over_a_likely_one():
    """`y_pred_proba` is meant and `risk_score` is then a feature."""
    fractions = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    spec, _ = infer_spec(table(risk_score=fractions, y_pred_proba=fractions), model="m")
    assert spec.schema.score == "y_pred_proba"


@pytest.mark.parametrize("values", [["a", "a", "b", "c", "d", "e"], ["a", None, "b", "c", "d", "e"], [0.5] * 6])
def test_an_id_that_does_not_identify_is_refused(values):
    """Repeated, missing or fractional: the note says which."""
    spec, notes = infer_spec(table(prediction_id=values), model="m")
    assert spec.schema.prediction_id is None
    assert "prediction_id" in notes["schema.prediction_id"]


def test_among_times_the_event_is_the_one_that_is_never_later():
    """A flight departs before it arrives; the arrival may be when the label is known, and the note says so."""
    spec, notes = infer_spec(
        table(arrived_at=hours(3), departs_at=hours(), label=[0, 1, 0, 1, 0, 1]),
        model="m",
    )
    assert spec.schema.event_time == "departs_at"
    assert "IN DOUBT" in notes["schema.event_time"]
    assert "arrived_at" in notes["schema.label"]
    assert spec.features.exclude == ()


def test_a_time_named_for_it_is_when_the_label_is_known():
    """`known_at` is the glossary's word."""
    spec, _ = infer_spec(table(timestamp=hours(), known_at=hours(24), y_true=[0, 1] * 3), model="m")
    assert spec.schema.label == Label("y_true", "known_at")


def test_a_time_in_text_is_pointed_out():
    """A CSV file's times are texts until someone parses them."""
    spec, notes = infer_spec(table(timestamp=["2013-04-01"] * 6), model="m")
    assert spec.schema.event_time is None
    assert "timestamp has no type for times (String)" in notes["schema.event_time"]


def test_the_values_of_a_regression_are_its_score():
    """For a quantity the prediction is a number of the same kind, whatever its range."""
    spec, _ = infer_spec(
        table(prediction=[1.5, 99.0, -3.0, 4.0, 5.0, 6.0], target=[1.0, 98.5, 2.5, 0, 1, 2]), model="m"
    )
    assert (spec.task, spec.schema.score, spec.schema.decision) == ("regression", "prediction", None)


def test_what_no_model_looks_at_is_excluded():
    """A row counter and a split; what cannot be watched is said, and stays, so that a check says so too."""
    frame = pl.DataFrame(
        {
            "x": [0.5] * 200,
            "instant": range(200),
            "hour": [row % 24 for row in range(200)],
            "split": ["train", "test"] * 100,
            "tags[0]": [["a"]] * 200,
        }
    )
    for rows in (frame, frame[::2]):  # a sample counts too, if not one by one
        spec, notes = infer_spec(rows, model="m")
        assert spec.features.select(frame.columns) == ("x", "hour", "tags[0]")
        assert notes["features.exclude"].count("\n") == 1
        assert "cannot be watched (1): tags[0]" in notes["features"]


def test_an_empty_table_has_a_spec_too():
    """Nothing is known, nothing breaks."""
    for frame in (pl.DataFrame(), table().clear(), table(label=[0, 1] * 3, score=[0.5] * 6, timestamp=hours()).clear()):
        spec, notes = infer_spec(frame, model="m")
        assert parse_spec(write_spec(spec, notes)) == spec


def test_a_table_of_everything_has_a_spec_that_reads_back():
    """Types that cannot be watched and names that YAML would misread do no harm."""
    frame = table(
        **{
            "NO": ["a"] * 6,
            " ": [1] * 6,
            "a: b": [Decimal(1)] * 6,
            "nothing": [None] * 6,
            "bytes": [b"x"] * 6,
            "day": [date(2013, 4, 1)] * 6,
            "nested": [{"a": 1}] * 6,
            "object": pl.Series([object()] * 6, dtype=pl.Object),
            "label": ["NO", "yes"] * 3,
        }
    )
    spec, notes = infer_spec(frame, model="m")
    assert parse_spec(write_spec(spec, notes)) == spec


def test_a_model_needs_a_name_that_a_path_can_bear():
    """The mistake is in the call."""
    with pytest.raises(CallError, match="is not a name"):
        infer_spec(table(), model="../m")


def test_a_kind_follows_from_the_type_unless_the_operator_knows_better():
    """Never from the values: the kind must not depend on which rows are there. What cannot be watched is None."""
    frame = pl.DataFrame(
        {
            "whole": [0, 1],
            "fraction": [0.5, 1.5],
            "decimal": [Decimal("1.5"), Decimal(2)],
            "flag": [True, False],
            "word": ["a", "b"],
            "category": pl.Series(["a", "b"], dtype=pl.Categorical),
            "enum": pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])),
            "code": [1, 2],
            "time": [MONDAY, MONDAY],
            "list": [[1], [2]],
            "struct": [{"a": 1}, {"a": 2}],
            "null": [None, None],
        }
    )
    override = {"code": Override(kind="categorical"), "word": Override(unit="m"), "list": Override(kind="numeric")}
    assert column_kinds(frame, [*frame.columns, "absent"], override) == {
        "whole": "numeric",
        "fraction": "numeric",
        "decimal": "numeric",
        "flag": "boolean",
        "word": "categorical",
        "category": "categorical",
        "enum": "categorical",
        "code": "categorical",
        "time": "timestamp",
        "list": None,
        "struct": None,
        "null": None,
        "absent": None,
    }


# Its decisions follow from scores above 0.64, which has two digits.
CAR_LOAN = Schema(
    prediction_id="id",
    event_time="event_time",
    score="y_pred_proba",
    decision="y_pred",
    decision_threshold=(0.64 + 0.65) / 2,
)
PUBLIC = {
    "acs_employment_ma": Schema(prediction_id="id", score="predicted_probability", decision="prediction"),
    "adult_income": Schema(prediction_id="row_id"),
    "bike_sharing_hourly": Schema(event_time="event_time"),
    "car_loan": CAR_LOAN,
    "car_loan_dq": CAR_LOAN,
    "elec2": Schema(prediction_id="seq", event_time="event_time"),
    "hotel_bookings": Schema(prediction_id="src_row", event_time="booking_date"),
    "noaa_weather_bellevue": Schema(prediction_id="seq"),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_data_is_understood(name):
    """Real tables, named by others: the parts that they name are found and none is invented."""
    path = DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path.name} is not in {DATA.name}/: set KILLICK_DATA to the folder that has it")
    frame = pl.read_parquet(path)
    spec, notes = infer_spec(frame, model=name)
    assert spec.schema == PUBLIC[name]
    assert parse_spec(write_spec(spec, notes)) == spec
    features = [column for column in spec.features.select(frame.columns) if column not in spec.schema.columns]
    assert features
    assert None not in column_kinds(frame, features, spec.features.override).values()


def test_a_million_rows_are_looked_at_in_a_second():
    """Names first, a sample then, and in full only what is left."""
    rows = 1_000_000
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {
            "prediction_id": [f"p{row}" for row in range(rows)],
            **{f"number{i}": random.random(rows) for i in range(16)},
            **{f"word{i}": random.choice(["a", "b"], rows) for i in range(4)},
            "score": random.random(rows),
            "label": random.random(rows) > 0.5,
        }
    )
    before = process_time()
    spec, _ = infer_spec(frame, model="m")
    assert spec.schema.prediction_id == "prediction_id"
    assert process_time() - before < 1


def test_a_threshold_that_all_decisions_follow_is_found() -> None:
    """A model that decides at 0.65 is no model whose decisions do not follow from its scores."""
    scores = [at / 100 for at in range(100)]
    table = pl.DataFrame({"y_pred_proba": scores, "y_pred": [score >= 0.65 for score in scores], "y_true": [0, 1] * 50})

    spec, notes = infer_spec(table, model="loan")

    assert 0.64 <= spec.schema.decision_threshold < 0.65
    assert "schema.decision_threshold" in notes
    muddled = table.with_columns(pl.Series("y_pred", [False, *table["y_pred"][1:99], False]))
    assert infer_spec(muddled, model="loan")[0].schema.decision_threshold == 0.5


@pytest.mark.parametrize(
    "columns",
    [
        {"role": list("aabbcc")},
        {"score": [1.5, 20.0, -3.0, 4.0, 5.0, 6.0]},
        {"version": [0.5, 1.5, 2.0, 2.5, 3.0, 1.0]},
    ],
    ids=str,
)
def test_a_name_that_the_house_keeps_is_left_out_and_the_run_goes_on(columns):
    """A first check of a strange table must not end at a column's name; the notes say why it is not watched."""
    (name,) = columns
    held = pl.concat([table(**columns)] * 20)
    spec, notes = infer_spec(held, model="m")
    assert name in spec.features.exclude
    assert f"{name} is a name that the house keeps for itself" in notes["features.exclude"]
    assert check(held, held).status == "ok"
