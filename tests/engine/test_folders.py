"""Files of a watched folder are taken once each, whole, whoever dies; what cannot be read stops nobody."""

import json
import os
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

import msgspec
import polars as pl
import pytest

import killick.engine.folders as engine
from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.adapters.folders import LocalFolders
from killick.clock import DAY, HOUR, SECOND, to_datetime
from killick.engine.folders import LOOK_EVERY, FolderWatch
from killick.engine.look import quarantined_of
from killick.engine.open import open_model
from killick.engine.profiling import profile_pending
from killick.engine.receive import OUTCOMES, PREDICTIONS
from killick.engine.turns import Watched
from killick.errors import OutsideError
from killick.spec.document import Folder
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID, SCORE
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.faults import FaultPlan, Killed, every_fault, faulty
from killick.testing.folders import MemoryFolders
from killick.testing.simulator import BEGIN, MODEL, bad_release
from tests.engine.shop import Shop

NOW = BEGIN + 10 * DAY
STORY = bad_release()
# Orders as the operator's own pipeline writes them, and what became of them.
ORDERS = STORY.history.predictions.head(40).select(
    pl.col(PREDICTION_ID).alias("order_id"),
    pl.from_epoch(EVENT_TIME, time_unit="us").dt.replace_time_zone("UTC").alias("ordered_at"),
    pl.col("entity_id").alias("customer"),
    *("store", "temperature", "basket", "visits"),
    pl.Series("score", [at / 40 for at in range(40)]),
)
RETURNED = ORDERS.select(
    "order_id",
    pl.Series("returned", [at % 2 == 0 for at in range(40)]),
    pl.lit("2031-03-04T12:00:00Z").alias("settled_at"),
)


class Watching:
    """A folder of a model, watched by one process after another, over stores that stay."""

    def __init__(self, folder, world, *, opened=False):
        self.spec = replace(STORY.spec, folders=(folder,))
        self.folder, self.world = folder, world
        if not opened:
            open_model(world, self.spec, BEGIN)
        self.now = NOW
        self.restart()

    @cached_property
    def scale(self):
        """The scale of the reference."""
        return Shop(STORY, self.world).scale

    def restart(self):
        """The next process."""
        self.watch = FolderWatch(self.world, self.spec, self.folder)

    def look(self, times=2):
        """Look so many times, and take what is due; return how many batches were."""
        taken = 0
        for _ in range(times):
            self.now += LOOK_EVERY
            taken += self.watch.tick(self.scale if self.folder.format == "sagemaker" else None, self.now)
        return taken

    def profile(self):
        """Profile what is pending, and return what is counted."""
        while (done := profile_pending(self.world, Watched(self.spec, self.scale, ()), self.now)).batches:
            self.duplicates = done.duplicates
        return Shop(STORY, self.world).counted()

    def stored(self, kind=PREDICTIONS):
        """Every row that was taken."""
        with self.world.control.transaction() as t:
            batches = t.batches(MODEL, kind)
        return pl.concat([self.world.archive.read(batch.path) for batch in batches], how="diagonal_relaxed")

    def tallies(self):
        """The model's totals."""
        with self.world.control.transaction() as t:
            return t.tallies(MODEL)

    def reasons(self):
        """Why rows and files were refused."""
        return [one["reason"] for one in quarantined_of(self.world, MODEL)]


@pytest.fixture
def watching(tmp_path):
    """Makes a watch of a folder on a disk, over the real stores."""
    (tmp_path / "in").mkdir()
    control = open_control(tmp_path / "control.sqlite")

    def make(format="parquet", kind=PREDICTIONS):  # noqa: A002 - the spec's word
        world = replace(
            STORY.make_world(control, FolderArchive(tmp_path / "telemetry")), folders=LocalFolders(tmp_path)
        )
        return Watching(Folder("in", format, kind), world)

    yield make
    control.close()


def put(tmp_path, path, content, at=NOW):
    """Write a file of the watched folder, which was last changed at an instant."""
    place = tmp_path / "in" / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, pl.DataFrame):
        content.write_csv(place) if place.suffix == ".csv" else content.write_parquet(place)
    else:
        place.write_bytes(content)
    os.utime(place, ns=(0, at * 1_000))


