"""The first chapter, with other scripts: another airport, another day, other columns."""

import numpy as np
import pytest

from killick.clock import DAY, HOUR, parse_instant
from killick.demo.faults import METRIC, Script, UnitFault
from killick.engine.world import World
from killick.spec.document import Spec
from tests.demo.conftest import MakeWorkspace, lived_through, machines

Lived = tuple[UnitFault, World, Spec]

AIRPORTS = ("EWR", "JFK", "LGA")
# Of the seeds, those whose fault is in what a single day can show; precipitation and wind alone cannot be promised.
SHOWN = ("temp", "dewp", "visib")


def script_of(seed: int) -> UnitFault:
    """Draw a fault: an airport, a day, an hour of the morning, and two or more of the columns that a day shows."""
    draw = np.random.default_rng(seed)
    start = parse_instant("2013-04-20") + int(draw.integers(0, 150)) * DAY + int(draw.integers(9, 13)) * HOUR
    shown = [str(name) for name in draw.permutation(SHOWN)[: int(draw.integers(2, 4))]]
    others = [name for name in METRIC if name not in SHOWN and draw.random() < 0.5]
    return UnitFault(str(draw.choice(AIRPORTS)), start, start + 12 * DAY, (*shown, *others))


@pytest.fixture(scope="module", params=[1, 2, 3], ids="seed {}".format)
def lived(request: pytest.FixtureRequest, make: MakeWorkspace) -> Lived:
    """A fault that a seed draws, and the world after a replay of some weeks around it."""
    fault = script_of(request.param)
    folder = make(f"seed-{request.param}", Script(faults=(fault,)), fault.start - 18 * DAY, fault.end + 6 * DAY)
    return fault, *lived_through(folder)


def test_a_unit_change_is_found_located_and_ended_wherever_it_happens(lived: Lived) -> None:
    """The incident names airport, faulty columns, hour and release; it ends when the feed is mended."""
    fault, world, spec = lived

    where = (("origin", fault.airport),)
    incidents = [machine.body for machine in machines(world, spec, "incident")]
    found = [body for body in incidents if body.segment == where and body.opened_at > fault.start]

    assert found, f"{fault} was not found"
    body = found[0]
    assert body.kind == "data_fault"
    assert body.opened_at - fault.start <= 3 * DAY
    assert set(body.columns) <= set(fault.columns)
    assert body.onset is not None
    # The hour of the change, or the first one after it in which a flight was due to leave.
    assert body.onset.start <= fault.start + HOUR
    assert body.onset.end >= fault.start
    assert body.onset.width <= 12 * HOUR
    assert body.causes[0]["what"] == "pipeline weather-feed 2.1"
    assert body.resolved_at is not None
    assert fault.end - DAY <= body.resolved_at <= fault.end + 4 * DAY


def test_nobody_else_falls_back_and_nothing_is_done_without_evidence(lived: Lived) -> None:
    """Whatever acts is the faulty airport's own fallback, shown to be better first, and it is taken back in the end."""
    fault, world, spec = lived

    for machine in machines(world, spec, "recovery"):
        if machine.body.acted_at is None:
            continue
        assert machine.body.segment == (("origin", fault.airport),)
        assert machine.body.evidence["planned"]["gain"] > 0
        assert machine.state == "closed"
    plan = world.traffic.in_force(spec.model)
    assert plan is not None
    assert len(plan.routes) == 1
    assert [share.version for share in plan.routes[-1].shares] == ["v1"]
