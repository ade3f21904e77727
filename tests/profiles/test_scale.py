"""The scale: its fingerprint knows every parameter, and its layout leaves no number to two columns."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import polars as pl
import pytest

from killick.errors import CallError
from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale
from killick.profiles.outcome_rows import Decision
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.profile import Profile
from killick.profiles.scale import Scale, fit_scale
from killick.profiles.scores import ScoreScale

NUMERIC = NumericScale("x", (0.0, 1.0), 0.5, 0.25, 0.0, 1.0)
CATEGORICAL = CategoricalScale("c", ("a", "b"))
SCORE, OUTCOME = ScoreScale("score"), BinaryOutcome("label", 0.5)
SCALE = Scale((NUMERIC, CATEGORICAL, SCORE), OUTCOME)

CHANGES = {
    "an edge by one ulp": (NUMERIC, {"edges": (0.0, 1.0000000000000002)}),
    "an edge more": (NUMERIC, {"edges": (0.0, 0.5, 1.0)}),
    "numeric column": (NUMERIC, {"column": "y"}),
    "centre": (NUMERIC, {"centre": 0.5000001}),
    "spread": (NUMERIC, {"spread": 0.26}),
    "low": (NUMERIC, {"low": -1.0}),
    "high": (NUMERIC, {"high": 2.0}),
    "low fence": (NUMERIC, {"fence_low": -1.0}),
    "high fence": (NUMERIC, {"fence_high": 2.0}),
    "category": (CATEGORICAL, {"categories": ("a", "c")}),
    "order of categories": (CATEGORICAL, {"categories": ("b", "a")}),
    "categorical column": (CATEGORICAL, {"column": "d"}),
    "score column": (SCORE, {"column": "p"}),
    "outcome column": (OUTCOME, {"column": "late"}),
    "threshold": (OUTCOME, {"threshold": 0.4}),
    "recorded decisions": (OUTCOME, {"decision": Decision("d", None)}),
}


def changed(part: msgspec.Struct, change: dict[str, object]) -> Scale:
    """Return the scale with one parameter changed."""
    swap = msgspec.structs.replace(part, **change)
    columns = tuple(swap if one is part else one for one in SCALE.columns)
    return Scale(columns, swap if part is OUTCOME else OUTCOME)


@pytest.mark.parametrize(("part", "change"), CHANGES.values(), ids=CHANGES)
def test_the_fingerprint_changes_with_every_parameter(part: msgspec.Struct, change: dict[str, object]) -> None:
    """And what was made on the changed scale cannot be added any more."""
    other = changed(part, change)
    assert other.fingerprint != SCALE.fingerprint
    with pytest.raises(CallError, match="another scale"):
        Profile.empty(SCALE) + Profile.empty(other)


def test_every_field_of_every_part_is_among_those_changes() -> None:
    """A parameter that is added later must be added to the table above."""
    tried = {(type(part), field) for part, change in CHANGES.values() for field in change}
    assert tried == {(type(part), field) for part in SCALE.parts for field in part.__struct_fields__}


def test_the_fingerprint_changes_with_kind_order_and_outcome() -> None:
    """The same column as another kind, another order of columns, no outcome."""
    others = [
        Scale((CategoricalScale("x", ()), CATEGORICAL, SCORE), OUTCOME),
        Scale((CATEGORICAL, NUMERIC, SCORE), OUTCOME),
        Scale((NUMERIC, CATEGORICAL, SCORE)),
        Scale((NUMERIC, CATEGORICAL), OUTCOME),
    ]
    assert len({scale.fingerprint for scale in [SCALE, *others]}) == 5


def test_the_fingerprint_is_the_same_on_every_host() -> None:
    """Pinned: it stands in every profile that was ever stored."""
    assert SCALE.fingerprint[:16] == "97d90f0c4be09ff1"
    assert replace(SCALE).fingerprint == SCALE.fingerprint


def test_every_number_belongs_to_one_column() -> None:
    """The slices cover counts (after the rows) and sums without gap or overlap."""
    counts = [at for part in SCALE.counts.values() for at in range(part.start, part.stop)]
    sums = [at for part in SCALE.sums.values() for at in range(part.start, part.stop)]
    assert counts == list(range(1, SCALE.counts_width))
    assert sums == list(range(SCALE.sums_width))


def test_a_scale_is_fitted_by_kind() -> None:
    """Booleans are categories, a declared range is kept, score and outcome come last."""
    table = pl.DataFrame({"x": [1.0, 2.0], "c": ["a", None], "b": [True, False]})
    kinds = {"x": "numeric", "c": "categorical", "b": "boolean"}
    scale = fit_scale(table, kinds, ranges={"x": (0.0, 9.0)}, score="p", outcome="y", threshold=0.3)
    assert [part.column for part in scale.parts] == ["x", "c", "b", "p", "y"]
    assert (scale["x"].low, scale["x"].high) == (0.0, 9.0)
    assert scale["b"].categories == ("false", "true")
    assert scale.outcome == BinaryOutcome("y", 0.3)
    assert [part.column for part in scale.features] == ["x", "c", "b"]
    assert scale.score == ScoreScale("p")
