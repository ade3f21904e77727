"""What is noticed, opened, cleared and undone: faults of everything, stores that are gone, and people who step in."""

from dataclasses import replace

import polars as pl
import pytest

from killick.clock import DAY, HOUR
from killick.engine.operate import operate
from killick.engine.record import Book
from killick.errors import OutsideError
from killick.spec.document import Features, Override, Playbook
from killick.telemetry.columns import EVENT_TIME, SCORE
from killick.telemetry.history import History
from killick.testing.models import MemoryModels
from killick.testing.simulator import LOADERS, MODEL, Script, Story, UnitFault, day, make_spec, tell, unit_fault
from tests.engine.survivors import EVER, Survivors, live

MARKET = (("store", "market"),)
SHORT_FAULT = UnitFault(day(4) + 9 * HOUR, day(8))


def told(story: Story, end: int | None = None) -> Survivors:
    """What a story leaves."""
    survivors = Survivors.none()
    live(survivors.start(story), story, end or story.history.window.end)
    return survivors


def quiet(days: int = 8, **changes) -> Story:
    """A story in which nothing goes wrong yet."""
    return tell("quiet", Script(days), replace(make_spec(), **changes))


def amended(story: Story, *columns: pl.Expr) -> Story:
    """The same story with other predictions."""
    history = story.history
    return replace(story, history=History(history.predictions.with_columns(columns), history.outcomes, history.changes))


def without_temperature(story: Story, since: int, until: int) -> Story:
    """The same story with a thermometer feed that stops for everybody."""
    gone = pl.col(EVENT_TIME).is_between(since, until, closed="left")
    return amended(story, pl.when(~gone).then(pl.col("temperature")).alias("temperature"))


def machines(survivors: Survivors, kind: str) -> list:
    """All machines of a kind."""
    with survivors.control.transaction() as t:
        return Book(t, MODEL, 0).machines(kind)


def faults(survivors: Survivors) -> list:
    """The incidents about data."""
    return [machine for machine in machines(survivors, "incident") if machine.body.kind == "data_fault"]


def verdicts(survivors: Survivors) -> list:
    """All that was judged."""
    with survivors.control.transaction() as t:
        return t.verdicts(MODEL, EVER)


@pytest.mark.parametrize("segmented", [True, False])
def test_a_feed_that_stops_for_everybody_is_one_incident_and_ends_when_it_is_back(segmented):
    """Every store is like its neighbours: what is missing testifies by itself, in a model without segments too."""
    changes = {} if segmented else {"segments": ()}
    survivors = told(without_temperature(quiet(**changes), day(3), day(5)))
    (incident,) = faults(survivors)
    assert (incident.state, incident.body.segment) == ("resolved", ())
    assert "temperature" in incident.body.columns
    assert "missing too often" in incident.body.title
    assert incident.body.causes[0]["evidence_for"]
    # The score is missing with it, so two columns spoke in the first window.
    assert (incident.body.began, incident.body.opened_at, incident.body.resolved_at) == (day(3), day(4), day(5))


def test_a_declared_range_that_is_left_everywhere_is_a_fault():
    """Celsius in all stores alike: neighbours see nothing, and what the operator knows does."""
    ranged = Features(override={"temperature": Override(range=(20.0, 110.0))})
    story = amended(
        quiet(features=ranged),
        pl.when(pl.col(EVENT_TIME) >= day(4))
        .then((pl.col("temperature") - 32) / 1.8)
        .otherwise(pl.col("temperature"))
        .alias("temperature"),
    )
    (incident,) = faults(told(story))
    assert (incident.body.segment, incident.body.columns) == ((), ("temperature",))
    assert (incident.body.began, incident.body.opened_at) == (day(4), day(6))


def test_the_score_is_judged_too():
    """Its drift by both witnesses, and whether it is there."""
    survivors = told(quiet(2))
    judged = {(v.check, v.reference) for v in verdicts(survivors) if v.column == SCORE and v.segment == MARKET}
    assert judged == {
        ("drift.univariate", "trailing"),
        ("drift.univariate", "other_segments"),
        ("quality.missing", "training"),
    }


def test_a_store_that_is_gone_is_not_passed_over():
    """It cannot be judged, and that is said of each of its columns."""
    story = quiet(3)
    history = story.history
    open_ = history.predictions.filter((pl.col("store") != "market") | (pl.col(EVENT_TIME) < day(1)))
    survivors = told(replace(story, history=History(open_, history.outcomes, ())), day(2))
    gone = [v for v in verdicts(survivors) if v.segment == MARKET and v.window.start == day(1)]
    assert {v.column for v in gone} >= {"temperature", "basket", "visits", "store", SCORE}
    assert {(v.status, v.reason) for v in gone} == {("inconclusive", "no rows")}


