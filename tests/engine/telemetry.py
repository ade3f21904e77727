"""A model that sends telemetry, and all that it takes to receive it: on disk or in memory."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.checks.reference import Reference
from killick.clock import DAY, HOUR, Window
from killick.engine.aging import OwnTime, age, compacting
from killick.engine.measure import learn_reference
from killick.engine.profiling import Round, profile_pending
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery, Receipt, commit
from killick.engine.turns import Watched, read_turn
from killick.engine.world import World
from killick.errors import StaleWrite
from killick.identity import derive_id
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.spec.document import Band, Label, Schema, Spec
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID, ROLE, SCORE, VERSION
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.simulator import bad_release

MODEL = "loans"
NOW = 1_763_000_000_000_000 // HOUR * HOUR
SPEC = Spec(
    model=MODEL,
    task="binary",
    schema=Schema(
        prediction_id=PREDICTION_ID, event_time=EVENT_TIME, score=SCORE, label=Label(LABEL, known_at=KNOWN_AT)
    ),
    segments=((Band("city", "city"),),),
)
CITIES = np.array(["Oslo", "Rome", "Bern"])


def predictions(
    ids: list[str], *, at: int = NOW, version: str = "v1", role: str = "live", spread: int = 3 * HOUR
) -> pl.DataFrame:
    """Predictions of these ids: all that is in a row follows from its id, whoever sends it."""
    seeds = [int(derive_id("row", one)[-12:], 16) for one in ids]
    draws = np.array([np.random.default_rng(seed).random(4) for seed in seeds]).reshape(-1, 4)
    times = at + (draws[:, 0] * spread).astype(np.int64)
    return pl.DataFrame(
        {
            PREDICTION_ID: ids,
            EVENT_TIME: times,
            SCORE: draws[:, 1],
            VERSION: [version] * len(ids),
            ROLE: [role] * len(ids),
            "income": draws[:, 2] * 100,
            "city": CITIES[(draws[:, 3] * 3).astype(np.int64)],
        },
        schema_overrides={PREDICTION_ID: pl.String, VERSION: pl.String, ROLE: pl.String, "city": pl.String},
    )


def outcomes(labels: dict[str, int], *, known_at: int = NOW + 5 * HOUR) -> pl.DataFrame:
    """Labels of these predictions, known at one time."""
    return pl.DataFrame(
        {PREDICTION_ID: list(labels), LABEL: list(labels.values()), KNOWN_AT: [known_at] * len(labels)},
        schema={PREDICTION_ID: pl.String, LABEL: pl.Int64, KNOWN_AT: pl.Int64},
    )


def names(first: int, end: int) -> list[str]:
    """Ids that count up."""
    return [f"loan-{number}" for number in range(first, end)]


def compact(world: World, model: str, kind: str, now: int) -> int:
    """Merge the small files of hours, all there are; return how many went."""
    return sum(compacting(world, model, kind, now))


REFERENCE: Reference = learn_reference(
    predictions([f"training-{number}" for number in range(600)]).with_columns(
        (pl.col(SCORE) > 0.4).cast(pl.Int64).alias(LABEL), (pl.col(EVENT_TIME) + HOUR).alias(KNOWN_AT)
    ),
    SPEC,
)


@dataclass
class Post:
    """Takes deliveries in, profiles them, and says what is counted."""

    world: World
    watched: Watched = field(default_factory=lambda: Watched(SPEC, REFERENCE.scale, REFERENCE.segments))
    sequence: int = 0

    @classmethod
    def in_memory(cls) -> "Post":
        """With the fakes."""
        return cls(bad_release().make_world(MemoryControl(), MemoryArchive()))

    @classmethod
    def on_disk(cls, folder: Any) -> "Post":
        """With the real store and archive."""
        world = bad_release().make_world(
            open_control(folder / "control.sqlite"), FolderArchive(folder / "telemetry", spared_seconds=0)
        )
        return cls(world)

    def send(self, kind: str, rows: pl.DataFrame, *, producer: str = "host", sequence: int | None = None) -> Receipt:
        """Take one delivery in."""
        self.sequence += 1
        number = self.sequence if sequence is None else sequence
        return commit(self.world, [Delivery(MODEL, kind, producer, number, rows)], NOW)[0]

    def predict(self, ids: list[str], **options: Any) -> Receipt:
        """Take predictions in."""
        sent = {name: options.pop(name) for name in ("producer", "sequence") if name in options}
        return self.send(PREDICTIONS, predictions(ids, **options), **sent)

    def turn_out(self, labels: dict[str, int], **options: Any) -> Receipt:
        """Take outcomes in."""
        return self.send(OUTCOMES, outcomes(labels, **options))

    def profile(self) -> Round:
        """Profile all that is pending."""
        total = Round()
        while (done := profile_pending(self.world, self.watched, NOW)).batches:
            total = total + done
        return total

    def age(self, watched: Watched | None = None) -> None:
        """Age all of it at once, by the newest event that was seen."""
        watched = watched or self.watched
        with self.world.control.transaction() as t:
            turn, _ = read_turn(t, MODEL)
        own, keep = OwnTime(turn.newest, turn.newest), watched.spec.keep.days * DAY
        if turn.number:
            with suppress(StaleWrite):  # a round came in between
                for _ in age(self.world, MODEL, keep, own, watched, is_thorough=True):
                    pass

    def counted(self, role: str = "live") -> dict[Any, Profile]:
        """What is counted of a role, by segment and window."""
        scale = self.watched.scale
        with self.world.control.transaction() as t:
            held = t.profiles(MODEL, scale.fingerprint, Window(-(2**62), 2**62))
        found: dict[Any, Profile] = {}
        for key, body in held.items():
            if key.role == role:
                place = (key.segment, key.window)
                found[place] = found.get(place, Profile.empty(scale)) + unpack_profile(body, scale)
        return found
