"""An objective is missed only surely, judged only when enough is known, and kept again by its value."""

import numpy as np
import polars as pl
import pytest

from killick.alerting.objectives import judge_objective, kept_again
from killick.checks.performance import LABELS_MIN
from killick.clock import DAY, Window
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.profile import Profile, profile_outcomes
from killick.profiles.scale import fit_scale
from killick.spec.document import Objective

WINDOW = Window(0, 28 * DAY)
SCALE = fit_scale(
    pl.DataFrame({"score": [0.2, 0.8], "label": [0, 1]}), {}, ranges={}, score="score", outcome="label", threshold=0.5
)
ERRORS = Objective("few-errors", "error_rate", window=28 * DAY, at_most=0.2, severity="page")


def decided(right: int, wrong: int) -> Profile:
    """So many right and wrong decisions, half of either label."""
    rows = right + wrong
    labels = np.arange(rows) % 2
    is_right = np.arange(rows) < right
    scores = np.where(is_right == (labels == 1), 0.9, 0.1)
    found = Outcomes(labels=pl.Series(labels), scores=pl.Series(scores))
    return profile_outcomes(SCALE, found, np.zeros(rows, dtype=np.int64), 1)[0]


def judge(right: int, wrong: int, objective: Objective = ERRORS, covered: int = 28 * DAY):
    """Judge so many decisions."""
    return judge_objective(objective, decided(right, wrong), WINDOW, covered)


def test_missed_is_what_is_beyond_the_promise_with_its_whole_interval():
    """Three in ten wrong of a thousand: a page. Of fifty: it may be chance."""
    surely, perhaps = judge(700, 300), judge(36, 14)
    assert (surely.status, surely.severity) == ("fail", "page")
    assert (perhaps.status, perhaps.severity) == ("ok", "digest")
    assert surely.value == pytest.approx(0.3)
    assert "misses at most 0.2" in surely.reason


def test_the_other_way_round_it_is_the_upper_end_that_counts():
    """A ranking is promised to be at least something."""
    objective = Objective("ranks", "roc_auc", window=28 * DAY, at_least=0.95)
    assert judge(700, 300, objective).status == "fail"
    assert judge(1000, 0, objective).status == "ok"


@pytest.mark.parametrize(
    ("right", "wrong", "covered"), [(0, 0, 28 * DAY), (0, LABELS_MIN - 1, 28 * DAY), (0, 5_000, 14 * DAY - 1)]
)
def test_what_is_not_known_is_not_missed(right, wrong, covered):
    """Too few labels, or less than half of the window: inconclusive, and no page, however bad it looks."""
    verdict = judge(right, wrong, covered=covered)
    assert (verdict.status, verdict.severity) == ("inconclusive", "digest")
    assert "labels" in verdict.reason


def test_half_of_the_window_is_enough():
    """And fifty labels are."""
    assert judge(0, LABELS_MIN, covered=14 * DAY).status == "fail"


def test_kept_again_is_said_by_the_value_itself():
    """Not surely missed is not kept: else it would open and clear by the hour."""
    assert not kept_again(judge(36, 14), ERRORS)
    assert not kept_again(judge(700, 300), ERRORS)
    assert not kept_again(judge(49, 0, covered=1), ERRORS)
    assert kept_again(judge(90, 10), ERRORS)
