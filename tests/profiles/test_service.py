"""Latency, errors and sampling weights are counted as they were told, and add up."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.profiles.profile import profile_rows
from killick.profiles.scale import Scale
from killick.profiles.service import FAILED, LATENCY_BUCKETS, OK, ServiceScale, latency_quantile

SERVICE = ServiceScale("(service)", "latency_seconds", "response_status", "sampling_weight")
SCALE = Scale((), service=SERVICE)


def profile(**columns):
    """The service's counts and sums of a table."""
    table = pl.DataFrame(columns)
    made = profile_rows(SCALE, table, np.zeros(table.height, np.int64), 1)[0]
    return made.counts_of("(service)"), made.sums_of("(service)")


def test_each_answer_is_ok_or_failed_or_says_nothing():
    """Whatever a status is called that is not `ok`, it is a failure."""
    counts, _ = profile(response_status=["ok", "ok", "TimeoutError", None, "500"])
    assert (counts[OK], counts[FAILED], counts[FAILED + 1]) == (2, 2, 1)
    assert counts[LATENCY_BUCKETS] == 5


def test_a_latency_that_is_none_is_counted_as_none():
    """Missing, negative, NaN and infinite ones; the sum is of those that are there."""
    counts, sums = profile(latency_seconds=[0.1, None, -1.0, float("nan"), float("inf"), 0.3])
    assert counts[:LATENCY_BUCKETS].sum() == 2
    assert counts[LATENCY_BUCKETS] == 4
    assert sums[0] == pytest.approx(0.4)


def test_sampled_predictions_stand_for_those_that_were_not_kept():
    """A tenth kept with weight ten: the sum of weights is the number there was; without weights each is one."""
    _, sums = profile(sampling_weight=[10.0] * 50, response_status=["ok"] * 50)
    assert sums[1:].tolist() == [500.0, 5000.0]
    _, sums = profile(response_status=["ok"] * 7)
    assert sums[1:].tolist() == [7.0, 7.0]


@given(st.lists(st.floats(1e-6, 7_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_known_to_a_quarter_of_a_doubling(seconds, q):
    """NumPy is the witness."""
    counts, _ = profile(latency_seconds=seconds)
    found, true = latency_quantile(counts, q), np.quantile(seconds, q, method="inverted_cdf")
    assert true / 2**0.26 <= found <= true * 2**0.26


def test_no_latency_has_no_quantile():
    """Unknown, and not zero."""
    assert latency_quantile(profile(response_status=["ok"])[0], 0.5) is None


def test_the_extremes_have_buckets_too():
    """Nothing is lost below a microsecond or beyond two hours."""
    counts, _ = profile(latency_seconds=[0.0, 1e-9, 1e9])
    assert (counts[0], counts[LATENCY_BUCKETS - 1]) == (2, 1)