def as_lines(rows):
    """Rows as NDJSON."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def expected():
    """The profile of the orders, sent in any other way."""
    shop = Shop.opened(STORY)
    shop.predict(
        STORY.history.predictions.head(40).with_columns(
            ORDERS["score"].alias(SCORE), version=pl.lit("v1"), role=pl.lit("live")
        )
    )
    return shop


def same(counted, whole):
    """Whether two profiles count the same rows, features and scores."""
    columns = [part.column for part in counted.scale.columns]
    return counted.rows == whole.rows and all((counted.counts_of(one) == whole.counts_of(one)).all() for one in columns)


# --------------------------------------------------------------------------------------------------- formats


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_tables_are_counted_by_the_operators_own_names(watching, tmp_path, suffix):
    """As if they had been sent; and a table of outcomes may hold what else it likes."""
    put(tmp_path, f"day=1/orders.{suffix}", ORDERS)
    watch = watching(suffix)
    assert watch.look() == 1
    assert same(watch.profile(), expected().counted())
    labels = watching(suffix, OUTCOMES)
    put(tmp_path, f"day=1/orders.{suffix}", ORDERS.join(RETURNED, on="order_id"), at=NOW + 1)
    assert labels.look() == 1
    found = labels.stored(OUTCOMES)
    assert found.height == 40
    assert set(found[LABEL]) == {0, 1}
    assert labels.reasons() == []
    told = dict(zip(ORDERS["order_id"], [int(at % 2 == 0) for at in range(40)], strict=True))
    once = expected()
    once.turn_out(told)
    label = once.scale.outcome.column
    assert (labels.profile().counts_of(label) == once.counted().counts_of(label)).all()


def test_lines_are_counted(watching, tmp_path):
    """In our own wire's form, or flat."""
    canonical = [
        {"prediction_id": row["order_id"], "event_time": row["ordered_at"].isoformat(), "score": row["score"]}
        | {"features": {name: row[name] for name in ("store", "temperature", "basket", "visits")}}
        for row in ORDERS[:20].iter_rows(named=True)
    ]
    flat = [row | {"ordered_at": row["ordered_at"].isoformat()} for row in ORDERS[20:].iter_rows(named=True)]
    put(tmp_path, "a.ndjson", as_lines(canonical))
    put(tmp_path, "b.jsonl", as_lines(flat) + b"no json\n")
    watch = watching("ndjson")
    assert watch.look() == 2
    assert same(watch.profile(), expected().counted())
    assert (watch.tallies()["files.taken"], watch.tallies()["predictions.quarantined"]) == (2, 1)
    assert watch.reasons()[0].endswith("(b.jsonl)")
    (refused,) = quarantined_of(watch.world, MODEL)
    assert refused["index"] == 20


def test_captures_and_their_labels_are_counted(watching, tmp_path):
    """Of labels the format does not say when they were known: when the file was written."""
    rows = ORDERS.iter_rows(named=True)
    captures = [
        {
            "captureData": {
                "endpointInput": {
                    "data": f"{row['store']},{row['temperature']},{row['basket']},{row['visits']}",
                    "encoding": "CSV",
                },
                "endpointOutput": {"data": str(row["score"] + 1e-9), "encoding": "CSV"},
            },
            "eventMetadata": {"eventId": row["order_id"], "inferenceTime": row["ordered_at"].isoformat()},
        }
        for row in rows
    ]
    put(tmp_path, "2031/03/03/00/captured.jsonl", as_lines(captures))
    watch = watching("sagemaker")
    assert watch.look() == 1
    assert same(watch.profile(), expected().counted())
    put(tmp_path, "2031/03/03/00/captured.jsonl", as_lines(captures), at=NOW - HOUR)
    labels = watching("sagemaker-ground-truth", OUTCOMES)
    truths = [
        {"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": name}}
        for name in ORDERS["order_id"]
    ]
    put(tmp_path, "2031/03/03/00/captured.jsonl", as_lines(truths), at=NOW - HOUR)
    assert labels.look() == 1
    assert set(labels.stored(OUTCOMES)[KNOWN_AT]) == {NOW - HOUR}


