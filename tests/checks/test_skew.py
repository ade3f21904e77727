"""Online and offline rows of the same entities: what differs is found, what is the same in another type is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from killick.api import check
from killick.checks.skew import SKEW, judge_skew
from killick.errors import CallError
from killick.profiles.pairs import compare_rows
from killick.spec.load import parse_spec
from tests.checks.rates import failed, sealed, surely_more_than_promised

START = datetime(2024, 3, 1, tzinfo=UTC)
KEYS = ("user", "at")


def online(rows: int = 500) -> pl.DataFrame:
    """What the model was given."""
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "user": np.arange(rows) % 50,
            "at": [START + timedelta(minutes=k) for k in range(rows)],
            "amount": rng.normal(size=rows) * 1e3,
            "city": [("Rome", "Oslo", None)[k] for k in rng.integers(0, 3, rows)],
            "items": rng.integers(0, 9, rows),
        }
    )


COLUMNS = ("amount", "city", "items")


def judged(one: pl.DataFrame, other: pl.DataFrame, columns: tuple[str, ...] = COLUMNS) -> dict:
    """Return the sealed verdicts by column."""
    return {verdict.column: verdict for verdict in sealed(judge_skew(compare_rows(one, other, KEYS, columns)))}


def test_the_same_values_in_another_store_are_the_same() -> None:
    """float32, other widths, another order, text keys, a clock in another zone, NaN for missing."""
    offline = online().sample(fraction=1.0, shuffle=True, seed=1)
    offline = offline.with_columns(
        pl.col("amount").cast(pl.Float32),
        pl.col("items").cast(pl.Float64),
        pl.col("user").cast(pl.String),
        pl.col("at").dt.convert_time_zone("Asia/Tokyo").cast(pl.Datetime("ns", "Asia/Tokyo")),
    )
    found = judged(online(), offline)
    assert {v.status for v in found.values()} == {"ok"}
    assert {v.value for v in found.values()} == {0.0}
    gaps = online().with_columns(amount=pl.when(pl.col("items") > 4).then(None).otherwise("amount"))
    assert judged(gaps, gaps.with_columns(pl.col("amount").fill_null(float("nan"))))["amount"].value == 0.0


def test_a_feature_that_is_computed_otherwise_is_found_with_an_example() -> None:
    """Every tenth amount has another unit; a city is missing on one side; the rest is left in peace."""
    offline = online().with_columns(
        amount=pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.col("amount") * 100).otherwise("amount"),
        city=pl.col("city").fill_null("unknown"),
    )
    found = judged(online(), offline)
    assert {name for name, v in found.items() if v.status == "fail"} == {"amount", "city"}
    assert found["amount"].value == pytest.approx(0.1)
    first = online()["amount"][0]
    assert f"for example {first!r} online and {first * 100!r} offline" in found["amount"].reason


def test_large_whole_numbers_are_compared_to_the_last_digit() -> None:
    """Ids that differ by one in nineteen digits, and times that differ by a second."""
    one = online().with_columns(items=pl.int_range(pl.len()) + 2**62, when="at")
    other = one.with_columns(pl.col("items") + 1, pl.col("when") + timedelta(seconds=1))
    assert failed(judge_skew(compare_rows(one, other, KEYS, ("items", "when")))) == {"items", "when"}


def test_rows_without_a_partner_or_with_two_are_told_and_not_compared() -> None:
    """Three late, two twice, one without a key."""
    offline = pl.concat([online()[3:], online()[10:11], online()[-1:].with_columns(user=pl.lit(None, dtype=pl.Int64))])
    reason = judged(online(), offline)["amount"].reason
    assert reason == (
        "0.00 % of 496 values differ; 4 online rows have no partner; 3 offline rows have no key of their own"
    )


@pytest.mark.statistics
@pytest.mark.parametrize("rows", [50, 400, 5_000])
def test_one_value_in_a_hundred_fails_no_more_often_than_promised(rows: int) -> None:
    """What healthy stores differ by; three columns at 5 % together."""
    one = online(rows)

    def run(rng: np.random.Generator) -> list:
        other = one.with_columns(
            pl.when(pl.Series(rng.uniform(size=rows) < 0.01)).then(None).otherwise(pl.col(c)).alias(c)
            for c in ("amount", "items")
        )
        return judge_skew(compare_rows(one, other, KEYS, ("amount", "items")))

    assert not surely_more_than_promised(run, runs=80, seed=6)


def test_what_cannot_be_compared_is_inconclusive() -> None:
    """A column on one side only, no row in common, no rows; a key that is missing is the caller's mistake."""
    found = judged(online(), online().drop("city"))
    assert (found["city"].status, found["amount"].status) == ("inconclusive", "ok")
    assert "the offline table has no such column" in found["city"].reason
    lists = online().with_columns(city=pl.concat_list("items"))
    assert judged(online(), lists)["city"].reason == "String online and List(Int64) offline cannot be compared"
    assert failed(
        judge_skew(compare_rows(lists, lists.with_columns(pl.col("city").list.eval(pl.element() + 1)), KEYS, COLUMNS))
    ) == {"city"}
    assert judged(lists, lists)["city"].status == "ok"
    later = online().with_columns(pl.col("at") + timedelta(days=9))
    for other in (later, online()[:0]):
        assert {v.status for v in judged(online(), other).values()} == {"inconclusive"}
    with pytest.raises(CallError, match=r"offline.at: is missing"):
        compare_rows(online(), online().drop("at"), KEYS, COLUMNS)
    with pytest.raises(CallError, match="keys: is missing"):
        compare_rows(online(), online(), (), COLUMNS)


def test_a_feature_that_the_store_lacks_is_said() -> None:
    """Through the whole check: not what the model made, which no store of features has."""
    rng = np.random.default_rng(2)
    table = online().with_columns(p=pl.Series(rng.uniform(size=500)), d=pl.Series(rng.uniform(size=500) > 0.5))
    spec = parse_spec(
        "killick: 1\nmodel: m\ntask: binary\nschema: {entity_id: user, event_time: at, score: p, decision: d}\n"
    )
    report = check(table, table, spec, offline=table.drop("amount", "p", "d"))
    found = {v.column: v for v in report.verdicts if v.check == SKEW}
    assert {name: v.status for name, v in found.items()} == {"amount": "inconclusive", "city": "ok", "items": "ok"}
    assert found["amount"].reason.startswith("the offline table has no such column")
