"""What survives a crash, what it remembers, and a story that is killed and resumed over it."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from killick.checks.reference import unpack_reference
from killick.clock import FOREVER, Window
from killick.engine.replay import reached, replay
from killick.engine.world import World
from killick.ledger.chain import verify
from killick.ports.control import Control
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT
from killick.telemetry.history import History
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.faults import FaultPlan, faulty
from killick.testing.simulator import MODEL, Story, make_trainer
from killick.testing.trainer import MemoryTrainer

KINDS = (
    *("incident", "rollout", "recovery", "retraining"),
    *("version", "alias", "plan", "reference", "progress", "change", "spec"),
)
# Calls after which the world is another one. What is written inside a transaction is not among them: until the commit
# nothing has happened, and the control battery holds every store to that.
EFFECTS = frozenset({"commit", "write", "train", "apply"})
EVER = Window(-FOREVER, FOREVER)


@dataclass(frozen=True)
class Survivors:
    """What outlives a process: the stores, and the jobs of the operator's trainer. Traffic and loaded versions die."""

    control: MemoryControl
    archive: MemoryArchive
    trainer: MemoryTrainer

    @classmethod
    def none(cls) -> "Survivors":
        """Before the first start nothing is there."""
        return cls(MemoryControl(), MemoryArchive(), make_trainer())

    def copy(self) -> "Survivors":
        """The same once more, to be tried differently."""
        return Survivors(self.control.copy(), self.archive.copy(), self.trainer.copy())

    def start(self, story: Story, plan: FaultPlan | None = None) -> World:
        """A process that starts over them; with a plan, one whose calls may fail."""
        world = story.make_world(self.control, self.archive, self.trainer)
        if plan is None:
            return world
        names = ("control", "archive", "tables", "folders", "models", "traffic", "trainer")
        return World(**{name: faulty(getattr(world, name), plan) for name in names})

    def remember(self, scale: str) -> dict[str, Any]:
        """Everything that they hold."""
        return remembered(self.control, scale) | {"tables": Tables(self.archive.tables)}


class Tables(dict[str, pl.DataFrame]):
    """Frames by path, that are equal when they hold the same rows in the same order."""

    __hash__ = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, dict)
            and self.keys() == other.keys()
            and all(table is other[path] or table.equals(other[path]) for path, table in self.items())
        )

    def __ne__(self, other: object) -> bool:
        return not self == other


def remembered(control: Control, scale: str) -> dict[str, Any]:
    """Everything that a store holds, as it can be asked for, with a ledger that verifies and nothing left to do."""
    with control.transaction() as t:
        found: dict[str, Any] = {kind: t.documents(kind, MODEL) for kind in KINDS}
        batches = {kind: t.batches(MODEL, kind) for kind in ("predictions", "shadows", "outcomes")}
        found |= batches
        found["profiles"] = t.profiles(MODEL, scale, EVER)
        found["verdicts"] = t.verdicts(MODEL, EVER)
        found["ledger"] = t.ledger()
        found["due"] = t.due(MODEL, FOREVER)
    verify(found["ledger"])
    return found


def scale_of(control: Control) -> str:
    """The fingerprint of the scale that the store's profiles are on."""
    with control.transaction() as t:
        document = t.get("reference", MODEL, "training")
    assert document is not None
    return unpack_reference(document.body).scale.fingerprint


def until(history: History, end: int) -> History:
    """The history as it is told before an instant."""
    return History(
        history.predictions.filter(pl.col(EVENT_TIME) < end),
        history.outcomes.filter(pl.col(KNOWN_AT) < end),
        tuple(change for change in history.changes if change.at < end),
    )


def live(world: World, story: Story, end: int) -> None:
    """Go on with a story to the end of a window. What comes later is there to be read, and must not be."""
    there = reached(world, story.spec) >= end
    for lived in replay(world, story.spec, until(story.history, end) if there else story.history):
        if lived.window.end >= end:
            return
