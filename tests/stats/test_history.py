"""A statistic against its own history: exactness where it is promised, measured rates where it is not, and power."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from killick.stats.history import LOG_SPREAD_MIN, WINDOWS_MIN, prediction_limit, surprise

HISTORIES = 20_000
SPREAD = 0.5
# Four spreads of the logarithm: a statistic that is 7.4 times what it usually is.
DRIFT = np.exp(4 * SPREAD)


def _series(kind: str, windows: int) -> np.ndarray:
    """Histories of a statistic and one window more, [histories, windows + 1], with logs of unit spread times SPREAD."""
    rng = np.random.default_rng(sum(map(ord, kind)) + windows)
    shape = HISTORIES, windows + 1
    if kind == "student-4":
        logs = rng.standard_t(4, shape) / np.sqrt(2)
    elif kind == "autoregressive":
        logs = rng.standard_normal(shape)
        for t in range(1, windows + 1):
            logs[:, t] = 0.5 * logs[:, t - 1] + np.sqrt(0.75) * logs[:, t]
    else:
        logs = rng.standard_normal(shape)
    return 0.01 * np.exp(SPREAD * logs)


def _alarms(series: np.ndarray, factor: float = 1.0) -> float:
    limit = prediction_limit(series[:, :-1], 0.01, floor=1e-6).limit
    return float((series[:, -1] * factor > limit).mean())


@pytest.mark.statistics
@pytest.mark.parametrize("windows", [8, 14, 28, 200])
def test_on_lognormal_history_the_rate_is_alpha(windows: int) -> None:
    """1 % within 0.75-1.25 % (three standard errors are 0.2 points), at every length."""
    assert 0.0075 <= _alarms(_series("lognormal", windows)) <= 0.0125


@pytest.mark.statistics
@pytest.mark.parametrize(("kind", "at_most"), [("autoregressive", 0.015), ("student-4", 0.021)])
def test_elsewhere_the_rate_is_what_the_room_says(kind: str, at_most: float) -> None:
    """28 windows at 1 %: near 1 % for AR(0.5), up to 2 % when logs have four degrees of freedom."""
    assert 0.005 <= _alarms(_series(kind, 28)) <= at_most


@pytest.mark.statistics
def test_a_change_of_four_spreads_is_found() -> None:
    """28 windows at 1 %: over 80 % of the time."""
    assert _alarms(_series("lognormal", 28), factor=DRIFT) > 0.8


def test_limit_agrees_with_the_textbook() -> None:
    """Mean + t * sd * sqrt(1 + 1/n) of the logs, from scipy.stats."""
    history = np.random.default_rng(1).lognormal(0, 1, 12)
    logs = np.log(history + 0.1)
    witness = np.exp(logs.mean() + stats.t.ppf(0.99, 11) * logs.std(ddof=1) * np.sqrt(1 + 1 / 12)) - 0.1
    assert prediction_limit(history, 0.01, floor=0.1).limit == pytest.approx(witness)


def test_missing_windows_are_left_out() -> None:
    """Centre and spread are those of the windows that are there."""
    history = np.random.default_rng(9).lognormal(0, 1, 9)
    limit = prediction_limit(np.insert(history, 4, np.nan), 0.01, floor=0.1)
    logs = np.log(history + 0.1)
    assert limit.centre == pytest.approx(logs.mean())
    assert limit.spread == pytest.approx(logs.std(ddof=1))
    assert limit.windows == 9


@given(
    hnp.arrays(np.float64, st.integers(8, 30), elements=st.floats(0, 10)),
    st.floats(0, 20),
    st.sampled_from([0.001, 0.01, 0.05]),
)
def test_limit_and_surprise_are_two_readings_of_one_scale(history: np.ndarray, value: float, alpha: float) -> None:
    """A value above the limit at alpha has a p-value below alpha, and the other way round."""
    limit = float(prediction_limit(history, alpha, floor=0.01).limit)
    p = float(surprise(history, value, floor=0.01))
    if not np.isclose(value, limit, rtol=1e-6):
        assert (value > limit) == (p < alpha)


def test_ties_are_not_unusual() -> None:
    """A value that equals all of its history is as likely to be exceeded as not."""
    assert float(surprise(np.zeros(30), 0.0, floor=0.001)) == pytest.approx(0.5)


def test_a_history_of_zeros_has_a_floor() -> None:
    """A dust of a tenth of the floor is no alarm; ten floors are. Without a floor every dust would be one."""
    limit = prediction_limit(np.zeros(30), 0.001, floor=0.001)
    assert float(limit.spread) == LOG_SPREAD_MIN
    assert 0.0001 < float(limit.limit) < 0.001


@pytest.mark.parametrize("windows", [0, 1, 2, WINDOWS_MIN - 1])
def test_a_short_history_is_no_yardstick(windows: int) -> None:
    """Unknown, whether windows are absent or missing, and the neighbour that has enough is judged."""
    history = np.where(np.arange(20) < np.array([[windows], [20]]), 0.01, np.nan)
    limit = prediction_limit(history, 0.01, floor=0.001)
    assert limit.known.tolist() == [False, True]
    for numbers in (limit.limit, limit.centre, limit.spread, surprise(history, [0.01, 0.01], floor=0.001)):
        assert np.isnan(numbers).tolist() == [True, False]
    assert not prediction_limit(history[0, :windows], 0.01, floor=0.001).known


def test_an_unknown_value_stays_unknown() -> None:
    """It is not the smallest, nor the largest."""
    assert np.isnan(surprise(np.full(20, 0.01), np.nan, floor=0.001))
