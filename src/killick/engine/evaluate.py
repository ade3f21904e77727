"""Evaluate a window: its profiles meet their references, and become verdicts.

What is compared is decided here; how, in the room `checks`. The same function judges a window live, in a replay and in
a simulation: what it reads is what was stored by `now`, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.alerting.objectives import judge_objective
from killick.checks.distances import ROWS_MIN
from killick.checks.drift import judge_window
from killick.checks.limits import Limits, learn_limits, share_of_budget
from killick.checks.performance import judge_performance
from killick.checks.quality import UNSEEN, Histories, judge_quality, share_histories
from killick.checks.reference import EVERYTHING, LOOK_BACK, TRAILING, HealthyWindow, Reference, others, trailing
from killick.checks.verdict import Verdict
from killick.clock import DAY, Window
from killick.engine.record import Book
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.telemetry.segments import describe

# Enough to recognise a new feed by; a list of two hundred is read by nobody.
STRANGERS_NAMED = 5

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.alerting.incidents import Incident
    from killick.checks.reference import BySegment, SegmentKey
    from killick.checks.verdict import ReferenceKind
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import ProfileKey, Transaction
    from killick.profiles.scale import ColumnScale
    from killick.spec.document import Objective, Spec


@dataclass(frozen=True, slots=True)
class Calibration:
    """A reference, and all that was learned from its windows once: limits, usual shares, and the columns to judge."""

    reference: Reference
    columns: tuple[ColumnScale, ...]
    limits: Limits
    shares: Histories
    alpha: float


def calibrate(reference: Reference, spec: Spec) -> Calibration:
    """Learn how far the reference's healthy windows stray, in every feature and in the score."""
    columns = reference.scale.columns
    segments = len(reference.segments) - 1
    # The budget is one of alarms, and drift of the score raises none: it takes no share from the features.
    alpha = share_of_budget(spec.false_alarms, spec.evaluate_every, len(reference.scale.features), segments)
    shares = share_histories(columns, [healthy.profiles for healthy in reference.windows])
    return Calibration(reference, columns, learn_limits(reference, columns, alpha), shares, alpha)


def evaluate(world: World, spec: Spec, calibration: Calibration, window: Window, now: Instant) -> list[Verdict]:
    """Judge a window, and every objective's trailing window that ends with it; store and return the verdicts.

    A window is judged once. Judged again after it was answered for, it would be by what that changed; asked again, this
    returns nothing.
    """
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        if not book.once("evaluate"):
            return []
        incidents = [machine.body for machine in book.machines("incident")]
        past = answered(t, spec, calibration, _reach(spec, window, now, incidents))
        verdicts = [
            *_judge_window(spec, calibration, window, past, incidents),
            *(_judge_objective(calibration, objective, past, now) for objective in spec.objectives),
        ]
        t.add_verdicts(spec.model, verdicts)
    return verdicts


def answered(t: Transaction, spec: Spec, calibration: Calibration, window: Window) -> dict[ProfileKey, Profile]:
    """Return the stored profiles of what was answered in a window: all roles but shadow."""
    scale = calibration.reference.scale
    held = t.profiles(spec.model, scale.fingerprint, window)
    return {key: unpack_profile(packed, scale) for key, packed in held.items() if key.role != "shadow"}


def within(profiles: Mapping[ProfileKey, Profile], window: Window) -> dict[ProfileKey, Profile]:
    """Return the profiles whose windows lie inside a window."""
    return {key: profile for key, profile in profiles.items() if window.covers(key.window)}


def by_segment(profiles: Mapping[ProfileKey, Profile]) -> dict[SegmentKey, Profile]:
    """Sum profiles over versions, roles and windows."""
    found: dict[SegmentKey, list[Profile]] = {}
    for key, profile in profiles.items():
        found.setdefault(key.segment, []).append(profile)
    return {segment: Profile.merge(held[0].scale, held) for segment, held in sorted(found.items())}


def healthy_windows(
    calibration: Calibration, past: Mapping[ProfileKey, Profile], before: Instant, incidents: Sequence[Incident]
) -> list[HealthyWindow]:
    """Return the windows that a trailing reference may be made of, oldest first: all but what an incident spoiled."""
    by_window: dict[Window, dict[ProfileKey, Profile]] = {}
    for key, profile in past.items():
        if key.window.end <= before:
            by_window.setdefault(key.window, {})[key] = profile
    healthy = list(calibration.reference.windows)
    for window, held in sorted(by_window.items()):
        profiles = by_segment(held)
        fit = {segment: p for segment, p in profiles.items() if not spoiled(segment, window, incidents)}
        healthy.append(HealthyWindow(window, fit))
    return healthy


