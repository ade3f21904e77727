"""Errors say whose fault it is, where, which value, and what to do."""

from __future__ import annotations

import pytest

from killick import errors
from killick.errors import (
    CallError,
    DataError,
    Fenced,
    IllegalMove,
    KillickError,
    Mistake,
    Mistaken,
    OutsideError,
    SpecError,
    StaleWrite,
    Tampered,
    did_you_mean,
)

FATES = {
    KillickError: (70, 500),
    Mistaken: (2, 422),
    CallError: (2, 422),
    SpecError: (2, 422),
    DataError: (2, 422),
    OutsideError: (3, 503),
    StaleWrite: (3, 409),
    Fenced: (3, 409),
    Tampered: (1, 500),
    IllegalMove: (70, 500),
}


@pytest.mark.parametrize("kind", FATES, ids=lambda kind: kind.__name__)
def test_the_class_says_what_the_outside_is_told(kind: type[KillickError]) -> None:
    """Exit code and HTTP status, as the tree at the top of the file has them."""
    assert (kind.exit_code, kind.http_status) == FATES[kind]
    assert issubclass(kind, KillickError)
    assert kind.__name__ in (errors.__doc__ or "") or kind is KillickError


def test_the_tree_has_no_other_leaf() -> None:
    """An error that is added later is added to the table above and to the drawing."""
    found = {thing for thing in vars(errors).values() if isinstance(thing, type) and issubclass(thing, KillickError)}
    assert found == set(FATES)


@pytest.mark.parametrize(
    ("mistake", "written"),
    [
        (Mistake("place", "is empty"), "place: is empty"),
        (Mistake("place", "is empty", line=3), "line 3, place: is empty"),
        (Mistake("place", "is wrong", value=0), "place: is wrong (found 0)"),
        (Mistake("place", "is wrong", value="x", hint="do it right"), "place: is wrong (found 'x'); do it right"),
        (Mistake("p", "is long", value="y" * 100), f"p: is long (found '{'y' * 58}…)"),
    ],
)
def test_a_mistake_is_one_sentence(mistake: Mistake, written: str) -> None:
    """Where, what, which value (cut to a line), what to do."""
    assert str(mistake) == written


def test_all_mistakes_are_told_at_once() -> None:
    """One a line, and as values for a program."""
    mistakes = Mistake("a", "is empty"), Mistake("b", "is empty")
    error = SpecError(*mistakes)
    assert str(error) == "a: is empty\nb: is empty"
    assert error.mistakes == mistakes


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("featurs", ["schema", "features"], "did you mean 'features'?"),
        ("zebra", ["schema", "features"], "known here: features, schema"),
        ("x", [], "known here: "),
    ],
)
def test_a_hint_names_the_nearest_word_or_all(word: str, known: list[str], hint: str) -> None:
    """Sorted, so that the message is the same every time."""
    assert did_you_mean(word, known) == hint
