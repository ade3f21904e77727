import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.checks.verdict import STATUSES
from killick.reports.headline import headline, sentences
from killick.reports.importance import by_importance, importance, margin
from tests.reports.examples import JFK, a_report, a_verdict

WHOLE = {"segment": ()}
EVERY_KIND = [
    a_verdict(status="error", column="a", **WHOLE),
    a_verdict(check="quality.schema", metric="columns_missing", column="b", value=1.0, threshold=None, **WHOLE),
    a_verdict(check="performance.realised", metric="roc_auc", column=None, value=0.7, threshold=0.8, **WHOLE),
    a_verdict(check="drift.concept", metric="outcome_shift", column=None, **WHOLE),
    a_verdict(column="unit", value=16.0, **WHOLE),
    a_verdict(column="small", value=0.11, **WHOLE),
    a_verdict(column="part", value=90.0),
    a_verdict(check="quality.missing", metric="missing_rate", column="c", value=0.9, **WHOLE),
    a_verdict(status="warn", column="d", value=99.0, **WHOLE),
    a_verdict(status="inconclusive", column="e", value=None, **WHOLE),
    a_verdict(status="ok", column="near", value=0.09, **WHOLE),
    a_verdict(status="ok", column="far", value=0.0, **WHOLE),
]


def test_what_matters_first_is_one_order_from_whatever_order():
    """Errors, certain faults, performance, concept, drift by how far, segments, shares; warnings; then the rest."""
    shuffled = EVERY_KIND[:]
    random.Random(3).shuffle(shuffled)

    assert by_importance(shuffled) == EVERY_KIND


@given(st.floats(), st.floats(), st.sampled_from(STATUSES))
def test_any_number_can_be_ordered(value, threshold, status):
    """NaN and infinity among them: a key that is not ordered would shuffle the page."""
    key = importance(a_verdict(value=value, threshold=threshold, status=status))

    assert key == importance(a_verdict(value=value, threshold=threshold, status=status))
    assert key <= key  # noqa: PLR0124 - NaN is not


def test_a_margin_is_in_thresholds_on_either_side():
    """0.3 is twice beyond 0.1; an area of 0.4 where 0.8 is asked for is half short of it."""
    assert margin(a_verdict(value=0.3, threshold=0.1)) == pytest.approx(2.0)
    assert margin(a_verdict(value=0.4, threshold=0.8)) == pytest.approx(0.5)
    assert margin(a_verdict(value=None)) == 0.0


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), "Nothing could be judged: there are no verdicts."),
        (
            (a_verdict(status="inconclusive", reason="12 rows; 50 are needed"),),
            "Nothing could be judged: 12 rows; 50 are needed.",
        ),
        ((a_verdict(status="ok"), a_verdict(status="ok", column="dewp")), "Everything holds in 2 columns."),
        (
            (a_verdict(status="ok"), a_verdict(status="warn", column="dewp")),
            "Worth a look: dewp. 1 column holds.",
        ),
        (
            (a_verdict(), a_verdict(column="dewp"), a_verdict(column="hour", status="ok")),
            "In segments: dewp and temp at origin=JFK. 1 column holds.",
        ),
        (
            (
                a_verdict(direction="down", **WHOLE),
                a_verdict(),
                a_verdict(column="dewp"),
                a_verdict(column="x", status="warn"),
            ),
            "1 of 3 columns changed: temp (lower). In segments only: dewp at origin=JFK. Worth a look: x.",
        ),
        (
            (a_verdict(check="quality.missing", metric="missing_rate", value=0.35, effect=0.35, **WHOLE),),
            "1 of 1 column changed: temp (35.0 % missing).",
        ),
        (
            (
                a_verdict(check="quality.schema", metric="columns_missing", column="hour", **WHOLE),
                a_verdict(check="quality.type", metric="type_changed", column="dest", **WHOLE),
                a_verdict(status="ok", **WHOLE),
            ),
            "1 column is missing: hour. 1 column changed its type: dest. 1 column holds.",
        ),
        (
            (a_verdict(status="error", reason="the scale has no column temp"),),
            "1 check could not be computed: the scale has no column temp.",
        ),
        (
            (
                a_verdict(check="performance.realised", metric="roc_auc", column=None, value=0.7, effect=-0.1, **WHOLE),
                a_verdict(check="drift.concept", metric="outcome_shift", **WHOLE),
                a_verdict(column="dewp", status="inconclusive"),
            ),
            (
                "The model does worse: ROC AUC 0.700 (0.800 in the reference). "
                "Outcomes no longer follow the inputs as they did, as seen in temp. 1 column could not be judged."
            ),
        ),
        (
            (
                a_verdict(
                    check="business.cost", metric="cost", column=None, effect=None, reason="cost rose to 9", **WHOLE
                ),
            ),
            "Cost rose to 9.",
        ),
        (
            (a_verdict(check="business.cost", metric="mean", column="cost", value=9.0, effect=3.0, **WHOLE),),
            "The model does worse: mean cost 9 (6 in the reference).",
        ),
        (
            (
                a_verdict(
                    check="performance.realised",
                    metric="roc_auc",
                    column=None,
                    value=0.7,
                    effect=-0.1,
                    **{**WHOLE, "n_reference": None},
                ),
            ),
            "The model does worse: ROC AUC 0.700 (0.800 declared).",
        ),
        (
            (a_verdict(check="quality.freshness", metric="days_behind", column=None, reason="it is old", **WHOLE),),
            "It is old.",
        ),
    ],
)
def test_the_answer_comes_first_in_words(verdicts, expected):
    """The headline says what changed, where, what holds; or that nothing did, or that nothing is known."""
    assert a_report(*verdicts).headline == expected


def test_the_headline_names_what_matters_most_first_with_the_word_that_says_most():
    """A change of unit before a surge of nulls before a small shift; and each by what it is, not by its side effect."""
    found = [
        a_verdict(column="small", value=0.12, effect=0.1, direction="up", **WHOLE),
        a_verdict(column="age", value=3.5, effect=0.02, direction="up", **WHOLE),
        a_verdict(check="quality.missing", metric="missing_rate", column="age", value=0.35, effect=0.35, **WHOLE),
        a_verdict(column="income", value=16.0, effect=2.2, direction="down", **WHOLE),
        a_verdict(check="quality.range", metric="outside_rate", column="income", value=0.95, effect=0.95, **WHOLE),
        a_verdict(column="rate", status="ok", **WHOLE),
    ]

    assert headline(found) == (
        "3 of 4 columns changed: income (lower), age (35.0 % missing) and small (higher). 1 column holds."
    )


def test_warnings_are_named_beside_failures():
    """A failure elsewhere does not silence what is worth a look."""
    assert (
        sentences([a_verdict(**WHOLE), a_verdict(column="dewp", status="warn", **WHOLE)])[-1] == "Worth a look: dewp."
    )


def test_a_headline_of_hundreds_stays_a_headline():
    """Names are counted beyond a few."""
    many = [a_verdict(column=f"c{n}", segment=(("x", str(n % 9)),)) for n in range(200)]
    many += [a_verdict(column=f"w{n}", **WHOLE) for n in range(200)]

    assert len(headline(many)) < 600
    assert a_report(a_verdict(segment=JFK), a_verdict(**WHOLE)).headline == "1 of 1 column changed: temp."
