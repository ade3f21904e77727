"""Rows become profiles: of a reference, of a table, of a batch by version, role, segment and window."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.checks.reference import HealthyWindow, Reference
from killick.clock import DAY, FOREVER, Window
from killick.errors import DataError, Mistake
from killick.ports.control import ProfileKey
from killick.profiles.delays import DelayScale
from killick.profiles.outcome_rows import Outcomes, decided, scores_of
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.profile import Profile, profile_groupings, profile_outcomes
from killick.profiles.scale import fit_scale
from killick.profiles.service import ServiceScale
from killick.telemetry.columns import (
    EVENT_TIME,
    KNOWN_AT,
    LABEL,
    LATENCY,
    ROLE,
    SCORE,
    STATUS,
    VERSION,
    WEIGHT,
    features,
)
from killick.telemetry.kinds import column_kinds
from killick.telemetry.segments import Grouping, group_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TypeAlias

    from killick.checks.reference import SegmentKey
    from killick.clock import Duration
    from killick.profiles.cells import Ints
    from killick.profiles.outcome_rows import Decision
    from killick.profiles.profile import Each, Groups
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

    _Profiler: TypeAlias = Callable[[Sequence[Groups]], list[list[Profile]]]

# The likeliest class, where classes have scores and nobody decided (`engine.fit.arrange_table`).
DECIDED = "(likeliest class)"
# What the service's part of a profile and that of labels' delays are called.
SERVICE, LABEL_DELAY = "(service)", "(label delay)"
# A reference of three months has ninety windows of a day; nobody needs more history than two years of them.
WINDOWS_MAX = 800


def learn_scale(arranged: pl.DataFrame, spec: Spec) -> Scale:
    """Learn a model's scale from arranged reference rows.

    Raises:
        DataError: there are no rows, or no column that can be measured.
    """
    watched = spec.features.select(features(arranged.columns))
    kinds = {name: kind for name, kind in column_kinds(arranged, watched, spec.features.override).items() if kind}
    if not arranged.height or not (kinds or SCORE in arranged.columns):
        problem = "holds no rows" if not arranged.height else "holds no column that can be measured"
        raise DataError(Mistake("reference", problem, hint="give the rows that the model was trained on"))
    declared = {name: override.range for name, override in spec.features.override.items() if override.range}
    scored = spec.schema.score or (SCORE if SCORE in arranged.columns or spec.versions else None)
    labelled = spec.schema.label is not None and spec.task == "binary" and scored
    fitted = fit_scale(
        arranged,
        kinds,
        ranges=declared,
        score=SCORE if scored else None,
        outcome=LABEL if labelled else None,
        threshold=spec.schema.decision_threshold,
    )
    delay = DelayScale(LABEL_DELAY) if spec.schema.label else None
    return replace(fitted, service=ServiceScale(SERVICE, LATENCY, STATUS, WEIGHT), delay=delay)


def learn_reference(arranged: pl.DataFrame, spec: Spec) -> Reference:
    """Learn a reference: the scale, the rows' profile by segment, and that of each of their windows."""
    width = spec.evaluate_every if EVENT_TIME in arranged.columns else None
    return profile_table(learn_scale(arranged, spec), arranged, spec, width)


