"""What an operator writes is understood, alone and with what it extends."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.clock import DAY, HOUR, MINUTE
from killick.errors import Mistake, SpecError
from killick.spec.document import (
    DRIFT_ALIASES,
    DRIFT_METHODS,
    ORDERED_METHODS,
    Band,
    Folder,
    Gate,
    Guardrail,
    Label,
    Override,
)
from killick.spec.load import extends_of, parse_spec, unheeded

DESIGN = Path(__file__).with_name("design.yaml").read_text(encoding="utf-8")
HEAD = "killick: 1\nmodel: churn\ntask: binary\nschema: {prediction_id: id, score: p, label: left}\n"


def mistakes(text: str, **parents: str) -> tuple[Mistake, ...]:
    """Return what is refused in a text; there must be something."""
    with pytest.raises(SpecError) as caught:
        parse_spec(text, parents={f"{name}.yaml": parent for name, parent in parents.items()})
    return caught.value.mistakes


def attempt(text: str) -> tuple[Mistake, ...]:
    """Return what is refused in a text, if anything."""
    try:
        parse_spec(text)
    except SpecError as error:
        return error.mistakes or pytest.fail("an error without a mistake")
    return ()


def test_the_spec_of_the_design_is_read_without_mistakes():
    """DESIGN 5.5 is the grammar by example: each of its values arrives."""
    spec = parse_spec(DESIGN)
    assert (spec.model, spec.task, spec.owner, spec.reference) == (
        "flight-delay",
        "binary",
        "ml-platform",
        "train.parquet",
    )
    assert spec.schema.label == Label("delayed", "arrived_at", DAY)
    assert spec.features.override == {"temp": Override(unit="degF", range=(-40.0, 130.0))}
    assert spec.segments[2] == (Band("haul", "distance", (500.0, 1500.0)),)
    assert spec.segments[3] == (Band("origin", "origin"), Band("carrier", "carrier"))
    assert (spec.keep.signals, spec.keep.columns, spec.keep.days) == (MINUTE, HOUR, 90)
    assert spec.evaluate_every == HOUR
    assert spec.objectives[0].window == 28 * DAY
    assert [version.role for version in spec.versions] == [None, "fallback"]
    assert spec.rollout.steps == (0.01, 0.05, 0.25, 1.0)
    assert spec.rollout.guardrails == (Guardrail("error_rate", 0.002),)
    assert spec.playbooks[1].do == ("fallback", "page")
    assert spec.retraining is not None
    assert (spec.retraining.run, spec.retraining.rows) == (("python", "train.py"), 90 * DAY)
    assert spec.retraining.gate == Gate("log_loss")


def test_a_folder_holds_what_its_format_can():
    """Ground truth is outcomes without being told; of a table the operator says it where it is not predictions."""
    written = "folders: [{path: a, format: sagemaker-ground-truth}, {path: b, format: csv}, "
    spec = parse_spec(HEAD + written + "{path: c, format: csv, kind: outcomes}]")
    assert spec.folders == (
        Folder("a", "sagemaker-ground-truth", "outcomes"),
        Folder("b", "csv"),
        Folder("c", "csv", "outcomes"),
    )


def test_what_is_accepted_but_not_acted_on_yet_is_said():
    """Nobody should believe that latency or log loss guards a canary while no judge looks at it."""
    said = [(note.place, note.line) for note in unheeded(DESIGN)]
    assert said == [
        ("rollout.shadow", 29),
        ("rollout.guardrails.latency", 31),
        ("rollout.guardrails.log_loss", 31),
    ]
    assert "not acted on yet" in str(unheeded(DESIGN)[0])
    assert unheeded(HEAD) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("owner: a\nchanges: b", "# who\nchanges: b   # what\nowner: 'a'"),
        ("rollout: {steps: [1%, 100%]}", "rollout:\n  steps:\n    - 0.01\n    - 1"),
        ("evaluate_every: 1d", ""),
        ("reference: {data: a.csv}", "reference: a.csv"),
        ("schema: {label: {column: left}}", ""),
        ("value: {unit: USD, false_positive: -0.0}", "value: {unit: USD}"),
        ("rollout: {shadow: 1d}", "rollout: {shadow: 24h}"),
    ],
)
def test_the_fingerprint_is_of_what_is_meant(one, other):
    """Comments, order, spelling and defaults that are written out do not change it."""
    head = "killick: 1\nmodel: churn\ntask: binary\n"
    schema = "schema: {label: left}\n"
    texts = [head + text if text.startswith("schema") else head + schema + text for text in (one, other)]
    first, second = (parse_spec(text) for text in texts)
    assert first == second
    assert len(first.fingerprint) == 64


@pytest.mark.parametrize("text", ["owner: a", "rollout: {shadow: 1d}", "keep: {days: 91}"])
def test_another_meaning_has_another_fingerprint(text):
    """Also what nothing acts on yet counts: whoever edits it has changed the spec."""
    assert parse_spec(HEAD + text).fingerprint != parse_spec(HEAD).fingerprint


def test_norway_is_a_country():
    """`NO`, `on` and dates are texts (YAML 1.2), also under a directive that asks for YAML 1.1."""
    assert parse_spec(HEAD + "owner: NO").owner == "NO"
    assert parse_spec("%YAML 1.1\n---\n" + HEAD + "owner: NO").owner == "NO"
    assert parse_spec(HEAD + "reference: 2013-04-01").reference == "2013-04-01"


def test_anchors_may_be_used_for_what_is_alike():
    """Aliases are bounded, not forbidden."""
    text = "versions:\n  - {name: a, loader: &l 'm:f'}\n  - {name: b, loader: *l}"
    assert [version.loader for version in parse_spec(HEAD + text).versions] == ["m:f", "m:f"]


def test_every_task_is_in_the_grammar():
    """What the checks of today can judge is not the grammar's affair."""
    for task in ("binary", "multiclass", "regression"):
        assert parse_spec(HEAD.replace("binary", task)).task == task


