"""Retrain: the operator's own command on rows labelled by then, a gate on later rows, and a rollout for what passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.checks.performance import LABELS_MIN
from killick.clock import Window
from killick.engine.compare import compare_versions
from killick.engine.open import reference_rows
from killick.engine.recall import labelled_between
from killick.engine.record import KILLICK, Book, Machine
from killick.engine.release import base_rate_of, begin_rollout
from killick.errors import KillickError
from killick.identity import derive_id
from killick.ports.trainer import TrainRequest
from killick.registry.versions import Version
from killick.retraining.states import Retraining
from killick.retraining.triggers import Situation, rows_for, why_not
from killick.telemetry.columns import EVENT_TIME, LABEL, PREDICTION_ID, features
from killick.telemetry.segments import where

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.alerting.incidents import Incident
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.spec.document import RetrainingPolicy, Spec

# The job's seed: given to the operator's command so that it can be repeated to the bit.
SEED = 0
WOULD_RETRAIN = "would retrain"


def request_retraining(
    book: Book, spec: Spec, reason: str, *, mode: str, incident: str | None = None
) -> Machine[Retraining] | None:
    """Begin a retraining job, unless something speaks against it; in mode observe only say what would be done."""
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
        _withhold(book, incident, against)
        return None
    if mode == "observe":
        _would_retrain(book, spec.retraining, reason)
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
    if job.state != "requested":
        return job
    event = "begin" if mode == "act" else "recommend"
    return book.move(job, event, reason=f"the playbook says {mode}")


def _would_retrain(book: Book, policy: RetrainingPolicy, reason: str) -> None:
    """Note what would be done, as often as it would be done: once in a cool-down."""
    last = book.progress(WOULD_RETRAIN)
    if (not last or book.now >= last + policy.cooldown) and book.once(WOULD_RETRAIN):
        book.note(WOULD_RETRAIN, book.model, reason)


def _withhold(book: Book, incident: str | None, against: str) -> None:
    """Say in the ledger, once for an incident and a reason, why what its playbook wants is not done."""
    machine = book.machine("incident", incident) if incident else None
    if machine is None or machine.body.evidence.get("withheld") == against:
        return
    if any(job.body.incident == incident for job in book.machines("retraining")):
        # Its job has begun, and why no second one does is nobody's question.
        return
    book.note("withhold retraining", machine.id, against)
    evidence = machine.body.evidence | {"withheld": against}
    book.update(machine, msgspec.structs.replace(machine.body, evidence=evidence))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A command that a job posted, about to be performed."""

    world: World
    spec: Spec
    job: Machine[Retraining]
    key: str
    now: Instant

    @property
    def policy(self) -> RetrainingPolicy:
        """How the operator wants it done."""
        if self.spec.retraining is None:
            message = f"{self.spec.model} has a retraining job, but its spec has no retraining any more"
            raise KillickError(message)
        return self.spec.retraining

    def finish(self, event: str, body: Retraining, reason: str, version: Version | None = None) -> None:
        """Store the result and mark the command done, in one transaction; a job that was stopped stays so."""
        with self.world.control.transaction() as t:
            book = Book(t, self.spec.model, self.now)
            fresh = book.machine("retraining", self.job.id)
            if fresh and fresh.state == self.job.state:
                if version:
                    book.register(version, reason)
                book.move(fresh, event, body, reason=reason, **body.evidence)
            elif fresh and fresh.allows(event):
                book.move(fresh, event, reason=f"came too late: {reason}")
            t.finish(self.key, self.now)


