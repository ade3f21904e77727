"""The judge's four answers, how often it is wrong about a healthy canary, and how soon it finds a harmful one."""

import numpy as np
import pytest

from killick.rollout.judge import ALPHA_HARM, Evidence, Stratum
from killick.stats.sequential import odds_ratio_margin

BASE = 0.2
MARGIN = odds_ratio_margin(BASE, 0.1)


def judged(tables, margin: float = MARGIN) -> Evidence:
    """The evidence of batches of strata."""
    evidence = Evidence.none(margin)
    for strata in tables:
        evidence = evidence.add(strata)
    return evidence


def test_without_labels_of_both_arms_it_is_blind():
    """None at all, or of one arm only: nothing was compared, whatever that arm did."""
    assert Evidence.none(MARGIN).answer == "blind"
    assert judged([[Stratum(90, 100, 0, 0)]]).answer == "blind"
    assert judged([[Stratum(0, 0, 90, 100)]]).answer == "blind"


def test_a_handful_of_labels_is_insufficient():
    """Ten of either arm say little."""
    assert judged([[Stratum(3, 10, 2, 10)]]).answer == "insufficient"


def test_much_worse_is_harm_and_much_alike_is_safe():
    """Both by evidence that may be looked at after every batch."""
    assert judged([[Stratum(40, 100, 10, 100)]] * 3).answer == "harm"
    assert judged([[Stratum(20, 100, 20, 100)]] * 30).answer == "safe"


def test_harm_wins_over_safety():
    """What was safe for weeks and then does harm is harmful."""
    evidence = judged([[Stratum(20, 100, 20, 100)]] * 30)
    assert evidence.answer == "safe"
    while evidence.harm.evidence < 1 / ALPHA_HARM:
        evidence = evidence.add([Stratum(60, 100, 20, 100)])
    assert evidence.answer == "harm"
    assert "canary decisions were wrong" in evidence.words


def test_no_labels_change_nothing():
    """An empty window is no evidence."""
    evidence = judged([[Stratum(3, 10, 2, 10)]])
    assert evidence.add([]) == evidence


def test_a_mix_that_differs_between_the_arms_is_no_harm():
    """The canary got mostly the hard stratum: taken together it looks twice as bad, within strata it is alike."""
    hard, easy = Stratum(40, 80, 10, 20), Stratum(2, 20, 8, 80)
    apart = judged([[hard, easy]] * 20)
    assert apart.answer != "harm"
    together = Stratum(
        *(getattr(hard, name) + getattr(easy, name) for name in ("canary_wrong", "canary", "live_wrong", "live"))
    )
    assert judged([[together]] * 20).answer == "harm"


def simulated(chance: np.random.Generator, odds_ratio: float, batches: int, labels: int) -> tuple[bool, int]:
    """One canary at a quarter of the traffic in three strata; whether it was stopped, and after how many labels."""
    evidence, seen = Evidence.none(MARGIN), 0
    for _ in range(batches):
        strata = []
        for rate in (0.1, 0.2, 0.35):
            canary = chance.binomial(labels, 0.25)
            odds = rate / (1 - rate) * odds_ratio
            wrong = chance.binomial(canary, odds / (1 + odds))
            strata.append(Stratum(wrong, canary, chance.binomial(labels - canary, rate), labels - canary))
            seen += canary
        evidence = evidence.add(strata)
        if evidence.answer == "harm":
            return True, seen
    return False, seen


@pytest.mark.slow
@pytest.mark.statistics
def test_a_healthy_canary_is_hardly_ever_stopped():
    """Of 300 that are exactly as good as live, looked at 25 times each, at most 1 % and what chance adds to it."""
    chance = np.random.default_rng(11)
    stopped = sum(simulated(chance, 1.0, batches=25, labels=60)[0] for _ in range(300))
    # With a true rate of 1 %, eight or more of 300 have a chance of 1.2 %.
    assert stopped <= 7


@pytest.mark.statistics
def test_a_canary_with_twice_the_odds_of_being_wrong_is_found():
    """Nearly always, and mostly within a few hundred labels: a judge that never finds one would be useless."""
    chance = np.random.default_rng(12)
    found = [simulated(chance, 2.0, batches=60, labels=40) for _ in range(100)]
    assert sum(stopped for stopped, _ in found) >= 97
    assert np.median([seen for stopped, seen in found if stopped]) < 500
