"""Drift of two tables: verdicts that say what they mean, facets, and labels that are late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from killick.api import check
from killick.checks.comparison import Comparison, compare
from killick.checks.drift import CHECK
from killick.checks.methods import METHODS
from killick.checks.quality import MISSING
from killick.checks.reference import EVERYTHING, Reference
from killick.checks.watched import Watched
from killick.profiles.numeric import fit_numeric
from killick.profiles.profile import profile_rows
from killick.profiles.scale import Scale
from killick.spec.document import Band, Schema, Spec
from killick.spec.load import sealed
from tests.checks.worlds import Learned, a_table, found, judged

if TYPE_CHECKING:
    from killick.checks.verdict import Verdict


@pytest.mark.parametrize("name", METHODS)
def test_a_verdict_fails_exactly_above_its_threshold(name: str) -> None:
    """By every method: `threshold` is the value above which a column fails in this run."""
    rng = np.random.default_rng(8)
    learned = Learned(a_table(rng, 1500))
    ordered = METHODS[name].ordered
    watched = tuple(
        Watched(w.column, w.kind, w.facets, w.shown, method=name if w.kind == "numeric" or not ordered else "psi")
        for w in learned.watched
    )
    statuses = set()
    for shift in np.linspace(0, 0.6, 7):
        table = a_table(rng, 1500).with_columns(pl.col("normal 0") + shift, pl.col("count 0") + np.round(2 * shift))
        verdicts, _ = compare(learned.reference, {EVERYTHING: learned.profile(table)}, Comparison(watched))
        drift = [v for v in verdicts if v.check == CHECK]
        assert all((v.status == "fail") == (v.value > v.threshold) for v in drift)
        statuses |= {v.status for v in drift}

    assert {"ok", "fail"} <= statuses


def test_a_failure_says_what_moved_by_how_much_and_against_what() -> None:
    """The direction, spreads and means, the cells, the value, the threshold, and where this is from."""
    rng = np.random.default_rng(2)
    learned = Learned(a_table(rng, 2000))
    table = a_table(rng, 1000).with_columns(pl.col("normal 0") - 1, pl.lit("v000").alias("few 0"))
    said = {v.column: v for v in judged(learned, table) if v.check == CHECK}

    assert said["normal 0"].direction == "down"
    assert said["normal 0"].effect == pytest.approx(1.0, abs=0.1)
    assert "lower by" in said["normal 0"].reason
    assert "it fails above" in said["normal 0"].reason
    assert "the luck of 2,000 and 1,000 rows" in said["normal 0"].reason
    assert "% of the rows changed category, most: v000" in said["few 0"].reason
    assert "it would fail above" in said["skewed 0"].reason


def test_one_absurd_value_neither_makes_drift_nor_hides_it() -> None:
    """A single 1e12 on either side leaves a healthy column healthy, and a shifted one shifted, by what it shifted."""
    rng = np.random.default_rng(6)
    plain, other = rng.normal(size=2000), rng.normal(size=2000)
    for before, extra in ((plain, [1e12]), (np.append(plain, 1e12), []), (np.append(plain, -1e12), [1e12])):
        learned = Learned(pl.DataFrame({"normal 0": before}))
        calm, moved = (
            next(v for v in judged(learned, pl.DataFrame({"normal 0": np.append(x, extra)})) if v.check == CHECK)
            for x in (other, other - 1)
        )
        assert calm.status == "ok"
        assert calm.effect < 0.1
        assert (moved.status, moved.direction) == ("fail", "down")
        assert moved.effect == pytest.approx(1.0, abs=0.15)


def test_a_column_of_several_facets_has_one_verdict() -> None:
    """Told of the facet that moved, by its name, and paid for as many times as there are facets."""
    rng = np.random.default_rng(4)

    def texts(length: float) -> pl.DataFrame:
        return pl.DataFrame({"review (length)": rng.normal(length, 10, 900), "review (new words)": rng.beta(1, 9, 900)})

    table = texts(50)
    facets = tuple(fit_numeric(series) for series in table)
    scale = Scale(facets)
    one, other = (profile_rows(scale, rows, np.zeros(900, np.int64), 1)[0] for rows in (table, texts(60)))
    reference = Reference(scale, {EVERYTHING: one})

    def drift(*watched: Watched) -> list[Verdict]:
        return [v for v in compare(reference, {EVERYTHING: other}, Comparison(watched))[0] if v.check == CHECK]

    (whole,) = drift(Watched("review", "text", facets, None))
    alone = drift(*(Watched(facet.column, "numeric", (facet,), facet) for facet in facets))

    assert (whole.column, whole.status, whole.direction) == ("review", "fail", "up")
    assert whole.reason.startswith("length: higher by")
    assert (whole.value, whole.effect) == (alone[0].value, alone[0].effect)
    assert whole.p_value == pytest.approx(2 * alone[0].p_value)
    assert [
        v.check
        for v in compare(reference, {EVERYTHING: other}, Comparison((Watched("review", "text", facets, None),)))[0]
    ] == [CHECK, MISSING]


def test_missing_values_of_a_label_have_only_not_come_yet() -> None:
    """A label of which nine tenths are still to come has not drifted; one that flipped has."""
    rng = np.random.default_rng(9)
    learned, table = Learned(a_table(rng, 2000).select("few 0", "gaps 0")), a_table(rng, 3000).select("few 0", "gaps 0")
    late = table.with_columns(
        pl.when(pl.int_range(3000) < 2500).then(None).otherwise(pl.col(c)).alias(c) for c in table.columns
    )
    for label in table.columns:
        assert not found([v for v in judged(learned, late, label=label) if v.column == label])
    (verdict,) = (v for v in judged(learned, late, label="few 0") if v.column == "few 0")
    assert (verdict.n_reference, verdict.n_current) == (2000, 500)
    assert (CHECK, "few 0") in found(
        judged(learned, late.with_columns(pl.col("few 0").replace("v000", "v003")), label="few 0")
    )


@pytest.mark.parametrize("kind", ["text", "number"])
def test_a_segments_own_column_has_no_verdict_inside_it(kind: str) -> None:
    """All its rows are equal there, by whatever name the band goes; outside it is judged, and so are all others."""
    rng = np.random.default_rng(4)
    values = ["a", "b"] if kind == "text" else [1, 2]
    before, now = (pl.DataFrame({"x": rng.normal(size=2_000), "shop": rng.choice(values, 2_000)}) for _ in range(2))
    spec = sealed(Spec("m", "binary", Schema(), segments=((Band("market", "shop"),),)))
    verdicts = check(now, before, spec).verdicts
    assert {v.column for v in verdicts if v.segment and v.column} == {"x"}
    assert {v.status for v in verdicts if v.column == "shop"} == {"ok"}


def test_a_single_category_on_both_sides_is_the_same_and_too_many_are_too_few_rows() -> None:
    """Rows that are all of one of two, in a segment that another column makes; as many names as rows."""
    at = np.arange(8_000)
    table = pl.DataFrame({"shop": np.where(at % 2 == 0, "a", "b"), "till": np.where(at % 4 == 0, "x", "y")})
    table = table.with_columns(till=pl.when(pl.col("shop") == "b").then(pl.lit("x")).otherwise("till"))
    spec = sealed(Spec("m", "binary", Schema(), segments=((Band("shop", "shop"),),)))
    found = {v.segment: v for v in check(table, table, spec).verdicts if v.check == CHECK and v.column == "till"}
    assert found[("shop", "b"),].status == "ok"
    many = pl.DataFrame({"name": [f"n{k % 100}" for k in range(100)]})
    plain = sealed(Spec("m", "binary", Schema()))
    (verdict,) = (v for v in check(many, many, plain).verdicts if v.check == CHECK)
    assert (verdict.status, verdict.reason) == (
        "inconclusive",
        "100 rows in the reference are too few for 100 categories",
    )
