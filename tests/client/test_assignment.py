"""Assignment: sticky, in proportion, and growing without moving anybody who was in already."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from killick_client import Assignment, Condition, Route, Share, TrafficPlan, assign, shadows
from killick_client.assignment import pick, point

ENTITIES = [f"N{at}" for at in range(20_000)]


def plan_of(*routes: Route, epoch: int = 1, salt: str = "2013", shadow: tuple[str, ...] = ()) -> TrafficPlan:
    """Make a plan."""
    return TrafficPlan(model="flight-delay", epoch=epoch, salt=salt, routes=routes, shadow=shadow)


def canary(share: float) -> Route:
    """Send a share to the canary, and the rest to live."""
    return Route((Share("v2", "canary", share), Share("v1", "live", 1 - share)))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.floats(0, 1))
def test_an_entity_keeps_its_version(entity: str, share: float) -> None:
    """In every process, at every epoch: its point depends on the salt and on itself alone."""
    first = assign(plan_of(canary(share)), entity, {})
    assert assign(plan_of(canary(share), epoch=9), entity, {"anything": 1}) == first
    assert 0 <= point("2013", entity) < 1


def test_points_are_pinned() -> None:
    """For ever: a new release must not move a single passenger."""
    assert [round(point("2013", entity), 6) for entity in ("N14228", "", "Zürich")] == [0.112471, 0.936255, 0.440874]


@pytest.mark.statistics
@pytest.mark.parametrize("salt", ["2013", "", "another", "x" * 100])
def test_points_are_uniform(salt: str) -> None:
    """Chi-square over a hundred bins of 20,000 entities, at 1 in 10,000."""
    counts = np.histogram([point(salt, entity) for entity in ENTITIES], bins=100, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.statistics
def test_shares_are_what_the_plan_says() -> None:
    """Chi-square of four versions, small shares among them."""
    shares = {"v3": 0.01, "v2": 0.05, "v4": 0.25, "v1": 0.69}
    route = Route(tuple(Share(version, "live", share) for version, share in shares.items()))
    found = Counter(assign(plan_of(route), entity, {}).version for entity in ENTITIES)
    expected = [share * len(ENTITIES) for share in shares.values()]
    assert stats.chisquare([found[version] for version in shares], expected).pvalue > 1e-4


@pytest.mark.statistics
def test_another_salt_draws_anew() -> None:
    """Who was in one canary is in the next by chance alone: independent, by chi-square."""
    first = np.array([point("one", entity) < 0.2 for entity in ENTITIES])
    second = np.array([point("two", entity) < 0.2 for entity in ENTITIES])
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    assert stats.chi2_contingency(table).pvalue > 1e-4


def test_a_canary_that_grows_keeps_whom_it_had() -> None:
    """At 1, 5, 25 and 100 %: nobody goes back to live."""
    members: set[str] = set()
    for share in (0.01, 0.05, 0.25, 1.0):
        now = {entity for entity in ENTITIES[:5000] if assign(plan_of(canary(share)), entity, {}).version == "v2"}
        assert members <= now
        members = now
    assert members == set(ENTITIES[:5000])


def test_nobody_has_a_share_of_nothing_and_what_rounding_leaves_is_lives() -> None:
    """A share of 0 is empty; a point at or beyond the sum of shares goes to the last one."""
    route = Route((Share("v2", "canary", 0.0), Share("v1", "live", 0.3)))
    assert pick(route.shares, 0.0) == Assignment("v1", "live")
    assert pick(route.shares, 0.9999999999999999) == Assignment("v1", "live")


@pytest.mark.parametrize(
    ("condition", "features", "holds"),
    [
        (Condition("origin", equals="JFK"), {"origin": "JFK"}, True),
        (Condition("origin", equals="JFK"), {"origin": "LGA"}, False),
        (Condition("origin", equals="JFK"), {"origin": None}, False),
        (Condition("origin", equals="JFK"), {}, False),
        (Condition("late", equals="true"), {"late": True}, True),
        (Condition("gate", equals="7"), {"gate": 7}, True),
        (Condition("distance", at_least=500, below=1500), {"distance": 500}, True),
        (Condition("distance", at_least=500, below=1500), {"distance": 1500}, False),
        (Condition("distance", below=500), {"distance": 499.9}, True),
        (Condition("distance", at_least=1500), {"distance": np.float32(2000)}, True),
        (Condition("distance", at_least=500), {"distance": float("nan")}, False),
        (Condition("distance", below=500), {"distance": float("nan")}, False),
        (Condition("distance", at_least=500), {"distance": "far"}, False),
        (Condition("distance", at_least=500), {"distance": [1]}, False),
        (Condition("distance"), {"distance": 1}, True),
    ],
)
def test_a_condition_holds_or_not_and_never_raises(condition: Condition, features: dict, holds: bool) -> None:
    """Bands are half-open; a missing value, NaN or text where a number should be meets none."""
    assert condition.holds(features) is holds


def test_the_first_route_that_fits_decides() -> None:
    """Only the harmed segment falls back; conditions of a route must all hold."""
    harmed = Route(
        (Share("no-weather", "fallback", 1.0),), (Condition("origin", equals="JFK"), Condition("d", below=5))
    )
    plan = plan_of(harmed, canary(0.0))
    assert assign(plan, "N1", {"origin": "JFK", "d": 1}) == Assignment("no-weather", "fallback")
    assert assign(plan, "N1", {"origin": "JFK", "d": 9}) == Assignment("v1", "live")
    assert assign(plan, "N1", {"origin": "LGA", "d": 1}) == Assignment("v1", "live")


def test_a_plan_that_fits_nobody_says_so() -> None:
    """The last route should fit everyone; a plan without it is a mistake that is named."""
    narrow = Route((Share("v1", "live", 1.0),), (Condition("origin", equals="JFK"),))
    with pytest.raises(ValueError, match="no route of plan 1 fits; the last one should fit everyone"):
        assign(plan_of(narrow), "N1", {"origin": "LGA"})


def test_shadows_score_along_but_for_who_answers() -> None:
    """A version does not shadow itself."""
    plan = plan_of(canary(0.0), shadow=("v2", "v1"))
    assert shadows(plan, Assignment("v1", "live")) == (Assignment("v2", "shadow"),)