def test_monitoring_logs_are_counted_with_their_columns_and_targets(watching, tmp_path):
    """The columns' file lies beside them; without it nobody knows what they hold."""
    roles = dict.fromkeys(("store", "temperature", "basket", "visits"), "feature") | {
        "proba": "prediction",
        "returned": "target",
    }
    columns = [{"name": name, "role": role, "type": "numerical"} for name, role in roles.items()]
    lines = as_lines(
        {name: row[name] for name in ("store", "temperature", "basket", "visits")}
        | {
            "proba": row["score"] + 1e-9,
            "returned": at % 2,
            "request_id": str(at + 1),
            "timestamp": to_datetime(NOW).isoformat(),
        }
        for at, row in enumerate(ORDERS.iter_rows(named=True))
    )
    put(tmp_path, "shop/data/data.0.log.2031-03-03", lines)
    watch = watching("bentoml")
    assert watch.look() == 0
    assert "is not there" in watch.reasons()[0]
    put(tmp_path, "shop/schema/schema.0.log", as_lines([{"meta_data": {}, "columns": columns}]))
    put(tmp_path, "shop/data/data.0.log.2031-03-03", lines, at=NOW + 1)
    assert watch.look() == 2
    assert (watch.stored().height, watch.stored(OUTCOMES).height) == (40, 40)
    assert watch.profile().rows == 40


# --------------------------------------------------------------------------------------------------- once


def test_a_file_is_taken_once_by_one_process_after_another(watching, tmp_path):
    """And a growing one is waited for."""
    put(tmp_path, "a.parquet", ORDERS[:10])
    watch = watching()
    assert watch.look(1) == 0
    put(tmp_path, "a.parquet", ORDERS[:20], at=NOW + 1)
    assert watch.look(1) == 0
    assert watch.look(1) == 1
    assert watch.look(3) == 0
    watch.restart()
    assert watch.look(3) == 0
    assert watch.stored().height == 20
    assert watch.tallies() == {"files.taken": 1, "predictions.accepted": 20}


def test_a_file_that_has_changed_is_read_again_and_its_old_rows_are_duplicates(watching, tmp_path):
    """New rows are not lost, old ones not counted twice."""
    put(tmp_path, "a.csv", ORDERS[:30])
    watch = watching("csv")
    watch.look()
    assert watch.profile().rows == 30
    put(tmp_path, "a.csv", ORDERS, at=NOW + 1)
    watch.look()
    assert watch.profile().rows == 40
    assert watch.duplicates == 30


def test_it_is_looked_for_new_files_every_five_seconds(watching, tmp_path):
    """Not at every tick; and a clock that goes back delays nobody."""
    put(tmp_path, "a.parquet", ORDERS)
    watch = watching()
    assert [watch.watch.tick(None, NOW + at * SECOND) for at in range(6)] == [0, 0, 0, 0, 0, 1]
    put(tmp_path, "b.parquet", ORDERS)
    assert watch.watch.tick(None, NOW - DAY) == 0
    assert watch.watch.tick(None, NOW - DAY + LOOK_EVERY) == 1


def test_what_is_no_longer_there_is_forgotten(watching, tmp_path):
    """Notes are as many as files."""
    watch = watching()

    def notes():
        with watch.world.control.transaction() as t:
            (document,) = t.documents("folder", MODEL)
        return set(msgspec.json.decode(document.body))

    put(tmp_path, "a.parquet", ORDERS[:10])
    put(tmp_path, "b.parquet", ORDERS[10:20])
    watch.look()
    both = notes()
    (tmp_path / "in" / "a.parquet").unlink()
    put(tmp_path, "c.parquet", ORDERS[20:])
    watch.look()
    assert len(both) == len(notes()) == 2
    assert len(both & notes()) == 1


def test_a_file_that_is_gone_or_changed_while_it_waits_stops_no_other(watching, tmp_path, monkeypatch):
    """Of three that wait for their turn one is removed and one written anew: the third is taken, the new one later."""
    monkeypatch.setattr(engine, "_STEPS_MAX", 1)
    for number in range(4):
        put(tmp_path, f"{number}.parquet", ORDERS[10 * number : 10 * number + 10], NOW + number)
    watch = watching()
    watch.look(2)
    (tmp_path / "in/0.parquet").unlink()
    (tmp_path / "in/1.parquet").unlink()
    put(tmp_path, "2.parquet", ORDERS[20:25], NOW + HOUR)
    watch.look(12)
    ids = set(watch.stored()[PREDICTION_ID])
    assert set(ORDERS["order_id"][20:25]) | set(ORDERS["order_id"][30:40]) <= ids
    assert not ids & {*ORDERS["order_id"][10:20], *ORDERS["order_id"][25:30]}


