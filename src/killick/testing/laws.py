"""The laws of a profile, that any way of making one can be held to: ours, a warehouse's GROUP BY, a Spark job.

    @given(parts(), st.randoms())
    def test_my_profiler_keeps_the_laws(tables, chance):
        for law in LAWS:
            law(my_profiler, tables, chance)

A profiler takes a table and returns its `Profile`, always on one scale. Counts must agree exactly, and sums to 1e-9 of
the sum of the absolute values that went into them: floats are added in another order, and that is all that may differ.

Source: `CombinerStatsGeneratorTest` of TensorFlow Data Validation, which profiles three ways and demands one answer;
the laws are those of an abelian group (DESIGN.md, D1).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from killick.errors import CallError
from killick.profiles.codec import pack_profile, pack_scale, unpack_profile, unpack_scale
from killick.profiles.outcomes import ScoreScale
from killick.profiles.profile import Profile
from killick.profiles.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from hypothesis.strategies import SearchStrategy

    from killick.profiles.cells import Floats

    Profiler: TypeAlias = Callable[[pl.DataFrame], Profile]
    Law: TypeAlias = Callable[[Profiler, Sequence[pl.DataFrame], Random], None]

# How far sums may differ, against the sum of absolute values (DESIGN.md, D1).
SUMS_TOLERANCE = 1e-9

# --------------------------------------------------------------------------------------------------- the laws


def merging_is_associative(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """`(a + b) + c` is `a + (b + c)`, for every three neighbours."""
    made, sizes = [profiler(table) for table in tables], _sizes(profiler, tables)
    for a, b, c in zip(made, made[1:], made[2:], strict=False):
        assert_same((a + b) + c, a + (b + c), sizes)


def merging_is_commutative(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """`a + b` is `b + a`, to the last bit."""
    made = [profiler(table) for table in tables]
    for a, b in pairwise(made):
        assert_same(a + b, b + a, 0.0)


def empty_is_the_unit(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """Adding the profile of no rows changes nothing, on either side, and merging nothing gives it."""
    for table in tables:
        made = profiler(table)
        empty = Profile.empty(made.scale)
        assert_same(made + empty, made, 0.0)
        assert_same(empty + made, made, 0.0)
        assert_same(profiler(table.clear()), empty, 0.0)
        assert_same(Profile.merge(made.scale, []), empty, 0.0)
        assert_same(Profile.merge(made.scale, [made]), made, 0.0)


def subtraction_undoes_addition(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """`(a + b) - b` is `a`, and `a - a` is the profile of no rows."""
    made, sizes = [profiler(table) for table in tables], _sizes(profiler, tables)
    for a, b in pairwise(made):
        assert_same((a + b) - b, a, sizes)
        assert_same(a - a, Profile.empty(a.scale), 0.0)


def merging_changes_no_argument(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """What was added, subtracted or merged is what it was before, and shares no memory with the result."""
    for a, b in pairwise(tables):
        left, right = profiler(a), profiler(b)
        before = pack_profile(left), pack_profile(right)
        results = [
            left + right,
            left - right,
            Profile.merge(left.scale, [left, right]),
            Profile.merge(left.scale, [left]),
        ]
        for result in results:
            result.counts[:] = -1
            result.sums[:] = -1.0
        assert (pack_profile(left), pack_profile(right)) == before


def merging_equals_profiling_all_at_once(profiler: Profiler, tables: Sequence[pl.DataFrame], chance: Random) -> None:
    """However the rows are split, in whatever order the parts come, and however they are grouped."""
    rows = pl.concat(tables)
    whole, sizes = profiler(rows), _sizes(profiler, tables)
    assert whole.rows == rows.height
    pieces = [profiler(table) for table in (*tables, *_resplit(rows.clear(), chance))]
    chance.shuffle(pieces)
    assert_same(Profile.merge(whole.scale, pieces), whole, sizes)
    split = [profiler(piece) for piece in _resplit(rows, chance)]
    assert_same(Profile.merge(whole.scale, split), whole, sizes)
    assert_same(_as_a_tree(split, chance), whole, sizes)


def the_order_of_rows_means_nothing(profiler: Profiler, tables: Sequence[pl.DataFrame], chance: Random) -> None:
    """Shuffled and reversed rows have the same profile."""
    rows = pl.concat(tables)
    sizes = _sizes(profiler, tables)
    order = list(range(rows.height))
    chance.shuffle(order)
    for other in (rows[order], rows.reverse()):
        assert_same(profiler(other), profiler(rows), sizes)


def unequal_scales_refuse(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """A profile on another scale is not added, subtracted or merged, and the refusal says that it is the scale."""
    made = profiler(tables[0])
    foreign = Profile.empty(Scale((*made.scale.columns, ScoreScale("a column of no other scale")), made.scale.outcome))
    refused: tuple[Callable[[], Profile], ...] = (
        lambda: made + foreign,
        lambda: made - foreign,
        lambda: Profile.merge(made.scale, [made, foreign]),
    )
    for attempt in refused:
        assert "scale" in _refusal(attempt)


def packing_is_reversible(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """A profile and its scale come back from their bytes to the last bit."""
    for table in tables:
        made = profiler(table)
        scale = unpack_scale(pack_scale(made.scale))
        assert scale == made.scale
        assert scale.fingerprint == made.scale.fingerprint
        back = unpack_profile(pack_profile(made), scale)
        assert_same(back, made, 0.0)
        assert pack_profile(back) == pack_profile(made)


def sums_are_numbers(profiler: Profiler, tables: Sequence[pl.DataFrame], _chance: Random) -> None:
    """Whatever the values were, no count is negative and no sum is NaN or infinite."""
    made = profiler(pl.concat(tables))
    assert (made.counts >= 0).all()
    assert np.isfinite(made.sums).all()


LAWS: tuple[Law, ...] = (
    merging_is_associative,
    merging_is_commutative,
    empty_is_the_unit,
    subtraction_undoes_addition,
    merging_changes_no_argument,
    merging_equals_profiling_all_at_once,
    the_order_of_rows_means_nothing,
    unequal_scales_refuse,
    packing_is_reversible,
    sums_are_numbers,
)


def assert_same(left: Profile, right: Profile, sizes: Floats | float) -> None:
    """Assert that two profiles agree: counts exactly, sums within the tolerance of what went into them.

    Args:
        left: a profile.
        right: another on the same scale.
        sizes: the sum of absolute values under each sum, shape `[sums]`; 0 asks for equality to the last bit.
    """
    assert left.scale.fingerprint == right.scale.fingerprint
    assert left.counts.dtype == right.counts.dtype == np.int64
    np.testing.assert_array_equal(left.counts, right.counts)
    apart = np.abs(left.sums - right.sums)
    assert (apart <= SUMS_TOLERANCE * np.asarray(sizes)).all(), f"sums differ by up to {apart.max()}"


# --------------------------------------------------------------------------------------------------- strategies


def frames(rows_max: int = 40) -> SearchStrategy[pl.DataFrame]:
    """Return a strategy for tables with every awkward value, always of the schema `SCHEMA`.

    Floats with NaN, both infinities, -0.0, 1e308 and subnormals; 64-bit integers; text with empty, unicode and rare
    values; booleans; a constant column and one without any value; scores around and beyond [0, 1]; nulls everywhere;
    and no rows at all.
    """
    from hypothesis import strategies as st

    row = st.fixed_dictionaries(_values())
    return st.lists(row, max_size=rows_max).map(lambda rows: pl.DataFrame(rows, schema=SCHEMA, orient="row"))


def parts(tables_min: int = 3, tables_max: int = 5, rows_max: int = 12) -> SearchStrategy[list[pl.DataFrame]]:
    """Return a strategy for the parts of one table: what the laws are tried on."""
    from hypothesis import strategies as st

    return st.lists(frames(rows_max), min_size=tables_min, max_size=tables_max)


SCHEMA: dict[str, Any] = {
    "real": pl.Float64,
    "whole": pl.Int64,
    "text": pl.String,
    "flag": pl.Boolean,
    "constant": pl.Float64,
    "nothing": pl.Float64,
    "score": pl.Float64,
    "label": pl.Int64,
}
"""The columns of `frames`. `score` is a probability, mostly; `label` is 0, 1 or null."""

_AWKWARD = (0.0, -0.0, 1e308, -1e308, 5e-324, 1.7e-310, 1e100, 1e-100, float("nan"), float("inf"), float("-inf"))
_ODD_SCORES = (0.0, 1.0, 0.3, 0.29, 0.57, 1 - 2**-53, 0.5, -1e-9, 1.0000001, float("nan"), float("inf"))
_TEXTS = ("JFK", "jfk", "", " ", "(missing)", "other", "Zürich", "日本", "🛩", "e\u0301", "a" * 300)


def _values() -> dict[str, SearchStrategy[Any]]:
    from hypothesis import strategies as st

    # Text without surrogates: Arrow's text is UTF-8, which has none.
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    plain = st.floats(-1e6, 1e6)
    return {
        "real": st.none() | plain | st.sampled_from(_AWKWARD) | st.floats(),
        "whole": st.none() | st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1),
        "text": st.none() | st.sampled_from(_TEXTS) | text,
        "flag": st.none() | st.booleans(),
        "constant": st.just(0.1),
        "nothing": st.none(),
        "score": st.none() | st.floats(0, 1) | st.sampled_from(_ODD_SCORES),
        "label": st.none() | st.integers(0, 1),
    }


# --------------------------------------------------------------------------------------------------- how it is done


def _refusal(attempt: Callable[[], Profile]) -> str:
    """What the caller is told; empty where nothing was refused."""
    try:
        attempt()
    except CallError as error:
        return str(error)
    return ""


def _sizes(profiler: Profiler, tables: Sequence[pl.DataFrame]) -> Floats:
    """The sum of absolute values under each sum of all rows.

    By the house's own cells, as no profile tells it; of the outcomes every value is positive, so the sum itself is it.
    """
    rows = pl.concat(tables)
    made = profiler(rows)
    sizes = np.abs(made.sums)
    for part in made.scale.columns:
        if part.sums_width and part.column in rows.columns:
            groups = np.zeros(rows.height, np.int64)
            weighted = [cells for cells in part.cells(rows[part.column]) if cells.weight is not None]
            found = [
                np.bincount(groups if c.index is None else c.index, np.abs(c.weight), c.width)[: c.kept]  # type: ignore[arg-type]
                for c in weighted
            ]
            sizes[made.scale.sums[part.column]] = np.concatenate(found)
    return sizes


def _resplit(rows: pl.DataFrame, chance: Random) -> list[pl.DataFrame]:
    """The rows in shuffled order, cut at random places; some pieces may be empty."""
    order = list(range(rows.height))
    chance.shuffle(order)
    cuts = sorted(chance.randint(0, rows.height) for _ in range(3))
    shuffled = rows[order]
    return [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, rows.height], strict=True)]


def _as_a_tree(profiles: Sequence[Profile], chance: Random) -> Profile:
    """Add two at random until one is left."""
    left = list(profiles)
    while len(left) > 1:
        chance.shuffle(left)
        left.append(left.pop() + left.pop())
    return left[0]
