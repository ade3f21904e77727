"""The simulator: a small shop whose model is watched, and in which things go wrong on schedule.

    story = unit_fault()
    world = story.make_world(MemoryControl(), MemoryArchive())
    for lived in replay(world, story.spec, story.history):
        ...

Three stores score whether an order will be returned. What goes wrong is scripted: a thermometer reports Celsius and is
mended, a harmful version is released, customers change their minds and a new version is trained. Every value comes out
of a seed, so a story is the same every time, in every process. A day takes some 30 ms of CPU.

The engine is the real one, and so is all that it decides: nothing here knows what should happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np
import polars as pl

from killick.clock import DAY, HOUR, Instant, parse_instant
from killick.engine.world import World
from killick.ports.trainer import MANIFEST_SCHEMA, TrainManifest
from killick.spec.document import (
    Band,
    FalseAlarms,
    Guardrail,
    Keep,
    Label,
    Objective,
    Playbook,
    RetrainingPolicy,
    RolloutPolicy,
    Schema,
    Spec,
    VersionSource,
)
from killick.telemetry.door import arrange
from killick.telemetry.history import History
from killick.testing.folders import MemoryFolders
from killick.testing.models import MemoryModels
from killick.testing.tables import MemoryTables
from killick.testing.traffic import MemoryTraffic
from killick.testing.trainer import MemoryTrainer
from killick_client.events import Change

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.ports.archive import Archive
    from killick.ports.control import Control
    from killick.ports.models import Scorer
    from killick.ports.trainer import TrainRequest
    from killick.profiles.cells import Floats

    Columns: TypeAlias = Mapping[str, Sequence[object]]

MODEL, REFERENCE = "shop", "orders-before.parquet"
STORES = ("harbour", "market", "station")
FAULTY_STORE = "market"
# Stories begin here; what was before is the reference.
BEGIN = parse_instant("2031-03-03")
REFERENCE_DAYS = 45
ORDERS_A_DAY = 120
SEED = 20_310_303
# Whether an order is returned is known within a day.
_SETTLED_WITHIN = 20 * HOUR

Weights: TypeAlias = tuple[float, float, float, float]
"""What a version knows: an intercept, and what a degree, a unit of money and a visit weigh, in spreads."""

TRUTH: Weights = (-0.2, 1.1, 1.4, -0.8)
CHANGED_MINDS: Weights = (-0.2, 1.1, -1.4, -0.8)
VERSIONS: Mapping[str, Weights] = {"v1": TRUTH, "plain": (-0.2, 0.0, 1.4, -0.8), "v2": (-0.2, -1.1, -1.4, 0.8)}
_CENTRES, _SPREADS = np.array([60.0, 40.0, 5.0]), np.array([10.0, 12.0, 2.2])
_INPUTS = ("temperature", "basket", "visits")


@dataclass(frozen=True, slots=True)
class UnitFault:
    """A store's thermometer reports Celsius from one instant to another."""

    start: Instant
    end: Instant
    store: str = FAULTY_STORE

    @property
    def changes(self) -> tuple[Change, ...]:
        """What its owners record: the release that broke it, and the one that mended it."""
        return (
            Change(at=self.start, kind="pipeline", name="thermometers", version="5", note=f"new in {self.store}"),
            Change(at=self.end, kind="pipeline", name="thermometers", version="5.1", note="Fahrenheit again"),
        )


@dataclass(frozen=True, slots=True)
class Script:
    """What goes wrong, and when. `changed_minds` is the instant from which customers return other orders."""

    days: int
    fault: UnitFault | None = None
    bad_release: Instant | None = None
    changed_minds: Instant | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """All that is recorded of it: nobody records that customers changed their minds."""
        changes = list(self.fault.changes) if self.fault else []
        if self.bad_release is not None:
            changes.append(
                Change(at=self.bad_release, kind="release", name=MODEL, version="v2", note="tidier features")
            )
        return tuple(changes)


