"""Evaluate a window: its profiles meet their references, and become verdicts.

What is compared is decided here; how, in the room `checks`. The same function judges a window live, in a replay and in a
simulation: what it reads is what was stored by `now`, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.alerting.incidents import Incident
from killick.alerting.objectives import judge_objective
from killick.checks.distances import ROWS_MIN
from killick.checks.drift import judge_window
from killick.checks.limits import Limits, learn_limits, share_of_budget
from killick.checks.performance import judge_performance
from killick.checks.quality import Histories, judge_quality, share_histories
from killick.checks.reference import EVERYTHING, LOOK_BACK, HealthyWindow, Reference, others, trailing
from killick.clock import DAY, Window
from killick.engine.record import Book
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.reference import SegmentKey
    from killick.checks.verdict import Verdict
    from killick.clock import Duration, Instant
    from killick.engine.world import World
    from killick.ports.control import ProfileKey, Transaction
    from killick.profiles.scale import ColumnScale
    from killick.spec.document import Spec


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A reference, and all that was learned from its windows once: limits, usual shares, and the features to judge."""

    reference: Reference
    columns: tuple[ColumnScale, ...]
    limits: Limits
    shares: Histories
    alpha: float


def make_yardstick(reference: Reference, spec: Spec) -> Yardstick:
    """Learn how far the reference's healthy windows stray, in every feature."""
    columns = reference.scale.features
    segments = len(reference.segments) - 1
    alpha = share_of_budget(spec.false_alarms, spec.evaluate_every, len(columns), segments)
    shares = share_histories(columns, [healthy.profiles for healthy in reference.windows])
    return Yardstick(reference, columns, learn_limits(reference, columns, alpha), shares, alpha)


def evaluate(world: World, spec: Spec, yardstick: Yardstick, window: Window, now: Instant) -> list[Verdict]:
    """Judge a window, and every objective's trailing window that ends with it; store and return the verdicts."""
    with world.control.transaction() as t:
        verdicts = [*_window_verdicts(t, spec, yardstick, window, now), *_objective_verdicts(t, spec, yardstick, now)]
        t.add_verdicts(spec.model, verdicts)
    return verdicts


def answered(t: Transaction, spec: Spec, yardstick: Yardstick, window: Window) -> dict[ProfileKey, Profile]:
    """Return the stored profiles of what was answered in a window: all roles but shadow."""
    scale = yardstick.reference.scale
    held = t.profiles(spec.model, scale.fingerprint, window)
    return {key: unpack_profile(packed, scale) for key, packed in held.items() if key.role != "shadow"}


def by_segment(profiles: dict[ProfileKey, Profile]) -> dict[SegmentKey, Profile]:
    """Sum profiles over versions, roles and windows."""
    found: dict[SegmentKey, Profile] = {}
    for key, profile in sorted(profiles.items()):
        found[key.segment] = found[key.segment] + profile if key.segment in found else profile
    return found


def healthy_windows(t: Transaction, spec: Spec, yardstick: Yardstick, before: Instant, incidents: Sequence[Incident]) -> list[HealthyWindow]:
    """Return the windows that a trailing reference may be made of, oldest first: all but what an incident spoiled."""
    span = Window.trailing(before, LOOK_BACK)
    held = answered(t, spec, yardstick, span)
    windows: dict[Window, dict[SegmentKey, Profile]] = {}
    for window in sorted({key.window for key in held}):
        profiles = by_segment({key: profile for key, profile in held.items() if key.window == window})
        windows[window] = {segment: profile for segment, profile in profiles.items() if not spoiled(segment, window, incidents)}
    known = [healthy for healthy in yardstick.reference.windows if span.covers(healthy.window)]
    return [*known, *(HealthyWindow(window, profiles) for window, profiles in windows.items())]


def spoiled(segment: SegmentKey, window: Window, incidents: Sequence[Incident]) -> bool:
    """Whether a data fault of this segment covers the window; one of any segment spoils the whole."""
    return any(
        incident.kind == "data_fault" and incident.covers(window) and segment in (incident.segment, EVERYTHING)
        for incident in incidents
    )


def _window_verdicts(t: Transaction, spec: Spec, yardstick: Yardstick, window: Window, now: Instant) -> list[Verdict]:
    reference, scale = yardstick.reference, yardstick.reference.scale
    held = answered(t, spec, yardstick, window)
    current = {s: p for s, p in by_segment(held).items() if s in reference.profiles}
    incidents = [machine.body for machine in Book(t, spec.model, now).machines("incident")]
    healthy = healthy_windows(t, spec, yardstick, window.start, incidents)
    unfit = frozenset(segment for segment in current if spoiled(segment, window, incidents))
    sides = {
        "trailing": {
            segment: before
            for segment in current
            if (before := trailing(reference, healthy, window.start, segment)) is not None
        },
        "other_segments": {
            segment: beside
            for segment in current
            if segment != EVERYTHING and (beside := others(current, scale, segment, unfit)).rows >= ROWS_MIN
        },
    }
    verdicts = judge_window(window, current, sides, yardstick.columns, yardstick.limits)
    verdicts += judge_quality(yardstick.columns, reference.profiles, current, yardstick.shares, yardstick.alpha, window)
    for segment, profile in current.items():
        verdicts += judge_performance(profile, segment=segment, window=window, objectives=spec.objectives)
    for version in sorted({key.version for key in held}):
        mine = Profile.merge(scale, (p for key, p in held.items() if key.version == version and not key.segment))
        verdicts += judge_performance(mine, version=version, window=window)
    return verdicts


def _objective_verdicts(t: Transaction, spec: Spec, yardstick: Yardstick, now: Instant) -> list[Verdict]:
    verdicts = []
    for objective in spec.objectives:
        window = Window.trailing(now, objective.window)
        held = {key: profile for key, profile in answered(t, spec, yardstick, window).items() if not key.segment}
        covered: Duration = sum(stored.width for stored in _whole_days({key.window for key in held}))
        profile = Profile.merge(yardstick.reference.scale, held.values())
        verdicts.append(judge_objective(objective, profile, window, covered))
    return verdicts


def _whole_days(windows: set[Window]) -> set[Window]:
    """The days that windows touch: a night without flights is no gap."""
    return {Window.around(window.start, max(window.width, DAY)) for window in windows}