def test_a_crossing_may_name_a_band_that_is_defined_beside_it():
    """`haul` in a crossing is the band of distances, wherever it is defined, and not a column."""
    spec = parse_spec(HEAD + "segments: [[haul, origin], {haul: {column: distance, bins: [500]}}]")
    assert spec.segments[0] == (Band("haul", "distance", (500.0,)), Band("origin", "origin"))


def test_a_model_may_be_watched_by_what_it_must_not_look_at():
    """A column that is excluded by name is known, and so may be a segment."""
    spec = parse_spec(HEAD + "features: {include: [age_band], exclude: [sex]}\nsegments: [sex]")
    assert spec.segments == ((Band("sex", "sex"),),)


def test_a_spec_extends_its_team_deeply_and_its_own_word_is_the_last():
    """Mappings merge, lists and scalars are replaced, null takes back."""
    team = "extends: company.yaml\nowner: team\nvalue: {unit: USD, false_positive: -5}\nkeep: {days: 30}\n"
    company = "killick: 1\ntask: regression\nchanges: all.jsonl\nkeep: {days: 7, signals: 1m}\n"
    text = "extends: team.yaml\nmodel: churn\ntask: binary\nschema: {}\nchanges:\nvalue: {false_positive: -6}\n"
    assert extends_of(text) == "team.yaml"
    assert extends_of(team) == "company.yaml"
    spec = parse_spec(text, parents={"team.yaml": team, "company.yaml": company})
    assert (spec.owner, spec.task, spec.changes) == ("team", "binary", None)
    assert spec.value is not None
    assert (spec.value.unit, spec.value.false_positive) == ("USD", -6.0)
    assert (spec.keep.days, spec.keep.signals) == (30, MINUTE)
    alone = HEAD.replace("{prediction_id: id, score: p, label: left}", "{}") + (
        "owner: team\nvalue: {unit: USD, false_positive: -6}\nkeep: {days: 30, signals: 1m}"
    )
    assert spec == parse_spec(alone)


def test_a_parents_mistake_names_the_parents_file_and_line():
    """Otherwise one would look for line 2 in the wrong file."""
    (mistake,) = mistakes(HEAD + "extends: team.yaml", team="# ours\nkeep: {days: many}\n")
    assert str(mistake).startswith("line 2, keep.days (team.yaml): must be a whole number above zero (found 'many')")
    (mistake,) = mistakes(HEAD + "extends: team.yaml", team="keep: [")
    assert mistake.place == "team.yaml"


def test_a_parent_that_cannot_be_followed_is_a_mistake():
    """It is not there, it is a circle, it is no name, it never ends."""
    assert mistakes(HEAD + "extends: tem.yaml", team="owner: a")[0].hint == "did you mean 'team.yaml'?"
    assert mistakes(HEAD + "extends: [team.yaml]")[0].problem == "must be a text"
    assert mistakes(HEAD + "extends: team.yaml", team="extends: killick.yaml")[0].problem == "goes round in a circle"
    endless = {f"p{i}": f"extends: p{i + 1}.yaml" for i in range(20)}
    assert "parents" in mistakes(HEAD + "extends: p0.yaml", **endless)[0].problem


