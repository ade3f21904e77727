"""Live drift: two witnesses, each held to its false-alarm rate, and both to their power."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from killick.checks.drift import judge_window, witnessed
from killick.checks.limits import Limits, learn_limits
from killick.checks.reference import EVERYTHING, HealthyWindow, Reference, others, trailing
from killick.clock import DAY, Window
from killick.diagnosis.causes import rank_columns
from killick.profiles.profile import Profile
from tests.checks.worlds import AIRPORTS, JFK, LGA, SCALE, a_day, a_profile, a_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.checks.verdict import Verdict

DAYS_REFERENCE = 90
TESTS = [(segment, column) for segment in AIRPORTS for column in ("temp", "carrier")]


def judged(reference: Reference, limits: Limits, past: list[HealthyWindow], today: HealthyWindow) -> list[Verdict]:
    """Judge a day by the days before it and by its own airports."""
    sides = {
        "trailing": {
            segment: found
            for segment in today.profiles
            if (found := trailing(reference, past, today.window.start, segment))
        },
        "other_segments": {segment: others(today.profiles, SCALE, segment) for segment in AIRPORTS},
    }
    return judge_window(today.window, today.profiles, sides, SCALE.columns, limits)


def after_the_reference(
    change: Callable[..., np.ndarray] | None = None, *, days: int = 1, seed: int = 4, alpha: float = 1 / 1170
) -> list[Verdict]:
    """Judge the days after a healthy quarter, with an optional change to all of them."""
    rng = np.random.default_rng(seed)
    healthy = [a_day(rng, day) for day in range(DAYS_REFERENCE)]
    reference = a_reference(healthy)
    limits = learn_limits(reference, SCALE.columns, alpha)
    later = [a_day(rng, DAYS_REFERENCE + day, change=change) for day in range(days)]
    return [verdict for today in later for verdict in judged(reference, limits, healthy, today)]


@pytest.fixture(scope="module")
def healthy_rates() -> dict[str, float]:
    """How often healthy windows are called anything else, at alpha 1 %: 630 days judged by seven references."""
    rng = np.random.default_rng(11)
    days = [a_day(rng, day) for day in range(600)]
    counts: Counter[str] = Counter()
    windows = 0
    for start in range(0, 600 - 2 * DAYS_REFERENCE, 60):
        reference = a_reference(days[start : start + DAYS_REFERENCE])
        limits = learn_limits(reference, SCALE.columns, 0.01)
        for at in range(start + DAYS_REFERENCE, start + 2 * DAYS_REFERENCE):
            verdicts = judged(reference, limits, days[start:at], days[at])
            windows += 1
            counts.update(f"fail {column}" for segment, column in witnessed(verdicts))
            counts.update(f"{v.reference} {v.column}" for v in verdicts if v.segment and v.status in {"warn", "fail"})
    return {name: count / (windows * len(AIRPORTS)) for name, count in counts.items()}


@pytest.mark.statistics
@pytest.mark.parametrize("column", ["temp", "carrier"])
@pytest.mark.parametrize("witness", ["trailing", "other_segments"])
def test_each_witness_errs_as_often_as_its_share_of_the_budget(
    healthy_rates: dict[str, float], witness: str, column: str
) -> None:
    """The square root of 1 % is 10 %: by rank, whatever the law of healthy windows is."""
    assert healthy_rates[f"{witness} {column}"] == pytest.approx(0.1, abs=0.025)


@pytest.mark.statistics
def test_both_together_err_at_the_budget_where_weather_is_shared(healthy_rates: dict[str, float]) -> None:
    """What moves all airports speaks in one witness only: 1 % allowed, and no more than chance beside it."""
    assert healthy_rates["fail temp"] <= 0.02


@pytest.mark.statistics
def test_both_together_err_more_often_where_nothing_is_shared(healthy_rates: dict[str, float]) -> None:
    """Known and bounded: a column whose airports vary each on its own shows both witnesses the same noise.

    Their errors are then not independent, and the pair errs more often than its budget, though never more often than
    either of them alone. Measured here: 4.3 % where 1 % is asked for.
    """
    assert 0.01 < healthy_rates["fail carrier"] < 0.06


@pytest.mark.statistics
@pytest.mark.parametrize("seed", range(5))
def test_a_change_of_unit_at_one_airport_is_found_on_the_first_day(seed: int) -> None:
    """JFK in degrees Celsius: both witnesses speak there, and nowhere else as loudly."""
    verdicts = after_the_reference(lambda airport, temp: (temp - 32) * 5 / 9 if airport == JFK else temp, seed=seed)
    found = [v for v in verdicts if v.segment == JFK and v.column == "temp"]
    assert [(v.reference, v.status, v.direction) for v in found] == [
        ("trailing", "fail", "down"),
        ("other_segments", "fail", "down"),
    ]
    assert (JFK, "temp") in witnessed(verdicts)
    assert all("->" in v.reason and "healthy windows stay within" in v.reason for v in found)
    loudest = max(
        (segment for segment in AIRPORTS for _, ratio in rank_columns(verdicts, segment)[:1] if ratio),
        key=lambda segment: rank_columns(verdicts, segment)[0][1],
    )
    assert (loudest, rank_columns(verdicts, JFK)[0][0]) == (JFK, "temp")


@pytest.mark.statistics
def test_weather_that_turns_for_everybody_only_warns() -> None:
    """Thirty degrees more at all airports at once, for forty days: unlike their own past, like one another.

    The other witness still errs with its own share, one in 34, and then the two do speak together.
    """
    verdicts = after_the_reference(lambda _, temp: temp + 30, days=40)
    temp = [v for v in verdicts if v.column == "temp" and v.segment]
    assert {v.status for v in temp if v.reference == "trailing"} <= {"warn", "fail"}
    assert np.mean([v.status == "fail" for v in temp]) <= 2 / 34
    assert np.mean([v.status == "ok" for v in temp if v.reference == "other_segments"]) >= 1 - 2 / 34


def test_the_whole_is_judged_by_its_past_alone_and_never_fails() -> None:
    """It has no neighbours: one verdict a column, at most a warning."""
    verdicts = [v for v in after_the_reference(lambda _, temp: temp + 30) if v.segment == EVERYTHING]
    assert [(v.column, v.reference) for v in verdicts] == [("temp", "trailing"), ("carrier", "trailing")]
    assert [v.status for v in verdicts] == ["warn", "ok"]


def test_two_verdicts_for_every_column_of_every_airport() -> None:
    """One for each witness; a fingerprint tells them apart and is the same on every day."""
    verdicts = after_the_reference(days=2)
    per_day = len(TESTS) * 2 + 2
    assert len(verdicts) == 2 * per_day
    assert len({v.fingerprint for v in verdicts}) == per_day


SHORT = Window(100 * DAY, 101 * DAY)


def in_words(current: Profile, reference: Profile | None, healthy: int = DAYS_REFERENCE) -> list[tuple[str, str]]:
    """Judge JFK's temperature in one window; return statuses and reasons."""
    rng = np.random.default_rng(4)
    limits = learn_limits(a_reference([a_day(rng, day) for day in range(healthy)]), SCALE.columns, 0.01)
    sides = {
        "trailing": {JFK: reference} if reference else {},
        "other_segments": {JFK: reference} if reference else {},
    }
    verdicts = judge_window(SHORT, {JFK: current}, sides, [SCALE["temp"]], limits)
    return [(v.status, v.reason) for v in verdicts]


