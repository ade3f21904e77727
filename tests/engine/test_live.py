"""What is due is done for every model, and one that fails stops no other."""

import json
from dataclasses import replace

import polars as pl
import pytest

from killick.checks.reference import unpack_reference
from killick.clock import DAY, MINUTE, SECOND
from killick.engine.halves import read_posted
from killick.engine.live import Live
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery, commit
from killick.engine.world import World
from killick.errors import OutsideError
from killick.ports.control import Batch
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.spec.document import Folder
from killick.telemetry.columns import EVENT_TIME, LABEL, PREDICTION_ID, ROLE, SCORE, VERSION
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.folders import MemoryFolders
from killick.testing.simulator import BEGIN, MODEL, REFERENCE, bad_release
from tests.engine.survivors import EVER

NOW = BEGIN + 20 * DAY
STORY = bad_release()
NAMED = replace(STORY.spec, reference=REFERENCE)
# The operator has written a spec, and has no table to name.
UNREFERENCED = replace(STORY.spec, model="unreferenced", reference=None, versions=())
ADOPTED = "adopted"
SPECS = {spec.model: spec for spec in (NAMED, UNREFERENCED)}


class SickArchive(MemoryArchive):
    """Does not give back what lies under these words."""

    def __init__(self):
        super().__init__()
        self.sick = ""

    def read(self, path, columns=None):
        """Return a batch, unless it lies there."""
        if self.sick and self.sick in path:
            raise OutsideError(f"bad sector under {path}")
        return super().read(path, columns)


@pytest.fixture
def world():
    """A world that holds nothing."""
    return replace(STORY.make_world(MemoryControl(), SickArchive()), folders=MemoryFolders())


@pytest.fixture
def live(world):
    """A worker that has just opened."""
    return started(world)


def started(world: World) -> Live:
    """The next worker."""
    worker = Live(world, SPECS)
    worker.open(NOW)
    return worker


def orders(number, start=0):
    """So many orders, scored."""
    rows = STORY.history.predictions.slice(start, number)
    scores = [(at % 97) / 97 for at in range(rows.height)]
    return rows.with_columns(pl.Series(SCORE, scores), pl.lit("v1").alias(VERSION), pl.lit("live").alias(ROLE))


def send(world, model, rows, sequence=0, kind=PREDICTIONS, now=NOW):
    """A delivery of a model."""
    commit(world, [Delivery(model, kind, "host", sequence, rows)], now)


def outcomes(rows):
    """What became of the rows."""
    labels = [at % 2 for at in range(rows.height)]
    return pl.DataFrame({PREDICTION_ID: rows[PREDICTION_ID], "label": labels, "known_at": rows[EVENT_TIME] + MINUTE})


def counted(world, model) -> Profile:
    """The profile of all that is counted of a model."""
    with world.control.transaction() as t:
        reference = t.get("reference", model, "training")
        assert reference is not None
        scale = unpack_reference(reference.body).scale
        held = t.profiles(model, scale.fingerprint, EVER)
    return Profile.merge(scale, (unpack_profile(body, scale) for key, body in held.items() if not key.segment))


def tallies(world, model):
    """The model's totals."""
    with world.control.transaction() as t:
        return t.tallies(model)


def test_every_model_is_watched_whatever_is_known_of_it(world, live):
    """With spec and reference at once; without a reference, or without any spec, once enough has been sent."""
    for model in (MODEL, "unreferenced", ADOPTED):
        send(world, model, orders(600))
    live.tick(NOW)
    assert counted(world, MODEL).rows == 600
    assert set(live.specs) == set(SPECS)
    for model in ("unreferenced", ADOPTED):
        send(world, model, orders(600, start=600), sequence=1)
        send(world, model, outcomes(orders(1_200)), kind=OUTCOMES)
    live.tick(NOW + SECOND)
    for model in ("unreferenced", ADOPTED):
        assert counted(world, model).rows == 1_200
        assert tallies(world, model)["labels.gained"] == 1_200
    assert set(live.specs) == {*SPECS, ADOPTED}
    assert live.last_error == {}


def test_the_next_worker_knows_what_the_last_one_has_adopted(world, live):
    """And goes on on its scale."""
    send(world, ADOPTED, orders(1_000))
    live.tick(NOW)
    send(world, ADOPTED, orders(50, start=1_000), sequence=1)
    started(world).tick(NOW + SECOND)
    assert counted(world, ADOPTED).rows == 1_050


