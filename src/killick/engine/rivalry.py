"""What other tools' usual rules would have said of a history, counted beside what Killick said of it.

Read from what a replay leaves behind: the batches as they were answered, the verdicts and the incidents. The batches
are profiled again, window by window, since stored windows of less than a day merge into days; nothing is written. Costs
one more pass over the rows.

An alarm is a column in a window: what would have been one line of a report, or one message. Killick's are its failed
verdicts, of any segment; only an incident would have called a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from killick.checks.reference import EVERYTHING
from killick.checks.rivals import Held, judge
from killick.clock import Window
from killick.engine.open import stored_reference
from killick.engine.receive import PREDICTIONS
from killick.engine.record import Book
from killick.profiles.profile import Profile, profile_rows, stack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from killick.checks.reference import Reference
    from killick.checks.rivals import Rule
    from killick.engine.world import World
    from killick.ports.control import Batch
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

    Bools: TypeAlias = NDArray[np.bool_]

KILLICK = "killick"


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a rule alarmed.

    Attributes:
        rule: as it was written, or `killick`.
        alarms: columns in windows.
        judged: columns in windows of which the rule could say anything.
        windows: windows with any alarm.
        columns: columns that ever alarmed.
        during_incidents: alarms in windows that an incident of Killick's covers.
    """

    rule: str
    alarms: int
    judged: int
    windows: int
    columns: int
    during_incidents: int


@dataclass(frozen=True, slots=True)
class Rivalry:
    """A history by several rules: Killick's tally is the last one."""

    windows: int
    columns: int
    incidents: int
    incident_windows: int
    tallies: tuple[Tally, ...]


def rival(world: World, spec: Spec, rules: Sequence[Rule]) -> Rivalry:
    """Count what each rule would have said of every window that was replayed, and what Killick said."""
    reference = stored_reference(world, spec)
    with world.control.transaction() as t:
        batches = t.batches(spec.model, PREDICTIONS)
        verdicts = t.verdicts(spec.model)
        incidents = [machine.body for machine in Book(t, spec.model, 0).machines("incident")]
    if reference is None or not batches:
        nothing = (Tally(rule, 0, 0, 0, 0, 0) for rule in (*(rule.text for rule in rules), KILLICK))
        return Rivalry(0, 0, len(incidents), 0, tuple(nothing))
    windows = [Window.around(batch.window.start, spec.evaluate_every) for batch in batches]
    profiles = [_profile(world, reference.scale, batch) for batch in batches]
    spoiled = np.array([any(incident.covers(window) for incident in incidents) for window in windows])
    names = [column.column for column in reference.scale.columns]
    tallies = [_tally(rule.text, *_said(rule, reference, profiles), spoiled) for rule in rules]
    grid = {(window, name): (row, at) for row, window in enumerate(windows) for at, name in enumerate(names)}
    alarms, judged = np.zeros((2, len(windows), len(names)), np.bool_)
    for verdict in verdicts:
        if verdict.window and (place := grid.get((verdict.window, verdict.column or ""))):
            judged[place] |= verdict.status != "inconclusive"
            alarms[place] |= verdict.status == "fail"
    return Rivalry(
        len(windows),
        len(names),
        len(incidents),
        int(spoiled.sum()),
        (*tallies, _tally(KILLICK, alarms, judged, spoiled)),
    )


def _profile(world: World, scale: Scale, batch: Batch) -> Profile:
    rows = world.archive.read(batch.path)
    return profile_rows(scale, rows, np.zeros(rows.height, np.int64), 1)[0]


def _said(rule: Rule, reference: Reference, profiles: Sequence[Profile]) -> tuple[Bools, Bools]:
    """The rule's alarms and what it could judge, `[windows, columns]` each."""
    whole = reference.profiles[EVERYTHING]
    healthy = [held.profiles[EVERYTHING] for held in reference.windows if EVERYTHING in held.profiles]
    # Without event times there are none; a window without rows teaches nothing either.
    healthy = healthy or [Profile.empty(whole.scale)]
    said = []
    for column in reference.scale.columns:
        sides = (Held(*stack(side, column.column)) for side in ([whole], healthy, profiles))
        said.append(judge(rule, column, *sides))
    return np.stack([one.alarms for one in said], axis=1), np.stack([one.known for one in said], axis=1)


def _tally(rule: str, alarms: Bools, judged: Bools, spoiled: Bools) -> Tally:
    return Tally(
        rule=rule,
        alarms=int(alarms.sum()),
        judged=int(judged.sum()),
        windows=int(alarms.any(axis=1).sum()),
        columns=int(alarms.any(axis=0).sum()),
        during_incidents=int(alarms[spoiled].sum()),
    )
