"""Who answers, and what: a batch of predictions scored as the traffic plan in force says.

Users are answered whatever a new version does: where one fails, live answers, and that it failed is written down.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from killick.errors import CallError, KillickError, Mistake
from killick.spec.document import Features
from killick.telemetry.columns import ENTITY_ID, PREDICTION_ID, ROLE, SCORE, VERSION, features
from killick_client.assignment import Assignment, assign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.engine.world import World
    from killick.profiles.cells import Floats
    from killick.registry.versions import Version
    from killick_client.assignment import TrafficPlan

# What a history without loadable versions calls the version that made its scores.
RECORDED = "recorded"
_ASSIGNED = {VERSION: pl.String, ROLE: pl.String}
# Where a row stood in its batch.
_AT = "row of the batch"
# Every column that plays no part.
EVERY_FEATURE = Features()


def serve(
    world: World,
    plan: TrafficPlan,
    versions: dict[str, Version],
    batch: pl.DataFrame,
    watched: Features = EVERY_FEATURE,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Score a batch as the plan says.

    Where a version that is not live cannot score, live answers its rows; where a shadow cannot, it is left out.

    Args:
        world: loads versions.
        plan: the plan in force.
        versions: the registry, by name.
        batch: arranged predictions, without scores.
        watched: which columns a version may look at.

    Returns:
        the answered predictions, with score, version and role; and what was said of the same rows without answering
        them: a shadow's scores, and as a shadow too, with null for a score, the rows at which a version failed.

    Raises:
        KillickError: live itself cannot score.
    """
    rows = batch.drop(SCORE, strict=False)
    assigned = assign_rows(plan, batch)
    last = plan.routes[-1].shares[-1]
    live = Assignment(last.version, last.role)
    answered, along = [], []
    for share, mine in _by_share(assigned):
        asked, by = rows.filter(mine), share
        try:
            scores = score(world, versions[share.version], asked, watched)
        except KillickError:
            if share.version == live.version:
                raise
            along.append(_said(asked, share.version, "shadow", None))
            by, scores = live, score(world, versions[live.version], asked, watched)
        answered.append(_said(asked, by.version, by.role, scores).with_columns(mine.arg_true().alias(_AT)))
    for name in plan.shadow:
        with suppress(KillickError):
            along.append(_said(rows, name, "shadow", score(world, versions[name], rows, watched)))
    in_order = pl.concat(answered).sort(_AT).drop(_AT) if answered else _said(rows, "", "", None)
    return in_order, pl.concat(along) if along else in_order.clear()


def failed(version: str) -> pl.Expr:
    """Return which rows say that a version failed: those for which it has no score at all, not even a NaN."""
    return (pl.col(VERSION) == version) & (pl.col(ROLE) == "shadow") & pl.col(SCORE).is_null()


def _by_share(assigned: pl.DataFrame) -> Iterator[tuple[Assignment, pl.Series]]:
    """Yield each version and role with its rows, in the order in which they first come."""
    for version, role in assigned.unique(maintain_order=True).iter_rows():
        yield Assignment(version, role), (assigned[VERSION] == version) & (assigned[ROLE] == role)


def _said(rows: pl.DataFrame, version: str, role: str, scores: Floats | None) -> pl.DataFrame:
    """Return rows with what a version said of them."""
    said = pl.lit(None, pl.Float64).alias(SCORE) if scores is None else pl.Series(SCORE, scores)
    return rows.with_columns(pl.lit(version).alias(VERSION), pl.lit(role).alias(ROLE), said)


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


def score(world: World, version: Version, rows: pl.DataFrame, watched: Features = EVERY_FEATURE) -> Floats:
    """Return a version's score of each row, which sees its features alone: not what rows are only grouped by.

    Raises:
        OutsideError: its loader fails.
        CallError: it gives another number of scores than there are rows.
    """
    if rows.is_empty():
        return np.empty(0)
    columns: dict[str, Any] = {name: rows[name].to_numpy() for name in watched.select(features(rows.columns))}
    scores = np.asarray(world.models.load(version)(columns), dtype=np.float64)
    if scores.shape != (rows.height,):
        problem = f"gives scores of shape {scores.shape} for {rows.height} rows"
        raise CallError(
            Mistake(f"versions.{version.name}.loader", problem, value=version.loader, hint="return one score a row")
        )
    return scores
