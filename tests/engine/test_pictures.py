import math
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import killick
from killick.checks.reference import Reference
from killick.checks.verdict import Verdict
from killick.engine.pictures import BARS_MAX, FACETS_MAX, draw
from killick.profiles.facets import fit_facets, with_facets
from killick.profiles.profile import profile_rows
from killick.profiles.scale import Scale, fit_scale
from killick.reports.report import Distribution

WEST = (("region", "west"),)
values = st.lists(
    st.none()
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.integers(-3, 3).map(float)
    | st.sampled_from([0.0, 1e12, 2.0**62]),
    max_size=60,
)


def picture(before, now, kind="numeric") -> Distribution:
    """How one column is drawn whose values these are."""
    dtype = pl.Float64 if kind == "numeric" else pl.String
    tables = [pl.DataFrame({"x": pl.Series(side, dtype=dtype, strict=False)}) for side in (before, now)]
    scale = fit_scale(tables[0], {"x": kind})
    return draw(Reference(scale, {(): profiled(scale, tables[0])}), {(): profiled(scale, tables[1])}, [], {})["x", ()]


def profiled(scale, table):
    """All rows of a table in one profile."""
    return profile_rows(scale, table, np.zeros(table.height, np.int64), 1)[0]


@given(values, values)
def test_every_row_is_in_one_bar_whatever_the_values(before, now):
    """NaN, infinities, nulls, absurd numbers, none at all: shares add up, edges grow, and the bars can be counted."""
    drawn = picture(before, now)
    bars = len(drawn.labels[drawn.axis])

    for side, rows in ((drawn.reference, before), (drawn.current, now)):
        assert len(side) == len(drawn.labels)
        assert sum(side) == pytest.approx(1.0 if rows else 0.0)
    assert bars <= BARS_MAX
    assert not drawn.edges or len(drawn.edges) == bars + 1
    assert all(low < high for low, high in pairwise(drawn.edges))
    assert all(math.isfinite(edge) for edge in drawn.edges)


@given(st.integers(0, 2**32))
def test_a_bar_holds_the_rows_between_its_edges(seed):
    """The witness is NumPy's own histogram of the raw values; what is beyond the ends stands before and behind."""
    chance = np.random.default_rng(seed)
    before, now = chance.gamma(2.0, 3.0, 900), chance.gamma(2.0, 4.0, 300)
    drawn = picture(before.tolist(), now.tolist())

    for side, raw in ((drawn.reference, before), (drawn.current, now)):
        # Bars hold their upper end, NumPy's the lower one: of mirrored values that is the same.
        counted = np.histogram(-raw, -np.asarray(drawn.edges[::-1]))[0][::-1]
        assert side[drawn.axis] == pytest.approx((counted / len(raw)).tolist())


def test_the_shape_is_seen_and_not_the_quantiles():
    """Quantile bins all hold a twentieth; the bars of a bell are high in the middle."""
    drawn = picture(np.random.default_rng(0).normal(size=20_000).tolist(), [0.0] * 50)
    widths = [high - low for low, high in pairwise(drawn.edges)]
    dense = [share / width for share, width in zip(drawn.reference[drawn.axis], widths, strict=True)]

    assert max(dense) == pytest.approx(0.399, abs=0.02)
    assert dense[0] < 0.1 > dense[-1]


def test_one_absurd_value_does_not_flatten_the_picture():
    """What is far outside is one bar behind the axis, on either side of the comparison."""
    usual = np.random.default_rng(1).normal(size=2_000).tolist()

    for before, now in (([*usual, 1e12], usual), (usual, [*usual, 1e12])):
        drawn = picture(before, now)
        assert drawn.edges[-1] < 10
        assert drawn.labels[drawn.apart[-1]].startswith("above ")


def test_what_is_missing_stands_apart():
    """A surge of nulls is a bar of its own, not a value."""
    usual = np.random.default_rng(1).normal(size=1_000).tolist()
    drawn = picture(usual, [*usual[:500], *[None] * 500])

    assert drawn.labels[-1] == "missing"
    assert drawn.trailing == 1 + drawn.labels[-2].startswith("above ")
    assert drawn.current[-1] == pytest.approx(0.5)


