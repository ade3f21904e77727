"""The reference: its trailing sum, its neighbours, its bytes."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from killick.checks.reference import (
    EVERYTHING,
    LOOK_BACK,
    HealthyWindow,
    Reference,
    merge_windows,
    others,
    pack_reference,
    trailing,
    unpack_reference,
)
from killick.clock import DAY, Window
from killick.errors import DataError
from killick.profiles.profile import Profile
from tests.checks.worlds import AIRPORTS, EWR, JFK, LGA, SCALE, a_day, a_profile, a_reference

DAYS = [a_day(np.random.default_rng(1), 0)] + [a_day(np.random.default_rng(at), at) for at in range(1, 120)]
REFERENCE = a_reference(DAYS)


def rows_of(windows: list[HealthyWindow]) -> int:
    """Count JFK's rows."""
    return sum(held.profiles[JFK].rows for held in windows)


def test_trailing_is_the_last_28_days_before() -> None:
    """Not a window that ends later, however little."""
    found = trailing(REFERENCE, DAYS, 60 * DAY, JFK)
    assert found == Profile.merge(SCALE, [held.profiles[JFK] for held in DAYS[32:60]])
    assert trailing(REFERENCE, DAYS, 60 * DAY - 1, JFK) == Profile.merge(SCALE, [h.profiles[JFK] for h in DAYS[31:59]])


def test_trailing_looks_back_past_spoiled_windows() -> None:
    """Days of an incident are not among the windows that it is given, so older ones take their place."""
    healthy = [held for at, held in enumerate(DAYS) if not 40 <= at < 60]
    found = trailing(REFERENCE, healthy, 60 * DAY, JFK)
    assert found == Profile.merge(SCALE, [held.profiles[JFK] for held in DAYS[12:40]])


@pytest.mark.parametrize(("spoiled", "days"), [(60, 28), (63, 28), (70, 21), (77, 14), (78, None), (90, None)])
def test_trailing_never_looks_back_further_than_a_season(spoiled: int, days: int | None) -> None:
    """What is left within 91 days is summed; fewer than 14 days of it are no reference."""
    assert LOOK_BACK == 91 * DAY
    healthy = [held for at, held in enumerate(DAYS) if at < 110 - spoiled]
    found = trailing(REFERENCE, healthy, 110 * DAY, JFK)
    assert (found.rows if found else None) == (days * 300 if days else None)


def test_trailing_takes_only_windows_that_know_the_segment() -> None:
    """An airport that opened ten days ago has no reference of its own yet."""
    young = [
        HealthyWindow(h.window, h.profiles if at >= 50 else {EVERYTHING: h.profiles[EVERYTHING]})
        for at, h in enumerate(DAYS)
    ]
    assert trailing(REFERENCE, young, 60 * DAY, JFK) is None
    assert trailing(REFERENCE, young, 64 * DAY, JFK).rows == 14 * 300
    assert trailing(REFERENCE, [], 64 * DAY, JFK) is None


def test_others_are_the_same_grouping_without_the_segment_and_the_unfit() -> None:
    """Neither the whole, nor other groupings, nor a segment that is broken itself."""
    profiles = {**DAYS[0].profiles, (("carrier", "UA"),): a_profile([1.0], ["UA"])}
    assert others(profiles, SCALE, JFK) == profiles[LGA] + profiles[EWR]
    assert others(profiles, SCALE, JFK, frozenset({EWR})) == profiles[LGA]
    assert others(profiles, SCALE, JFK, frozenset({EWR, LGA})).rows == 0
    assert others(profiles, SCALE, (("carrier", "UA"),)).rows == 0


def test_windows_merge_into_wider_ones() -> None:
    """A week is seven days; a rest is left out; a segment that some days lack is the sum of the others."""
    days = [
        HealthyWindow(h.window, h.profiles if at != 3 else {JFK: h.profiles[JFK]}) for at, h in enumerate(DAYS[:16])
    ]
    weeks = merge_windows(days, SCALE, 7)
    assert [week.window for week in weeks] == [Window(0, 7 * DAY), Window(7 * DAY, 14 * DAY)]
    assert weeks[0].profiles[JFK].rows == 7 * 300
    assert weeks[0].profiles[LGA].rows == 6 * 300


def test_a_reference_comes_back_from_its_bytes() -> None:
    """Scale, profiles, windows, and the order of segments."""
    back = unpack_reference(pack_reference(a_reference(DAYS[:3])))
    assert back.scale == SCALE
    assert back.profiles == a_reference(DAYS[:3]).profiles
    assert back.windows == tuple(DAYS[:3])
    assert back.segments == (EVERYTHING, *AIRPORTS)
    assert back.span == Window(0, 3 * DAY)
    assert Reference(SCALE, {}).span is None
    assert unpack_reference(pack_reference(Reference(SCALE, {}))) == Reference(SCALE, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "killick.reference/2"}, "schema that this version cannot read .found 'killick.reference/2'"),
        ({"scale": None}, "missing required field `scale`"),
        ({"windows": None}, "missing required field `windows`"),
        ({"schema": None}, "missing required field `schema`"),
    ],
)
def test_what_is_not_a_whole_reference_is_refused_by_name(change: dict[str, object], said: str) -> None:
    """A newer schema, and each half that may be missing."""
    held = msgspec.msgpack.decode(pack_reference(a_reference(DAYS[:1]))) | change
    packed = msgspec.msgpack.encode({name: value for name, value in held.items() if value is not None})
    with pytest.raises(DataError, match=said):
        unpack_reference(packed)
    with pytest.raises(DataError, match="cannot be read"):
        unpack_reference(b"")