def spoiled(segment: SegmentKey, window: Window, incidents: Sequence[Incident]) -> bool:
    """Whether a data fault covers the window, of this segment or of everything; one of any segment spoils the whole."""
    return any(
        incident.kind == "data_fault"
        and incident.covers(window)
        and (segment in (incident.segment, EVERYTHING) or incident.segment == EVERYTHING)
        for incident in incidents
    )


def _reach(spec: Spec, window: Window, now: Instant, incidents: Sequence[Incident]) -> Window:
    """How much of the past is needed: four weeks, every objective's window, and more where a fault spoiled some."""
    recent = Window.trailing(window.start, TRAILING)
    lately = any(incident.kind == "data_fault" and incident.covers(recent) for incident in incidents)
    back = window.start - (LOOK_BACK if lately else TRAILING)
    return Window(min([back, *(now - objective.window for objective in spec.objectives)]), now)


def _judge_window(
    spec: Spec,
    calibration: Calibration,
    window: Window,
    past: Mapping[ProfileKey, Profile],
    incidents: Sequence[Incident],
) -> list[Verdict]:
    reference, scale = calibration.reference, calibration.reference.scale
    held = within(past, window)
    came = by_segment(held)
    # A segment from which nothing came is judged too: that it is gone must be told, not passed over.
    current = {segment: came.get(segment, Profile.empty(scale)) for segment in reference.segments}
    healthy = healthy_windows(calibration, past, window.start, incidents)
    # What is wrong everywhere is wrong on both sides of a comparison.
    local = [incident for incident in incidents if incident.segment != EVERYTHING]
    unfit = frozenset(segment for segment in current if spoiled(segment, window, local))
    before = {segment: trailing(reference, healthy, window.start, segment) for segment in current}
    beside = {segment: others(current, scale, segment, unfit) for segment in current if segment != EVERYTHING}
    sides: dict[ReferenceKind, BySegment] = {
        "trailing": {segment: profile for segment, profile in before.items() if profile},
        "other_segments": {segment: profile for segment, profile in beside.items() if profile.rows >= ROWS_MIN},
    }
    verdicts = judge_window(window, current, sides, calibration.columns, calibration.limits)
    verdicts += judge_quality(
        calibration.columns, reference.profiles, current, calibration.shares, calibration.alpha, window
    )
    for segment, profile in current.items():
        verdicts += judge_performance(profile, segment=segment, window=window, objectives=spec.objectives)
    for version in sorted({key.version for key in held}):
        mine = Profile.merge(scale, (p for key, p in held.items() if key.version == version and not key.segment))
        verdicts += judge_performance(mine, version=version, window=window)
    return verdicts + name_strangers(came, reference, window)


def name_strangers(came: BySegment, reference: Reference, window: Window) -> list[Verdict]:
    """Say which segments came that the reference does not know: nothing can be judged there. At most one verdict."""
    strangers = sorted(set(came) - set(reference.segments), key=lambda segment: (-came[segment].rows, segment))
    if not strangers:
        return []
    named = "; ".join(describe(segment) for segment in strangers[:STRANGERS_NAMED])
    more = f"; and {len(strangers) - STRANGERS_NAMED} more" if len(strangers) > STRANGERS_NAMED else ""
    return [
        Verdict(
            check=UNSEEN,
            metric="unknown_segments",
            window=window,
            status="inconclusive",
            reason=f"segments that the reference does not know, so that nothing is judged there: {named}{more}",
            value=float(len(strangers)),
            n_current=max(came[segment].rows for segment in strangers),
        )
    ]


def _judge_objective(
    calibration: Calibration, objective: Objective, past: Mapping[ProfileKey, Profile], now: Instant
) -> Verdict:
    window = Window.trailing(now, objective.window)
    held = {key: profile for key, profile in within(past, window).items() if not key.segment}
    # A night without predictions is no gap: what counts as covered is the days that windows touch.
    days = {Window.around(key.window.start, max(key.window.width, DAY)) for key in held}
    profile = Profile.merge(calibration.reference.scale, held.values())
    return judge_objective(objective, profile, window, sum(day.width for day in days))
