"""What a person says to a running machine, through the command line."""

import json
from pathlib import Path

import pytest

from killick.cli.main import run
from killick.clock import DAY
from killick.engine.record import Book
from killick.recovery.states import Recovery
from killick.registry.versions import Version
from killick.spec.load import parse_spec
from killick.wiring import open_world

SPEC = """
killick: 1
model: shop
task: binary
schema: {prediction_id: id, event_time: at, label: sold}
segments: [city]
versions:
  - {name: v1, loader: "shop:load", role: live}
  - {name: plain, loader: "shop:load", role: fallback}
"""


@pytest.fixture
def waiting(tmp_path: Path) -> tuple[Path, str]:
    """A store in which a recovery waits for a person."""
    (tmp_path / "killick.yaml").write_text(SPEC, encoding="utf-8")
    spec = parse_spec(SPEC)
    world = open_world(tmp_path, tmp_path / "store")
    with world.control.transaction() as t:
        book = Book(t, spec.model, DAY)
        for name in ("v1", "plain"):
            book.register(Version(model="shop", name=name, loader="shop:load"), "for the test")
        book.point("live", "v1", "for the test")
        body = Recovery(
            incident="incident-1",
            action="fallback",
            version="plain",
            mode="recommend",
            planned_at=DAY,
            segment=(("city", "Ulm"),),
        )
        book.begin("recovery", "recovery-1", body, "wanted")
    return tmp_path, "recovery-1"


def say(folder: Path, *words: str) -> int:
    """Run a command about the folder's model."""
    return run([*words, "--spec", str(folder / "killick.yaml"), "--store", str(folder / "store")])


def test_what_is_approved_is_done_and_the_ledger_names_who_said_so(waiting: tuple[Path, str]) -> None:
    """The plan of traffic is made and applied, and the fact bears the person's name and reason."""
    folder, key = waiting
    assert say(folder, "approve", key, "--by", "ana", "--because", "the feed is known to be broken") == 0

    world = open_world(folder, folder / "store")
    with world.control.transaction() as t:
        machine = Book(t, "shop", DAY).machine("recovery", key)
        facts = [entry.fact for entry in t.ledger()]
        plan = t.get("plan", "shop", "plan")
    assert machine is not None
    assert machine.state == "verifying"
    assert plan is not None
    routes = json.loads(plan.body)["plan"]["routes"]
    assert routes[0]["where"] == [{"column": "city", "equals": "Ulm"}]
    approved = next(fact for fact in facts if fact.action == "approve recovery")
    assert (approved.actor, approved.reason) == ("ana", "the feed is known to be broken")


def test_what_is_aborted_serves_nobody(waiting: tuple[Path, str]) -> None:
    """An aborted recovery is never applied."""
    folder, key = waiting
    assert say(folder, "abort", key, "--by", "ana", "--because", "not needed") == 0
    world = open_world(folder, folder / "store")
    with world.control.transaction() as t:
        machine = Book(t, "shop", DAY).machine("recovery", key)
    assert machine is not None
    assert machine.ended


def test_an_unknown_id_is_a_mistake_with_a_hint(waiting: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest id is named, and nothing is changed."""
    folder, _ = waiting
    assert say(folder, "approve", "recovery-2", "--by", "ana", "--because", "why not") == 2
    assert "did you mean 'recovery-1'?" in " ".join(capsys.readouterr().err.split())
