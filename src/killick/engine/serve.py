"""Who answers, and what: a batch of predictions scored as the traffic plan in force says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from killick.errors import CallError, Mistake
from killick.telemetry.columns import ENTITY_ID, PREDICTION_ID, ROLE, SCORE, VERSION, features
from killick_client.assignment import assign

if TYPE_CHECKING:
    from killick.engine.world import World
    from killick.profiles.cells import Floats
    from killick.registry.versions import Version
    from killick_client.assignment import TrafficPlan

# What a history without loadable versions calls the version that made its scores.
RECORDED = "recorded"
_ASSIGNED = {VERSION: pl.String, ROLE: pl.String}


def serve(
    world: World, plan: TrafficPlan, versions: dict[str, Version], batch: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score a batch as the plan says.

    Args:
        world: loads versions.
        plan: the plan in force.
        versions: the registry, by name.
        batch: arranged predictions, without scores.

    Returns:
        the answered predictions, with score, version and role; and what shadows said of the same rows.
    """
    assigned = assign_rows(plan, batch)
    answered = batch.drop(SCORE, strict=False).with_columns(assigned[VERSION], assigned[ROLE])
    scores = np.empty(batch.height)
    for name in assigned[VERSION].unique(maintain_order=True):
        mine = (assigned[VERSION] == name).to_numpy()
        scores[mine] = score(world, versions[name], batch.filter(mine))
    answered = answered.with_columns(pl.Series(SCORE, scores))
    along = [
        batch.drop(SCORE, strict=False).with_columns(
            pl.Series(SCORE, score(world, versions[name], batch)),
            pl.lit(name).alias(VERSION),
            pl.lit("shadow").alias(ROLE),
        )
        for name in plan.shadow
    ]
    return answered, pl.concat(along) if along else answered.clear()


def assign_rows(plan: TrafficPlan, batch: pl.DataFrame) -> pl.DataFrame:
    """Return each row's version and role under a plan. A row without an entity stands for itself."""
    if len(plan.routes) == 1 and len(plan.routes[0].shares) == 1:
        only = plan.routes[0].shares[0]
        return pl.DataFrame(
            {VERSION: [only.version] * batch.height, ROLE: [only.role] * batch.height}, schema=_ASSIGNED
        )
    ids = batch[PREDICTION_ID]
    entities = (batch[ENTITY_ID].fill_null(ids) if ENTITY_ID in batch.columns else ids).to_list()
    asked = sorted({condition.column for route in plan.routes for condition in route.where})
    rows = batch.select(asked).to_dicts() if asked else [{}] * batch.height
    assignments = [assign(plan, entity, row) for entity, row in zip(entities, rows, strict=True)]
    return pl.DataFrame(
        {VERSION: [one.version for one in assignments], ROLE: [one.role for one in assignments]}, schema=_ASSIGNED
    )


def score(world: World, version: Version, rows: pl.DataFrame) -> Floats:
    """Return a version's score of each row.

    Raises:
        OutsideError: its loader fails.
        CallError: it gives another number of scores than there are rows.
    """
    if rows.is_empty():
        return np.empty(0)
    columns: dict[str, Any] = {name: rows[name].to_numpy() for name in features(rows.columns)}
    scores = np.asarray(world.models.load(version)(columns), dtype=np.float64)
    if scores.shape != (rows.height,):
        problem = f"gives scores of shape {scores.shape} for {rows.height} rows"
        raise CallError(
            Mistake(f"versions.{version.name}.loader", problem, value=version.loader, hint="return one score a row")
        )
    return scores
