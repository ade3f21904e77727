"""Which version was live when: an alias never forgets who held it."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from killick.registry.aliases import Alias, Holding

versions = st.lists(st.sampled_from(["v1", "v2", "v3"]), max_size=12)


def held(names: list[str]) -> Alias:
    """An alias that was pointed at these, one an hour."""
    alias = Alias(name="live")
    for since, name in enumerate(names):
        alias = alias.moved(Holding(version=name, since=since, actor="ana", reason="because"))
    return alias


def test_an_alias_that_was_never_set_is_nobodys():
    """Neither now nor before."""
    alias = Alias(name="live")
    assert (alias.version, alias.previous) == (None, None)


@given(versions)
def test_its_holdings_say_who_held_it_at_every_instant(names):
    """The last one pointed at by then; the last of all holds it now."""
    alias = held(names)
    for instant, name in enumerate(names):
        assert [holding.version for holding in alias.holdings if holding.since <= instant][-1] == name
    assert alias.version == (names[-1] if names else None)


@given(versions)
def test_the_same_version_again_changes_nothing(names):
    """No holding follows one of the same version, so `previous` is always another one."""
    alias = held(names)
    holdings = [holding.version for holding in alias.holdings]
    assert all(one != other for one, other in pairwise(holdings))
    assert alias.previous != alias.version or alias.version is None
    if alias.version:
        again = Holding(version=alias.version, since=99, actor="ben", reason="again")
        assert alias.moved(again) is alias


@given(versions, st.sampled_from(["v1", "v2", "v3"]))
def test_history_is_only_added_to(names, name):
    """What was held stays written."""
    before = held(names)
    after = before.moved(Holding(version=name, since=50, actor="ana", reason="because"))
    assert after.holdings[: len(before.holdings)] == before.holdings