@dataclass(frozen=True, slots=True)
class Story:
    """A spec, the history that a replay lives through, and the reference that was before it."""

    name: str
    spec: Spec
    history: History
    reference: pl.DataFrame

    def make_world(self, control: Control, archive: Archive, trainer: MemoryTrainer | None = None) -> World:
        """Return a world over these stores, with all else in memory: called again, the same world after a restart.

        Args:
            control: survives a crash.
            archive: survives a crash.
            trainer: its jobs survive a crash too, where it is handed on.
        """
        return World(
            control=control,
            archive=archive,
            tables=MemoryTables({REFERENCE: self.reference}),
            folders=MemoryFolders(),
            models=MemoryModels(LOADERS),
            traffic=MemoryTraffic(),
            trainer=trainer or make_trainer(),
        )


def day(number: float) -> Instant:
    """Return an instant of the story, in days from its beginning."""
    return BEGIN + round(number * DAY)


def tell(name: str, script: Script, spec: Spec, seed: int = SEED) -> Story:
    """Return the story that a script makes of a spec."""
    reference = orders(Script(REFERENCE_DAYS), BEGIN - REFERENCE_DAYS * DAY, np.random.default_rng([seed, 0]))
    told = orders(script, BEGIN, np.random.default_rng([seed, 1]))
    return Story(name, spec, History.of(arrange(told, spec, name=name), script.changes), reference)


def unit_fault() -> Story:
    """A store's thermometer reports Celsius for four days: noticed, fallen back there, mended, taken back."""
    return tell("unit fault", Script(12, fault=UnitFault(day(4) + 9 * HOUR, day(8))), make_spec())


def bad_release() -> Story:
    """A harmful version is released: stopped as a canary, and taken back."""
    return tell("bad release", Script(5, bad_release=day(1) + 10 * HOUR), make_spec())


def changed_minds() -> Story:
    """Customers change their minds: the objective is missed, and a challenger is trained, judged and promoted."""
    return tell("changed minds", Script(15, changed_minds=day(0)), make_spec(retraining=True))


def everything_at_once() -> Story:
    """All of it in one, until the promoted challenger has been watched for its four weeks."""
    script = Script(47, UnitFault(day(4) + 9 * HOUR, day(8)), bad_release=day(6) + 10 * HOUR, changed_minds=day(9))
    return tell("everything", script, make_spec(retraining=True))


def make_spec(*, retraining: bool = False) -> Spec:
    """Return the shop's spec: steps of a day, and a retraining policy where one is wanted."""
    playbooks = [Playbook("data_fault", ("fallback", "page"), "act"), Playbook("canary_harm", ("rollback",), "act")]
    policy = None
    if retraining:
        playbooks.append(Playbook("objective_missed", ("retrain", "page"), "act"))
        policy = RetrainingPolicy(("train",), rows=10 * DAY, holdout=3 * DAY, cooldown=5 * DAY)
    loaders = {"v1": "live", "plain": "fallback", "v2": None}
    return Spec(
        model=MODEL,
        task="binary",
        schema=Schema(
            prediction_id="order_id",
            event_time="ordered_at",
            entity_id="customer",
            label=Label("returned", known_at="settled_at"),
        ),
        segments=((Band("store", "store"),),),
        reference=REFERENCE,
        # Four columns and three stores a day: 18 healthy windows are needed, and a reference of 45 days has 31.
        false_alarms=FalseAlarms("shopkeepers", budget=1.0, per=30 * DAY),
        keep=Keep(columns=3 * HOUR),
        evaluate_every=DAY,
        objectives=(Objective("honest-odds", "log_loss", window=4 * DAY, at_most=0.62),),
        versions=tuple(VersionSource(name, f"shop:{name}", role) for name, role in loaders.items()),  # type: ignore[arg-type]
        rollout=RolloutPolicy(steps=(0.2, 0.5, 1.0), hold=DAY, guardrails=(Guardrail("error_rate", 0.1),)),
        playbooks=tuple(playbooks),
        retraining=policy,
        fingerprint="shop-1",
    )


