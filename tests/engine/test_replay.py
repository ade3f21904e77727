"""A replay sees what could be known, tells each story to its end, and recommends nothing that it cannot know."""

from dataclasses import replace

import polars as pl
import pytest

from killick.clock import DAY, HOUR, Window
from killick.engine.record import Book
from killick.engine.replay import read_changes, replay
from killick.engine.serve import RECORDED
from killick.errors import DataError
from killick.ledger.chain import verify
from killick.spec.document import Playbook
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID, ROLE, SCORE, VERSION
from killick.telemetry.history import History
from killick.testing import simulator
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.simulator import BEGIN, MODEL, Story, day
from killick_client.events import Change
from tests.engine.survivors import EVER, Survivors, live, scale_of


def told(story: Story, end: int | None = None) -> Survivors:
    """What a story leaves when it is told, to its end or to an instant."""
    survivors = Survivors.none()
    live(survivors.start(story), story, end or story.history.window.end)
    return survivors


def facts(survivors: Survivors) -> list[tuple[int, str]]:
    """The ledger in short: on which day, what."""
    with survivors.control.transaction() as t:
        return [((entry.fact.at - BEGIN) // DAY, entry.fact.action) for entry in t.ledger()]


def answered(survivors: Survivors) -> pl.DataFrame:
    """Every prediction as it was answered."""
    with survivors.control.transaction() as t:
        return pl.concat([survivors.archive.read(batch.path) for batch in t.batches(MODEL, "predictions")])


def test_a_unit_fault_is_found_fallen_back_from_and_taken_back():
    """In the one store and only while it lasts: everywhere else, and later, the live version answers."""
    story = simulator.unit_fault()
    survivors = told(story)
    actions = [action for _, action in facts(survivors)]
    order = ("begin incident", "begin recovery", "act recovery", "effective recovery", "mended recovery")
    places = [actions.index(action) for action in order]
    assert places == sorted(places)
    with survivors.control.transaction() as t:
        book = Book(t, MODEL, 0)
        (incident,) = (m for m in book.machines("incident") if m.body.kind == "data_fault")
        (recovery,) = book.machines("recovery")
    assert (incident.body.segment, incident.body.columns) == ((("store", "market"),), ("temperature",))
    assert incident.body.onset is not None
    assert incident.body.onset == Window(day(4) + 9 * HOUR, day(4) + 12 * HOUR)
    assert "thermometers" in str(incident.body.causes[0])
    assert (incident.state, recovery.state) == ("resolved", "closed")
    rows = answered(survivors)
    elsewhere = rows.filter((pl.col("store") != "market") | (pl.col(EVENT_TIME) >= recovery.since))
    there = rows.filter((pl.col("store") == "market") & (pl.col(ROLE) == "fallback"))
    assert elsewhere[VERSION].unique().to_list() == ["v1"]
    assert there[VERSION].unique().to_list() == ["plain"]
    assert there[EVENT_TIME].min() >= recovery.body.acted_at


def test_a_harmful_release_is_stopped_as_a_canary():
    """A fifth of the customers for a day, and everybody is on the version before it again."""
    survivors = told(simulator.bad_release())
    with survivors.control.transaction() as t:
        book = Book(t, MODEL, 0)
        (rollout,) = book.machines("rollout")
        (incident,) = book.machines("incident")
        assert book.alias("live").version == "v1"
    assert (rollout.state, incident.state) == ("rolled_back", "resolved")
    touched = answered(survivors).filter(pl.col(VERSION) == "v2")
    assert touched.height == rollout.body.touched > 0
    assert touched[EVENT_TIME].max() < rollout.body.ended_at


def test_an_objective_that_is_missed_is_kept_again_by_a_challenger():
    """Missed, retrained, judged, refitted, released in steps, promoted; then the objective is kept."""
    survivors = told(simulator.changed_minds())
    order = (
        *("begin incident", "begin retraining", "trained retraining", "accept retraining", "refitted retraining"),
        *("begin rollout", "advance rollout", "promote rollout", "point alias", "clear incident"),
    )
    actions = [action for number, action in facts(survivors) if number > 0]
    places = [actions.index(action) for action in order]
    assert places == sorted(places)
    with survivors.control.transaction() as t:
        assert Book(t, MODEL, 0).alias("live").version == "challenger-1"


def test_everything_in_one_ends_well():
    """Until the watch over the promoted challenger is over. The ledger verifies, and nothing runs any more."""
    survivors = told(simulator.everything_at_once())
    with survivors.control.transaction() as t:
        book = Book(t, MODEL, 0)
        running = [m for kind in ("incident", "rollout", "recovery", "retraining") for m in book.machines(kind)]
        states = {machine.state for machine in running}
        assert verify(t.ledger()) > 40
        assert book.alias("live").version != "v1"
    assert states == {"resolved", "closed", "refused", "released", "rolled_back", "promoted"}


@pytest.mark.parametrize("name", ["unit_fault", "bad_release", "changed_minds"])
def test_the_same_story_is_the_same_every_time(name):
    """To the last hash of the ledger."""
    first, again = told(getattr(simulator, name)()), told(getattr(simulator, name)())
    assert first.remember(scale_of(first.control)) == again.remember(scale_of(again.control))


@pytest.mark.parametrize("name", ["unit_fault", "changed_minds"])
@pytest.mark.parametrize("days", [3, 8])
def test_nothing_reads_later_rows(name, days):
    """A history whose future is other, poisoned or not there at all has the same past."""
    story = getattr(simulator, name)()
    end = day(days)
    expected = told(story, end)
    scale = scale_of(expected.control)
    rows, outcomes = story.history.predictions, story.history.outcomes
    future = pl.col(EVENT_TIME) >= end
    poisoned = rows.with_columns(
        pl.when(future).then(-1e9).otherwise(pl.col("temperature")).alias("temperature"),
        pl.when(future).then(pl.lit("nowhere")).otherwise(pl.col("store")).alias("store"),
    )
    told_later = outcomes.with_columns(
        pl.when(pl.col(KNOWN_AT) >= end).then(1 - pl.col(LABEL)).otherwise(pl.col(LABEL)).alias(LABEL)
    )
    later = Change(at=end + 1, kind="release", name=MODEL, version="v2")
    other = replace(story, history=History(poisoned, told_later, (*story.history.changes, later)))
    short = replace(
        story,
        history=History(
            rows.filter(~future),
            outcomes.filter(pl.col(KNOWN_AT) < end),
            tuple(change for change in story.history.changes if change.at < end),
        ),
    )
    for one in (told(other, end), told(short)):
        assert one.remember(scale) == expected.remember(scale)


def test_the_ledger_of_a_truncated_history_is_the_beginning_of_the_whole_one():
    """What was decided does not depend on what came after."""
    story = simulator.unit_fault()
    whole, part = told(story), told(story, day(6))
    with whole.control.transaction() as t, part.control.transaction() as p:
        entries, beginning = t.ledger(), p.ledger()
    assert 0 < len(beginning) < len(entries)
    assert entries[: len(beginning)] == beginning


def without_versions(story: Story) -> Story:
    """The same history as somebody else's scores: nothing can be loaded."""
    scored = simulator.score_orders(
        simulator.TRUTH,
        {name: story.history.predictions[name] for name in ("store", "temperature", "basket", "visits")},
    )
    before = simulator.score_orders(simulator.TRUTH, story.reference.to_dict())
    spec = replace(
        story.spec,
        versions=(),
        schema=replace(story.spec.schema, score="p_returned"),
        playbooks=(
            Playbook("data_fault", ("fallback", "rollback", "page"), "act"),
            Playbook("objective_missed", ("rollback",), "act"),
        ),
    )
    predictions = story.history.predictions.with_columns(pl.Series(SCORE, scored))
    reference = story.reference.with_columns(pl.Series("p_returned", before))
    history = History(predictions, story.history.outcomes, story.history.changes)
    return replace(story, spec=spec, history=history, reference=reference)


def test_a_history_without_versions_has_incidents_and_no_acts():
    """What another version would have done is not known, so nothing is steered, and nothing is claimed."""
    story = without_versions(simulator.unit_fault())
    survivors = told(story)
    with survivors.control.transaction() as t:
        book = Book(t, MODEL, 0)
        kinds = {machine.body.kind for machine in book.machines("incident")}
        assert kinds == {"data_fault", "objective_missed"}
        assert [machine.state for machine in book.machines("recovery")] == []
        assert book.alias("live").version == RECORDED
        assert t.get("plan", MODEL, "plan") is None
    assert answered(survivors)[VERSION].unique().to_list() == [RECORDED]
    assert survivors.start(story).traffic.in_force(MODEL) is None


def test_a_release_of_nobody_known_is_found_before_anything_is_lived_through():
    """A mistake of the history, with a hint."""
    story = simulator.bad_release()
    change = Change(at=BEGIN + 1, kind="release", name=MODEL, version="v22")
    history = History(story.history.predictions, story.history.outcomes, (change,))
    world = story.make_world(MemoryControl(), MemoryArchive())
    with pytest.raises(DataError, match="did you mean 'v2'"):
        next(replay(world, story.spec, history))
    with world.control.transaction() as t:
        assert t.batches(MODEL, "predictions", EVER) == []


def test_changes_are_read_line_by_line_and_every_mistake_is_named():
    """Two lines are wrong, and both are told."""
    good = '{"at": "2031-03-04T00:00Z", "kind": "pipeline", "name": "feed"}'
    assert read_changes(f"{good}\n\n{good}", "changes.jsonl") == (Change(at=day(1), kind="pipeline", name="feed"),) * 2
    with pytest.raises(DataError) as caught:
        read_changes(f"{good}\nnonsense\n{{}}\n", "changes.jsonl")
    assert [mistake.line for mistake in caught.value.mistakes] == [2, 3]


def test_a_day_without_orders_is_lived_through():
    """Nothing came in: nothing is known, and nothing is wrong."""
    story = simulator.bad_release()
    closed = Window(day(1), day(3))
    rows = story.history.predictions.filter(~pl.col(EVENT_TIME).is_between(closed.start, closed.end, closed="left"))
    outcomes = story.history.outcomes.join(rows.select(PREDICTION_ID), on=PREDICTION_ID, how="semi")
    quiet = replace(story, history=History(rows, outcomes.sort(KNOWN_AT), ()))
    survivors = told(quiet)
    with survivors.control.transaction() as t:
        assert Book(t, MODEL, 0).machines("incident") == []
        assert len(t.batches(MODEL, "predictions")) == 3
