"""What ties the sections of a spec together: each function is one rule, asked only about sections without mistakes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from math import gcd
from typing import TYPE_CHECKING

from killick.clock import format_duration
from killick.errors import did_you_mean

if TYPE_CHECKING:
    from killick.spec.document import Spec
    from killick.spec.reader import Notes


def cross_check(spec: Spec, notes: Notes) -> None:
    """Note every place where one section of the spec contradicts another."""
    if notes.clean("objectives", "evaluate_every"):
        _windows_hold_an_evaluation(spec, notes)
    if notes.clean("keep", "evaluate_every"):
        _evaluations_are_of_whole_windows(spec, notes)
    if notes.clean("features", "schema"):
        _overrides_are_of_features(spec, notes)
        if notes.clean("segments"):
            _segments_are_of_columns(spec, notes)
    if notes.clean("schema", "task"):
        _scores_are_of_classes(spec, notes)
    if notes.clean("playbooks", "retraining"):
        _retraining_is_possible(spec, notes)


def _windows_hold_an_evaluation(spec: Spec, notes: Notes) -> None:
    """A window shorter than the time between two evaluations would leave gaps that nobody ever looks at."""
    for index, objective in enumerate(spec.objectives):
        if objective.window < spec.evaluate_every:
            path = f"objectives[{index}].window"
            every, window = format_duration(spec.evaluate_every), format_duration(objective.window)
            hint = f"make it at least {every}, or evaluate_every at most {window}"
            notes.refuse(path, f"is shorter than evaluate_every, {every}", hint, window)


def _evaluations_are_of_whole_windows(spec: Spec, notes: Notes) -> None:
    """What is judged is a sum of what is kept: a window kept may not lie in two that are judged."""
    kept, judged = spec.keep.columns, spec.evaluate_every
    if kept < judged and judged % kept:
        said = f"does not fit into evaluate_every, {format_duration(judged)}: some windows would lie in two"
        notes.refuse("keep.columns", said, f"make it {format_duration(gcd(kept, judged))}", format_duration(kept))


def _overrides_are_of_features(spec: Spec, notes: Notes) -> None:
    for column in spec.features.override:
        path = f"features.override.{column}"
        if column in spec.schema.columns:
            notes.refuse(path, "is no feature: the column has a part in schema", "remove the override", column)
        elif not spec.features.select([column]):
            words = [word for word in spec.features.include if not _is_pattern(word)]
            hint = did_you_mean(column, words) if words else "remove it here or from features.exclude"
            notes.refuse(path, "is no feature: include and exclude leave it out", hint, column)


def _segments_are_of_columns(spec: Spec, notes: Notes) -> None:
    """A segment's column must be known: it has a part, is a feature, or is excluded from the features by name.

    The last is how a model is watched by what it must not look at, such as sex or age.
    """
    patterns = (*spec.features.include, *spec.features.exclude)
    declared = {*spec.schema.columns, *(word for word in patterns if not _is_pattern(word))}
    for index, bands in enumerate(spec.segments):
        for band in bands:
            path = f"segments[{index}]"
            if band.column in {spec.schema.prediction_id, spec.schema.event_time}:
                hint = "choose a column that many rows share"
                notes.refuse(path, f"would make every row a segment of its own: {band.column!r}", hint)
            elif band.column not in declared and not any(fnmatchcase(band.column, pattern) for pattern in patterns):
                near = did_you_mean(band.column, declared)
                hint = f"{near}; a column that is no feature is named in features.exclude"
                notes.refuse(path, "is not a column of this spec", hint, band.column)


def _scores_are_of_classes(spec: Spec, notes: Notes) -> None:
    if spec.schema.scores and spec.task != "multiclass":
        hint = "name the column with the score, or write task: multiclass"
        notes.refuse("schema.score", f"has a column for each class, and the task is {spec.task}", hint)


def _retraining_is_possible(spec: Spec, notes: Notes) -> None:
    for index, playbook in enumerate(spec.playbooks):
        if "retrain" in playbook.do and spec.retraining is None:
            hint = "add retraining: {run: [python, train.py]}"
            notes.refuse(f"playbooks[{index}].do", "needs to know how to retrain", hint, list(playbook.do))


def _is_pattern(word: str) -> bool:
    return any(mark in word for mark in "*?[")
