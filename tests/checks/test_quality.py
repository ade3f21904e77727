"""Quality: shares of rows, with their false-alarm rate and their power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from killick.checks.quality import MISSING, RANGE, SHARE_MIN, UNSEEN, judge_quality, share_histories
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale, fit_scale

if TYPE_CHECKING:
    from killick.checks.verdict import Verdict

ROWS = 300
ALPHA = 0.01
SCALE: Scale = fit_scale(
    pl.DataFrame({"x": [0.0, 1.0] * 50, "c": ["a", "b"] * 50}),
    {"x": "numeric", "c": "categorical"},
    ranges={"x": (0.0, 1.0)},
)


def rows(
    rng: np.random.Generator, *, missing: float = 0.0, outside: float = 0.0, unseen: float = 0.0, n: int = ROWS
) -> Profile:
    """Profile rows of which these shares are missing (in both columns), out of range, and unseen."""
    x = np.where(rng.random(n) < outside, 5.0, rng.random(n))
    c = np.where(rng.random(n) < unseen, "z", rng.choice(["a", "b"], n))
    gone = pl.Series(rng.random(n) < missing)
    table = pl.DataFrame({"x": pl.Series(x).set(gone, None), "c": pl.Series(c).set(gone, None)})
    return profile_rows(SCALE, table, np.zeros(n, np.int64), 1)[0]


def judge(history: list[Profile], current: Profile, alpha: float = ALPHA) -> dict[tuple[str, str], Verdict]:
    """Judge a window by a history of windows; without one, by a training profile alone."""
    reference = Profile.merge(SCALE, history)
    histories = share_histories(SCALE.columns, [{(): window} for window in history])
    found = judge_quality(SCALE.columns, {(): reference}, {(): current}, histories, alpha)
    return {(verdict.check, verdict.column): verdict for verdict in found}


def failed(found: dict[tuple[str, str], Verdict]) -> set[tuple[str, str]]:
    """Return what failed."""
    return {key for key, verdict in found.items() if verdict.status == "fail"}


@pytest.mark.statistics
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 1.0])
def test_healthy_windows_rarely_fail(share: float) -> None:
    """At most alpha of 400 windows, whatever share has always been missing, unseen and out of range."""
    rng = np.random.default_rng(int(share * 1000))
    shares = {"missing": share, "outside": share, "unseen": share}
    history = [rows(rng, **shares) for _ in range(60)]
    failures = [len(failed(judge(history, rows(rng, **shares)))) for _ in range(400)]
    assert np.mean(failures) / 4 <= ALPHA


@pytest.mark.statistics
@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"missing": 0.2}, {(MISSING, "x"), (MISSING, "c")}),
        ({"outside": 0.2}, {(RANGE, "x")}),
        ({"unseen": 0.2}, {(UNSEEN, "c")}),
    ],
)
@pytest.mark.parametrize("usual", [0.0, 0.01, 0.05])
def test_a_sudden_fifth_is_found_at_once(change: dict[str, float], found: set[tuple[str, str]], usual: float) -> None:
    """In each of fifty windows, and nothing else is said."""
    rng = np.random.default_rng(7)
    history = [rows(rng, missing=usual) for _ in range(60)]
    for _ in range(50):
        verdicts = judge(history, rows(rng, **({"missing": usual} | change)))
        assert failed(verdicts) == found
        for key in found:
            assert verdicts[key].direction == "up"
            assert verdicts[key].effect == pytest.approx(0.2 - usual * (key[0] == MISSING), abs=0.08)


def test_a_column_that_was_always_half_empty_is_left_in_peace() -> None:
    """Half of it missing is what it is like; three quarters is not."""
    rng = np.random.default_rng(3)
    history = [rows(rng, missing=0.5) for _ in range(60)]
    assert not failed(judge(history, rows(rng, missing=0.5)))
    assert (MISSING, "x") in failed(judge(history, rows(rng, missing=0.95)))


def test_a_column_that_empties_every_sunday_is_left_in_peace_on_sundays() -> None:
    """The history knows such windows, so another is nothing new."""
    rng = np.random.default_rng(3)
    history = [rows(rng, missing=0.9 if day % 7 == 6 else 0.0) for day in range(90)]
    assert not failed(judge(history, rows(rng, missing=0.9)))


def test_a_column_that_is_gone_altogether_is_never_usual() -> None:
    """Days that were all full but for two leave a limit above one: it stays below, and ten missing rows are no news."""
    rng = np.random.default_rng(3)
    history = [rows(rng, missing=0.4 if day in {3, 9} else 0.0) for day in range(10)]
    found = judge(history, rows(rng, missing=1.0), alpha=1e-4)[MISSING, "x"]
    assert found.threshold is not None
    assert found.threshold < 1
    assert found.status == "fail"


def test_a_score_that_is_no_probability_is_missing() -> None:
    """Not a number, nothing, or outside [0, 1]: nothing can be done with any of them."""
    scale = fit_scale(pl.DataFrame({"p": [0.2, 0.8] * 50}), {}, score="p")

    def scored(*values: float | None) -> Profile:
        table = pl.DataFrame({"p": [*values, *[0.5] * (ROWS - len(values))]})
        return profile_rows(scale, table, np.zeros(ROWS, np.int64), 1)[0]

    odd = [None, float("nan"), 1.5, -0.1] * 25
    (verdict,) = judge_quality(scale.columns, {(): scored()}, {(): scored(*odd)}, {}, ALPHA)
    assert (verdict.check, verdict.column, verdict.status, verdict.value) == (MISSING, "p", "fail", 1 / 3)


def test_without_a_history_only_a_sure_surplus_fails() -> None:
    """More than training had, by more than a hundredth, with the whole Wilson interval above it."""
    rng = np.random.default_rng(5)
    training = [rows(rng, n=5000)]
    few = profile_rows(SCALE, pl.DataFrame({"x": [None, 0.5], "c": ["a", "b"]}), np.zeros(2, np.int64), 1)[0]
    assert not failed(judge(training, few, alpha=1e-4))
    assert failed(judge(training, rows(rng, missing=0.1))) == {(MISSING, "x"), (MISSING, "c")}
    slight = profile_rows(
        SCALE,
        pl.DataFrame({"x": [None] * 90 + [0.5] * 9910, "c": ["a"] * 10_000}, schema_overrides={"x": pl.Float64}),
        np.zeros(10_000, np.int64),
        1,
    )[0]
    assert SHARE_MIN > 90 / 10_000
    assert not failed(judge(training, slight))


def test_a_window_without_rows_is_inconclusive() -> None:
    """No rows are no evidence of anything."""
    rng = np.random.default_rng(5)
    for verdict in judge([rows(rng)], Profile.empty(SCALE)).values():
        assert (verdict.status, verdict.reason, verdict.value) == ("inconclusive", "no rows", None)


def test_the_reason_says_what_is_usual() -> None:
    """In percent, with what training had; a limit is never above the whole."""
    rng = np.random.default_rng(5)
    verdict = judge([rows(rng, missing=1.0)], rows(rng, missing=1.0))[MISSING, "x"]
    words = "100.00 % of the values are missing or no number; 100.00 % in training, and up to 100.00 % is usual"
    assert (verdict.status, verdict.reason, verdict.threshold) == ("ok", words, 1.0)


def test_a_segment_without_a_reference_is_not_judged() -> None:
    """What was never measured has no share to exceed."""
    rng = np.random.default_rng(5)
    current = rows(rng)
    assert judge_quality(SCALE.columns, {}, {(): current}, {}, ALPHA) == []