PLENTY = a_profile(np.linspace(30, 70, 500), ["UA"] * 500)
FEW = a_profile([50.0] * 49, ["UA"] * 49)
EMPTY_COLUMN = a_profile([None] * 500, ["UA"] * 500)


def test_what_cannot_be_judged_says_why() -> None:
    """Too few rows, no values among them, nothing to compare with, too short a history."""
    past, beside = "its own last 28 healthy days", "the other segments in the same window"
    assert in_words(FEW, PLENTY)[0] == ("inconclusive", f"49 rows to compare with {past}; 50 are needed")
    assert in_words(PLENTY, FEW)[0] == ("inconclusive", f"49 rows to compare with {past}; 50 are needed")
    assert in_words(Profile.empty(SCALE), PLENTY) == [("inconclusive", "no rows")] * 2
    assert in_words(PLENTY, None)[0] == ("inconclusive", f"0 rows to compare with {past}; 50 are needed")
    assert in_words(EMPTY_COLUMN, PLENTY)[1] == (
        "inconclusive",
        f"0 values that are numbers to compare with {beside}; 50 are needed",
    )
    assert in_words(PLENTY, PLENTY, healthy=20)[0] == (
        "inconclusive",
        "6 healthy windows are known; 9 are needed to judge PSI",
    )


def test_a_column_that_emptied_is_seen_by_its_past() -> None:
    """Missing is a bin of PSI: no value is left to measure a distance with, and the change is still told."""
    status, reason = in_words(EMPTY_COLUMN, PLENTY)[0]
    assert status == "warn"
    assert "missing 0 % -> 100 %" in reason


def test_a_segment_that_is_new_is_not_compared() -> None:
    """Nothing is known of it, so nothing is claimed."""
    rng = np.random.default_rng(4)
    limits = learn_limits(a_reference([a_day(rng, day) for day in range(40)]), SCALE.columns, 0.01)
    boston = (("origin", "BOS"),)
    verdicts = judge_window(
        SHORT, {boston: PLENTY}, {"trailing": {}, "other_segments": {LGA: PLENTY}}, SCALE.columns, limits
    )
    assert {v.status for v in verdicts} == {"inconclusive"}
