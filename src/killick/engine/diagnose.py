"""Diagnose an incident: which columns, where, since when, and which recorded change came just before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.checks.distances import moved
from killick.checks.reference import EVERYTHING, others
from killick.clock import DAY, Window
from killick.diagnosis.causes import Cause, as_evidence, name_causes, preceding_changes, rank_columns
from killick.engine.evaluate import answered, by_segment
from killick.engine.turns import old_before
from killick.profiles.profile import Profile
from killick.stats.onset import first_window
from killick.telemetry.segments import describe
from killick_client.events import Change

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from killick.checks.reference import SegmentKey
    from killick.checks.verdict import Verdict
    from killick.clock import Instant
    from killick.engine.evaluate import Calibration
    from killick.ports.control import Transaction
    from killick.profiles.cells import Floats
    from killick.spec.document import Spec


def diagnose(
    t: Transaction,
    spec: Spec,
    calibration: Calibration,
    verdicts: Sequence[Verdict],
    segment: SegmentKey,
    columns: Sequence[str],
    now: Instant,
) -> tuple[Window | None, tuple[dict[str, Any], ...]]:
    """Return since when a segment's columns have moved, and the ranked causes."""
    if segment == EVERYTHING:
        # Nothing is left to compare with, so nothing more is claimed than what was seen.
        seen = tuple(v.reason for v in verdicts if v.status == "fail" and not v.segment and v.column in columns)
        what = f"the data of {describe(segment)}: {', '.join(columns)}"
        return None, as_evidence([Cause(kind="data", what=what, strength=0.0, evidence_for=seen)])
    onset = find_onset(t, spec, calibration, segment, columns, now)
    changes = [
        msgspec.json.decode(d.body, type=Change)
        for d in (*t.documents("change", spec.model), *t.documents("change", ""))
    ]
    near = preceding_changes(changes, onset) if onset else []
    ranked = [(column, ratio) for column, ratio in rank_columns(verdicts, segment) if column in columns]
    return onset, as_evidence(name_causes(ranked, near, onset, describe(segment)))


def find_onset(
    t: Transaction, spec: Spec, calibration: Calibration, segment: SegmentKey, columns: Sequence[str], now: Instant
) -> Window | None:
    """Return the interval in which the change lies: from the last healthy fine window to the end of the first other.

    The fine windows of the last days are compared with those of the other segments; how they differ when healthy is
    learned from the older half of them, before the evaluated window.
    """
    span = Window(old_before(now), now)
    held = answered(t, spec, calibration, span)
    windows = sorted({key.window for key in held})
    if not windows:
        return None
    profiles = [by_segment({key: profile for key, profile in held.items() if key.window == one}) for one in windows]
    distances = np.stack([_distances(calibration, profiles, segment, column) for column in columns])
    before = sum(window.end <= now - 2 * max(spec.evaluate_every, DAY) for window in windows)
    found = first_window(distances, before) if before else None
    if found is None:
        return None
    last, first = found
    return Window(windows[last].end if last >= 0 else span.start, windows[first].end)


def _distances(
    calibration: Calibration, profiles: Sequence[dict[SegmentKey, Profile]], segment: SegmentKey, column: str
) -> Floats:
    scale = calibration.reference.scale
    mine = [held.get(segment, Profile.empty(scale)) for held in profiles]
    beside = [others(held, scale, segment) for held in profiles]
    return moved(scale[column], beside, mine, rows_min=1)
