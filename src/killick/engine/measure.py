"""Rows become profiles: of a reference, of a table, of a batch by version, role, segment and window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.clock import DAY, Window
from killick.errors import DataError, Mistake
from killick.ports.control import ProfileKey
from killick.profiles.profile import Profile, profile_groupings, profile_outcomes
from killick.profiles.scale import fit_scale
from killick.telemetry.columns import EVENT_TIME, LABEL, ROLE, SCORE, VERSION, features
from killick.telemetry.infer import column_kinds
from killick.telemetry.segments import Grouping, group_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TypeAlias

    import polars as pl

    from killick.checks.reference import BySegment, SegmentKey
    from killick.clock import Duration
    from killick.profiles.cells import Ints
    from killick.profiles.profile import Groups
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

    _Profiler: TypeAlias = Callable[[Sequence[Groups]], list[list[Profile]]]

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
    return fit_scale(
        arranged,
        kinds,
        ranges=declared,
        score=SCORE if scored else None,
        outcome=LABEL if labelled else None,
        threshold=spec.schema.decision_threshold,
    )


def learn_reference(arranged: pl.DataFrame, spec: Spec) -> Reference:
    """Learn a reference: the scale, the rows' profile by segment, and that of each of their windows."""
    scale = learn_scale(arranged, spec)
    windows = profile_windows(scale, arranged, spec, spec.evaluate_every) if EVENT_TIME in arranged.columns else ()
    return Reference(scale, profile_table(scale, arranged, spec), windows)


def profile_table(scale: Scale, arranged: pl.DataFrame, spec: Spec) -> dict[SegmentKey, Profile]:
    """Profile a table by segment, features, scores and (where labels are there) outcomes."""
    groupings = _groupings(arranged, spec)
    profiles = _both(scale, arranged, [(grouping.codes, len(grouping.segments)) for grouping in groupings])
    found: dict[SegmentKey, Profile] = {}
    for grouping, made in zip(groupings, profiles, strict=True):
        found |= dict(zip(grouping.segments, made, strict=True))
    return found


def profile_windows(
    scale: Scale,
    arranged: pl.DataFrame,
    spec: Spec,
    width: Duration,
    segments: Collection[SegmentKey] | None = None,
) -> tuple[HealthyWindow, ...]:
    """Profile a table by window and segment, oldest first.

    Args:
        scale: what to measure with.
        arranged: the rows, each with its time.
        spec: which groupings are wanted.
        width: how wide the windows are.
        segments: those that are known; None: the table's own.

    Raises:
        DataError: the rows span more windows than anybody would look at.
    """
    times = arranged[EVENT_TIME].to_numpy()
    starts, window_codes = np.unique(times - times % width, return_inverse=True)
    if len(starts) > WINDOWS_MAX:
        hint = f"give fewer than {WINDOWS_MAX} windows of reference, or a longer evaluate_every"
        raise DataError(Mistake("reference", f"spans {len(starts)} windows", hint=hint))
    profiles: list[dict[SegmentKey, Profile]] = [{} for _ in starts]
    groupings = _groupings(arranged, spec, segments)
    numbers = [len(grouping.segments) for grouping in groupings]
    codes = [
        (window_codes * number + grouping.codes, len(starts) * number)
        for grouping, number in zip(groupings, numbers, strict=True)
    ]
    for grouping, number, made in zip(groupings, numbers, _both(scale, arranged, codes), strict=True):
        for at, profile in enumerate(made):
            if profile.rows:
                profiles[at // number][grouping.segments[at % number]] = profile
    return tuple(
        HealthyWindow(Window(int(start), int(start) + width), held)
        for start, held in zip(starts, profiles, strict=True)
    )


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
    return _by_key(arranged, spec, width, segments, lambda groupings: profile_groupings(scale, arranged, groupings))


def profile_labels(
    scale: Scale,
    labelled: pl.DataFrame,
    spec: Spec,
    width: Duration = DAY,
    segments: Collection[SegmentKey] | None = None,
) -> dict[ProfileKey, Profile]:
    """Profile what labels say of predictions, by version, role, segment and window: to be added to `profile_batch`."""
    scores, labels = _scores_and_labels(labelled)
    return _by_key(
        labelled,
        spec,
        width,
        segments,
        lambda groupings: [profile_outcomes(scale, scores, labels, *groups) for groups in groupings],
    )


def whole(profiles: BySegment, scale: Scale) -> Profile:
    """Return the profile of every row."""
    return profiles.get(EVERYTHING, Profile.empty(scale))


def _groupings(arranged: pl.DataFrame, spec: Spec, segments: Collection[SegmentKey] | None = None) -> list[Grouping]:
    return [group_by(arranged, by, segments) for by in ((), *spec.segments)]


def _by_key(
    arranged: pl.DataFrame,
    spec: Spec,
    width: Duration,
    segments: Collection[SegmentKey] | None,
    profile: _Profiler,
) -> dict[ProfileKey, Profile]:
    if arranged.is_empty():
        return {}
    times = arranged[EVENT_TIME]
    owner = arranged.select(VERSION, ROLE, (times - times % width).alias("start"))
    owners = owner.unique(maintain_order=True).with_row_index("owner")
    owner_codes = owner.join(owners, on=[VERSION, ROLE, "start"], how="left", maintain_order="left")["owner"].to_numpy()
    groupings = _groupings(arranged, spec, segments)
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


def _both(scale: Scale, arranged: pl.DataFrame, groupings: Sequence[Groups]) -> list[list[Profile]]:
    """Features and scores, and outcomes where labels are there."""
    profiles = profile_groupings(scale, arranged, groupings)
    if scale.outcome is None or not {SCORE, LABEL} <= set(arranged.columns):
        return profiles
    known = arranged[LABEL].is_not_null().to_numpy()
    scores, labels = _scores_and_labels(arranged.filter(known))
    outcomes = [profile_outcomes(scale, scores, labels, codes[known], number) for codes, number in groupings]
    return [
        [profile + outcome for profile, outcome in zip(*both, strict=True)]
        for both in zip(profiles, outcomes, strict=True)
    ]


def _scores_and_labels(labelled: pl.DataFrame) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], Ints]:
    return labelled[SCORE].cast(float).to_numpy(), labelled[LABEL].cast(int).to_numpy()
