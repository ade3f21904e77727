"""Retrain: the operator's own command on rows labelled by then, a gate on later rows, and a rollout for what passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.checks.performance import LABELS_MIN
from killick.clock import Window
from killick.engine.compare import compare_versions
from killick.engine.ingest import labelled_between
from killick.engine.record import KILLICK, Book, Machine
from killick.engine.release import begin_rollout
from killick.errors import KillickError
from killick.identity import derive_id
from killick.ports.trainer import TrainRequest
from killick.registry.versions import Version
from killick.retraining.states import Retraining
from killick.retraining.triggers import Situation, rows_for, why_not
from killick.telemetry.columns import EVENT_TIME, LABEL, PARTS, PREDICTION_ID, features
from killick.telemetry.segments import where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.alerting.incidents import Incident
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.spec.document import RetrainingPolicy, Spec

# The job's seed: given to the operator's command so that it can be repeated to the bit.
SEED = 0


def request_retraining(book: Book, spec: Spec, reason: str, *, mode: str, incident: str | None = None) -> Machine[Retraining] | None:
    """Begin a retraining job, unless something speaks against it."""
    if spec.retraining is None:
        return None
    jobs = book.machines("retraining")
    live = book.version(book.alias("live").version or "")
    situation = Situation(
        now=book.now,
        requested=[job.body.requested_at for job in jobs],
        job_runs=any(not job.ended for job in jobs),
        rollout_runs=any(machine.state != "verifying" for machine in book.machines("rollout", running=True)),
        live_trained_until=live.trained_until if live else None,
    )
    against = why_not(spec.retraining, situation)
    if against and book.actor == KILLICK:
        return None
    rows = rows_for(spec.retraining, book.now)
    key = derive_id("retraining", spec.model, book.now)
    body = Retraining(
        reason=reason,
        requested_at=book.now,
        challenger=f"challenger-{len(jobs) + 1}",
        trained_from=rows.training.start,
        trained_until=rows.training.end,
        incident=incident,
    )
    job = book.begin("retraining", key, body, reason, challenger=body.challenger)
    if job.state != "requested" or mode == "observe":
        return job
    event = "begin" if mode == "act" else "recommend"
    return book.move(job, event, reason=f"the playbook says {mode}")


def train(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """Train a trial without the newest rows: what the gate judges."""
    window = rows_for(_policy(spec), job.body.requested_at).training
    _train(world, spec, job, key, now, window=window, name=trial_of(job.body), event="trained")


def refit(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """Train the challenger by the same command on all rows, the newest included: what goes out."""
    rows = rows_for(_policy(spec), job.body.requested_at)
    window = Window(rows.training.start, rows.holdout.end)
    _train(world, spec, job, key, now, window=window, name=job.body.challenger, event="refitted")


def trial_of(body: Retraining) -> str:
    """Return the name of the version that stands for a challenger at the gate."""
    return f"{body.challenger}-trial"


def _train(
    world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant, *, window: Window, name: str, event: str
) -> None:
    """Run the operator's command, and register what it made."""
    policy = _policy(spec)
    rows = training_rows(world, spec, window)
    label = spec.schema.label.column if spec.schema.label else LABEL
    request = TrainRequest(model=spec.model, version=name, label=label, features=features(rows.columns), seed=SEED)
    grown = msgspec.structs.replace(job.body, rows=rows.height)
    try:
        manifest = world.trainer.train(policy.run, request, rows.rename({LABEL: label}), key=key, timeout=policy.timeout)
    except KillickError as error:
        _finish(world, spec, job, key, now, "failed", msgspec.structs.replace(grown, ended_at=now), str(error))
        return
    version = Version(
        model=spec.model,
        name=name,
        loader=manifest.loader,
        artifact=manifest.artifact,
        registered_at=now,
        trained_until=window.end,
        metrics=manifest.metrics,
        lineage=manifest.lineage | {"job": job.id, "why": job.body.reason},
    )
    _finish(world, spec, job, key, now, event, grown, f"{name} was trained on {rows.height} rows", version=version)


