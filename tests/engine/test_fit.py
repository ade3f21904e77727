"""What is learned before anything is counted: what is watched and as what, and what cannot be learned from."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import killick
from killick.engine.check import learn
from killick.engine.fit import learn_fit
from killick.engine.table_profile import measure_source
from killick.errors import DataError, Mistaken
from killick.ports.tables import FrameSource
from killick.spec.load import parse_spec

ROWS = 600
KINDS = {"x": "numeric", "kind": "categorical", "s": "numeric", "y": "categorical"}


def spec_of(lines: str = "schema: {}", task: str = "binary") -> killick.Spec:
    """A spec of a few lines."""
    return parse_spec(f"killick: 1\nmodel: m\ntask: {task}\n{lines}\n")


def rows(seed: int = 0) -> pl.DataFrame:
    """A score, a label and a few features."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "x": rng.normal(size=ROWS),
            "kind": rng.choice(["a", "b"], ROWS),
            "s": rng.uniform(size=ROWS),
            "y": rng.integers(0, 2, ROWS),
            "box": [{"a": 1}] * ROWS,
        }
    )


def test_score_and_label_are_watched_under_the_operators_names() -> None:
    """Inside they are called otherwise, and nobody outside learns how; what cannot be watched has no kind."""
    fit = learn_fit(rows(), spec_of("schema: {score: s, label: y}"))

    assert {fit.named(one.column): one.kind for one in fit.watched} == KINDS
    assert fit.columns["box"].kind is None


def test_a_method_may_be_chosen_by_kind_and_by_column() -> None:
    """The column's own goes before its kind's, and that before the default."""
    chosen = "schema: {}\ndrift: {numeric: ks}\nfeatures: {override: {s: {drift: wasserstein}}}"
    fit = learn_fit(rows().select("x", "s", "kind"), spec_of(chosen))

    assert {one.column: one.method for one in fit.watched} == {
        "x": "kolmogorov_smirnov",
        "s": "wasserstein",
        "kind": "psi",
    }


@pytest.mark.parametrize("method", ["ks", "wasserstein"])
def test_a_method_for_numbers_leaves_labels_alone(method: str) -> None:
    """Labels are often written 0 and 1, and are classes all the same: they have no order, and nothing is refused."""
    spec = spec_of(f"schema: {{score: s, label: y}}\ndrift: {{numeric: {method}}}")

    report = killick.check(rows(1).drop("box"), rows().drop("box"), spec)

    drifts = {v.column: v.metric for v in report.verdicts if v.check == "drift.univariate"}
    assert drifts["y"] == "psi"
    assert drifts["x"] == drifts["s"] != "psi"
    assert report.status == "ok"


@pytest.mark.parametrize("change", ["rows", "spec", "width", "census"])
def test_a_fingerprint_tells_every_other_fit(change: str) -> None:
    """Other rows, another spec, other windows and another census are another fit; the same are the same."""
    spec = spec_of("schema: {score: s}")
    other = {
        "rows": lambda: learn_fit(rows(1), spec),
        "spec": lambda: learn_fit(rows(), spec_of("schema: {score: s}\nsegments: [kind]")),
        "width": lambda: learn_fit(rows(), spec, width=1_000_000),
        "census": lambda: learn_fit(rows(), spec, census=False),
    }[change]()

    assert other.fingerprint != learn_fit(rows(), spec).fingerprint
    assert learn_fit(rows(), spec).fingerprint == learn_fit(rows(), spec).fingerprint


CANNOT = {
    "no rows": (rows().head(0), spec_of(), "reference: holds no rows"),
    "a segment that is not there": (rows(), spec_of("schema: {}\nsegments: [town]"), "reference.town: is missing"),
    "nothing to compare": (rows().select("box"), spec_of(), "holds no column that can be compared"),
    "a kind that it is not": (
        rows(),
        spec_of("schema: {}\nfeatures: {override: {kind: {kind: embedding}}}"),
        "kind",
    ),
    "labels that are neither": (rows().with_columns(y=pl.lit("maybe")), spec_of("schema: {label: y}"), "y"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_learned_from_is_refused_in_words(name: str) -> None:
    """Each refusal says where, and what to do."""
    table, spec, words = CANNOT[name]
    with pytest.raises(Mistaken, match=words):
        learn_fit(table, spec)


def test_every_mistake_of_segments_is_told_at_once() -> None:
    """Whoever has two columns to rename learns of both."""
    with pytest.raises(DataError) as refused:
        learn_fit(rows(), spec_of("schema: {}\nsegments: [town, [kind, street]]"))
    assert [mistake.place for mistake in refused.value.mistakes] == ["reference.town", "reference.street"]


@pytest.mark.parametrize("gone", ["absent", "null"])
def test_labels_are_measured_though_the_reference_has_none(gone: str) -> None:
    """A model in its first week: the reference has no labels, and what came meanwhile is measured all the same."""
    bare = rows().drop("y", "box") if gone == "absent" else rows().drop("box").with_columns(y=None)
    known = learn(FrameSource(bare, name="reference"), spec_of("schema: {score: s, label: y}"))

    profile = measure_source(FrameSource(rows(1).drop("box"), name="current"), known.fit)

    assert profile.by_segment[()].counts_of(known.fit.scale.outcome.column).sum() > 0


def test_pandas_floats_for_whole_numbers_are_no_other_type() -> None:
    """One null turns a pandas column of whole numbers into floats: nothing changed but that."""
    whole = pl.DataFrame({"n": np.arange(ROWS) % 7, "x": rows()["x"]})
    floats = whole.with_columns(pl.col("n").cast(pl.Float64))

    report = killick.check(floats, reference=whole)

    assert report.status == "ok"
    assert not [v for v in report.verdicts if v.check == "quality.type" and v.status != "ok"]
