"""Causes: which columns, which recorded changes, and what speaks for and against them."""

from __future__ import annotations

import math

import msgspec
import pytest

from killick.checks.verdict import Verdict
from killick.clock import DAY, HOUR, Window, parse_instant
from killick.diagnosis.causes import BEFORE, as_evidence, name_causes, preceding_changes, rank_columns
from killick_client.events import Change

JFK, LGA = (("origin", "JFK"),), (("origin", "LGA"),)
NOON = parse_instant("2013-05-10T12:00Z")
ONSET = Window(NOON - HOUR, NOON)


def verdict(column: str | None, value: float | None, *, limit: float | None = 0.5, **rest: object) -> Verdict:
    """Make a drift verdict of JFK."""
    given = {"check": "drift.univariate", "metric": "psi", "status": "ok", "reason": "", "segment": JFK} | rest
    return Verdict(column=column, value=value, threshold=limit, **given)


def change(at: int, name: str = "feed", **rest: object) -> Change:
    """Make a recorded change."""
    return Change(at=at, kind="pipeline", name=name, **rest)


def test_columns_are_ranked_by_their_weaker_witness() -> None:
    """By hand: a column is as sure as the witness that is less sure; ties go by name."""
    verdicts = [
        *(verdict("temp", 2.0), verdict("temp", 1.0, reference="other_segments")),
        *(verdict("dewp", 9.0), verdict("dewp", 0.6, reference="other_segments")),
        *(verdict("visib", 1.5), verdict("visib", 5.0, reference="other_segments")),
        *(verdict("humid", 9.0), verdict("humid", None, reference="other_segments")),
        *(verdict("hour", 9.0, limit=None), verdict("minute", 0.0, limit=0.0)),
        verdict("temp", 99.0, segment=LGA),
        verdict("temp", 99.0, check="quality.missing"),
        verdict(None, 99.0),
    ]
    ranked = rank_columns(verdicts, JFK)
    assert [column for column, _ in ranked] == ["visib", "temp", "dewp", "hour", "humid", "minute"]
    assert dict(ranked) == pytest.approx(
        {"visib": 3.0, "temp": 2.0, "dewp": 1.2, "hour": 0.0, "humid": 0.0, "minute": 0.0}
    )
    assert rank_columns([], JFK) == []


def test_changes_shortly_before_are_found_the_nearest_first() -> None:
    """A day before the onset and not later than its end; what is older or younger has no part in it."""
    near, early = change(NOON - HOUR, "near"), change(NOON - 20 * HOUR, "early")
    changes = [
        early,
        near,
        change(ONSET.start - BEFORE - 1, "too old"),
        change(NOON + 1, "too young"),
        change(NOON - 90 * DAY, "long ago"),
    ]
    assert [found.name for found, _ in preceding_changes(changes, ONSET)] == ["near", "early"]


def test_the_strength_of_a_change_is_the_surprise_of_its_nearness() -> None:
    """By hand: -log(1 - exp(-rate x gap)); an hour away when changes come every nine days is no accident."""
    changes = [change(NOON - HOUR), *(change(NOON - at * 10 * DAY) for at in range(1, 10))]
    ((_, strength),) = preceding_changes(changes, ONSET)
    rate = 10 / (90 * DAY - HOUR)
    assert strength == pytest.approx(-math.log(1 - math.exp(-rate * HOUR)))
    assert strength > -math.log(0.005)


def test_a_change_among_many_is_less_of_a_surprise() -> None:
    """A team that deploys every hour has always just deployed."""
    rare = preceding_changes([change(NOON - HOUR), change(NOON - 90 * DAY)], ONSET)[0][1]
    often = preceding_changes([change(NOON - at * HOUR) for at in range(1, 200)], ONSET)[0][1]
    assert rare > often + 3


def test_one_change_alone_and_one_at_the_very_moment_have_a_strength() -> None:
    """No division by nothing: a single change, and a gap of zero."""
    ((_, alone),) = preceding_changes([change(NOON - HOUR)], ONSET)
    ((_, now),) = preceding_changes([change(NOON)], ONSET)
    assert 0 < alone < now < math.inf
    assert preceding_changes([], ONSET) == []


def test_causes_say_what_speaks_for_and_against_them() -> None:
    """A change first, the data by itself last; only columns that moved beyond their limits are evidence."""
    near = preceding_changes([change(NOON - HOUR, "weather-feed", version="2.1")], ONSET)
    causes = name_causes([("temp", 4.0), ("dewp", 2.0), ("hour", 0.9)], near, ONSET, "origin=JFK")
    release, data = causes
    assert (release.kind, release.what) == ("change", "pipeline weather-feed 2.1")
    assert release.evidence_for == (
        "came at most 1h before the onset",
        "only origin=JFK moved; its neighbours did not",
        "temp moved 4.0 times as far as healthy windows do",
        "dewp moved 2.0 times as far as healthy windows do",
    )
    assert release.evidence_against == ("a change at the same time is not yet its cause",)
    assert release.strength > data.strength == 0.0
    assert (data.kind, data.what) == ("data", "the data of origin=JFK: temp, dewp")
    assert "began between 2013-05-10T11:00Z and 2013-05-10T12:00Z" in data.evidence_for
    assert data.evidence_against == ("a recorded change came just before",)


def test_without_a_change_the_data_stand_alone() -> None:
    """And an onset that is not known is said to be unknown."""
    (data,) = name_causes([("temp", 4.0)], [], None, "origin=JFK")
    assert "its beginning is unknown" in data.evidence_for
    assert data.evidence_against == ()


def test_without_a_column_that_moved_there_is_no_cause() -> None:
    """A change at the right time explains nothing when nothing happened."""
    near = preceding_changes([change(NOON)], ONSET)
    assert name_causes([("temp", 1.0)], near, ONSET, "origin=JFK") == []


def test_a_change_at_the_onset_is_said_to_be_at_it() -> None:
    """Not at most nothing before."""
    (release, _) = name_causes([("temp", 4.0)], preceding_changes([change(NOON)], ONSET), ONSET, "origin=JFK")
    assert release.evidence_for[0] == "came at the onset"


def test_causes_are_json_values() -> None:
    """As they stand in an incident's record."""
    causes = as_evidence(name_causes([("temp", 4.0)], [], ONSET, "origin=JFK"))
    assert msgspec.json.decode(msgspec.json.encode(causes))[0]["what"] == "the data of origin=JFK: temp"