def profile_table(
    scale: Scale,
    arranged: pl.DataFrame,
    spec: Spec,
    width: Duration | None = None,
    segments: Collection[SegmentKey] | None = None,
    each: Each = map,
) -> Reference:
    """Profile a table by segment, and by window and segment: features, scores and (where labels are there) outcomes.

    Args:
        scale: what to measure with.
        arranged: the rows.
        spec: which groupings are wanted.
        width: how wide the windows are; None: there are none. A row without a time is in no window.
        segments: those that are known; None: the table's own.
        each: applies a function to every column.

    Raises:
        DataError: the rows span more windows than anybody would look at.
    """
    groupings = group_rows(arranged, spec, segments)
    numbers = [len(grouping.segments) for grouping in groupings]
    codes = [(grouping.codes, number) for grouping, number in zip(groupings, numbers, strict=True)]
    starts, window_codes = _windows(arranged[EVENT_TIME], width) if width else ([], None)
    if window_codes is not None:
        codes += [
            (window_codes * number + grouping.codes, (len(starts) + 1) * number)
            for grouping, number in zip(groupings, numbers, strict=True)
        ]
    made = _both(scale, arranged, spec, codes, each)
    found: dict[SegmentKey, Profile] = {}
    by_window: list[dict[SegmentKey, Profile]] = [{} for _ in starts]
    for grouping, number, profiles in zip(groupings, numbers, made, strict=False):
        found |= dict(zip(grouping.segments, profiles[:number], strict=True))
    for grouping, number, profiles in zip(groupings, numbers, made[len(groupings) :], strict=bool(starts)):
        for at, profile in enumerate(profiles[: len(starts) * number]):
            if profile.rows:
                by_window[at // number][grouping.segments[at % number]] = profile
    windows = (
        HealthyWindow(Window(start, start + (width or 0)), held) for start, held in zip(starts, by_window, strict=True)
    )
    return Reference(scale, found, tuple(windows))


def profile_batch(
    scale: Scale,
    arranged: pl.DataFrame,
    spec: Spec,
    width: Duration = DAY,
    segments: Collection[SegmentKey] | None = None,
) -> dict[ProfileKey, Profile]:
    """Profile a batch of predictions by version, role, segment and window: features and scores.

    Args:
        scale: what to measure with.
        arranged: the predictions, each with its version and role.
        spec: which groupings are wanted.
        width: how wide the windows are.
        segments: those that are known, the reference's: profiles of two batches add up only by the same ones. None: the
            batch's own, for one that is not added to any other.
    """
    return profile_grouped(scale, arranged, group_rows(arranged, spec, segments), width)


def profile_labels(
    scale: Scale,
    labelled: pl.DataFrame,
    spec: Spec,
    width: Duration = DAY,
    segments: Collection[SegmentKey] | None = None,
) -> dict[ProfileKey, Profile]:
    """Profile what labels say of predictions, by version, role, segment and window: to be added to `profile_batch`."""
    return profile_known(scale, labelled, group_rows(labelled, spec, segments), width)


def profile_grouped(
    scale: Scale, arranged: pl.DataFrame, grouped: Sequence[Grouping], width: Duration
) -> dict[ProfileKey, Profile]:
    """Profile predictions, of which the segments are known, as `profile_batch` does."""
    return _by_key(arranged, grouped, width, lambda groupings: profile_groupings(scale, arranged, groupings))


def profile_known(
    scale: Scale, labelled: pl.DataFrame, grouped: Sequence[Grouping], width: Duration
) -> dict[ProfileKey, Profile]:
    """Profile what became known of predictions, of which the segments are known, as `profile_labels` does."""
    outcomes = Outcomes(labels=labelled[LABEL], scores=labelled[SCORE], delays=_delays(labelled))
    return _by_key(
        labelled,
        grouped,
        width,
        lambda groupings: [profile_outcomes(scale, outcomes, *groups) for groups in groupings],
    )


def group_rows(arranged: pl.DataFrame, spec: Spec, segments: Collection[SegmentKey] | None = None) -> list[Grouping]:
    """Group rows by every grouping of the spec, and first of all by none."""
    return [group_by(arranged, by, segments) for by in ((), *spec.segments)]


def _windows(times: pl.Series, width: Duration) -> tuple[list[int], Ints]:
    """Where each window starts, and which one each row is in; a row without a time is in one more, behind the last."""
    starts = times - times % width
    known = starts.drop_nulls().unique().sort()
    if len(known) > WINDOWS_MAX:
        hint = f"give fewer than {WINDOWS_MAX} windows of reference, or a longer evaluate_every"
        raise DataError(Mistake("reference", f"spans {len(known)} windows", hint=hint))
    codes = np.searchsorted(known.to_numpy(), starts.fill_null(FOREVER).to_numpy())
    return known.to_list(), codes


def _by_key(
    arranged: pl.DataFrame, groupings: Sequence[Grouping], width: Duration, profile: _Profiler
) -> dict[ProfileKey, Profile]:
    if arranged.is_empty():
        return {}
    times = arranged[EVENT_TIME]
    owner = arranged.select(VERSION, ROLE, (times - times % width).alias("start"))
    owners = owner.unique(maintain_order=True).with_row_index("owner")
    owner_codes = owner.join(owners, on=[VERSION, ROLE, "start"], how="left", maintain_order="left")["owner"].to_numpy()
    # Only the pairs that occur are profiled: versions x windows x segments may be many and mostly empty.
    pairs = [
        np.unique(owner_codes.astype(np.int64) * len(grouping.segments) + grouping.codes, return_inverse=True)
        for grouping in groupings
    ]
    profiles = profile([(dense, len(occurring)) for occurring, dense in pairs])
    found: dict[ProfileKey, Profile] = {}
    for grouping, (occurring, _), made in zip(groupings, pairs, profiles, strict=True):
        for pair, one in zip(occurring.tolist(), made, strict=True):
            owned, at = divmod(pair, len(grouping.segments))
            version, role, start = owners.row(owned)[1:]
            found[ProfileKey(version, role, grouping.segments[at], Window(start, start + width))] = one
    return found


def _both(
    scale: Scale, arranged: pl.DataFrame, spec: Spec, groupings: Sequence[Groups], each: Each
) -> list[list[Profile]]:
    """Features and scores, and what came later where it is there."""
    profiles = profile_groupings(scale, arranged, groupings, each)
    if not scale.awaited or not {LABEL, *(part.column for part in scale.kpis)} & set(arranged.columns):
        return profiles
    known = outcomes_of(arranged, spec, scale.outcome.decision if isinstance(scale.outcome, BinaryOutcome) else None)
    outcomes = [profile_outcomes(scale, known, *groups) for groups in groupings]
    return [
        [profile + outcome for profile, outcome in zip(*both, strict=True)]
        for both in zip(profiles, outcomes, strict=True)
    ]


def outcomes_of(arranged: pl.DataFrame, spec: Spec, decision: Decision | None) -> Outcomes:
    """Return what an arranged table says of how its predictions turned out.

    Args:
        arranged: the rows.
        spec: which column plays which part.
        decision: how a binary model's decisions are read; None where none are recorded.
    """
    held = {name: arranged[name] for name in arranged.columns}
    labels, scores, label_scores = held.get(LABEL), held.get(SCORE), None
    decisions = held.get(spec.schema.decision) if spec.schema.decision else None
    if spec.task == "binary":
        decisions = decided(arranged, decision) if decision else None
    classes = {name: held[column] for name, column in spec.schema.scores.items() if column in held}
    if classes:
        decisions = held[DECIDED] if decisions is None else decisions
        scores = scores_of(decisions, classes)
        label_scores = None if labels is None else scores_of(labels, classes)
    kpis = {kpi.name: held[kpi.name] for kpi in spec.schema.kpis if kpi.name in held}
    return Outcomes(
        labels=labels,
        scores=scores,
        decisions=decisions,
        label_scores=label_scores,
        kpis=kpis,
        delays=_delays(arranged),
    )


def _delays(table: pl.DataFrame) -> pl.Series | None:
    """How long after its prediction each label became known; none where there is no label."""
    if not {LABEL, KNOWN_AT, EVENT_TIME} <= set(table.columns):
        return None
    delay = pl.when(pl.col(LABEL).is_not_null()).then(pl.col(KNOWN_AT) - pl.col(EVENT_TIME))
    return table.select(delay.alias(KNOWN_AT))[KNOWN_AT]