def train(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """Train a trial without the newest rows: what the gate judges."""
    attempt = Attempt(world, spec, job, key, now)
    _train(attempt, rows_for(attempt.policy, job.body.requested_at).training, trial_of(job.body), "trained")


def refit(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """Train the challenger by the same command on all rows, the newest included: what goes out."""
    attempt = Attempt(world, spec, job, key, now)
    rows = rows_for(attempt.policy, job.body.requested_at)
    _train(attempt, Window(rows.training.start, rows.holdout.end), job.body.challenger, "refitted")


def trial_of(body: Retraining) -> str:
    """Return the name of the version that stands for a challenger at the gate."""
    return f"{body.challenger}-trial"


def _train(attempt: Attempt, window: Window, name: str, event: str) -> None:
    """Run the operator's command, and register what it made."""
    spec, job, policy = attempt.spec, attempt.job, attempt.policy
    rows = training_rows(attempt.world, spec, window)
    label = spec.schema.label.column if spec.schema.label else LABEL
    watched = spec.features.select(features(rows.columns))
    request = TrainRequest(model=spec.model, version=name, label=label, features=watched, seed=SEED)
    grown = msgspec.structs.replace(job.body, rows=rows.height)
    try:
        manifest = attempt.world.trainer.train(
            policy.run, request, rows.rename({LABEL: label}), key=attempt.key, timeout=policy.timeout
        )
    except KillickError as error:
        attempt.finish("failed", msgspec.structs.replace(grown, ended_at=attempt.now), str(error))
        return
    version = Version(
        model=spec.model,
        name=name,
        loader=manifest.loader,
        artifact=manifest.artifact,
        registered_at=attempt.now,
        trained_until=window.end,
        metrics=manifest.metrics,
        lineage=manifest.lineage | {"job": job.id, "why": job.body.reason},
    )
    attempt.finish(event, grown, f"{name} was trained on {rows.height} rows", version)


def judge_challenger(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """The gate: is the challenger surely better than live on rows that neither was trained on?

    One that cannot score them is not, and is refused in those words.
    """
    attempt, body = Attempt(world, spec, job, key, now), job.body
    holdout = rows_for(attempt.policy, body.requested_at).holdout
    labelled = labelled_between(world, spec.model, holdout, body.requested_at)
    rows = without_spoiled(labelled, spec, spoiled_by(world, spec))
    with world.control.transaction() as t:
        live = Book(t, spec.model, now).alias("live").version or ""
    gain = compare_versions(world, spec, rows, better=trial_of(body), than=live, now=now)
    accepted = gain.rows >= LABELS_MIN and gain.surely_better(attempt.policy.gate.alpha)
    grown = msgspec.structs.replace(body, evidence={"gain": gain.as_evidence()}, ended_at=None if accepted else now)
    said = f"{'surely better' if accepted else 'not shown to be better'}: {gain.words}"
    attempt.finish("accept" if accepted else "refuse", grown, said)


def start_rollout(world: World, spec: Spec, job: Machine[Retraining], key: str, now: Instant) -> None:
    """Put an accepted challenger on its way."""
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine("retraining", job.id)
        if fresh and fresh.state == job.state and fresh.allows("released"):
            begin_rollout(book, spec, job.body.challenger, f"passed the gate of {job.id}", base_rate_of(book, spec))
            book.move(
                fresh, "released", msgspec.structs.replace(fresh.body, ended_at=now), reason="its rollout has begun"
            )
        t.finish(key, now)


def training_rows(world: World, spec: Spec, window: Window) -> pl.DataFrame:
    """Return the labelled rows of a window: from telemetry, and those from before it from the reference."""
    logged = labelled_between(world, spec.model, window, known_by=window.end)
    logged = without_spoiled(logged, spec, spoiled_by(world, spec))
    began = int(logged[EVENT_TIME].min()) if logged.height else window.end  # type: ignore[arg-type]
    earlier = reference_rows(world, spec, window, before=began)
    shared = [column for column in earlier.columns if column in logged.columns] if logged.height else earlier.columns
    watched = spec.features.select(features(shared))
    keep = [column for column in shared if column in watched or column in (EVENT_TIME, LABEL)]
    frames = [frame.select(keep) for frame in (earlier, logged) if frame.height]
    return pl.concat(frames).sort(EVENT_TIME, maintain_order=True) if frames else earlier.select(keep)


def spoiled_by(world: World, spec: Spec) -> list[Incident]:
    """Return the data faults that are known."""
    with world.control.transaction() as t:
        return [
            machine.body for machine in Book(t, spec.model, 0).machines("incident") if machine.body.kind == "data_fault"
        ]


def without_spoiled(rows: pl.DataFrame, spec: Spec, faults: Sequence[Incident]) -> pl.DataFrame:
    """Leave out the rows that a data fault spoiled."""
    for fault in faults:
        began, ended = fault.spoiled.start, fault.spoiled.end
        during = rows.filter(pl.col(EVENT_TIME).is_between(began, ended, closed="left"))
        spoiled = where(during, fault.segment, spec.segments)
        if spoiled.height:
            rows = rows.join(spoiled.select(PREDICTION_ID), on=PREDICTION_ID, how="anti", maintain_order="left")
    return rows
