"""What an incident spoiled: from its beginning to its end, or for ever while it lasts."""

import pytest

from killick.alerting.incidents import Incident
from killick.clock import FOREVER, Window


def incident(**fields) -> Incident:
    """An incident that opened at 50."""
    return Incident(kind="data_fault", title="a fault", severity="ticket", opened_at=50, **fields)


def test_it_began_where_the_diagnosis_says_and_else_with_the_first_window_that_testified():
    """It opened at that window's end. And it ends when it is resolved."""
    assert incident().spoiled == Window(50, FOREVER)
    assert incident(began=40).spoiled == Window(40, FOREVER)
    assert incident(onset=Window(30, 40), resolved_at=90).spoiled == Window(30, 90)


@pytest.mark.parametrize(
    ("window", "is_covered"),
    [((10, 30), False), ((10, 31), True), ((89, 100), True), ((90, 100), False), ((40, 50), True)],
)
def test_a_window_that_touches_it_is_not_healthy(window, is_covered):
    """Half-open, like every window."""
    assert incident(onset=Window(30, 40), resolved_at=90).covers(Window(*window)) is is_covered
