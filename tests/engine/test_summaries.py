"""Profiles that were made where the rows must stay count like those that are made here, once."""

import msgspec
import pytest

from killick.checks.reference import pack_reference
from killick.clock import DAY, HOUR, Window
from killick.engine.measure import profile_batch
from killick.engine.summaries import PROFILES_MAX, SCHEMA, pack_summaries, take_summaries
from killick.engine.turns import width_of
from killick.errors import CallError, DataError
from killick.ports.control import ProfileKey
from killick.profiles.profile import Profile
from tests.engine.telemetry import MODEL, NOW, REFERENCE, SPEC, Post, names, predictions


def opened() -> Post:
    """A model whose reference is known."""
    post = Post.in_memory()
    with post.world.control.transaction() as t:
        t.put("reference", MODEL, "training", pack_reference(REFERENCE), revision=0)
    return post


def made_elsewhere(ids: list[str]) -> bytes:
    """What a process sends of rows that never leave it."""
    rows = predictions(ids)
    return pack_summaries(profile_batch(REFERENCE.scale, rows, SPEC, width_of(SPEC), REFERENCE.segments))


def test_profiles_made_elsewhere_are_the_same_as_if_the_rows_had_come():
    """By segment and window; sent twice they count once, and rows that come besides add to them."""
    post, rows_came = opened(), Post.in_memory()
    body = made_elsewhere(names(0, 50))
    first = take_summaries(post.world, MODEL, "hospital", 0, body, NOW)
    again = take_summaries(post.world, MODEL, "hospital", 0, body, NOW)
    assert (first.accepted, first.duplicate, again.accepted, again.duplicate) == (50, False, 50, True)
    post.predict(names(50, 60))
    rows_came.predict(names(0, 60))
    for one in (post, rows_came):
        one.profile()
    assert post.counted() == rows_came.counted()


def test_a_model_without_a_scale_takes_none():
    """There is nothing to add them to."""
    with pytest.raises(CallError, match="has no scale yet"):
        take_summaries(Post.in_memory().world, MODEL, "hospital", 0, made_elsewhere(["a"]), NOW)


def keyed(window: Window) -> bytes:
    """One empty profile of a window."""
    return pack_summaries({ProfileKey("v1", "live", (), window): Profile.empty(REFERENCE.scale)})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "holds no profiles"),
        (b"\xc1" * 50, "holds no profiles"),
        (msgspec.msgpack.encode({"schema": "killick.profiles/9", "profiles": []}), "cannot read"),
        (keyed(Window(5, HOUR + 5)), "aligned to the epoch"),
        (keyed(Window(0, 2 * DAY)), "aligned to the epoch"),
        (keyed(Window(0, 7 * HOUR)), "aligned to the epoch"),
        (keyed(Window(HOUR, HOUR)), "aligned to the epoch"),
        (
            msgspec.msgpack.encode(
                {"schema": SCHEMA, "profiles": [("v", "live", (), 0, HOUR, b"")] * (PROFILES_MAX + 1)}
            ),
            "holds no profiles",
        ),
    ],
)
def test_what_is_no_summary_is_refused_and_nothing_is_added(body, reason):
    """With the place, and what to do."""
    post = opened()
    with pytest.raises(DataError, match=reason):
        take_summaries(post.world, MODEL, "hospital", 0, body, NOW)
    assert post.counted() == {}
    assert take_summaries(post.world, MODEL, "hospital", 0, made_elsewhere(["a"]), NOW).accepted == 1
