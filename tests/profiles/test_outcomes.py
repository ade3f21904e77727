"""Scores and outcomes: scikit-learn is the witness."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.checks.performance import measure
from killick.profiles.outcomes import SCORE_BINS, OutcomeScale, ScoreScale, log_losses, score_bins
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.profiles.scale import Scale
from killick.stats.ranking import roc_auc

SCALE = Scale((ScoreScale("score"),), OutcomeScale("label", 0.5))
BELOW_ONE = np.nextafter(1.0, 0.0)


def outcomes(scores: object, labels: object, scale: Scale = SCALE) -> Profile:
    """Profile scores and labels."""
    taken = np.asarray(scores, dtype=np.float64)
    return profile_outcomes(scale, taken, np.asarray(labels, np.int64), np.zeros(len(taken), np.int64), 1)[0]


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
    scale = Scale((), OutcomeScale("label", threshold))
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


def test_a_corrected_label_is_a_subtraction_and_an_addition() -> None:
    """The third label was 0 and turns out to be 1."""
    scores = [0.1, 0.6, 0.8]
    corrected = outcomes(scores, [0, 1, 0]) - outcomes([0.8], [0]) + outcomes([0.8], [1])
    assert corrected == outcomes(scores, [0, 1, 1])


def test_certainty_costs_a_finite_amount() -> None:
    """A probability of 0 or 1 that was wrong costs -log of float64's resolution, as in scikit-learn."""
    losses = log_losses(np.array([0.0, 1.0]), np.array([1, 0]))
    assert losses == pytest.approx([36.0437, 36.0437], abs=1e-4)