def test_a_window_without_rows_is_not_passed_over():
    """Nothing came from anybody."""
    story = quiet(3)
    history = story.history
    open_ = history.predictions.filter(~pl.col(EVENT_TIME).is_between(day(1), day(2), closed="left"))
    survivors = told(replace(story, history=History(open_, history.outcomes, ())))
    gone = [v for v in verdicts(survivors) if v.window.start == day(1) and v.check.startswith(("drift", "quality"))]
    assert {v.segment for v in gone} >= {(), MARKET}
    assert {(v.status, v.reason) for v in gone} == {("inconclusive", "no rows")}


def test_stores_that_nobody_knew_are_named_once():
    """Nothing is judged there, and one verdict says so."""
    late = pl.col(EVENT_TIME) >= day(1)
    strange = pl.when(late & (pl.col("store") == "market")).then(pl.lit("airport")).otherwise(pl.col("store"))
    survivors = told(amended(quiet(2), strange.alias("store")))
    (one,) = (v for v in verdicts(survivors) if v.metric == "unknown_segments")
    assert (one.window.start, one.status, one.value) == (day(1), "inconclusive", 1.0)
    assert "store=" in one.reason
    assert one.n_current == 120


class OneThatCannotLoad(MemoryModels):
    """The fallback's loader is gone."""

    def load(self, version):
        """Refuse the fallback."""
        if version.name == "plain":
            message = "the loader of plain is gone"
            raise OutsideError(message)
        return super().load(version)


def test_a_fallback_that_cannot_answer_does_not_stop_the_watch():
    """It is no remedy: the recovery says why it waits, and the windows go on."""
    story = unit_fault()
    survivors = Survivors.none()
    live(replace(survivors.start(story), models=OneThatCannotLoad(LOADERS)), story, day(7))
    (recovery,) = machines(survivors, "recovery")
    assert recovery.state == "planned"
    assert "the loader of plain is gone" in recovery.body.evidence["planned"]["words"]
    assert max(v.window.end for v in verdicts(survivors)) == day(7)


def recommending() -> tuple[Story, Survivors]:
    """A unit fault whose playbook asks a person, on the day after it was noticed."""
    playbooks = (Playbook("data_fault", ("fallback",), "recommend"),)
    story = tell("a person decides", Script(12, fault=SHORT_FAULT), replace(make_spec(), playbooks=playbooks))
    return story, told(story, day(7))


def say(story: Story, survivors: Survivors, machine, event: str, now: int):
    """Do something in a person's name."""
    return operate(survivors.start(story), story.spec, machine.id, event, actor="ana", reason="because", now=now)


def test_what_a_person_approves_is_told_like_what_was_acted_upon():
    """When it began, that the incident is mitigated, and, aborted, when it ended."""
    story, survivors = recommending()
    (recovery,) = machines(survivors, "recovery")
    assert recovery.state == "recommended"
    now = day(7) + 1
    say(story, survivors, recovery, "approve", now)
    (recovery,), (incident,) = machines(survivors, "recovery"), faults(survivors)
    assert (recovery.state, recovery.body.acted_at, recovery.body.ended_at) == ("verifying", now, None)
    assert incident.state == "mitigating"
    say(story, survivors, recovery, "abort", now + 1)
    (recovery,) = machines(survivors, "recovery")
    assert (recovery.state, recovery.body.ended_at) == ("closed", now + 1)


def test_a_person_may_clear_an_incident_and_what_it_began_is_taken_back():
    """Like one that cleared by itself."""
    story, survivors = recommending()
    (recovery,), (incident,) = machines(survivors, "recovery"), faults(survivors)
    say(story, survivors, recovery, "approve", day(7) + 1)
    say(story, survivors, incident, "clear", day(7) + 2)
    (recovery,), (incident,) = machines(survivors, "recovery"), faults(survivors)
    assert (incident.state, incident.body.resolved_at) == ("resolved", day(7) + 2)
    assert (recovery.state, recovery.body.ended_at) == ("closed", day(7) + 2)


def test_an_incident_without_an_onset_spoils_the_window_that_showed_it():
    """What was found at a window's end was wrong in the window."""
    survivors = told(without_temperature(quiet(), day(3), day(5)), day(4))
    (incident,) = faults(survivors)
    assert incident.body.onset is None
    assert incident.body.spoiled.start == day(3) == incident.body.opened_at - DAY