def orders(script: Script, begin: Instant, chance: np.random.Generator) -> pl.DataFrame:
    """Return the orders of a script's days as the operator's table has them."""
    number = script.days * len(STORES) * ORDERS_A_DAY
    days = np.repeat(np.arange(script.days), len(STORES) * ORDERS_A_DAY)
    stores = np.tile(np.repeat(np.arange(len(STORES)), ORDERS_A_DAY), script.days)
    at = begin + days * DAY + chance.integers(0, DAY, number)
    weather = chance.normal(0.0, 2.0, script.days)[days]
    temperature = 60.0 + weather + 2.0 * stores + chance.normal(0.0, 10.0, number)
    basket = 40.0 + 3.0 * stores + chance.normal(0.0, 12.0, number)
    visits = chance.poisson(5.0, number)
    inputs = np.column_stack([temperature, basket, visits])
    truth = np.full((number, 4), TRUTH)
    if script.changed_minds is not None:
        truth[at >= script.changed_minds] = CHANGED_MINDS
    returned = chance.random(number) < _odds(inputs, truth)
    if script.fault is not None:
        broken = (stores == STORES.index(script.fault.store)) & (at >= script.fault.start) & (at < script.fault.end)
        temperature = np.where(broken, (temperature - 32.0) * 5.0 / 9.0, temperature)
    settled = at + chance.integers(HOUR, _SETTLED_WITHIN, number)
    table = pl.DataFrame(
        {
            "order_id": [f"o{one // DAY}-{number}" for number, one in enumerate(at.tolist())],
            "ordered_at": pl.Series(at).cast(pl.Datetime("us", "UTC")),
            "customer": [f"c{customer}" for customer in chance.integers(0, 4_000, number).tolist()],
            "store": [STORES[store] for store in stores.tolist()],
            "temperature": temperature,
            "basket": basket,
            "visits": visits.astype(np.float64),
            "returned": returned,
            "settled_at": pl.Series(settled).cast(pl.Datetime("us", "UTC")),
        }
    )
    return table.sort("ordered_at", "order_id")


def make_trainer() -> MemoryTrainer:
    """Return a trainer that fits the weights to its rows."""
    return MemoryTrainer(_train)


def score_orders(weights: Weights, columns: Columns) -> Floats:
    """Score orders by weights; a column of weight nothing is not looked at."""
    known = [
        np.asarray(columns[name], dtype=np.float64) if weight else np.full(len(columns["store"]), centre)
        for name, weight, centre in zip(_INPUTS, weights[1:], _CENTRES, strict=True)
    ]
    return _odds(np.column_stack(known), np.asarray(weights))


def _odds(inputs: Floats, weights: Floats) -> Floats:
    spreads = np.column_stack([np.ones(len(inputs)), (inputs - _CENTRES) / _SPREADS])
    odds: Floats = 1.0 / (1.0 + np.exp(-(spreads * weights).sum(axis=1)))
    return odds


def _load(name: str) -> Scorer:
    return partial(score_orders, VERSIONS[name])


def _load_fitted(artifact: str) -> Scorer:
    return partial(score_orders, msgspec.json.decode(artifact, type=tuple[float, float, float, float]))


LOADERS = {f"shop:{name}": partial(_load, name) for name in VERSIONS} | {"shop:fitted": _load_fitted}
"""What the loaders of the shop's versions stand for. A fitted version's artifact is its weights."""


def _train(request: TrainRequest, rows: pl.DataFrame) -> TrainManifest:
    """Fit a logistic regression by Newton's method; eight rounds are more than it needs."""
    inputs = rows.select(_INPUTS).cast(pl.Float64).to_numpy()
    design = np.column_stack([np.ones(len(inputs)), (inputs - _CENTRES) / _SPREADS])
    labels = rows[request.label].cast(pl.Float64).to_numpy()
    weights = np.zeros(4)
    for _ in range(8):
        odds = 1.0 / (1.0 + np.exp(-(design * weights).sum(axis=1)))
        curvature = (design * (odds * (1.0 - odds))[:, None]).T @ design + 1e-6 * np.eye(4)
        weights = weights + np.linalg.solve(curvature, design.T @ (labels - odds))
    # Six digits: linear algebra may differ in the last ones from machine to machine, a story may not.
    return TrainManifest(
        schema=MANIFEST_SCHEMA,
        version=request.version,
        loader="shop:fitted",
        artifact=msgspec.json.encode(weights.round(6).tolist()).decode(),
        metrics={"rows": float(rows.height)},
    )
