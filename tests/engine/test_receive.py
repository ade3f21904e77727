"""What is acknowledged is there, once: copies, crowds, failing disks and rows that nobody can use."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec
import polars as pl
import pytest

from killick.clock import HOUR
from killick.engine.receive import (
    CHANGES,
    GAUGES,
    OUTCOMES,
    PREDICTIONS,
    QUARANTINED_MAX,
    Delivery,
    Receipt,
    Receiver,
    commit,
    unpack_receipt,
)
from killick.errors import DataError, OutsideError
from killick.telemetry.columns import EVENT_TIME, PREDICTION_ID
from killick.telemetry.quarantine import Rejected
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.faults import FaultPlan, faulty
from tests.engine.telemetry import MODEL, NOW, Post, names, outcomes, predictions

# A delivery of which nothing is written.
NOTHING = predictions([])


def stored(post: Post, kind: str = PREDICTIONS) -> list[str]:
    """The ids in the files of the manifest."""
    with post.world.control.transaction() as t:
        batches = t.batches(MODEL, kind)
    return [key for batch in batches for key in post.world.archive.read(batch.path)[PREDICTION_ID]]


def test_a_delivery_that_comes_again_gets_its_answer_again():
    """And leaves no second row; the answer says that it had been taken."""
    post = Post.in_memory()
    first = post.send(PREDICTIONS, predictions(names(0, 5)), sequence=3)
    again = post.send(PREDICTIONS, predictions(names(0, 5)), sequence=3)
    assert (first.accepted, first.duplicate) == (5, False)
    assert (again.accepted, again.duplicate) == (5, True)
    assert sorted(stored(post)) == names(0, 5)


def test_a_gap_and_an_older_sequence_are_understood():
    """Sequences may come in any order, and some never."""
    post = Post.in_memory()
    for number, sequence in enumerate((7, 2, 9)):
        post.send(PREDICTIONS, predictions(names(number, number + 1)), sequence=sequence)
    assert post.send(PREDICTIONS, predictions(names(5, 6)), sequence=8).duplicate is False
    assert sorted(stored(post)) == ["loan-0", "loan-1", "loan-2", "loan-5"]


def test_of_a_group_only_what_is_new_is_written():
    """One of three had been taken before, and one is in the group twice."""
    post = Post.in_memory()
    one, two, three = (Delivery(MODEL, PREDICTIONS, "host", at, predictions(names(at, at + 1))) for at in range(3))
    commit(post.world, [one], NOW)
    receipts = commit(post.world, [one, two, three, two], NOW, attempt=1)
    assert [receipt.duplicate for receipt in receipts] == [True, False, False, True]
    assert sorted(stored(post)) == names(0, 3)


@pytest.mark.parametrize("is_away", [False, True])
def test_a_try_that_fails_leaves_no_file(is_away):
    """One that was taken before, alone, in a group and twice in it; and any, while the store does not answer."""
    post = Post.in_memory()
    one, two = (Delivery(MODEL, PREDICTIONS, "host", at, predictions(names(at, at + 1))) for at in range(2))
    commit(post.world, [one], NOW)
    plan = FaultPlan(kill_at=1, fault="error") if is_away else FaultPlan()
    archive = FaultPlan()
    world = replace(post.world, control=faulty(post.world.control, plan), archive=faulty(post.world.archive, archive))
    if is_away:
        with pytest.raises(OutsideError):
            commit(world, [two], NOW, attempt=1)
        assert archive.calls == []
    else:
        commit(world, [one, one], NOW, attempt=1)
        assert archive.calls == []
        assert [receipt.duplicate for receipt in commit(world, [two, one, two], NOW, attempt=2)] == [False, True, True]
        assert len(archive.calls) == 1


def test_a_closed_receiver_refuses():
    """Nobody would answer; closing it again is harmless."""
    receiver = Receiver(Post.in_memory().world, lambda: NOW)
    receiver.close()
    answers = []

    def send():
        with pytest.raises(OutsideError, match="closed"):
            receiver.receive(Delivery(MODEL, PREDICTIONS, "host", 1, predictions(names(0, 1))))
        answers.append("refused")

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert answers == ["refused"]
    receiver.close()


def test_rejected_rows_are_named_counted_and_kept_to_be_looked_at():
    """The answer names them, again too; the newest are kept."""
    post = Post.in_memory()
    bad = tuple(Rejected(at, "score", "is no number") for at in range(3))
    delivery = Delivery(MODEL, PREDICTIONS, "host", 1, predictions(names(0, 2)), bad, 30)
    for _ in range(2):
        receipt = commit(post.world, [delivery], NOW)[0]
        assert receipt.quarantined == bad
    with post.world.control.transaction() as t:
        assert t.tallies(MODEL) == {"predictions.accepted": 2, "predictions.quarantined": 30}
        held = [msgspec.json.decode(row.body) for row in t.quarantined(MODEL, QUARANTINED_MAX)]
    whose = {"kind": "predictions", "producer": "host", "sequence": 1}
    assert held[-1] == whose | {"index": 0, "field": "score", "reason": "is no number"}


def test_an_answer_that_names_a_thousand_rows_is_kept_small():
    """A sender whose every row is bad sends on: each answer is 120 kB, and says the same of every row."""
    post = Post.in_memory()
    bad = tuple(Rejected(at, "features.income", "is no number, but 'one hundred and twenty'") for at in range(1_000))
    delivery = Delivery(MODEL, PREDICTIONS, "host", 1, predictions([]), bad, 1_000)
    for _ in range(2):
        assert commit(post.world, [delivery], NOW)[0].quarantined == bad
    with post.world.control.transaction() as t:
        assert len(t.deliver(MODEL, PREDICTIONS, "host", 1, b"", NOW) or b"") < 12_000


def test_the_answers_of_earlier_stores_are_read():
    """They were kept as JSON."""
    said = Receipt(3, (Rejected(1, "score", "is no number"),))
    assert unpack_receipt(msgspec.json.encode(said)) == said
    assert unpack_receipt(msgspec.json.encode(Receipt(5))) == Receipt(5)


def test_a_delivery_of_bad_rows_only_is_taken_too():
    """There is nothing to write, and its answer is remembered."""
    post = Post.in_memory()
    nothing = Delivery(MODEL, PREDICTIONS, "host", 1, predictions([]), (Rejected(0, "", "is no object"),), 1)
    assert commit(post.world, [nothing], NOW)[0].accepted == 0
    assert commit(post.world, [nothing], NOW)[0].duplicate
    assert stored(post) == []


def test_what_shadows_said_lies_apart():
    """Nobody was answered by it."""
    post = Post.in_memory()
    rows = pl.concat([predictions(names(0, 3)), predictions(names(0, 2), role="shadow", version="v2")])
    assert post.send(PREDICTIONS, rows).accepted == 5
    assert (len(stored(post)), len(stored(post, "shadows"))) == (3, 2)


def test_gauges_and_changes_have_their_places():
    """Gauges are a table; a change is a document of its model, or of all, and stands in the ledger once."""
    post = Post.in_memory()
    gauges = pl.DataFrame({"name": ["queue"], "value": [17.0], "at": [NOW]})
    columns = {"at": [NOW, NOW], "kind": ["pipeline"] * 2, "name": ["feed", "os"], "version": ["2", None]}
    changes = pl.DataFrame(columns | {"note": ["", "patched"], "model": [MODEL, None]})
    commit(post.world, [Delivery(MODEL, GAUGES, "host", 1, gauges)], NOW)
    for sequence in (1, 2):
        commit(post.world, [Delivery("", CHANGES, "host", sequence, changes)], NOW)
    with post.world.control.transaction() as t:
        assert len(t.documents("change", MODEL)) == len(t.documents("change", "")) == 1
        assert [entry.fact.action for entry in t.ledger()] == ["record change", "record change"]
        batch = t.batches(MODEL, GAUGES)[0]
    assert not batch.pending
    assert post.world.archive.read(batch.path)[EVENT_TIME].to_list() == [NOW]


def test_many_at_once_are_all_there_once(tmp_path):
    """Eight threads, every delivery sent three times, on the real store: group commit loses and doubles nothing."""
    post = Post.on_disk(tmp_path)
    receiver = Receiver(post.world, lambda: NOW)
    sent = [Delivery(MODEL, PREDICTIONS, f"p{at % 4}", at, predictions(names(at * 3, at * 3 + 3))) for at in range(40)]
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(receiver.receive, sent * 3))
    receiver.close()
    assert all(receipt.accepted == 3 for receipt in receipts)
    assert sum(not receipt.duplicate for receipt in receipts) == len(sent)
    assert sorted(stored(post)) == sorted(names(0, 120))


def test_the_bad_luck_of_one_delivery_is_not_the_others():
    """A table that no file can hold fails alone; what came with it is there."""
    post = Post.in_memory()
    receiver = Receiver(post.world, lambda: NOW)
    timeless = predictions(names(0, 2)).with_columns(pl.lit(None, pl.Int64).alias(EVENT_TIME))
    answers = {}

    def send(name, rows):
        try:
            answers[name] = receiver.receive(Delivery(MODEL, PREDICTIONS, name, 1, rows))
        except Exception as error:  # noqa: BLE001 - looked at below
            answers[name] = error

    threads = [threading.Thread(target=send, args=("bad", timeless))]
    threads += [threading.Thread(target=send, args=(f"good-{at}", predictions(names(at, at + 1)))) for at in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    receiver.close()
    assert isinstance(answers.pop("bad"), Exception)
    assert [answer.accepted for answer in answers.values()] == [1] * 5


class NarrowArchive(MemoryArchive):
    """Has no room for the files of one model, or for any; `tries` are those that failed."""

    def __init__(self, full):
        super().__init__()
        self.full, self.tries = full, 0

    def write(self, model, kind, batch_id, table):
        """Keep a batch, if there is room."""
        if self.full in ("", model):
            self.tries += 1
            raise OutsideError("there is no room")
        return super().write(model, kind, batch_id, table)


@pytest.mark.parametrize(("full", "failing", "tries"), [("m1", 1, 2), ("", 5, 3)])
def test_a_model_whose_files_cannot_be_written_is_not_the_others_trouble(full, failing, tries):
    """Each model of the group is tried by itself; where two of them fail too, nobody waits for the rest to."""
    archive, control = NarrowArchive(full), MemoryControl()
    receiver = Receiver(replace(Post.in_memory().world, archive=archive, control=control), lambda: NOW)
    sent = [Delivery(f"m{at}", PREDICTIONS, "host", 1, predictions(names(at, at + 1))) for at in range(5)]
    answers = []

    def send(delivery):
        try:
            receiver.receive(delivery)
        except OutsideError:
            answers.append(delivery.model)

    threads = [threading.Thread(target=send, args=(delivery,)) for delivery in sent]
    with control.transaction():  # the receiver waits for it, and all that comes meanwhile is one group
        first = threading.Thread(target=receiver.receive, args=(Delivery("m9", PREDICTIONS, "host", 1, NOTHING),))
        first.start()
        while not receiver._attempt:
            time.sleep(0.001)
        for thread in threads:
            thread.start()
        while receiver._waiting.qsize() < len(threads):
            time.sleep(0.001)
    for thread in [first, *threads]:
        thread.join()
    receiver.close()
    assert (len(answers), archive.tries) == (failing, tries)


def test_rows_without_a_time_do_not_slip_in_with_others():
    """In one file they would keep the others from being counted: the group is refused, and each is tried by itself."""
    post = Post.in_memory()
    timeless = predictions(names(0, 2)).with_columns(pl.lit(None, pl.Int64).alias(EVENT_TIME))
    tables = [predictions(names(5, 9)), timeless]
    group = [Delivery(MODEL, PREDICTIONS, "host", at, table) for at, table in enumerate(tables)]
    with pytest.raises(DataError, match="event_time: is missing in 2 of 6 rows"):
        commit(post.world, group, NOW)
    assert stored(post) == []


@pytest.mark.faults
def test_nothing_is_acknowledged_that_is_not_there():
    """Each port call fails once, before or after its effect: the sender hears of it, sends again, and all is there."""
    deliveries = [
        Delivery(MODEL, PREDICTIONS, "host", 1, predictions(names(0, 4))),
        Delivery(MODEL, OUTCOMES, "host", 1, outcomes({"loan-1": 1}, known_at=NOW + HOUR)),
    ]
    counting = FaultPlan()
    commit(Post.in_memory().world.__class__(**_faulty(Post.in_memory(), counting)), deliveries, NOW)
    assert len(counting.calls) > 8
    for number in range(1, len(counting.calls) + 1):
        for moment in ("before", "after"):
            post = Post.in_memory()
            plan = FaultPlan(kill_at=number, moment=moment, fault="error")
            world = type(post.world)(**_faulty(post, plan))
            receipts = []
            for attempt in range(2):
                try:
                    receipts = commit(world, deliveries, NOW, attempt)
                    break
                except OutsideError:
                    assert receipts == []
            assert [receipt.accepted for receipt in receipts] == [4, 1], plan
            assert sorted(stored(post)) == names(0, 4), plan
            assert stored(post, OUTCOMES) == ["loan-1"], plan


def _faulty(post: Post, plan: FaultPlan) -> dict:
    """The fields of the world, its store and archive failing by a plan."""
    fields = {name: getattr(post.world, name) for name in post.world.__dataclass_fields__}
    return fields | {"control": faulty(post.world.control, plan), "archive": faulty(post.world.archive, plan)}