def judge_challenger(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """The gate: is the challenger surely better than live on rows that neither was trained on?"""
    policy, body = _policy(spec), job.body
    holdout = rows_for(policy, body.requested_at).holdout
    rows = without_spoiled(labelled_between(world, spec.model, holdout, body.requested_at), spec, spoiled_by(world, spec, now))
    with world.control.transaction() as t:
        live = Book(t, spec.model, now).alias("live").version or ""
    gain = compare_versions(world, spec, rows, better=trial_of(body), than=live, now=now)
    accepted = gain.rows >= LABELS_MIN and gain.surely_better(policy.gate.alpha)
    grown = msgspec.structs.replace(body, evidence={"gain": gain.as_evidence()}, ended_at=None if accepted else now)
    said = f"{'surely better' if accepted else 'not shown to be better'}: {gain.words}"
    _finish(world, spec, job, key, now, "accept" if accepted else "refuse", grown, said)


def start_rollout(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """Put an accepted challenger on its way."""
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine("retraining", job.id)
        if fresh and fresh.allows("released"):
            begin_rollout(book, spec, job.body.challenger, f"passed the gate of {job.id}", base_rate_of(book, spec))
            book.move(fresh, "released", msgspec.structs.replace(fresh.body, ended_at=now), reason="its rollout has begun")
        t.finish(key, now)


def base_rate_of(book: Book, spec: Spec) -> float:
    """Return the error rate that live has had lately: what a canary's margin is set against before it begins."""
    from killick.checks.performance import CHECK  # noqa: PLC0415

    known = [v for v in book.transaction.verdicts(spec.model, check=CHECK) if v.metric == "error_rate" and not v.segment and not v.version]
    rates = [v.value for v in known[-28:] if v.value is not None]
    return sum(rates) / len(rates) if rates else 0.25


def training_rows(world: World, spec: Spec, window: Window) -> pl.DataFrame:
    """Return labelled rows of a window: from telemetry, and before it began, from the reference that has event times."""
    from killick.engine.open import reference_rows  # noqa: PLC0415

    logged = labelled_between(world, spec.model, window, known_by=window.end)
    logged = without_spoiled(logged, spec, spoiled_by(world, spec, window.end))
    earlier = reference_rows(world, spec, window, before=logged[EVENT_TIME].min() if logged.height else window.end)
    shared = [column for column in earlier.columns if column in logged.columns] if logged.height else earlier.columns
    keep = [column for column in shared if column not in PARTS or column in (EVENT_TIME, LABEL)]
    frames = [frame.select(keep) for frame in (earlier, logged) if frame.height]
    return pl.concat(frames).sort(EVENT_TIME, maintain_order=True) if frames else earlier.select(keep)


def spoiled_by(world: World, spec: Spec, now: Instant) -> list[Incident]:
    """Return the data faults that were known by now."""
    with world.control.transaction() as t:
        return [machine.body for machine in Book(t, spec.model, now).machines("incident") if machine.body.kind == "data_fault"]


def without_spoiled(rows: pl.DataFrame, spec: Spec, faults: Sequence[Incident]) -> pl.DataFrame:
    """Leave out the rows that a data fault spoiled."""
    for fault in faults:
        began, ended = fault.spoiled.start, fault.spoiled.end
        spoiled = where(rows.filter(pl.col(EVENT_TIME).is_between(began, ended, closed="left")), fault.segment, spec.segments)
        rows = rows.join(spoiled.select(PREDICTION_ID), on=PREDICTION_ID, how="anti", maintain_order="left") if rows.height else rows
    return rows


def _policy(spec: Spec) -> RetrainingPolicy:
    if spec.retraining is None:
        message = f"{spec.model} has a retraining job, but its spec has no retraining any more"
        raise KillickError(message)
    return spec.retraining


def _finish(
    world: World,
    spec: Spec,
    job: Machine[Retraining],
    key: str,
    now: Instant,
    event: str,
    body: Retraining,
    reason: str,
    version: Version | None = None,
) -> None:
    """Store a command's result and mark it done, in one transaction; a job that was stopped meanwhile keeps its state."""
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine("retraining", job.id)
        if fresh and fresh.allows(event):
            if version:
                book.register(version, reason)
            book.move(fresh, event, body, reason=reason, **body.evidence)
        t.finish(key, now)
