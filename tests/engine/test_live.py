"""What is due is done for every model, and one that fails stops no other."""

import json
from dataclasses import replace
from itertools import pairwise

import polars as pl
import pytest

from killick.checks.reference import unpack_reference
from killick.clock import DAY, HOUR, MINUTE, SECOND
from killick.engine.halves import read_posted
from killick.engine.live import Live
from killick.engine.open import apply_spec
from killick.engine.receive import GAUGES, OUTCOMES, PREDICTIONS, Delivery, commit
from killick.engine.turns import read_turn
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
        self.asked = 0

    def read(self, path, columns=None):
        """Return a batch, unless it lies there."""
        self.asked += 1
        if self.sick and self.sick in path:
            raise OutsideError(f"bad sector under {path}")
        return super().read(path, columns)

    def map_run(self, path):
        """Return a run, unless it lies there."""
        if self.sick and self.sick in path:
            raise OutsideError(f"bad sector under {path}")
        return super().map_run(path)


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
    live.tick(NOW)
    assert list(live.last_error) == [MODEL]
    assert "bad sector" in live.last_error[MODEL]
    assert counted(world, ADOPTED).rows == 1_000
    world.archive.sick = ""
    live.tick(NOW + SECOND)
    assert live.last_error == {}
    assert counted(world, MODEL).rows == 1_000
    assert "batches.set_aside" not in tallies(world, MODEL)


