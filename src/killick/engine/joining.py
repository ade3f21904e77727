"""Joining: which predictions are new, and which labels the profiles gain and lose by what came.

Pure, on frames of numbers. Predictions are `key, event_time, owner, score, segment ...`; labels are `key, known_at,
received_at, label, first known at`. Promise: whatever arrives in whatever order and however often, the labels gained
less those lost, over all rounds, are for each prediction its latest label: by `known_at`, and of one time by when it
was received; and with it the first `known_at` of any. In which order files are counted decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from killick.engine.identities import FORGOTTEN, KEY
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, SCORE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.spec.document import Spec

# Of an outcome: when it came, which says which of two with one `known_at` is the later word.
RECEIVED_AT = "received_at"
# When a prediction's first label was known: how long labels take is not told by those who correct or repeat them.
FIRST_KNOWN = "first known at"
OWNER = "owner"
IS_SHADOW = "is shadow"
# Where a prediction stands among the rows of the round.
AT = "row of the round"
# Followed by the number of a grouping of the spec: which of its segments a prediction is in.
SEGMENT = "segment "

_ORDER = [KNOWN_AT, RECEIVED_AT, LABEL]
_TIMES = {KNOWN_AT: pl.Int64(), RECEIVED_AT: pl.Int64(), FIRST_KNOWN: pl.Int64()}
LABEL_SCHEMA = {KEY: pl.UInt64(), **_TIMES, LABEL: pl.Float64()}


def prediction_schema(spec: Spec) -> Mapping[str, pl.DataType]:
    """Return what is remembered of a prediction: when, by whom, with which score, and in which segments."""
    own = {KEY: pl.UInt64(), EVENT_TIME: pl.Int64(), OWNER: pl.UInt16(), SCORE: pl.Float64()}
    return own | {f"{SEGMENT}{at}": pl.UInt16() for at in range(len(spec.segments))}


@dataclass(frozen=True, slots=True)
class Joined:
    """What a round changes.

    Attributes:
        fresh: the predictions that were not counted before, each once, with their place in the round.
        gained: predictions, each with a label that is to be counted.
        lost: predictions, each with the label that was counted and is no longer the latest.
        latest: labels that are the latest of their predictions from now on, also of those that have not come yet.
        unmatched: how many predictions have got a label in this round, and have not come yet.
    """

    fresh: pl.DataFrame
    gained: pl.DataFrame
    lost: pl.DataFrame
    latest: pl.DataFrame
    unmatched: int


def join(predictions: pl.DataFrame, labels: pl.DataFrame, counted: pl.DataFrame, known: pl.DataFrame) -> Joined:
    """Find out what a round changes.

    Args:
        predictions: those that came, in order, with `is shadow` and their place in the round.
        labels: those that came.
        counted: the predictions of any of these keys that were counted before, with `is shadow`.
        known: every label of any of these keys that was the latest before.
    """
    fresh = fresh_of(predictions, counted)
    before = latest_of(known)
    now = latest_of(pl.concat([known, labels]))
    changed = now.join(before, on=[*LABEL_SCHEMA], how="anti", maintain_order="left")
    outdated = before.join(changed, on=KEY, how="semi", maintain_order="left")
    old, new = counted.filter(pl.col(EVENT_TIME) != FORGOTTEN).drop(IS_SHADOW), fresh.drop(AT, IS_SHADOW)
    gained = [old.join(changed, on=KEY, maintain_order="left"), new.join(now, on=KEY, maintain_order="left")]
    awaited = labels.select(KEY).unique()
    return Joined(
        fresh.drop(IS_SHADOW),
        pl.concat(gained),
        old.join(outdated, on=KEY, maintain_order="left"),
        changed,
        awaited.join(pl.concat([old, new]), on=KEY, how="anti").height,
    )


def fresh_of(predictions: pl.DataFrame, counted: pl.DataFrame) -> pl.DataFrame:
    """Return the predictions that were not counted before, the first of each identity.

    An answered prediction is known by its key alone; what shadows said of it, by key and owner.
    """
    found = []
    for is_shadow, identity in ((False, [KEY]), (True, [KEY, OWNER])):
        came = predictions.filter(pl.col(IS_SHADOW) == is_shadow).unique(identity, keep="first", maintain_order=True)
        before = counted.filter(pl.col(IS_SHADOW) == is_shadow)
        found.append(came.join(before, on=identity, how="anti", maintain_order="left"))
    return pl.concat(found)


def latest_of(labels: pl.DataFrame) -> pl.DataFrame:
    """Return the latest label of each key, and when the first was known."""
    first = pl.col(FIRST_KNOWN).min().over(KEY)
    return labels.sort(KEY, *_ORDER).with_columns(first).unique(KEY, keep="last", maintain_order=True)
