"""How many labels are expected: what the delays that were seen say, and not what the quick ones alone would."""

import numpy as np
import pytest

from killick.stats.maturity import expected_labels, labelled_shares


def test_a_window_that_is_too_young_says_nothing_of_long_delays():
    """By hand: 100 predictions of an old window, 100 of a young one that could only have the first labels."""
    shares = labelled_shares(np.array([100, 100]), np.array([[50, 25], [30, 0]]), np.array([10, 1]), np.array([1, 2]))
    # 80 of 200 in the first bucket; of the 50 of the old window still without one, 25 in the second.
    assert shares.tolist() == pytest.approx([0.4, 1 - 0.6 * 0.5])


def test_the_textbook_example_of_kaplan_and_meier_is_reproduced():
    """Remission times of 21 leukaemia patients (Freireich et al. 1963), as in every textbook: S(6) = 0.857 ... ."""
    events = {6: 3, 7: 1, 10: 1, 13: 1, 16: 1, 22: 1, 23: 1}
    censored = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    ends = np.array(sorted(events))
    # Each patient is a window of one; a censored one is seen through the buckets that end by then.
    rows = [(time, True) for time, number in events.items() for _ in range(number)] + [
        (time, False) for time in censored
    ]
    labels = np.array([[int(came and time == end) for end in ends] for time, came in rows])
    ages = np.array([100 if came else time for time, came in rows])
    survival = 1 - labelled_shares(np.ones(len(rows), np.int64), labels, ages, ends)
    assert survival.round(3).tolist() == [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]


def test_it_finds_the_share_of_a_world_that_is_known():
    """Exponential delays, a tenth never labelled, ninety windows of every age: within three standard errors."""
    rng = np.random.default_rng(7)
    ends = 2.0 ** np.arange(8)
    windows, rows, mean, never = 90, 500, 20.0, 0.1
    ages = np.arange(1, windows + 1).astype(float)
    delays = np.where(rng.random((windows, rows)) < never, np.inf, rng.exponential(mean, (windows, rows)))
    seen = delays <= ages[:, None]
    buckets = np.searchsorted(ends, delays)
    labels = np.array([np.bincount(buckets[w][seen[w]], minlength=len(ends))[: len(ends)] for w in range(windows)])
    shares = labelled_shares(np.full(windows, rows), labels, ages, ends)
    truth = (1 - never) * (1 - np.exp(-ends / mean))
    # Labels of a bucket that a window has not lived through to its end are not counted, so that none is half seen.
    known = np.isfinite(shares)
    assert known.tolist() == (ends <= windows).tolist()
    assert np.abs(shares[known] - truth[known]).max() < 0.02


def test_what_was_never_seen_is_unknown():
    """No window is old enough: no share; and none is expected where nobody can say."""
    shares = labelled_shares(np.array([10]), np.array([[0, 0]]), np.array([1]), np.array([2, 4]))
    assert np.isnan(shares).all()
    assert expected_labels(10, 3, shares, np.array([2, 4])) is None


def test_expectation_grows_with_age_and_ends_at_what_was_seen():
    """At the end of a bucket it is the bucket's share; between, it grows with the logarithm of the age."""
    shares, ends = np.array([0.25, 0.75, np.nan]), np.array([2, 8, 32])
    levels = [expected_labels(100, age, shares, ends) for age in (0, 1, 2, 4, 8, 20, 1000)]
    assert levels == pytest.approx([0, 0, 25, 50, 75, 75, 75])


def test_where_all_are_labelled_nothing_more_can_come():
    """A share of one stays one."""
    shares = labelled_shares(np.array([5]), np.array([[5, 0, 0]]), np.array([100]), np.array([1, 2, 4]))
    assert shares.tolist() == [1.0, 1.0, 1.0]