def ticks(live, first, end, every=SECOND // 4):
    """What a worker does between two instants."""
    for now in range(first, end, every):
        live.tick(now)


@pytest.mark.parametrize("model", [MODEL, ADOPTED])
def test_a_file_that_is_lost_is_set_aside_and_the_others_are_counted(world, live, model):
    """When it cannot be read for longer than a disk hangs: counted, and in the ledger, whether the model is watched."""
    send(world, "another", orders(1_000))
    send(world, model, orders(500))
    with world.control.transaction() as t:
        (batch,) = t.pending(model)
    world.archive.sick = batch.path
    send(world, model, orders(1_000, start=500), sequence=1)
    ticks(live, NOW, NOW + 20 * SECOND)
    assert counted(world, "another").rows == 1_000
    assert batch.path in live.last_error[model]
    assert "batches.set_aside" not in tallies(world, model)
    ticks(live, NOW + 20 * SECOND, NOW + 3 * MINUTE)
    assert counted(world, model).rows == 1_000
    assert tallies(world, model)["batches.set_aside"] == 1
    assert live.last_error == {}
    with world.control.transaction() as t:
        assert [(fact.subject, fact.model) for fact in aside(t)] == [(batch.path, model)]


def aside(t):
    """What the ledger says was set aside."""
    return [entry.fact for entry in t.ledger() if entry.fact.action == "set aside"]


def test_nothing_is_lost_while_the_archive_is_away(world, live):
    """Nothing of it can be read, and new files are taken: a share that is not mounted. All is counted later."""
    for model in (MODEL, ADOPTED):
        send(world, model, orders(1_000))
    live.tick(NOW)
    send(world, MODEL, orders(50, start=1_000), sequence=1)
    send(world, "new", orders(500))
    old = set(world.archive.tables)
    world.archive.sick = "model="
    ticks(live, NOW + SECOND, NOW + 5 * MINUTE)
    assert set(live.last_error) == {MODEL}
    assert old <= set(world.archive.tables)
    world.archive.sick = ""
    ticks(live, NOW + 5 * MINUTE, NOW + 6 * MINUTE)
    assert counted(world, MODEL).rows == 1_050
    with world.control.transaction() as t:
        assert aside(t) == []


def test_what_fails_rests_for_longer_each_time(world, live):
    """Up to half a minute; the worker goes on four times a second."""
    send(world, MODEL, orders(20))
    world.archive.sick = MODEL
    ticks(live, NOW, NOW + MINUTE)
    assert 5 <= world.archive.asked <= 10


def test_outcomes_that_came_first_keep_no_model_from_being_adopted(world, live):
    """However many wait for their predictions."""
    for sequence in range(3):
        send(world, ADOPTED, outcomes(orders(900, start=900 * sequence)), sequence, kind=OUTCOMES)
    live.tick(NOW)
    send(world, ADOPTED, orders(1_000))
    live.tick(NOW + SECOND)
    assert counted(world, ADOPTED).rows == 1_000


def gauges(at):
    """What a service tells of itself."""
    return pl.DataFrame({"name": ["queue"], "value": [1.0], "at": [at]})


def files(world, model, kind):
    """How many files there are."""
    with world.control.transaction() as t:
        return len(t.batches(model, kind))


def test_a_model_that_nobody_watches_ages_too(world, live):
    """One that sends gauges, or outcomes alone: small files are merged, and what is too old goes, pending or not."""
    for number in range(20):
        send(world, "quiet", gauges(NOW + number), number, GAUGES)
    send(world, "quiet", outcomes(orders(1)), kind=OUTCOMES)
    ticks(live, NOW, NOW + 3 * HOUR, MINUTE)
    assert (files(world, "quiet", GAUGES), files(world, "quiet", OUTCOMES)) == (1, 1)
    later = NOW + 100 * DAY
    send(world, "quiet", gauges(later), 20, GAUGES, now=later)
    ticks(live, later, later + 3 * DAY, MINUTE * 30)
    assert (files(world, "quiet", GAUGES), files(world, "quiet", OUTCOMES)) == (1, 0)


def test_a_model_of_a_spec_that_is_not_given_here_is_left_alone(world, live):
    """How long it is kept, only its spec says."""
    apply_spec(world, replace(UNREFERENCED, model="elsewhere"), NOW)
    for sequence, at in enumerate((NOW - 400 * DAY, NOW)):
        send(world, "elsewhere", gauges(at), sequence, GAUGES)
    ticks(live, NOW, NOW + 3 * DAY, 30 * MINUTE)
    assert files(world, "elsewhere", GAUGES) == 2


def test_a_clock_that_is_ahead_for_a_while_deletes_nothing(world, live):
    """An event without a time gets the server's: a model's own time is believed a day later."""
    send(world, MODEL, orders(100))
    ticks(live, NOW, NOW + 3 * DAY, HOUR)
    before = counted(world, MODEL)
    wrong = NOW + 400 * DAY
    send(world, MODEL, orders(1, start=100).with_columns(pl.lit(wrong).alias(EVENT_TIME)), sequence=1, now=wrong)
    ticks(live, wrong, wrong + HOUR, MINUTE)
    ticks(live, NOW + 3 * DAY, NOW + 6 * DAY, HOUR)
    assert counted(world, MODEL).rows == before.rows + 1
    with world.control.transaction() as t:
        turn, _ = read_turn(t, MODEL)
    assert turn.aged <= NOW


def test_what_is_too_old_goes_when_the_models_time_has_stood_for_a_day(world, live):
    """Rows and profiles of a hundred days ago."""
    send(world, MODEL, orders(100))
    later = NOW + 100 * DAY
    send(world, MODEL, orders(1, start=100).with_columns(pl.lit(later).alias(EVENT_TIME)), sequence=1, now=later)
    ticks(live, later, later + HOUR, MINUTE)
    assert counted(world, MODEL).rows == 101
    ticks(live, later + HOUR, later + 3 * DAY, HOUR)
    assert counted(world, MODEL).rows == 1


def test_a_clock_that_went_back_stops_no_aging(world, live):
    """It was wrong for a moment, and what is due is done by the right one."""
    live.tick(NOW + 400 * DAY)
    for number in range(20):
        send(world, "quiet", gauges(NOW + number), number, GAUGES)
    ticks(live, NOW, NOW + 2 * SECOND)
    assert files(world, "quiet", GAUGES) == 1


def test_one_tick_merges_one_file_at_most(world, live):
    """A week that was sent at once is merged bit by bit, and nobody waits for it."""
    for hour in range(5):
        for number in range(2):
            send(world, "quiet", gauges(NOW - (9 - hour) * HOUR), 2 * hour + number, GAUGES)
    found = [files(world, "quiet", GAUGES)]
    for at in range(6):
        live.tick(NOW + at)
        found.append(files(world, "quiet", GAUGES))
    assert {before - after for before, after in pairwise(found)} == {0, 1}
    assert found[-1] < found[0]


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
