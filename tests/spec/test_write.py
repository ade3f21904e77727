"""What is written reads back as what was meant, and reads well."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from killick.clock import DAY, HOUR, MINUTE
from killick.spec.document import (
    ACTIONS,
    DRIFT_METHODS,
    FOLDER_FORMATS,
    HIGHER_IS_BETTER,
    INCIDENT_KINDS,
    KINDS,
    METRICS,
    MODES,
    ORDERED_METHODS,
    SEVERITIES,
    TASKS,
    WAYS,
    Band,
    FalseAlarms,
    Features,
    Folder,
    Gate,
    Guardrail,
    Keep,
    Kpi,
    Label,
    Objective,
    Override,
    Playbook,
    RetrainingPolicy,
    Role,
    RolloutPolicy,
    Schema,
    Spec,
    Value,
    VersionSource,
)
from killick.spec.load import parse_spec, sealed
from killick.spec.write import write_spec

DESIGN = Path(__file__).with_name("design.yaml").read_text(encoding="utf-8")

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip) | st.sampled_from(
    [
        "NO",
        "yes",
        "null",
        "~",
        "1",
        "1.5",
        "1e5",
        "0x1F",
        ".inf",
        "2013-04-01",
        "- a",
        "a: b",
        "# c",
        "*",
        "28d",
        "...",
        "<<",
    ]
)
durations = st.integers(1, 400 * DAY) | st.sampled_from([HOUR, DAY, 36 * HOUR])
# Each fits into all that are wider.
widths = st.sampled_from([DAY, 12 * HOUR, 6 * HOUR, 3 * HOUR, HOUR, 30 * MINUTE, 15 * MINUTE, MINUTE, MINUTE // 3_000])
numbers = st.floats(-1e12, 1e12).map(lambda number: number + 0.0)
fractions = st.floats(1e-9, 0.999)
growing = st.lists(numbers, min_size=1, max_size=4, unique=True).map(lambda values: tuple(sorted(values)))


def several(values, **bounds):
    """Return tuples of the values."""
    return st.lists(values, max_size=3, **bounds).map(tuple)


@st.composite
def schemas(draw, has_classes=False):
    """Return schemas in which every column plays one part."""
    columns = iter(draw(st.lists(texts, min_size=15, max_size=15, unique=True)))
    parts = ("prediction_id", "event_time", "entity_id", "score", "decision", "version", "latency", "status")
    chosen = {part: next(columns) for part in parts if draw(st.booleans())}
    label = Label(
        next(columns),
        draw(st.sampled_from([None, next(columns)])),
        draw(st.just(0) | durations),
        draw(st.none() | texts | st.integers() | st.booleans()),
    )
    ways = st.sampled_from([None, *WAYS])
    kpis = tuple(Kpi(next(columns), draw(st.none() | texts), draw(ways)) for _ in range(draw(st.integers(0, 2))))
    classes = draw(st.lists(texts, max_size=3, unique=True)) if has_classes and "score" not in chosen else ()
    return Schema(
        **chosen,
        scores={each: next(columns) for each in classes},
        decision_threshold=draw(numbers),
        label=draw(st.sampled_from([None, label])),
        kpis=kpis,
        time_zone=draw(st.sampled_from(["UTC", "America/New_York", "Etc/GMT+5"])),
    )


@st.composite
def objectives(draw):
    """Return objectives that ask for what is better."""
    sli = draw(st.sampled_from(METRICS))
    key = "at_least" if sli in HIGHER_IS_BETTER else "at_most"
    return Objective(
        draw(names),
        sli,
        window=draw(st.integers(DAY, 60 * DAY)),
        severity=draw(st.sampled_from(SEVERITIES)),
        runbook=draw(st.none() | texts),
        **{key: draw(st.floats(0, 1).map(lambda level: level + 0.0))},
    )


@st.composite
def bands(draw):
    """Return bands whose names cannot be taken for each other's columns."""
    column = f"{draw(names)}-column"
    if draw(st.booleans()):
        return Band(column, column)
    return Band(f"{column}{draw(names)}-band", column, draw(growing))


def crossings():
    """Return segments without repetitions."""
    crossing = st.lists(bands(), min_size=1, max_size=2, unique_by=lambda band: band.column).map(tuple)
    return st.lists(crossing, max_size=3, unique=True).filter(_bands_agree).map(tuple)


def _bands_agree(segments):
    defined = [band for crossing in segments for band in crossing]
    return len({band.name for band in defined}) == len(set(defined))


def overrides():
    """Return overrides, a range only where it means something."""
    ranges = st.none() | st.lists(numbers, min_size=2, max_size=2, unique=True).map(lambda pair: tuple(sorted(pair)))
    methods = st.none() | st.sampled_from(DRIFT_METHODS)
    kinds = st.sampled_from([None, "numeric"])
    numeric = st.builds(Override, kind=kinds, unit=st.none() | texts, range=ranges, drift=methods)
    other = st.builds(Override, kind=st.sampled_from(KINDS), unit=st.none() | texts, drift=st.sampled_from(UNORDERED))
    return st.dictionaries(names.map("feature-{}".format), numeric | other, max_size=3)


