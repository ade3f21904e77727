"""Scores and outcomes: scikit-learn is the witness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.checks.performance import measure
from killick.profiles.kpis import KpiScale
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import ClassOutcome
from killick.profiles.outcomes_values import ValueOutcome
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.profiles.scale import Scale
from killick.profiles.scores import SCORE_BINS, ScoreScale, log_losses, score_bins
from killick.stats.ranking import roc_auc

if TYPE_CHECKING:
    from killick.profiles.outcomes import OutcomeScale

SCALE = Scale((ScoreScale("score"),), BinaryOutcome("label", 0.5))
BELOW_ONE = np.nextafter(1.0, 0.0)


def outcomes(scores: object, labels: object, scale: Scale = SCALE, decisions: object = None) -> Profile:
    """Profile scores, labels and, where they are given, decisions."""
    taken = pl.Series(scores, dtype=pl.Float64)
    held = Outcomes(
        labels=pl.Series(labels), scores=taken, decisions=None if decisions is None else pl.Series(decisions)
    )
    return profile_outcomes(scale, held, np.zeros(len(taken), np.int64), 1)[0]


def scored(values: list[float | None]) -> Profile:
    """Profile scores."""
    table = pl.DataFrame({"score": pl.Series(values, dtype=pl.Float64)})
    return profile_rows(SCALE, table, np.zeros(table.height, np.int64), 1)[0]


@pytest.mark.parametrize(
    ("score", "cell"),
    [
        (0.0, 0),
        (-0.0, 0),
        (5e-324, 0),
        (1.0, 99),
        (BELOW_ONE, 99),
        (0.3, 30),
        (np.nextafter(0.3, 0.0), 29),
        (0.29, 29),
        (0.57, 57),
        (0.58, 58),
        (0.99, 99),
        (np.nextafter(0.99, 0.0), 98),
        (-5e-324, SCORE_BINS),
        (np.nextafter(1.0, 2.0), SCORE_BINS),
        (float("inf"), SCORE_BINS),
        (float("-inf"), SCORE_BINS),
        (float("nan"), SCORE_BINS + 1),
        (None, SCORE_BINS + 1),
    ],
)
def test_a_score_falls_into_the_bin_that_its_label_names(score: float | None, cell: int) -> None:
    """0, 1, edges and their neighbours one ulp away; what is no probability is apart."""
    counts = scored([score]).counts_of("score")
    assert counts.sum() == 1
    assert counts.argmax() == cell


def test_every_edge_is_the_first_of_its_own_bin() -> None:
    """For all hundred, though `0.29 * 100` is below 29."""
    edges = np.arange(SCORE_BINS) / SCORE_BINS
    assert score_bins(edges, np.full(100, fill_value=True)).tolist() == list(range(100))
    below = np.nextafter(edges[1:], 0)
    assert score_bins(below, np.full(99, fill_value=True)).tolist() == list(range(99))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_log_loss_and_error_rate_are_exact(rows: list[tuple[float, int]]) -> None:
    """Equal to scikit-learn's, certain mistakes included."""
    from sklearn.metrics import log_loss, zero_one_loss

    scores, labels = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    made = outcomes(scores, labels)
    assert measure(made, "log_loss").value == pytest.approx(
        log_loss(labels, scores, labels=[0, 1]), rel=1e-9, abs=1e-12
    )
    assert measure(made, "error_rate").value == pytest.approx(zero_one_loss(labels, scores > 0.5), abs=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_confusion_is_exact(threshold: float) -> None:
    """Above the threshold is positive, at it is not; in scikit-learn's order TN, FN, FP, TP by columns."""
    from sklearn.metrics import confusion_matrix

    rng = np.random.default_rng(3)
    scores = np.round(rng.random(2000), 1)
    labels = (rng.random(2000) < scores).astype(int)
    scale = Scale((), BinaryOutcome("label", threshold))
    counts = outcomes(scores, labels, scale).counts_of("label")[2 * SCORE_BINS :]
    assert counts.tolist() == confusion_matrix(labels, scores > threshold, labels=[0, 1]).ravel(order="F").tolist()


@given(st.integers(0, 2**32 - 1), st.integers(2, 300), st.sampled_from([0.01, 0.2, 1.0]))
def test_auc_is_within_its_stated_error(seed: int, rows: int, width: float) -> None:
    """Binning hides at most half of the pairs that share a bin, however crowded the bins are."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    scores = 0.4 + width * rng.random(rows) * 0.59
    labels = rng.integers(0, 2, rows)
    labels[:2] = 0, 1
    counts = outcomes(scores, labels).counts_of("label")
    p, n = counts[SCORE_BINS : 2 * SCORE_BINS], counts[:SCORE_BINS]
    hidden = 0.5 * (p * n).sum() / (p.sum() * n.sum())
    assert abs(float(roc_auc(p, n).value) - roc_auc_score(labels, scores)) <= hidden + 1e-12


def test_rows_without_a_usable_score_count_nothing() -> None:
    """A label alone says nothing about a prediction."""
    made = outcomes([float("nan"), 2.0, -1.0, 0.7], [1, 1, 0, 1])
    assert made.counts_of("label").sum() == 2  # one score bin, one cell of the confusion
    assert made.rows == 0  # to be added to the prediction's own profile, which has counted the row


def test_recorded_decisions_stand_before_the_threshold() -> None:
    """An operator may overrule the score; a row without a decision is in no cell of the confusion, yet has a loss."""
    made = outcomes([0.9, 0.9, 0.1, 0.1], [1, 0, 1, 0], decisions=[True, False, True, None])
    assert made.counts_of("label")[2 * SCORE_BINS :].tolist() == [1, 0, 0, 2]
    assert made.counts_of("label")[: 2 * SCORE_BINS].sum() == 4
    assert measure(made, "error_rate").value == 0.0
    assert measure(made, "log_loss").labels == 4


def test_a_decision_needs_no_score() -> None:
    """Of a model that only decides, what decisions say is known, and nothing of probabilities."""
    held = Outcomes(labels=pl.Series([1, 0, None]), decisions=pl.Series([1, 1, 1]))
    (made,) = profile_outcomes(SCALE, held, np.zeros(3, np.int64), 1)
    assert measure(made, "precision").value == 0.5
    assert (measure(made, "log_loss").value, measure(made, "log_loss").labels) == (None, 0)


def test_a_label_that_has_not_come_counts_nothing() -> None:
    """Null, NaN as pandas has it, and what is neither of the two labels."""
    held = Outcomes(labels=pl.Series([None, float("nan"), 2.0, 1.0]), scores=pl.Series([0.5] * 4))
    (made,) = profile_outcomes(SCALE, held, np.zeros(4, np.int64), 1)
    assert made.counts_of("label").sum() == 2
    assert made.sums_of("label")[0] == pytest.approx(np.log(2))


def test_groups_are_each_profiled_alone() -> None:
    """One pass over all groups counts what a filter for each would."""
    rng = np.random.default_rng(4)
    scores, labels, groups = rng.random(90), rng.integers(0, 2, 90), rng.integers(0, 3, 90)
    held = Outcomes(labels=pl.Series(labels), scores=pl.Series(scores))
    for group, made in enumerate(profile_outcomes(SCALE, held, groups, 3)):
        assert made == outcomes(scores[groups == group], labels[groups == group])


NUMBERS = st.none() | st.floats(-1e3, 1e3) | st.sampled_from([1e12, 1e200, float("nan"), float("inf")])
TRUTHS = st.none() | st.sampled_from([0.0, 1.0, 2.5])
KPIS = (KpiScale("cost", 1.0, 2.0), KpiScale("income", 0.0, 1.0))


@pytest.mark.parametrize(
    "scale",
    [BinaryOutcome("label", 0.5), ClassOutcome("label", ("0.0", "x")), ValueOutcome("label", 1.0, 2.0, 0.5)],
    ids=lambda scale: type(scale).__name__,
)
@given(
    rows=st.lists(st.tuples(st.none() | st.sampled_from([0.0, 1.0, 2.5]), NUMBERS, NUMBERS), max_size=20), cut=st.data()
)
def test_outcomes_add_up_however_rows_are_split(
    scale: OutcomeScale, rows: list[tuple[float | None, ...]], cut: st.DataObject
) -> None:
    """Of every kind of model, with business figures, whatever is missing or absurd; and no sum is ever no number."""
    whole = Scale((), scale, kpis=KPIS)

    def made(part: list[tuple[float | None, ...]]) -> Profile:
        labels, scores, costs = (pl.Series([row[at] for row in part], dtype=pl.Float64) for at in range(3))
        text = labels.cast(pl.String) if isinstance(scale, ClassOutcome) else labels
        given = None if isinstance(scale, BinaryOutcome) else text
        held = Outcomes(labels=text, scores=scores, decisions=given, label_scores=scores, kpis={"cost": costs})
        return profile_outcomes(whole, held, np.zeros(len(part), np.int64), 1)[0]

    at = cut.draw(st.integers(0, len(rows)))
    together, left, right = made(rows), made(rows[:at]), made(rows[at:])
    assert np.array_equal(together.counts, (left + right).counts)
    assert np.allclose(together.sums, (left + right).sums, rtol=1e-9, atol=1e-9 * np.abs(together.sums).max(initial=1))
    assert np.isfinite(together.sums).all()
    assert (together.counts >= 0).all()
    assert made([]) == Profile.empty(whole)


def test_a_corrected_label_is_a_subtraction_and_an_addition() -> None:
    """The third label was 0 and turns out to be 1."""
    scores = [0.1, 0.6, 0.8]
    corrected = outcomes(scores, [0, 1, 0]) - outcomes([0.8], [0]) + outcomes([0.8], [1])
    assert corrected == outcomes(scores, [0, 1, 1])


def test_certainty_costs_a_finite_amount() -> None:
    """A probability of 0 or 1 that was wrong costs -log of float64's resolution, as in scikit-learn."""
    losses = log_losses(np.array([0.0, 1.0]), np.array([1, 0]))
    assert losses == pytest.approx([36.0437, 36.0437], abs=1e-4)