def test_a_damaged_batch_is_set_aside_and_the_others_are_counted(world, live):
    """Of its model and of others; it is counted, and the ledger tells why."""
    send(world, MODEL, orders(20))
    odd = pl.DataFrame({EVENT_TIME: [NOW], "something": [1]})
    with world.control.transaction() as t:
        path = world.archive.write(MODEL, PREDICTIONS, "odd", odd)
        t.add_batch(Batch("odd", MODEL, PREDICTIONS, path, 1, STORY.history.window, NOW))
    send(world, MODEL, orders(20, start=20), sequence=1)
    send(world, ADOPTED, orders(1_000))
    live.tick(NOW)
    assert tallies(world, MODEL)["batches.set_aside"] == 1
    assert (counted(world, MODEL).rows, counted(world, ADOPTED).rows) == (40, 1_000)
    with world.control.transaction() as t:
        assert t.pending() == []
        assert [entry.fact.subject for entry in t.ledger() if entry.fact.action == "set aside"] == [path]


def test_a_disk_that_fails_for_one_model_stops_no_other(world, live):
    """It is told, nothing is set aside, and done when the disk is well again."""
    for model in (MODEL, ADOPTED):
        send(world, model, orders(1_000))
    world.archive.sick = MODEL
    with pytest.raises(OutsideError, match=f"1 models; first {MODEL}: bad sector"):
        live.tick(NOW)
    assert list(live.last_error) == [MODEL]
    assert counted(world, ADOPTED).rows == 1_000
    world.archive.sick = ""
    live.tick(NOW + SECOND)
    assert live.last_error == {}
    assert counted(world, MODEL).rows == 1_000
    assert "batches.set_aside" not in tallies(world, MODEL)


def test_a_model_that_cannot_be_adopted_stops_no_other(world, live):
    """The spec under which it was adopted is of another version."""
    with world.control.transaction() as t:
        t.put("spec", "a-hopeless", "adopted", b"killick: 99", revision=0)
    send(world, "a-hopeless", orders(20))
    send(world, MODEL, orders(20))
    live.tick(NOW)
    assert list(live.last_error) == ["a-hopeless"]
    assert counted(world, MODEL).rows == 20


def logged(part, body, name="a", model=MODEL):
    """A half of a model server's logger, as the server holds it."""
    headers = {"ce-id": name, "ce-type": f"org.kubeflow.serving.inference.{part}", "ce-inferenceservicename": model}
    ((half,),) = read_posted(headers, json.dumps(body).encode(), {model}, NOW).halves.values()
    return half


def test_halves_are_paired_and_counted_in_one_tick(world, live):
    """Of every model that holds some; a worker that has just started knows the names of an adopted model's columns."""
    send(world, ADOPTED, orders(1_000))
    live.tick(NOW)
    before = counted(world, ADOPTED).rows
    for model in (MODEL, ADOPTED):
        with world.control.transaction() as t:
            asked = {"instances": [["harbour", 57.5, 20.25, 7]]}
            t.hold(
                model, [logged("request", asked, model=model), logged("response", {"predictions": [0.25]}, model=model)]
            )
    started(world).tick(NOW + SECOND)
    assert counted(world, MODEL).rows == 1
    assert counted(world, ADOPTED).rows == before + 1
    found = [table for table in world.archive.tables.values() if table.height == 1]
    assert [table["basket"].to_list() for table in found] == [[20.25], [20.25]]


def test_folders_are_watched_and_what_they_hold_is_counted(world):
    """Predictions and their outcomes; a folder that cannot be read is told of its model, and nobody waits."""
    spec = replace(NAMED, folders=(Folder("in", "csv"), Folder("labels", "csv", OUTCOMES)))
    table = orders(40).select(
        pl.col(PREDICTION_ID).alias("order_id"),
        pl.from_epoch(EVENT_TIME, time_unit="us").alias("ordered_at"),
        *("store", "temperature", "basket", "visits"),
    )
    world.folders.put("in", "a.csv", table, NOW)
    returned = table.select("order_id", pl.lit(value=True).alias("returned"), pl.lit("2031-03-05").alias("settled_at"))
    world.folders.put("labels", "a.csv", returned, NOW)
    live = Live(world, {MODEL: spec})
    live.open(NOW)
    for at in range(2):
        live.tick(NOW + at * 5 * SECOND)
    assert counted(world, MODEL).rows == 40
    assert tallies(world, MODEL)["labels.gained"] == 40
    assert LABEL in {part.column for part in counted(world, MODEL).scale.awaited}

    class Away(MemoryFolders):
        """A share that is not mounted."""

        def look(self, folder):
            """Nobody can."""
            raise OutsideError(f"{folder} is away")

    live = Live(replace(world, folders=Away()), {MODEL: spec})
    send(world, ADOPTED, orders(1_000))
    live.tick(NOW + MINUTE)
    assert live.last_error == {MODEL: "labels is away"}
    assert counted(world, ADOPTED).rows == 1_000
