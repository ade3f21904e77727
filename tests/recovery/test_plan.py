"""What may be done about an incident: nothing that is not shown to help, and no more than the playbook allows."""

from dataclasses import dataclass
from itertools import product

import pytest

from killick.alerting.alerts import Feed
from killick.checks.verdict import Verdict
from killick.recovery.plan import ALPHA_BETTER, clean, decide, verify

MARKET = (("store", "market"),)


@dataclass(frozen=True)
class Shown:
    """A comparison that came out as it is told."""

    better: bool = False
    worse: bool = False
    words: str = "so it came out"

    def better_at_any_time(self, alpha: float) -> bool:
        """Whether it was better; only the one budget is asked for."""
        assert alpha == ALPHA_BETTER
        return self.better

    def worse_at_any_time(self, alpha: float) -> bool:
        """Whether it was worse."""
        assert alpha == ALPHA_BETTER
        return self.worse


@pytest.mark.parametrize(("mode", "event"), [("act", "act"), ("recommend", "recommend"), ("observe", None)])
def test_what_is_shown_to_help_is_done_as_far_as_the_mode_allows(mode, event):
    """Act acts, recommend asks, observe notes."""
    assert decide(mode, Shown(better=True), routable=True).event == event


@pytest.mark.parametrize(
    ("mode", "better", "routable", "looks_at"),
    [
        case
        for case in product(("act", "recommend", "observe"), (True, False), (True, False), ((), ("temperature",)))
        if case[1:] != (True, True, ())
    ],
)
def test_nothing_else_is_ever_done(mode, better, routable, looks_at):
    """Not shown, not to be told apart, or of a version that looks at the fault itself: it waits, and says why."""
    step = decide(mode, Shown(better=better), routable=routable, looks_at=looks_at)
    assert step.event is None
    assert step.reason


def test_the_reason_names_what_stands_in_the_way():
    """The columns first: a fallback that looks at them too would be a fallback into the fault."""
    assert "temperature" in decide("act", Shown(better=True), routable=False, looks_at=("temperature",)).reason
    assert "told apart" in decide("act", Shown(better=True), routable=False).reason
    assert "so it came out" in decide("act", Shown(), routable=True).reason


@pytest.mark.parametrize(
    ("shown", "event"),
    [(Shown(better=True), "effective"), (Shown(worse=True), "ineffective"), (Shown(), None)],
)
def test_what_was_done_is_verified(shown, event):
    """It helps, it does harm, or nobody knows yet."""
    assert verify(shown).event == event
    assert "so it came out" in verify(shown).reason


def said(status: str, column: str = "temperature", segment=MARKET, reference: str = "trailing") -> Verdict:
    """What a witness says of a column."""
    return Verdict(
        check="drift.univariate",
        metric="psi",
        status=status,
        reason="",
        column=column,
        segment=segment,
        reference=reference,
    )


def missing(status: str, column: str = "temperature", segment=MARKET) -> Verdict:
    """What is said of a column's missing values."""
    return Verdict(
        check="quality.missing", metric="missing_rate", status=status, reason="", column=column, segment=segment
    )


@pytest.mark.parametrize(
    ("verdicts", "is_clean"),
    [
        ([said("ok"), said("ok", reference="other_segments")], True),
        ([said("warn"), said("ok", reference="other_segments")], True),
        ([said("fail"), said("fail", reference="other_segments")], False),
        ([said("ok"), said("inconclusive", reference="other_segments")], False),
        ([said("inconclusive"), said("ok", reference="other_segments")], True),
        ([said("inconclusive"), said("warn", reference="other_segments")], False),
        ([said("inconclusive"), said("inconclusive", reference="other_segments")], False),
        ([said("ok"), said("ok", reference="other_segments"), missing("fail")], False),
        ([said("ok"), said("ok", reference="other_segments"), missing("ok")], True),
        ([said("inconclusive")], False),
        ([], False),
        ([said("ok", segment=())], False),
        ([said("ok", column="basket")], False),
        ([said("ok"), said("fail", column="basket"), said("fail", segment=(("store", "harbour"),))], True),
    ],
)
def test_a_window_is_clean_when_every_faulty_column_was_judged_and_held(verdicts, is_clean):
    """Unknown is not healthy; other columns and other segments have nothing to do with it.

    A fault of eleven weeks leaves no healthy past to ask: then its neighbours alone decide.
    """
    assert clean(verdicts, ["temperature"], MARKET) is is_clean


def test_the_whole_is_clean_when_its_values_are_there_again():
    """It has no neighbours, and after a long fault no past."""
    assert clean([said("inconclusive", segment=()), missing("ok", segment=())], ["temperature"], ())
    assert not clean([said("warn", segment=()), missing("fail", segment=())], ["temperature"], ())


def test_a_score_is_clean_when_it_is_there():
    """That it moved is not the feed's fault."""
    moved = [said("fail", "score"), said("fail", "score", reference="other_segments")]
    assert clean([*moved, missing("ok", "score")], ["score"], MARKET, Feed(score="score"))


def test_every_column_of_the_fault_must_be_clean():
    """One of two is not enough."""
    assert not clean([said("ok")], ["temperature", "basket"], MARKET)
    assert clean([said("ok"), said("ok", column="basket")], ["temperature", "basket"], MARKET)
