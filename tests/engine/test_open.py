"""A model that is opened again: what may have changed meanwhile, and what may not."""

import os
from dataclasses import replace

import pytest

from killick.clock import HOUR
from killick.engine.open import open_model, sweep
from killick.engine.receive import PREDICTIONS
from killick.engine.record import Book
from killick.errors import CallError
from killick.spec.document import VersionSource
from killick.spec.load import sealed
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.simulator import BEGIN, bad_release
from killick.testing.tables import MemoryTables
from tests.engine.shop import Shop
from tests.engine.telemetry import MODEL, NOW, Post, compact


def test_a_version_that_the_spec_names_later_is_registered():
    """A policy or a version may be added between two openings; the ledger says that the spec changed."""
    shop = Shop.opened()
    spec = shop.story.spec
    later = sealed(replace(spec, versions=(*spec.versions, VersionSource("v9", spec.versions[0].loader))))
    open_model(shop.world, later, BEGIN)
    with shop.world.control.transaction() as t:
        assert Book(t, spec.model, BEGIN).version("v9") is not None
        applied = [entry.fact.reason for entry in t.ledger() if entry.fact.action == "apply spec"]
    assert applied == ["first seen", "changed"]


def test_what_measures_may_not_change():
    """Another segmentation would be compared with what the first one measured: refused, with what to do."""
    shop = Shop.opened()
    other = sealed(replace(shop.story.spec, segments=()))
    with pytest.raises(CallError, match="--fresh"):
        open_model(shop.world, other, BEGIN)


def test_a_version_is_immutable():
    """The same name with another loader is another version, and needs a name of its own."""
    shop = Shop.opened()
    spec = shop.story.spec
    first, *others = spec.versions
    changed = sealed(replace(spec, versions=(replace(first, loader="elsewhere:load"), *others)))
    with pytest.raises(CallError, match="immutable"):
        open_model(shop.world, changed, BEGIN)


def test_of_two_that_open_a_model_at_once_both_have_one_reference():
    """Processes that log into one store start together: who learns last takes what stands, and the ledger has one."""
    story = bad_release()
    world = story.make_world(MemoryControl(), MemoryArchive())
    other = []

    class Slow(MemoryTables):
        """While it is read, another process opens the model."""

        def read(self, path):
            if not other:
                other.append(open_model(world, story.spec, BEGIN))
            return super().read(path)

    mine = open_model(replace(world, tables=Slow(world.tables.frames)), story.spec, BEGIN)
    assert mine.scale.fingerprint == other[0].scale.fingerprint
    assert mine.segments == other[0].segments
    with world.control.transaction() as t:
        assert [entry.fact.action for entry in t.ledger()].count("learn reference") == 1


def test_what_was_merged_is_there_for_an_hour_however_old_it_is(tmp_path, monkeypatch):
    """Somebody may have read its name a moment ago. What never came into the manifest goes by its age."""
    post = Post.on_disk(tmp_path)
    for number in range(2):
        post.predict([f"loan-{number}"], spread=1)
    post.profile()
    with post.world.control.transaction() as t:
        before = [batch.path for batch in t.batches(MODEL, PREDICTIONS)]
    orphan = post.world.archive.write(MODEL, PREDICTIONS, "orphan", post.world.archive.read(before[0]))
    for path in before:
        os.utime(tmp_path / "telemetry" / path, (0, 0))
    assert compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR) == 2
    assert sweep(post.world) == [orphan]
    assert [post.world.archive.read(path).height for path in before] == [1, 1]
    monkeypatch.setattr("killick.engine.open._READ_FOR_SECONDS", 0)
    assert set(before) <= set(sweep(post.world))
    with post.world.control.transaction() as t:
        assert t.removed() == []


def test_opening_a_model_looks_at_no_file():
    """A server opens hundreds, and sweeps once an hour."""
    shop = Shop.opened()
    path = shop.world.archive.write("m", "k", "b", shop.orders(1))
    open_model(shop.world, shop.story.spec, BEGIN)
    assert shop.world.archive.read(path).height == 1
