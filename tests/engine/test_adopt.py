"""A reference that was learned from what a model sends shows what rows share, and nobody's own value."""

import numpy as np
import polars as pl
import pytest

from killick.checks.reference import unpack_reference
from killick.engine.adopt import adopt
from killick.engine.receive import PREDICTIONS
from killick.profiles.numeric import outside
from tests.engine.telemetry import MODEL, NOW, SPEC, Post, names, predictions

ROWS = 1_000
KIDS = [0] * (ROWS - 4) + [1, 2, 4, 64]
INCOMES = [-98_765.25, *np.linspace(20_000.0, 90_000.0, ROWS - 2).tolist(), 987_654.25]
MAILS = ["four@example.org"] * 4 + ["five@example.org"] * 5 + ["anna.schmidt@example.org"]


def adopted(spec=None, **columns):
    """The reference that is learned from a thousand rows with these columns."""
    post = Post.in_memory()
    post.send(PREDICTIONS, predictions(names(0, ROWS)).with_columns(**columns))
    assert adopt(post.world, MODEL, spec, NOW)
    with post.world.control.transaction() as t:
        return unpack_reference(t.get("reference", MODEL, "training").body)


def column_of(reference, name):
    """What is known of a column, and how its rows count."""
    part = next(part for part in reference.scale.columns if part.column == name)
    return part, reference.profiles[()].counts_of(name)


def test_a_category_that_fewer_than_five_share_is_among_the_others():
    """It is counted, and not named; so it is where there are many of them."""
    mails = [*MAILS, *["none@example.org"] * (ROWS - len(MAILS))]
    part, counts = column_of(adopted(mail=pl.Series(mails)), "mail")
    assert part.categories == ("none@example.org", "five@example.org")
    assert counts.tolist() == [ROWS - len(MAILS), 5, 5, 0]
    part, counts = column_of(adopted(mail=pl.Series([f"{number}@example.org" for number in range(ROWS)])), "mail")
    assert part.categories == ()
    assert counts.tolist() == [ROWS, 0]


def test_the_ends_of_a_number_are_nobodys_own():
    """Neither as an edge nor as the sum of a bin; and every row is in the range."""
    reference = adopted(income=pl.Series(INCOMES))
    part, counts = column_of(reference, "income")
    sums = reference.profiles[()].sums_of("income")
    assert not {INCOMES[0], INCOMES[-1]} & {*part.edges, part.low, part.high, *sums.tolist()}
    assert part.low < INCOMES[0]
    assert INCOMES[-1] < part.high < 2 * INCOMES[-1]
    assert outside(part, counts) == 0
    assert counts.sum() == ROWS
    assert column_of(adopted(kids=pl.Series(KIDS)), "kids")[0].high == 128


@pytest.mark.parametrize("flags", [[0] * 995 + [1] * 5, [0] * 997 + [1] * 3, [7] * ROWS])
def test_a_number_that_rows_share_stays_as_it_is(flags):
    """A flag is 0 or 1, however rare, and a constant is itself."""
    part, _ = column_of(adopted(flag=pl.Series(flags)), "flag")
    assert (part.low, part.high) == (min(flags), max(flags))


def test_of_what_is_not_there_or_no_number_nothing_is_made():
    """A null stays a null, and infinity infinite; a column of nine values has nothing that is nobody's own."""
    odd = [None, float("nan"), float("inf"), float("-inf"), *INCOMES[4:]]
    reference = adopted(income=pl.Series(odd), rare=pl.Series([*range(9), *[None] * (ROWS - 9)]))
    _, counts = column_of(reference, "income")
    assert counts[-4:].tolist() == [1, 1, 1, 1]
    part, counts = column_of(reference, "rare")
    assert part.edges == ()
    assert counts.sum() == ROWS


def test_a_segment_that_fewer_than_five_rows_share_is_in_the_rest():
    """With the rest it is counted, under its name it is not."""
    cities = ["Elba"] * 4 + ["Oslo"] * 5 + ["Rome"] * (ROWS - 9)
    reference = adopted(SPEC, city=pl.Series(cities))
    rows = {segment: profile.rows for segment, profile in reference.profiles.items()}
    assert rows == {(): ROWS, (("city", "Oslo"),): 5, (("city", "Rome"),): ROWS - 9, (("city", "(rest)"),): 4}
