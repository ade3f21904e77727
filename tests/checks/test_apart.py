"""Distances of many columns at once are those of each column alone."""

from __future__ import annotations

import numpy as np
import pytest

from killick.checks.apart import apart_in
from killick.checks.methods import METHODS
from killick.checks.reference import EVERYTHING
from killick.checks.watched import blocks, pile
from killick.errors import CallError
from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale
from killick.profiles.profile import Profile
from killick.profiles.scale import Scale
from tests.checks.worlds import Learned, a_table


@pytest.mark.parametrize("name", METHODS)
def test_a_block_measures_what_each_column_alone_does(name: str) -> None:
    """Columns side by side, padded to the widest, are as far apart as one by one; by every method."""
    rng = np.random.default_rng(21)
    learned = Learned(a_table(rng, 800))
    profiles = [learned.profile(a_table(rng, rows)) for rows in (0, 60, 700)]
    sides = pile(learned.scale, [learned.reference.profiles[EVERYTHING]] * 3), pile(learned.scale, profiles)
    columns = [c for c in learned.scale.columns if isinstance(c, NumericScale) or not METHODS[name].ordered]
    for block in blocks(learned.scale, columns, 3):
        together = apart_in(block, METHODS[name], *sides).distance
        for at, place in enumerate(block.at):
            (one,) = blocks(learned.scale, [columns[place]], 3)
            alone = apart_in(one, METHODS[name], *sides).distance
            for field in ("value", "excess", "luck"):
                np.testing.assert_allclose(getattr(together, field)[:, at], getattr(alone, field)[:, 0], rtol=1e-9)


def test_a_method_that_needs_an_order_refuses_categories() -> None:
    """With the methods that would do."""
    scale = Scale((CategoricalScale("c", ("a", "b")),))
    profiles = pile(scale, [Profile.empty(scale)])
    (block,) = blocks(scale, scale.columns, 1)
    with pytest.raises(CallError, match="no order"):
        apart_in(block, METHODS["wasserstein"], profiles, profiles)
