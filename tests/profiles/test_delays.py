"""How long labels took is counted to a factor of two, and goes with its label."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from killick.clock import DAY, HOUR, MINUTE
from killick.profiles.delays import BUCKETS, DelayScale, bucket_ends, delay_bucket
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.profile import Profile, profile_outcomes
from killick.profiles.scale import Scale

SCALE = Scale((), delay=DelayScale("(label delay)"))


def counted(delays: list[int | None]) -> Profile:
    """The profile of labels that took so long."""
    outcomes = Outcomes(delays=pl.Series(delays, dtype=pl.Int64))
    return profile_outcomes(SCALE, outcomes, np.zeros(len(delays), np.int64), 1)[0]


@given(st.integers(-(2**40), 2**55))
def test_a_delay_is_in_the_bucket_that_ends_after_it(delay):
    """Half-open: a minute is in the second bucket."""
    bucket, ends = int(delay_bucket(np.array([delay]))[0]), bucket_ends()
    assert delay < ends[bucket]
    assert bucket == 0 or ends[bucket - 1] <= delay


def test_labels_that_have_not_come_are_in_no_bucket():
    """And those that came can be taken back, one by one."""
    held = counted([MINUTE // 2, HOUR, None, DAY])
    assert held.counts_of("(label delay)").sum() == 3
    assert (held - counted([HOUR])).counts_of("(label delay)").sum() == 2
    assert (counted([MINUTE // 2, HOUR, DAY]) - held).counts.tolist() == [0] * (1 + BUCKETS)
    nothing = profile_outcomes(SCALE, Outcomes(), np.zeros(3, np.int64), 1)[0]
    assert nothing.counts.sum() == 0