rollouts = st.builds(
    RolloutPolicy,
    steps=st.lists(fractions, min_size=1, max_size=3, unique=True).map(lambda steps: (*sorted(steps), 1.0)),
    hold=st.integers(1, 28 * DAY),
    guardrails=st.builds(Guardrail, st.just("error_rate"), fractions).map(lambda rail: (rail,)),
    patience=st.integers(28 * DAY, 90 * DAY),
)
retrainings = st.builds(
    RetrainingPolicy,
    run=several(texts, min_size=1),
    rows=durations,
    holdout=durations,
    gate=st.builds(Gate, st.just("log_loss"), fractions),
    cooldown=durations,
    timeout=durations,
)
UNORDERED = [None, *(method for method in DRIFT_METHODS if method not in ORDERED_METHODS)]
drifts = st.dictionaries(st.sampled_from(KINDS), st.sampled_from(UNORDERED[1:])) | st.just({"numeric": "wasserstein"})
OTHERS = {
    "features": st.builds(Features, include=several(texts).map(lambda more: ("*", *more)), override=overrides()),
    "owner": st.none() | texts,
    "segments": crossings(),
    "reference": st.none() | texts,
    "value": st.none() | st.builds(Value, texts, numbers, numbers, numbers, numbers),
    "false_alarms": st.builds(FalseAlarms, names, st.floats(1e-3, 1e6), durations),
    "keep": st.builds(Keep, widths, widths, st.integers(1, 4000)),
    "evaluate_every": widths,
    "objectives": several(objectives(), unique_by=lambda objective: objective.name),
    "versions": several(
        st.builds(
            VersionSource,
            names,
            st.sampled_from(["delays:load_v1", "a.b:C.load"]),
            st.sampled_from([None, *(role for role in get_args(Role) if role not in {"live", "fallback"})]),
            st.none() | texts,
            st.dictionaries(st.sampled_from(METRICS), st.floats(0, 1).map(lambda level: level + 0.0)),
        ),
        unique_by=lambda version: version.name,
    ),
    "changes": st.none() | texts,
    "folders": several(
        st.sampled_from([(file, kind) for file, kinds in FOLDER_FORMATS.items() for kind in kinds]).flatmap(
            lambda drawn: st.builds(Folder, names, st.just(drawn[0]), st.just(drawn[1]))
        ),
        unique_by=lambda folder: folder.path,
    ),
    "rollout": rollouts,
    "playbooks": several(
        st.builds(
            Playbook,
            st.sampled_from(INCIDENT_KINDS),
            st.lists(st.sampled_from(ACTIONS), min_size=1, unique=True).map(tuple),
            st.sampled_from(MODES),
        ),
        unique_by=lambda playbook: playbook.when,
    ),
    "retraining": retrainings,
    "drift": drifts,
}
tasks = st.sampled_from(TASKS).flatmap(lambda task: st.tuples(st.just(task), schemas(task == "multiclass")))
specs = tasks.flatmap(
    lambda drawn: st.builds(
        Spec,
        model=names,
        task=st.just(drawn[0]),
        schema=st.just(drawn[1]),
        **OTHERS,
    )
)
notes = st.dictionaries(
    st.sampled_from(
        ["", "schema", "schema.label", "schema.nothing", "rollout.steps[0]", "objectives[0].sli", "x.y[3].z"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=150),
)


@given(specs, notes)
def test_what_is_written_reads_back_as_the_equal_spec(spec, notes):
    """The round trip, whatever columns are called and whatever the comments say."""
    assert parse_spec(write_spec(spec, notes)) == sealed(spec)


def test_the_spec_of_the_design_survives_the_round_trip():
    """All that is acted on; what is not yet (shadow, latency) counts in the fingerprint alone."""
    spec = parse_spec(DESIGN)
    assert parse_spec(write_spec(spec, {})) == sealed(spec)
    assert replace(sealed(spec), fingerprint=spec.fingerprint) == spec


def test_a_spec_is_written_as_one_would_write_it():
    """Sections apart, what is short on one line, shares and margins as people say them, comments above their keys."""
    spec = Spec(
        model="churn",
        task="binary",
        schema=Schema(score="p", label=Label("left", delay=DAY)),
        segments=((Band("NO", "NO"),), (Band("haul", "distance", (500.0, 1500.0)),)),
        rollout=RolloutPolicy(steps=(0.01, 1.0), guardrails=(Guardrail("error_rate", 0.002),)),
    )
    told = {"": "Written by killick init.", "schema.label": "chosen by its name", "schema.decision": "none found"}
    assert (
        write_spec(spec, told)
        == """\
# Written by killick init.
killick: 1
model: churn
task: binary

# Which column plays which part. The other columns are the features.
# decision: none found
schema:
  score: p
  # chosen by its name
  label: {column: left, delay: 1d}

# How rows are grouped. Each group is judged for itself.
segments: ["NO", {haul: {column: distance, bins: [500, 1500]}}]

# How a version goes out.
rollout:
  steps: [1%, 100%]
  guardrails: {error_rate: {worse_by: 0.2pp}}
"""
    )


def test_no_note_is_lost():
    """A note about what is not written stands above what is nearest, with its path."""
    text = write_spec(Spec("m", "binary", Schema()), {"segments": "few", "schema.label.known_at": "none", "": "hello"})
    assert "# hello\n" in text
    assert "# segments: few\n" in text
    assert "# label.known_at: none\n" in text