@pytest.mark.parametrize("text", ["", "a: [", "- a", HEAD, "extends: [a]", "extends:"])
def test_a_document_without_a_parent_extends_nothing(text):
    """Also when it cannot be read: that is for `parse_spec` to say."""
    assert extends_of(text) is None


@given(st.text(max_size=60), st.sampled_from(["", HEAD, DESIGN]))
def test_no_text_raises_anything_but_a_spec_error(text, before):
    """Whatever is typed, or pasted by accident, is either a spec or answered with mistakes."""
    found = attempt(before + text)
    assert all(mistake.place and mistake.problem for mistake in found)


@given(st.data())
def test_a_line_that_is_lost_or_doubled_never_breaks_the_reader(data):
    """A slip of the editor in a good spec is a mistake or another good spec, never a crash."""
    lines = DESIGN.splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    times = data.draw(st.sampled_from([0, 2]))
    found = attempt("\n".join([*lines[:at], *[lines[at]] * times, *lines[at + 1 :]]))
    assert all(mistake.place and mistake.line for mistake in found)


def test_drift_methods_go_by_the_names_of_other_libraries():
    """For each kind, or for one column; the spec keeps one word for each."""
    spec = parse_spec(
        "{killick: 1, model: m, task: binary, schema: {}, drift: {numeric: emd, categorical: chi2, text: js},"
        " features: {override: {temp: {drift: ks}}}}"
    )
    assert spec.drift == {"numeric": "wasserstein", "categorical": "chi_square", "text": "jensen_shannon"}
    assert spec.features.override["temp"].drift == "kolmogorov_smirnov"
    assert {*DRIFT_ALIASES.values(), *ORDERED_METHODS} <= set(DRIFT_METHODS)


def test_a_multiclass_model_has_a_score_for_each_class():
    """None of the columns is a feature; one column alone is still the score."""
    head = "killick: 1\nmodel: m\ntask: multiclass\n"
    schema = parse_spec(head + "schema: {score: {setosa: p_s, 1: p_1}}").schema
    assert (schema.score, schema.scores) == (None, {"setosa": "p_s", "1": "p_1"})
    assert schema.columns == {"p_s", "p_1"}
    assert parse_spec(head + "schema: {score: p}").schema.scores == {}


def test_a_version_says_what_it_reached_when_it_was_made():
    """By the names of the metrics, as a number or a percentage."""
    spec = parse_spec(
        "{killick: 1, model: m, task: binary, schema: {},"
        " versions: [{name: v1, loader: 'a:b', metrics: {roc_auc: 74%, log_loss: 1.2}}]}"
    )
    assert spec.versions[0].metrics == {"roc_auc": 0.74, "log_loss": 1.2}


def test_a_misspelt_key_is_one_mistake():
    """What it should have been is not missing as well, and what stands under it is not told."""
    (one,) = mistakes("killick: 1\nmodel: churn\ntask: binary\nschemas: {scor: p, nested: {odd: key}}\n")
    assert str(one) == "line 4, schemas: is not known; did you mean 'schema'?"
    (other,) = mistakes(HEAD + "versions: [{nam: v1, loader: 'a:b'}]\n")
    assert str(other).startswith("line 5, versions[0].nam: is not known (found 'v1'); did you mean 'name'?")


@pytest.mark.parametrize(
    ("task", "score", "said"),
    [
        ("binary", "{a: p_a}", "schema.score: has a column for each class, and the task is binary"),
        ("multiclass", "{}", "schema.score: names no class"),
        ("multiclass", "{a: p_a, b: p_a}", "schema.score.b: is schema.score.a already (found 'p_a')"),
        ("multiclass", "{a: 3}", "schema.score.a: must be a text (found 3)"),
        ("multiclass", "{a: id}", "schema.score.a: is schema.prediction_id already"),
    ],
)
def test_the_scores_of_classes_are_checked(task, score, said):
    """One column for each class, each with that part alone, and only where there are classes."""
    (one,) = mistakes(f"killick: 1\nmodel: m\ntask: {task}\nschema: {{prediction_id: id, score: {score}}}\n")
    assert str(one).startswith(f"line 4, {said}")