def test_a_number_that_most_rows_share_stands_apart_from_the_histogram():
    """No rain, no debt: as one bar among others it would hide them."""
    chance = np.random.default_rng(2)
    rain = np.where(chance.random(4_000) < 0.8, 0.0, chance.exponential(5.0, 4_000)).tolist()
    drawn = picture(rain, rain)

    assert drawn.labels[0] == "exactly 0"
    assert drawn.reference[0] == pytest.approx(rain.count(0.0) / 4_000)
    assert len(drawn.edges) > 3


def test_a_few_numbers_are_drawn_one_by_one():
    """Marks from one to five are five bars, and a sixth is one more."""
    marks = [float(1 + n % 5) for n in range(500)]
    drawn = picture(marks, [*marks, *[6.0] * 100])

    assert drawn.ordered
    assert not drawn.edges
    assert drawn.labels[:5] == ("1", "2", "3", "4", "5")
    assert drawn.current[5] == pytest.approx(1 / 6)


def test_categories_come_in_the_references_order_and_the_rarest_together():
    """The commonest first, then the rare ones as one bar, then what nobody knows, and nulls apart."""
    names = [f"c{n:02}" for n in range(40) for _ in range(41 - n)]
    drawn = picture(names, [*names, *["new"] * 200, None], kind="categorical")

    assert drawn.labels[:3] == ("c00", "c01", "c02")
    assert drawn.labels[-3:] == ("18 rarer", "unknown values", "missing")
    assert len(drawn.labels[drawn.axis]) == BARS_MAX
    assert drawn.trailing == 1


def test_the_whole_has_every_column_and_a_segment_what_does_not_hold_there():
    """Under the operator's names; a column that only one side has rows of in a segment has no picture there."""
    table = pl.DataFrame({"a": [1.0, 2.0, 3.0], "score": [0.1, 0.2, 0.3]})
    scale = fit_scale(table, {"a": "numeric"}, score="score")
    held = profiled(scale, table)
    loud = Verdict(check="drift.univariate", metric="psi", status="fail", reason="", column="p", segment=WEST)
    lone = Verdict(check="drift.univariate", metric="psi", status="fail", reason="", column="p", segment=(("x", "y"),))
    drawn = draw(Reference(scale, {(): held, WEST: held}), {(): held, WEST: held}, [loud, lone], {"score": "p"})

    assert list(drawn) == [("a", ()), ("p", ()), ("p", WEST)]
    assert sum(drawn["p", ()].reference) == pytest.approx(1.0)


def test_a_column_without_cells_of_its_own_is_drawn_by_its_first_facets():
    """A text by how long it is and how new its words are; each picture says whose facet it is."""
    table = pl.DataFrame({"review": [f"word{n % 7} " * (1 + n % 5) for n in range(200)]})
    facets = fit_facets(table, {"review": "text"}, {}, None)
    derived = with_facets(table, facets)
    columns = tuple(part for one in facets for part in one.scales(table))
    scale = Scale(columns, facets=facets)
    held = profiled(scale, table)
    drawn = draw(Reference(scale, {(): held}), {(): held}, [], {})

    assert set(drawn) == {(name, ()) for one in facets for name in one.names[:FACETS_MAX]}
    assert {one.facet_of for one in drawn.values()} == {"review"}
    # Every second row is asked for new words: the others are not missing.
    assert all("missing" not in one.labels and sum(one.reference) == pytest.approx(1.0) for one in drawn.values())
    assert set(derived.columns) >= {name for name, _ in drawn}


def test_one_absurd_value_in_the_reference_does_not_flatten_the_picture() -> None:
    """It stretches the last bin of the reference over nearly all of the axis; the bin stands behind it then."""
    rng = np.random.default_rng(4)
    reference = pl.DataFrame({"adr": np.append(rng.gamma(4, 25, 5_000), 54_000.0)})

    report = killick.check(pl.DataFrame({"adr": rng.gamma(4, 40, 2_000)}), reference=reference)

    shown = report.pictures["adr", ()]
    assert shown.edges[-1] < 400
    assert shown.labels[len(shown.edges) - 1 + shown.leading].startswith("above")
