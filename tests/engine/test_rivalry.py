"""Other tools' rules beside Killick, counted over a history that was lived through."""

from dataclasses import replace

from killick.checks.rivals import parse_rules
from killick.clock import HOUR, Window
from killick.engine.record import Book
from killick.engine.rivalry import Tally, rival
from killick.testing import simulator
from killick.testing.simulator import MODEL, day
from tests.engine.survivors import Survivors, live

RULES = parse_rules("psi>0,psi>99,3sigma")


def test_every_column_of_every_window_is_counted_once():
    """A rule that always alarms does so about all, one that never does about none, and Killick is told alike."""
    story, survivors = simulator.unit_fault(), Survivors.none()
    world = survivors.start(story)
    live(world, story, day(8))
    with survivors.control.transaction() as t:
        failed = {(v.window, v.column) for v in t.verdicts(MODEL) if v.status == "fail" and v.column}
        incidents = [machine.body for machine in Book(t, MODEL, 0).machines("incident")]

    found = rival(world, story.spec, RULES)

    always, never, _, ours = found.tallies
    everything = 8 * found.columns
    # Each store has as many orders every day: of that column even a limit of zero is kept.
    moving = found.columns - 1
    days = [Window(day(at), day(at + 1)) for at in range(8)]
    covered = sum(any(incident.covers(one) for incident in incidents) for one in days)
    assert 0 < covered < 8
    assert (found.windows, found.incidents, found.incident_windows) == (8, len(incidents), covered)
    assert always == Tally("psi>0", 8 * moving, everything, 8, moving, covered * moving)
    assert never == Tally("psi>99", 0, everything, 0, 0, 0)
    assert ours.alarms == len(failed)
    assert ours.columns == len({column for _, column in failed})
    # The fault that Killick found is what its alarms are about.
    assert 0 < ours.during_incidents <= ours.alarms


def test_windows_of_hours_are_counted_though_the_store_has_merged_them_into_days():
    """After eight days the store keeps whole days only; the rules are asked about the windows that Killick judged."""
    story = simulator.unit_fault()
    story = replace(story, spec=replace(story.spec, evaluate_every=12 * HOUR))
    survivors = Survivors.none()
    world = survivors.start(story)
    live(world, story, day(12))

    found = rival(world, story.spec, RULES)

    assert found.windows == 24
    assert found.tallies[0].windows == 24


def test_of_a_store_that_has_lived_through_nothing_nothing_is_said():
    """No reference, no batch, no alarm."""
    story = simulator.unit_fault()

    found = rival(Survivors.none().start(story), story.spec, RULES)

    assert (found.windows, found.columns, found.incidents) == (0, 0, 0)
    assert [(one.rule, one.alarms, one.judged) for one in found.tallies] == [
        *(("psi>0", 0, 0), ("psi>99", 0, 0), ("3sigma", 0, 0), ("killick", 0, 0)),
    ]