def test_what_another_host_has_taken_is_not_read_again(watching, tmp_path):
    """Its notes are seen at the next look."""
    first, second = watching(), watching()
    put(tmp_path, "a.parquet", ORDERS)
    assert first.look() == 1
    assert second.look() == 0
    put(tmp_path, "b.parquet", ORDERS)
    assert second.look(1) == 0
    second.now += 1
    assert first.look() == 1
    assert second.look() == 0
    assert first.tallies()["files.taken"] == 2


# --------------------------------------------------------------------------------------------------- what is broken


def test_a_damaged_file_stops_no_other_and_is_tried_again_when_it_has_changed(watching, tmp_path):
    """It is quarantined once, with the reason."""
    put(tmp_path, "a.parquet", b"PAR1 and no more")
    put(tmp_path, "b.parquet", ORDERS[:30])
    watch = watching()
    assert watch.look(4) == 1
    assert watch.stored().height == 30
    watch.restart()
    watch.look(4)
    assert watch.tallies() == {"files.taken": 1, "files.unreadable": 1, "predictions.accepted": 30}
    (refused,) = quarantined_of(watch.world, MODEL)
    assert refused["field"] == "in/a.parquet"
    assert "cannot be read" in refused["reason"]
    put(tmp_path, "a.parquet", ORDERS[30:], at=NOW + 1)
    watch.look()
    assert watch.stored().height == 40


def test_what_others_errors_say_of_a_file_is_not_repeated(watching, tmp_path):
    """It may be the data; the kind of the error is enough to ask about it."""

    class Odd(LocalFolders):
        """A disk whose driver has a mistake."""

        def lines(self, folder, path):
            raise ValueError(f"cannot decode 'J. Doe' in {folder}/{path}")

    put(tmp_path, "a.ndjson", b"{}")
    watch = watching("ndjson")
    watch.world = replace(watch.world, folders=Odd(tmp_path))
    watch.restart()
    watch.look()
    assert watch.reasons() == ["cannot be read: ValueError"]


def test_half_a_character_costs_its_line_and_not_the_file(watching, tmp_path):
    """Beside a NaN too, which JSON does not have either; and the text is not repeated."""
    rows = [
        {
            "captureData": {
                "endpointInput": {"data": f'{{"instances": [["{text}", NaN, 20.25, 7]]}}', "encoding": "JSON"},
                "endpointOutput": {"data": '{"predictions": [0.25]}', "encoding": "JSON"},
            },
            "eventMetadata": {"eventId": str(at), "inferenceTime": to_datetime(NOW).isoformat()},
        }
        for at, text in enumerate(["harbour", "J. Doe \\ud83d", "harbour"])
    ]
    put(tmp_path, "a.jsonl", as_lines(rows))
    watch = watching("sagemaker")
    watch.look()
    assert watch.stored()[PREDICTION_ID].to_list() == ["0", "2"]
    (refused,) = quarantined_of(watch.world, MODEL)
    assert (refused["index"], refused["field"]) == (1, "features.store")
    assert "half of a surrogate pair" in refused["reason"]
    assert "Doe" not in refused["reason"]


def test_rows_that_are_wrong_are_quarantined_and_the_others_stand(watching, tmp_path):
    """With the number of the row, and the file."""
    put(tmp_path, "a.csv", ORDERS.with_columns(score=pl.Series([float("inf")] + [0.5] * 39)))
    watch = watching("csv")
    watch.look()
    assert watch.stored().height == 39
    (refused,) = quarantined_of(watch.world, MODEL)
    assert (refused["index"], refused["field"]) == (0, "score")
    assert refused["reason"].endswith("(a.csv)")


def test_a_folder_that_cannot_be_looked_into_is_told_and_tried_again(watching, tmp_path):
    """Somebody has put a file where it should be."""
    (tmp_path / "in").rmdir()
    (tmp_path / "in").write_text("no folder")
    watch = watching()
    assert watch.look() == 0
    assert "cannot be read" in watch.watch.error
    (tmp_path / "in").unlink()
    put(tmp_path, "a.parquet", ORDERS)
    assert watch.look() == 1
    assert watch.watch.error == ""


