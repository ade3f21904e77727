"""Traffic in this process: only newer plans come into force."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.adapters.traffic import ProcessTraffic
from killick.errors import Fenced
from killick_client import Route, Share, TrafficPlan


def plan(epoch: int, version: str = "v1", model: str = "m") -> TrafficPlan:
    """Send everybody to one version."""
    return TrafficPlan(model=model, epoch=epoch, salt="s", routes=(Route((Share(version, "live", 1.0),)),))


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["v1", "v2"]))))
def test_the_epoch_in_force_only_grows(asked: list[tuple[int, str]]) -> None:
    """Against a fence by hand: an older epoch is refused, and so is another plan of the same one."""
    traffic, held = ProcessTraffic(), None
    for epoch, version in asked:
        wanted = plan(epoch, version)
        if held is None or epoch > held.epoch or wanted == held:
            traffic.apply(wanted)
            held = wanted
        else:
            with pytest.raises(Fenced, match=f"m: epoch {epoch} comes after epoch {held.epoch}, and is refused"):
                traffic.apply(wanted)
        assert traffic.in_force("m") == held


def test_models_have_fences_of_their_own() -> None:
    """An old epoch of one model is no matter to another."""
    traffic = ProcessTraffic()
    traffic.apply(plan(9))
    traffic.apply(plan(1, model="other"))
    assert traffic.in_force("other") == plan(1, model="other")
    assert traffic.in_force("unknown") is None
