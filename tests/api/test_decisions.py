"""Decisions as people record them: read by what is known of them, and never guessed; nothing compared is never ok."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import killick
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from pathlib import Path

    from killick import Spec
    from killick.checks.verdict import Verdict

ROWS = 2_000
OF_DECISIONS = ("error_rate", "accuracy", "f1", "precision", "recall")


def spec_of(schema: str, more: str = "") -> Spec:
    """A spec of a few lines."""
    return parse_spec(f"killick: 1\nmodel: m\ntask: binary\nschema: {{{schema}}}\n{more}\n")


SPEC = spec_of("score: s, decision: d, label: y")


def rows(seed: int, words: tuple[object, object], *, flipped: bool = False) -> pl.DataFrame:
    """A model that decides by its score, for the first word above one half; or against it."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(size=ROWS)
    positive = (score > 0.5) != flipped
    decisions = pl.Series([words[0] if yes else words[1] for yes in positive])
    return pl.DataFrame({"x": rng.normal(size=ROWS), "s": score, "d": decisions, "y": rng.uniform(size=ROWS) < score})


def measured(current: pl.DataFrame, reference: pl.DataFrame, spec: Spec = SPEC) -> dict[str, Verdict]:
    """The verdicts about the model on everything, by metric."""
    asked = ("performance.realised", "quality.output")
    return {v.metric: v for v in killick.check(current, reference, spec).verdicts if v.check in asked and not v.segment}


@pytest.mark.parametrize(
    "words",
    [("approve", "reject"), ("YES", "no"), (True, False), (1, 0), (1, -1), ("go", "stop"), (2, 1)],
    ids=str,
)
def test_flipped_decisions_are_found_however_they_are_written(words: tuple[object, object]) -> None:
    """By their word, or since their scores are higher in the reference; the threshold is never asked instead."""
    before = rows(1, words)
    assert {measured(rows(2, words), before)[name].status for name in OF_DECISIONS} == {"ok"}
    flipped = measured(rows(2, words, flipped=True), before)
    truth = rows(2, words, flipped=True)
    wrong = float(((truth["s"] <= 0.5) != truth["y"]).mean())
    assert (flipped["error_rate"].status, flipped["error_rate"].value) == ("fail", pytest.approx(wrong))
    assert flipped["decision_mismatch_rate"].value == 1.0


def test_the_labels_word_is_the_decisions() -> None:
    """Whoever says that `no` is positive means it of both."""
    spec = spec_of("score: s, decision: d, label: {column: y, positive: no}")
    now, before = (
        rows(seed, ("no", "yes")).with_columns(y=pl.when("y").then(pl.lit("no")).otherwise(pl.lit("yes")))
        for seed in (2, 1)
    )
    found = measured(now, before, spec)
    assert found["decision_mismatch_rate"].value == 0.0
    assert found["error_rate"].value == pytest.approx(float((now["d"] != now["y"]).mean()))


@pytest.mark.parametrize("scored", [True, False])
def test_decisions_that_nobody_can_read_are_inconclusive(scored: bool) -> None:
    """Words without a meaning, with scores that have nothing to do with them or without any: nothing is recomputed."""
    rng = np.random.default_rng(3)
    before, now = (
        rows(seed, ("left", "right")).with_columns(d=pl.Series(rng.choice(["left", "right"], ROWS))) for seed in (1, 2)
    )
    spec = SPEC if scored else spec_of("decision: d, label: y")
    found = measured(now, before, spec)
    assert {found[name].status for name in OF_DECISIONS} == {"inconclusive"}
    assert {found[name].value for name in OF_DECISIONS} == {None}
    assert all("not known which decision is positive" in found[name].reason for name in OF_DECISIONS)
    if scored:
        assert found["log_loss"].status == "ok"
        mismatch = found["decision_mismatch_rate"]
        assert (mismatch.status, mismatch.value) == ("inconclusive", None)
        assert "not known which decision is positive" in mismatch.reason


def test_a_saved_fit_reads_decisions_as_it_did(tmp_path: Path) -> None:
    """What was learned from the scores is in the file."""
    path = tmp_path / "reference.killick"
    killick.Reference.fit(rows(1, ("go", "stop")), SPEC).save(path)
    verdicts = killick.Reference.load(path).check(rows(2, ("go", "stop"), flipped=True))
    assert {v.value for v in verdicts if v.metric == "decision_mismatch_rate"} == {1.0}


@pytest.mark.parametrize("score", ["none", "text"])
def test_labels_beside_no_score_are_said_to_be_there(score: str) -> None:
    """Not that there are none."""
    spec = spec_of("score: s, label: y")
    now = rows(2, (True, False)).drop("d")
    now = now.drop("s") if score == "none" else now.with_columns(pl.col("s").cast(pl.String) + " %")
    found = measured(now, rows(1, (True, False)).drop("d"), spec)
    assert found["log_loss"].status == "inconclusive"
    assert found["log_loss"].reason.startswith(f"no usable score beside {ROWS} labels")


def test_what_is_compared_with_nothing_is_inconclusive() -> None:
    """No label in the reference, no declared number, no objective: measured, and not judged; an objective judges it."""
    before = rows(1, (True, False)).drop("y")
    found = measured(rows(2, (True, False)), before)
    assert {v.status for v in found.values() if v.check == "performance.realised"} == {"inconclusive"}
    assert found["roc_auc"].value is not None
    assert "nothing to compare it with" in found["roc_auc"].reason
    promised = spec_of(
        "score: s, decision: d, label: y",
        "objectives:\n- {name: useful, sli: roc_auc, at_least: 0.6, window: 1d}",
    )
    assert measured(rows(2, (True, False)), before, promised)["roc_auc"].status == "ok"
