"""The fault injector fails the call it was told to fail, before or after its effect, and no other."""

from dataclasses import replace

import pytest

from killick.adapters.control import open_control
from killick.errors import OutsideError, StaleWrite
from killick.ledger.chain import extend, verify
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.control_examples import MODEL, a_command, a_fact
from killick.testing.faults import FaultPlan, Killed, every_fault, faulty


def a_step(control) -> None:
    """One move of an automation: state, ledger and command in one transaction, unless it was made before."""
    with control.transaction() as t:
        if t.get("incident", MODEL, "1") is None:
            t.put("incident", MODEL, "1", b"mitigating", revision=0)
            t.append(extend(t.ledger_head(), a_fact("1")))
            t.post(a_command(1))


CALLS = ["transaction", "get", "put", "ledger_head", "append", "post", "commit"]


def what_is_there(control) -> tuple[int, int, int]:
    """How much of the step is there: all three or none."""
    with control.transaction() as t:
        return len(t.documents("incident", MODEL)), verify(t.ledger()), len(t.due(MODEL, 99))


@pytest.fixture(params=["memory", "sqlite"])
def control(request, tmp_path):
    """Both stores."""
    if request.param == "memory":
        yield MemoryControl()
    else:
        store = open_control(tmp_path / "control.db")
        yield store
        store.close()


def test_calls_are_counted_and_nothing_fails_without_a_number(control):
    """Begin, each call and commit, under their names."""
    plan = FaultPlan()
    a_step(faulty(control, plan))
    assert plan.calls == CALLS
    assert not plan.struck
    assert what_is_there(control) == (1, 1, 1)


@pytest.mark.faults
@pytest.mark.parametrize("plan", every_fault(len(CALLS)), ids=str)
def test_killed_at_any_call_a_step_is_made_wholly_or_not_at_all(plan, control):
    """It is there if and only if the commit had its effect; whoever starts again makes it exactly once."""
    plan = replace(plan)
    with pytest.raises(Killed, match=rf"{plan.moment} call {plan.kill_at}, {CALLS[plan.kill_at - 1]}"):
        a_step(faulty(control, plan))
    assert plan.struck
    is_committed = (plan.kill_at, plan.moment) == (len(CALLS), "after")
    assert what_is_there(control) == ((1, 1, 1) if is_committed else (0, 0, 0))
    a_step(control)
    assert what_is_there(control) == (1, 1, 1)


@pytest.mark.faults
@pytest.mark.parametrize("plan", every_fault(len(CALLS), fault="error"), ids=str)
def test_an_error_at_any_call_strikes_once(plan, control):
    """The world refuses, and then works again: the same handle may be used for another try."""
    plan = replace(plan)
    shaky = faulty(control, plan)
    with pytest.raises(OutsideError, match=f"injected {plan.moment} call {plan.kill_at}"):
        a_step(shaky)
    a_step(shaky)
    assert what_is_there(control) == (1, 1, 1)


def test_the_dead_stay_dead():
    """What a `finally` does after death reaches no port."""
    control, plan = MemoryControl(), FaultPlan(1)
    shaky = faulty(control, plan)
    with pytest.raises(Killed):
        a_step(shaky)
    with pytest.raises(Killed, match="after death"), shaky.transaction():
        pass
    assert what_is_there(control) == (0, 0, 0)


def test_no_handler_of_errors_survives_its_death():
    """`except Exception` does not catch it."""
    assert not issubclass(Killed, Exception)


def test_the_error_of_the_code_under_test_passes_through():
    """It rolls back, and it is not counted as a commit."""
    plan = FaultPlan()
    control = MemoryControl()
    with pytest.raises(StaleWrite), faulty(control, plan).transaction() as t:
        t.put("incident", MODEL, "1", b"", revision=7)
    assert plan.calls == ["transaction", "put"]
    assert what_is_there(control) == (0, 0, 0)


def test_ports_of_every_kind_may_share_a_plan():
    """Objects, plain functions and attributes: their calls are numbered as they come."""
    plan = FaultPlan(3, "after")
    archive, sent = MemoryArchive(), []
    shaky, notify = faulty(archive, plan), faulty(sent.append, plan)
    assert shaky.tables == {}
    assert shaky.sweep(set()) == []
    notify("one")
    with pytest.raises(Killed, match="after call 3, call"):
        notify("two")
    assert sent == ["one", "two"]
    assert plan.calls == ["sweep", "call", "call"]
