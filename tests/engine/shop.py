"""The simulator's shop, open: a world, its calibration, and batches of orders to give it."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from killick.checks.reference import unpack_reference
from killick.clock import HOUR
from killick.engine.open import open_model
from killick.engine.profiling import Round, profile_pending
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery, commit
from killick.engine.serve import score
from killick.engine.turns import Watched
from killick.engine.world import World
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.registry.versions import Version
from killick.telemetry.columns import PREDICTION_ID, ROLE, SCORE, VERSION
from killick.telemetry.segments import Segment
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.simulator import BEGIN, MODEL, Story, bad_release
from tests.engine.survivors import EVER

V1 = Version(model=MODEL, name="v1", loader="shop:v1")
PLAIN = Version(model=MODEL, name="plain", loader="shop:plain")
LONG_AFTER = BEGIN + 1_000 * HOUR


@dataclass
class Shop:
    """A shop that has opened, on the first day of a story."""

    story: Story
    world: World
    sequence: int = 0

    @classmethod
    def opened(cls, story: Story | None = None) -> "Shop":
        """The model is opened, nothing has come in."""
        story = story or bad_release()
        world = story.make_world(MemoryControl(), MemoryArchive())
        open_model(world, story.spec, BEGIN)
        return cls(story, world)

    @property
    def scale(self):
        """The scale that the reference was learned on."""
        with self.world.control.transaction() as t:
            return unpack_reference(t.get("reference", MODEL, "training").body).scale

    def orders(self, number: int, start: int = 0) -> pl.DataFrame:
        """So many orders as v1 answers them, without their outcomes."""
        rows = self.story.history.predictions.slice(start, number)
        return rows.with_columns(
            pl.Series(SCORE, score(self.world, V1, rows)), pl.lit("v1").alias(VERSION), pl.lit("live").alias(ROLE)
        )

    def predict(self, rows: pl.DataFrame, now: int = LONG_AFTER, **options: Any) -> int:
        """Take a batch of predictions in and profile it; return how many were duplicates."""
        return self.deliver(PREDICTIONS, rows, now, **options).duplicates

    def turn_out(self, labels: dict[str, int], at: int = LONG_AFTER - HOUR, **options: Any) -> int:
        """Take a batch of outcomes in and profile it; return how many met no prediction."""
        rows = pl.DataFrame(
            {PREDICTION_ID: list(labels), "label": list(labels.values()), "known_at": [at] * len(labels)},
            schema={PREDICTION_ID: pl.String, "label": pl.Int64, "known_at": pl.Int64},
        )
        return self.deliver(OUTCOMES, rows, **({"now": LONG_AFTER} | options)).unmatched

    def deliver(
        self, kind: str, rows: pl.DataFrame, now: int, sequence: int | None = None, segments: Any = ()
    ) -> Round:
        """Take a delivery in, and profile what is pending."""
        self.sequence += 1
        number = self.sequence if sequence is None else sequence
        commit(self.world, [Delivery(MODEL, kind, "test", number, rows)], now)
        return profile_pending(self.world, Watched(self.story.spec, self.scale, segments), now)

    def counted(self) -> Profile:
        """The profile of everything that was answered."""
        return self.by_segment().get((), Profile.empty(self.scale))

    def by_segment(self) -> dict[Segment, Profile]:
        """The profile of what was answered in each segment."""
        scale = self.scale
        with self.world.control.transaction() as t:
            held = t.profiles(MODEL, scale.fingerprint, EVER)
        found: dict[Segment, Profile] = {}
        for key, packed in held.items():
            if key.role != "shadow":
                found[key.segment] = found.get(key.segment, Profile.empty(scale)) + unpack_profile(packed, scale)
        return found
