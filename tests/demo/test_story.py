"""The story keeps what it claims, chapter by chapter, and the year without it is quiet."""

import pytest

from killick.clock import DAY, HOUR, parse_instant
from killick.demo.faults import CONTROL, STORY
from killick.demo.workspace import SPLIT, YEAR_END
from killick.engine.world import World
from killick.ledger.chain import verify
from killick.spec.document import Spec
from tests.demo.conftest import MakeWorkspace, lived_through, machines

JFK = (("origin", "JFK"),)


@pytest.fixture(scope="module")
def story(make: MakeWorkspace) -> tuple[World, Spec]:
    """The story, to October."""
    return lived_through(make("story", STORY, SPLIT, parse_instant("2013-10-05")))


@pytest.fixture(scope="module")
def control(make: MakeWorkspace) -> tuple[World, Spec]:
    """The whole year without scripted faults."""
    return lived_through(make("control", CONTROL, SPLIT, YEAR_END))


def test_the_unit_change_is_located_by_columns_airport_hour_and_release(story: tuple[World, Spec]) -> None:
    """Chapter 1: temperature, dew point and visibility at JFK, since the morning of 10 May, after release 2.1."""
    fault = STORY.faults[0]
    found = [m.body for m in machines(*story, "incident") if m.body.kind == "data_fault" and m.body.segment == JFK]
    assert len(found) == 1
    assert {"temp", "dewp", "visib"} <= set(found[0].columns) <= set(fault.columns)
    assert found[0].opened_at == parse_instant("2013-05-11")
    assert found[0].onset is not None
    assert found[0].onset.start <= fault.start + HOUR < found[0].onset.end + HOUR
    assert found[0].causes[0]["what"] == "pipeline weather-feed 2.1"


def test_only_jfk_falls_back_on_evidence_and_returns_when_the_feed_is_mended(story: tuple[World, Spec]) -> None:
    """Chapter 1: the fallback is shown to be better first, then verified, and ends within days of 1 June."""
    acted = [m for m in machines(*story, "recovery") if m.body.acted_at is not None]
    assert [m.body.segment for m in acted] == [JFK]
    body = acted[0].body
    assert body.evidence["planned"]["loss_better"] < body.evidence["planned"]["loss_than"]
    assert body.evidence["verifying"]["gain"] > 0
    assert acted[0].state == "closed"
    assert body.ended_at is not None
    assert STORY.faults[0].end < body.ended_at <= STORY.faults[0].end + 5 * DAY


def test_the_bad_release_is_stopped_by_its_canary(story: tuple[World, Spec]) -> None:
    """Chapter 2: v2 is rolled back within days, having touched few flights, and live stays v1 until July."""
    rollout = next(m for m in machines(*story, "rollout") if m.body.version == "v2")
    assert rollout.state == "rolled_back"
    assert rollout.body.ended_at is not None
    assert rollout.body.ended_at - rollout.body.began_at <= 5 * DAY
    assert 0 < rollout.body.touched < 500
    assert [m.body.subject for m in machines(*story, "incident") if m.body.kind == "canary_harm"] == ["v2"]


def test_a_challenger_replaces_live_and_its_gain_is_paired(story: tuple[World, Spec]) -> None:
    """Chapter 3: the objective is missed, the gate accepts, the canary is safe, and the gain is on the same flights."""
    missed = [m.body for m in machines(*story, "incident") if m.body.kind == "objective_missed"]
    assert any(parse_instant("2013-06-20") < body.opened_at < parse_instant("2013-07-10") for body in missed)
    promoted = [m for m in machines(*story, "rollout") if m.state == "promoted"]
    assert len(promoted) == 1
    gain = promoted[0].body.evidence["gain"]
    assert gain["loss_better"] < gain["loss_than"]
    assert gain["clusters"] == 28


def test_the_gate_refuses_the_october_challenger(story: tuple[World, Spec]) -> None:
    """Chapter 3: a retraining that somebody asked for is refused when it is not shown to be better."""
    jobs = machines(*story, "retraining")
    assert jobs[-1].body.requested_at == parse_instant("2013-10-02")
    assert jobs[-1].state == "refused"
    assert not [m for m in machines(*story, "rollout") if m.body.version == jobs[-1].body.challenger]


def test_the_ledger_of_the_story_verifies(story: tuple[World, Spec]) -> None:
    """Every step is in one chain that verifies against its head."""
    world, _ = story
    with world.control.transaction() as t:
        entries = t.ledger()
    assert verify(entries, entries[-1].hash) == len(entries) > 50


def test_the_year_without_faults_is_quiet(control: tuple[World, Spec]) -> None:
    """Chapters 1 and 2 are absent, incidents about data stay within the budget, and nothing falls back."""
    world, spec = control
    incidents = [m.body for m in machines(world, spec, "incident")]
    local = [body for body in incidents if body.kind == "data_fault"]
    assert not [body for body in incidents if body.subject == "v2"]
    assert not [body for body in local if body.segment == JFK and {"temp", "dewp", "visib"} & set(body.columns)]
    assert len(local) <= spec.false_alarms.budget * (YEAR_END - SPLIT) / spec.false_alarms.per
    assert not [m for m in machines(world, spec, "recovery") if m.body.acted_at is not None]
