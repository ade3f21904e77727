"""Rows become profiles: of a reference, of a table, of a batch by version, role, segment and window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.clock import DAY, Window
from killick.errors import DataError, Mistake
from killick.ports.control import ProfileKey
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.profiles.scale import fit_scale
from killick.telemetry.columns import EVENT_TIME, LABEL, ROLE, SCORE, VERSION, features
from killick.telemetry.infer import column_kinds
from killick.telemetry.segments import group_by

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import polars as pl

    from killick.checks.reference import BySegment, SegmentKey
    from killick.clock import Duration
    from killick.profiles.cells import Ints
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

    _Profiler: TypeAlias = Callable[[Ints, int], list[Profile]]

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
    found: dict[SegmentKey, Profile] = {}
    for by in ((), *spec.segments):
        grouping = group_by(arranged, by)
        found |= dict(
            zip(grouping.segments, _both(scale, arranged, grouping.codes, len(grouping.segments)), strict=True)
        )
    return found


def profile_windows(scale: Scale, arranged: pl.DataFrame, spec: Spec, width: Duration) -> tuple[HealthyWindow, ...]:
    """Profile a table by window and segment, oldest first.

    Raises:
        DataError: the rows span more windows than anybody would look at.
    """
    times = arranged[EVENT_TIME].to_numpy()
    starts, window_codes = np.unique(times - times % width, return_inverse=True)
    if len(starts) > WINDOWS_MAX:
        hint = f"give fewer than {WINDOWS_MAX} windows of reference, or a longer evaluate_every"
        raise DataError(Mistake("reference", f"spans {len(starts)} windows", hint=hint))
    profiles: list[dict[SegmentKey, Profile]] = [{} for _ in starts]
    for by in ((), *spec.segments):
        grouping = group_by(arranged, by)
        number = len(grouping.segments)
        made = _both(scale, arranged, window_codes * number + grouping.codes, len(starts) * number)
        for at, profile in enumerate(made):
            if profile.rows:
                profiles[at // number][grouping.segments[at % number]] = profile
    return tuple(
        HealthyWindow(Window(int(start), int(start) + width), held)
        for start, held in zip(starts, profiles, strict=True)
    )


def profile_batch(scale: Scale, arranged: pl.DataFrame, spec: Spec, width: Duration = DAY) -> dict[ProfileKey, Profile]:
    """Profile a batch of predictions by version, role, segment and window: features and scores.

    Args:
        scale: what to measure with.
        arranged: the predictions, each with its version and role.
        spec: which segments are wanted.
        width: how wide the windows are.
    """
    return _by_key(arranged, spec, width, lambda codes, number: profile_rows(scale, arranged, codes, number))


def profile_labels(
    scale: Scale, labelled: pl.DataFrame, spec: Spec, width: Duration = DAY
) -> dict[ProfileKey, Profile]:
    """Profile what labels say of predictions, by version, role, segment and window: to be added to `profile_batch`."""
    scores, labels = _scores_and_labels(labelled)
    return _by_key(labelled, spec, width, lambda codes, number: profile_outcomes(scale, scores, labels, codes, number))


def whole(profiles: BySegment, scale: Scale) -> Profile:
    """Return the profile of every row."""
    return profiles.get(EVERYTHING, Profile.empty(scale))


def _by_key(arranged: pl.DataFrame, spec: Spec, width: Duration, profile: _Profiler) -> dict[ProfileKey, Profile]:
    if arranged.is_empty():
        return {}
    times = arranged[EVENT_TIME]
    owner = arranged.select(VERSION, ROLE, (times - times % width).alias("start"))
    owners = owner.unique(maintain_order=True).with_row_index("owner")
    owner_codes = owner.join(owners, on=[VERSION, ROLE, "start"], how="left", maintain_order="left")["owner"].to_numpy()
    found: dict[ProfileKey, Profile] = {}
    for by in ((), *spec.segments):
        grouping = group_by(arranged, by)
        number = len(grouping.segments)
        codes: Ints = owner_codes.astype(np.int64) * number + grouping.codes
        # Only the pairs that occur are profiled: versions x windows x segments may be many and mostly empty.
        pairs, dense = np.unique(codes, return_inverse=True)
        for pair, made in zip(pairs.tolist(), profile(dense, len(pairs)), strict=True):
            version, role, start = owners.row(pair // number)[1:]
            found[ProfileKey(version, role, grouping.segments[pair % number], Window(start, start + width))] = made
    return found


def _both(scale: Scale, arranged: pl.DataFrame, codes: Ints, number: int) -> list[Profile]:
    """Features and scores, and outcomes where labels are there."""
    profiles = profile_rows(scale, arranged, codes, number)
    if scale.outcome is None or not {SCORE, LABEL} <= set(arranged.columns):
        return profiles
    known = arranged[LABEL].is_not_null().to_numpy()
    scores, labels = _scores_and_labels(arranged.filter(known))
    outcomes = profile_outcomes(scale, scores, labels, codes[known], number)
    return [profile + outcome for profile, outcome in zip(profiles, outcomes, strict=True)]


def _scores_and_labels(labelled: pl.DataFrame) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], Ints]:
    return labelled[SCORE].cast(float).to_numpy(), labelled[LABEL].cast(int).to_numpy()
