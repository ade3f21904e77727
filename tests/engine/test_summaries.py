"""Profiles that were made where the rows must stay count like those that are made here, once."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from killick.checks.reference import pack_reference
from killick.clock import DAY, HOUR, Window
from killick.engine.measure import profile_batch
from killick.engine.summaries import PROFILES_MAX, SCHEMA, pack_summaries, take_summaries
from killick.engine.turns import OWNERS_MAX, width_of
from killick.errors import CallError, DataError, OutsideError
from killick.ports.control import ProfileKey
from killick.profiles.profile import Profile
from killick.spec.write import write_spec
from killick.telemetry.segments import REST
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
    first = take_summaries(post.world, MODEL, SPEC, "hospital", 0, body, NOW)
    again = take_summaries(post.world, MODEL, SPEC, "hospital", 0, body, NOW)
    assert (first.accepted, first.duplicate, again.accepted, again.duplicate) == (50, False, 50, True)
    post.predict(names(50, 60))
    rows_came.predict(names(0, 60))
    for one in (post, rows_came):
        one.profile()
    assert post.counted() == rows_came.counted()


def test_a_model_without_a_scale_takes_none():
    """There is nothing to add them to."""
    with pytest.raises(CallError, match="has no scale yet"):
        take_summaries(Post.in_memory().world, MODEL, SPEC, "hospital", 0, made_elsewhere(["a"]), NOW)


def test_a_model_that_was_adopted_is_measured_as_it_was_found():
    """A server without specs knows none; what the model was adopted under is in the store."""
    post = opened()
    with pytest.raises(CallError, match="has no scale yet"):
        take_summaries(post.world, MODEL, None, "hospital", 0, made_elsewhere(["a"]), NOW)
    with post.world.control.transaction() as t:
        t.put("spec", MODEL, "adopted", write_spec(SPEC, {}).encode(), revision=0)
    assert take_summaries(post.world, MODEL, None, "hospital", 0, made_elsewhere(["a"]), NOW).accepted == 1


EMPTY = Profile.empty(REFERENCE.scale)
AN_HOUR = Window.around(NOW, HOUR)


def keyed(window: Window = AN_HOUR, version: str = "v1", role: str = "live", profile: Profile = EMPTY) -> bytes:
    """One profile of everything in a window."""
    return pack_summaries({ProfileKey(version, role, (), window): profile})


def of_segment(*segment: tuple[str, str]) -> bytes:
    """One empty profile of a segment."""
    return pack_summaries({ProfileKey("v1", "live", segment, AN_HOUR): EMPTY})


def summed(number: float) -> Profile:
    """A profile with one sum of this number."""
    return replace(EMPTY, sums=np.append(EMPTY.sums[1:], number))


def counting(rows: int) -> Profile:
    """A profile of so many rows."""
    return replace(EMPTY, counts=np.append(rows, EMPTY.counts[1:]))


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
        (keyed(Window(0, 2 * HOUR)), "1h or a day"),
        (keyed(Window(NOW, NOW + 1)), "1h or a day"),
        (keyed(Window.around(NOW + DAY, HOUR)), "a day ahead"),
        (keyed(Window(-HOUR, 0)), "a day ahead"),
        (keyed(role="champion"), "role that is not live or canary or shadow or fallback"),
        (keyed(version=""), "version that is empty"),
        (keyed(version="v" * 201), "longer than 200"),
        (of_segment(("city", "Atlantis")), "segment that the model's reference does not have"),
        (of_segment(("country", REST)), "segment that the model's reference does not have"),
        (keyed(profile=counting(-1)), "counts below 0"),
        (keyed(profile=counting(2**62)), "no rows add up to"),
        (keyed(profile=summed(float("nan"))), "no rows add up to"),
        (keyed(profile=summed(float("-inf"))), "no rows add up to"),
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
        take_summaries(post.world, MODEL, SPEC, "hospital", 0, body, NOW)
    assert post.counted() == {}
    assert take_summaries(post.world, MODEL, SPEC, "hospital", 0, made_elsewhere(["a"]), NOW).accepted == 1


def test_versions_without_end_count_together():
    """As those of rows do: the first thousand are told apart, the rest is one."""
    post = opened()
    for first in (0, OWNERS_MAX):
        versions = [f"build-{number}" for number in range(first, first + OWNERS_MAX)]
        body = pack_summaries({ProfileKey(version, "live", (), AN_HOUR): counting(1) for version in versions})
        assert take_summaries(post.world, MODEL, SPEC, "hospital", first, body, NOW).accepted == OWNERS_MAX
    with post.world.control.transaction() as t:
        held = t.profiles(MODEL, REFERENCE.scale.fingerprint, AN_HOUR)
    assert len(held) == OWNERS_MAX + 1
    assert post.counted()[(), AN_HOUR].rows == 2 * OWNERS_MAX


@pytest.mark.parametrize("overtaken", [1, 99])
def test_of_two_that_are_added_at_once_none_is_lost(overtaken):
    """Who is overtaken begins anew; who is again and again is told to come back, and nothing of his is added."""
    post = opened()
    control = post.world.control

    class Rivals:
        """Lets somebody be faster each time when another is about to write."""

        begun = came = 0

        def transaction(self):
            self.begun += 1
            # One looks at the reference; then one at the turn, one at what stands there, and one writes.
            if self.begun % 3 == 1 and 1 < self.begun <= 1 + 3 * overtaken:
                self.came += 1
                take_summaries(post.world, MODEL, SPEC, "rival", self.came, made_elsewhere([f"r-{self.came}"]), NOW)
            return control.transaction()

    rivals = Rivals()
    world = replace(post.world, control=rivals)
    if overtaken == 1:
        assert take_summaries(world, MODEL, SPEC, "hospital", 0, made_elsewhere(names(0, 5)), NOW).accepted == 5
    else:
        with pytest.raises(OutsideError, match="send them again"):
            take_summaries(world, MODEL, SPEC, "hospital", 0, made_elsewhere(names(0, 5)), NOW)
    rows = sum(profile.rows for (segment, _), profile in post.counted().items() if not segment)
    assert rows == rivals.came + (5 if overtaken == 1 else 0)
