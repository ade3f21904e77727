"""Token buckets: nobody gets more than the burst and the rate allow, and nobody pays for another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from killick.server.rates import Rates

RATE, BURST = 10.0, 5


@given(pauses=st.lists(st.floats(min_value=0.0, max_value=0.5), max_size=200))
def test_no_stretch_of_time_lets_more_through_than_burst_and_rate(pauses: list[float]) -> None:
    """The law of the bucket, over every stretch between two requests that were let through."""
    rates, now, passed = Rates(RATE, BURST), 0.0, []
    for pause in pauses:
        now += pause
        if not rates.wait("me", now):
            passed.append(now)

    for first, began in enumerate(passed):
        for count, ended in enumerate(passed[first:], start=1):
            assert count <= BURST + RATE * (ended - began) + 1e-6


@given(pauses=st.lists(st.floats(min_value=0.0, max_value=0.05), max_size=100))
def test_who_waits_as_told_is_let_through(pauses: list[float]) -> None:
    """The answer is a promise: after so many seconds there is room."""
    rates, now = Rates(RATE, BURST), 0.0
    for pause in pauses:
        now += pause
        if wait := rates.wait("me", now):
            now += wait
            assert rates.wait("me", now) == 0.0


def test_one_who_floods_costs_the_others_nothing() -> None:
    """Each name has a bucket of its own."""
    rates = Rates(RATE, BURST)

    assert sum(rates.wait("a flood", 0.0) == 0.0 for _ in range(1000)) == BURST
    assert [rates.wait(f"sender {number}", 0.0) for number in range(100)] == [0.0] * 100


def test_the_number_of_buckets_is_bounded() -> None:
    """Names come from outside: a million of them must not stay in memory."""
    rates = Rates(RATE, BURST)
    for number in range(30_000):
        rates.wait(f"name {number}", 0.0)

    assert len(rates._buckets) == 10_000
