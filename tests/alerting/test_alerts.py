"""Which verdicts are worth a person's attention: two columns at once, or one column twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.alerting.alerts import Feed, are_missing, data_faults
from killick.checks.verdict import Verdict

HARBOUR, MARKET, STATION = ((("store", name),) for name in ("harbour", "market", "station"))
EVERYTHING = ()
COLUMNS = ("temperature", "basket", "visits")


def failed(*columns: str, segment=MARKET, status: str = "fail") -> list[Verdict]:
    """Both witnesses spoke about these columns."""
    return [
        Verdict(
            check="drift.univariate",
            metric="psi",
            status=status,
            reason="",
            column=column,
            segment=segment,
            reference=kind,
        )
        for column in columns
        for kind in ("trailing", "other_segments")
    ]


def test_one_column_in_one_window_is_weather():
    """It may be fog."""
    assert data_faults(failed("temperature"), []) == {}
    assert data_faults([], failed("temperature", "basket")) == {}


def test_one_column_in_two_windows_running_is_a_fault():
    """Only the column that was there both times is named."""
    assert data_faults(failed("temperature"), failed("temperature", "basket")) == {MARKET: ("temperature",)}
    assert data_faults(failed("temperature"), failed("basket")) == {}


def test_two_columns_in_one_window_are_a_fault_at_once():
    """All of them are named, in order."""
    assert data_faults(failed("temperature", "basket"), []) == {MARKET: ("basket", "temperature")}


def test_segments_are_counted_by_themselves():
    """A column here and a column there are not two columns."""
    now = failed("temperature") + failed("basket", segment=HARBOUR)
    assert data_faults(now, failed("temperature", segment=HARBOUR)) == {}


def share(column: str, check: str = "missing", *, segment=EVERYTHING, status: str = "fail") -> Verdict:
    """A share of a column's rows was judged."""
    return Verdict(check=f"quality.{check}", metric="share", status=status, reason="", column=column, segment=segment)


def test_one_witness_alone_is_no_data_fault():
    """It warns."""
    assert data_faults(failed("temperature", "basket", status="warn"), failed("temperature", "basket")) == {}


def test_values_that_are_missing_or_unknown_testify_without_a_neighbour():
    """The whole has none, and a model need not have segments: twice one column, or two at once."""
    gone, strange = share("basket"), share("visits", "unseen")
    assert data_faults([gone], []) == {}
    assert data_faults([gone], [gone]) == {EVERYTHING: ("basket",)}
    assert data_faults([gone, strange], []) == {EVERYTHING: ("basket", "visits")}
    assert data_faults([share("basket", status="ok"), strange], [gone]) == {}
    assert are_missing(("basket",), EVERYTHING, [gone, strange])
    assert not are_missing(("basket", "visits"), EVERYTHING, [gone, strange])
    assert not are_missing(("basket",), MARKET, [gone])


def test_only_a_declared_range_testifies():
    """A learned one is left by every spring."""
    beyond = share("temperature", "range")
    assert data_faults([beyond], [beyond]) == {}
    assert data_faults([beyond], [beyond], Feed(ranges=frozenset({"temperature"}))) == {EVERYTHING: ("temperature",)}


def test_a_score_that_drifts_blames_no_feed_and_one_that_is_missing_does():
    """Drift of the score is the model's answer to its data."""
    feed = Feed(score="score")
    drifted, gone = failed("score"), [share("score")]
    assert data_faults(drifted, drifted, feed) == {}
    assert data_faults(drifted + failed("basket"), [], feed) == {}
    assert data_faults(gone, gone, feed) == {EVERYTHING: ("score",)}


@pytest.mark.parametrize(
    ("faulty", "told"),
    [
        ((), (EVERYTHING,)),
        ((MARKET,), (MARKET,)),
        ((HARBOUR, MARKET), (EVERYTHING,)),
        ((HARBOUR, MARKET, STATION), (EVERYTHING,)),
    ],
)
def test_one_fault_is_told_once_at_its_widest(faulty, told):
    """Of everything where most stores share it; a store's own fault shows in the whole, and is the store's."""
    stores = (HARBOUR, MARKET, STATION)
    now = [share("basket", segment=store, status="fail" if store in faulty else "ok") for store in stores]
    now.append(share("basket"))
    assert data_faults(now, now) == dict.fromkeys(told, ("basket",))


def test_every_grouping_must_share_what_is_everybodys():
    """A faulty store is in every customer band: it is the store that is at fault, or the bands, but not everything."""
    bands = [(("band", name),) for name in ("old", "new")]
    now = [share("basket", segment=segment) for segment in (EVERYTHING, MARKET, *bands)]
    now += [share("basket", segment=segment, status="ok") for segment in (HARBOUR, STATION)]
    assert EVERYTHING not in data_faults(now, now)


def test_what_is_wrong_in_one_store_only_stays_its_own():
    """A store with one more faulty column than the rest has an incident beside that of everything."""
    now = [share("basket", segment=store) for store in (EVERYTHING, HARBOUR, MARKET, STATION)]
    assert data_faults([*now, share("visits", segment=MARKET)], now) == {
        EVERYTHING: ("basket",),
        MARKET: ("basket", "visits"),
    }


columns = st.sets(st.sampled_from(COLUMNS))


@given(columns, columns)
def test_the_rule_holds_for_every_pair_of_windows(now, before):
    """Written once more, from its sentence."""
    expected = now if len(now) >= 2 else now & before
    found = data_faults(failed(*now), failed(*before))
    assert found == ({MARKET: tuple(sorted(expected))} if expected else {})
