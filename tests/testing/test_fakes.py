"""The fakes that ship with the product do what their ports promise, and what survives a crash can be tried twice."""

import polars as pl
import pytest

from killick.errors import CallError, DataError, IllegalMove, OutsideError
from killick.ports.trainer import MANIFEST_SCHEMA, TrainManifest, TrainRequest
from killick.registry.versions import Version
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.control_battery import _everything, _write_everything
from killick.testing.models import MemoryModels
from killick.testing.simulator import bad_release, unit_fault
from killick.testing.tables import MemoryTables
from killick.testing.trainer import MemoryTrainer

REQUEST = TrainRequest(model="shop", version="v2", label="returned", features=(), seed=0)
ROWS = pl.DataFrame({"returned": [1]})


def test_tables_are_read_by_path_and_what_is_not_there_is_a_mistake():
    """With what is there as a hint."""
    tables = MemoryTables({"orders.parquet": ROWS}, {"changes.jsonl": "{}"})
    assert tables.read("orders.parquet").equals(ROWS)
    assert tables.text("changes.jsonl") == "{}"
    with pytest.raises(DataError, match=r"known here: orders\.parquet"):
        tables.read("order.parquet")
    with pytest.raises(CallError, match=r"known here: changes\.jsonl"):
        tables.text("orders.parquet")


def test_versions_are_loaded_once_with_their_artifact():
    """As the operator's own function would be called."""
    asked = []

    def load(artifact="none"):
        asked.append(artifact)
        return lambda columns: columns

    models = MemoryModels({"shop:load": load})
    plain = Version(model="shop", name="v1", loader="shop:load")
    fitted = Version(model="shop", name="v2", loader="shop:load", artifact="weights")
    assert models.load(plain) is models.load(plain)
    assert models.load(fitted) is not models.load(plain)
    assert asked == ["none", "weights"]


def test_a_job_that_has_its_manifest_is_not_run_again():
    """By whoever is handed the same trainer, or a copy; another key is another job."""
    trainer = MemoryTrainer(lambda asked, _: TrainManifest(schema=MANIFEST_SCHEMA, version=asked.version, loader="a:b"))
    made = trainer.train(("train",), REQUEST, ROWS, key="job-1", timeout=1)
    other = trainer.copy()
    assert other.train(("train",), REQUEST, ROWS, key="job-1", timeout=1) == made
    assert trainer.train(("train",), REQUEST, ROWS, key="job-1", timeout=1) == made
    assert (trainer.runs["job-1"], other.runs["job-1"]) == (1, 0)
    trainer.train(("train",), REQUEST, ROWS, key="job-2", timeout=1)
    assert trainer.runs.total() == 2


def test_a_job_that_failed_is_run_again():
    """It has no manifest."""

    def broken(asked, rows):
        raise ValueError("no")

    trainer = MemoryTrainer(broken)
    for _ in range(2):
        with pytest.raises(OutsideError, match="ValueError: no"):
            trainer.train(("train",), REQUEST, ROWS, key="job-1", timeout=1)
    assert trainer.runs["job-1"] == 2


def test_a_copy_of_a_store_goes_its_own_way():
    """What is written to either is not in the other; inside a transaction nothing can be copied."""
    first = MemoryControl()
    with first.transaction() as t:
        _write_everything(t, 1)
    second = first.copy()
    before = _everything(first)
    assert _everything(second) == before
    with second.transaction() as t:
        _write_everything(t, 2)
        t.settle(["batch-1"])
        t.finish("command-1", 9)
    assert _everything(first) == before
    assert _everything(second) != before
    with first.transaction(), pytest.raises(IllegalMove, match="is open"):
        first.copy()


def test_a_copy_of_an_archive_goes_its_own_way():
    """Files too."""
    first = MemoryArchive()
    first.write("shop", "predictions", "one", pl.DataFrame({"event_time": [1]}))
    second = first.copy()
    second.write("shop", "predictions", "two", pl.DataFrame({"event_time": [1]}))
    assert (len(first.tables), len(second.tables)) == (1, 2)


def test_the_simulator_makes_the_same_orders_every_time():
    """Other stories have the same reference, and a fault changes nothing but the column it is in."""
    first, again, faulty = bad_release(), bad_release(), unit_fault()
    assert first.history.predictions.equals(again.history.predictions)
    assert first.history.outcomes.equals(again.history.outcomes)
    assert first.reference.equals(faulty.reference)
    assert first.spec == faulty.spec
    start, end = faulty.history.changes[0].at, faulty.history.changes[1].at
    rows = faulty.history.predictions
    during = (pl.col("store") == "market") & pl.col("event_time").is_between(start, end, closed="left")
    assert rows.filter(during)["temperature"].mean() < 25
    assert rows.filter(~during)["temperature"].mean() > 55
