"""Which verdicts are worth a person's attention: two columns at once, or one column twice."""

from hypothesis import given
from hypothesis import strategies as st

from killick.alerting.alerts import data_faults
from killick.checks.verdict import Verdict

HARBOUR, MARKET = (("store", "harbour"),), (("store", "market"),)
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


def test_what_is_no_failed_drift_is_no_data_fault():
    """One witness alone warns; other checks have other incidents."""
    assert data_faults(failed("temperature", "basket", status="warn"), failed("temperature", "basket")) == {}
    missing = Verdict(check="quality.missing", metric="missing_rate", status="fail", reason="", column="basket")
    assert data_faults([missing], [missing]) == {}


columns = st.sets(st.sampled_from(COLUMNS))


@given(columns, columns)
def test_the_rule_holds_for_every_pair_of_windows(now, before):
    """Written once more, from its sentence."""
    expected = now if len(now) >= 2 else now & before
    found = data_faults(failed(*now), failed(*before))
    assert found == ({MARKET: tuple(sorted(expected))} if expected else {})
