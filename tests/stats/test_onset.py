"""When a change began: the first window in which distances were no longer what they used to be."""

from __future__ import annotations

import numpy as np
import pytest

from killick.stats.onset import BEFORE_MIN, first_window

BEFORE, AFTER = 96, 48


def stream(rng: np.random.Generator, start: int, times: float, *, columns: int = 1, spread: float = 0.4) -> np.ndarray:
    """Draw lognormal distances; from a window on, after the ones known to be from before, they are `times` as far."""
    distances = rng.lognormal(-1.5, spread, (columns, BEFORE + AFTER))
    distances[:, BEFORE + start :] *= times
    return distances


@pytest.mark.statistics
@pytest.mark.parametrize(("times", "columns", "exact"), [(8, 1, 0.95), (3, 1, 0.6), (3, 3, 0.9), (8, 3, 0.99)])
def test_the_first_window_of_a_change_is_found(times: float, columns: int, exact: float) -> None:
    """200 streams that change at a random hour; columns add up, and near misses are an hour or two away."""
    rng = np.random.default_rng(int(times * 10 + columns))
    hits, misses = [], []
    for _ in range(200):
        start = int(rng.integers(0, 40))
        found = first_window(stream(rng, start, times, columns=columns), BEFORE)
        assert found is not None
        hits.append(found[1] == BEFORE + start)
        misses.append(abs(found[1] - BEFORE - start))
    assert np.mean(hits) >= exact
    assert np.mean(misses) <= 1.5


def test_windows_without_rows_are_jumped_over() -> None:
    """A night without flights: the change lies between the last evening and the first morning hour."""
    distances = stream(np.random.default_rng(3), 10, 10.0)
    distances[:, BEFORE + 6 : BEFORE + 12] = np.nan
    assert first_window(distances, BEFORE) == (BEFORE + 5, BEFORE + 12)


def test_a_change_older_than_what_is_looked_at_has_no_window_before() -> None:
    """The first window differs already: the change may be older than all of them."""
    assert first_window(stream(np.random.default_rng(3), 0, 10.0), BEFORE) == (-1, BEFORE)


def test_one_stormy_window_decides_nothing() -> None:
    """A single window a thousand times as far away, a day before a lasting change, is not its beginning."""
    distances = stream(np.random.default_rng(5), 30, 5.0)
    distances[:, BEFORE + 4] = 200.0
    found = first_window(distances, BEFORE)
    assert found is not None
    assert found[1] == BEFORE + 30


def test_a_column_that_did_not_change_does_not_hide_one_that_did() -> None:
    """Noise adds nothing on average; a column of one value, or with no values, adds nothing at all."""
    changed = stream(np.random.default_rng(7), 20, 8.0)
    quiet = stream(np.random.default_rng(8), 20, 1.0, columns=3)
    flat = np.full((1, BEFORE + AFTER), 0.2)
    empty = np.full((1, BEFORE + AFTER), np.nan)
    alone = first_window(changed, BEFORE)
    assert alone == (BEFORE + 19, BEFORE + 20)
    assert first_window(np.concatenate([quiet, changed, flat, empty]), BEFORE) == alone


def test_what_went_nearer_is_no_change() -> None:
    """Distances that shrink speak of nothing: all windows are closer to the others than ever."""
    assert first_window(stream(np.random.default_rng(2), 0, 0.01), BEFORE) is None


@pytest.mark.parametrize(
    ("distances", "before"),
    [
        (np.zeros((0, 50)), 30),
        (np.zeros((2, 0)), 0),
        (np.full((1, 50), np.nan), 30),
        (np.ones((1, 50)), BEFORE_MIN - 1),
        (np.ones((1, 50)), 50),
        (np.ones((1, 50)), 30),
        (np.where(np.arange(50) < 30, np.nan, 5.0)[None], 30),
    ],
    ids=["no columns", "no windows", "no rows", "too few before", "none after", "all equal", "nothing known before"],
)
def test_where_nothing_can_be_said_nothing_is_said(distances: np.ndarray, before: int) -> None:
    """None, not a guess, and no warning."""
    assert first_window(distances, before) is None