def test_a_file_that_the_disk_does_not_give_waits_and_the_others_do_not(watching, tmp_path):
    """It is not the file's fault."""

    class Sick(LocalFolders):
        """A disk with one bad sector."""

        is_sick = True

        def lines(self, folder, path):
            if path == "a.ndjson" and self.is_sick:
                raise OutsideError("bad sector")
            yield from super().lines(folder, path)

    watch = watching("ndjson")
    sick = Sick(tmp_path)
    watch.world = replace(watch.world, folders=sick)
    watch.restart()
    rows = [{"order_id": name, "ordered_at": NOW, "visits": 1} for name in "ab"]
    put(tmp_path, "a.ndjson", as_lines(rows[:1]))
    put(tmp_path, "b.ndjson", as_lines(rows[1:]))
    assert watch.look() == 1
    assert watch.watch.error == "a.ndjson: bad sector"
    sick.is_sick = False
    assert watch.look() == 1
    assert watch.watch.error == ""
    assert watch.tallies()["files.taken"] == 2


# --------------------------------------------------------------------------------------------------- bounds


def test_a_call_does_a_part_and_the_next_goes_on(watching, tmp_path, monkeypatch):
    """In files, and inside one file, of which a new process passes over what is in."""
    for at in range(7):
        put(tmp_path, f"{at}.parquet", ORDERS[at : at + 1])
    monkeypatch.setattr(engine, "_STEPS_MAX", 4)
    watch = watching()
    assert watch.look(1) == 0
    found = [watch.look(1)] + [watch.watch.tick(watch.scale, watch.now) for _ in range(4)]
    assert found == [2, 2, 2, 1, 0]
    lines = watching("ndjson")
    lines.world = replace(lines.world, folders=LocalFolders(tmp_path, line_bytes_max=40))
    put(tmp_path, "long.ndjson", as_lines({"order_id": f"{at}", "ordered_at": NOW} for at in range(9)))
    lines.restart()
    assert lines.look() == 4
    lines.restart()
    assert lines.look() == 0
    assert lines.watch.tick(None, lines.now) == 4
    while lines.watch.tick(None, lines.now):
        pass
    assert lines.tallies()["predictions.accepted"] == 7 + 9


def test_no_more_rows_are_taken_at_once_than_hold_nobody_up(watching, tmp_path, monkeypatch):
    """The rest is the next call's."""
    for at in range(4):
        put(tmp_path, f"{at}.parquet", ORDERS[at * 10 : at * 10 + 10])
    monkeypatch.setattr(engine, "_ROWS_MAX", 20)
    watch = watching()
    assert watch.look() == 2
    assert watch.watch.tick(None, watch.now) == 2


# --------------------------------------------------------------------------------------------------- crashes


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["kill", "error"])
def test_killed_anywhere_every_row_is_counted_once_and_every_file_noted(fault):
    """What nothing disturbs leaves the same."""
    folders = MemoryFolders()
    rows = [{"order_id": f"{at}", "ordered_at": NOW, "visits": at} for at in range(5)]
    folders.put("in", "a.ndjson", as_lines(rows[:3]), NOW)
    folders.put("in", "b.ndjson", as_lines(rows[3:]) + b"no json\n", NOW)
    folders.put("in", "c.ndjson", ORDERS, NOW)
    folder = Folder("in", "ndjson")
    opened = MemoryControl()
    Watching(folder, STORY.make_world(opened, MemoryArchive()))

    def world(control, archive, plan=None):
        ports = {"control": control, "archive": archive, "folders": folders}
        made = replace(STORY.make_world(control, archive), folders=folders)
        return replace(made, **{name: faulty(port, plan) for name, port in ports.items()}) if plan else made

    def go_on(*ports):
        watching = Watching(folder, world(*ports), opened=True)
        watching.look()

    def left(control, archive):
        watching = Watching(folder, world(control, archive), opened=True)
        with control.transaction() as t:
            notes = [document.body for document in t.documents("folder", MODEL)]
        return watching.profile(), notes, watching.tallies(), sorted(watching.stored()[PREDICTION_ID])

    undisturbed, counted = (opened.copy(), MemoryArchive()), FaultPlan()
    go_on(*undisturbed, counted)
    expected = left(*undisturbed)
    assert expected[3] == list("01234")
    assert expected[2] == {"files.taken": 2, "files.unreadable": 1, "predictions.accepted": 5} | {
        "predictions.counted": 5,
        "predictions.quarantined": 1,
    }
    for plan in every_fault(len(counted.calls), fault=fault):
        survivors = opened.copy(), MemoryArchive()
        with suppress(Killed, OutsideError):
            go_on(*survivors, plan)
        go_on(*survivors)
        assert plan.struck
        assert left(*survivors) == expected, plan
