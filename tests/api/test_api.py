"""The front door: tables of any kind and paths, what is wrong with them, and profiles that add up."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import killick
from killick.api import infer_spec, load_spec
from killick.errors import CallError, DataError, Mistaken, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from killick.checks.verdict import Verdict

ROWS = 400

# DESIGN 5.3: these keys and no others, in every report.
REPORT_KEYS = {
    *("schema", "model", "status", "spec_hash", "false_alarm_budget", "tests"),
    *("reference", "current", "verdicts", "summary"),
}
VERDICT_KEYS = {
    *("check", "metric", "column", "segment", "version", "window", "status", "severity", "value", "interval"),
    *("threshold", "effect", "direction", "p_value", "p_adjusted", "n_reference", "n_current", "reason"),
    "fingerprint",
}


def table(seed: int = 0) -> pl.DataFrame:
    """A table with a part of each kind."""
    rng = np.random.default_rng(seed)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "x": rng.normal(size=ROWS),
            "c": rng.choice(["a", "b"], ROWS),
            "t": [start + timedelta(hours=hour) for hour in range(ROWS)],
            "score": rng.uniform(size=ROWS),
            "label": rng.integers(0, 2, ROWS),
        }
    )


def said(verdicts: Iterable[Verdict]) -> list[tuple[object, ...]]:
    """What verdicts say, but for the last digit of a sum, which may come in another order."""
    return [(v.check, v.metric, v.column, v.segment, v.status, v.p_value, v.n_current) for v in verdicts]


def test_a_report_has_the_keys_that_were_promised() -> None:
    """`killick.report/1` is a contract: exactly these keys, and no number that JSON does not have."""
    report = json.loads(killick.check(table(1), table(2)).to_json())

    assert set(report) == REPORT_KEYS
    assert report["schema"] == "killick.report/1"
    assert {frozenset(verdict) for verdict in report["verdicts"]} == {frozenset(VERDICT_KEYS)}
    assert set(report["summary"]) == {"ok", "inconclusive", "warn", "fail", "error"}
    assert set(report["current"]) == {"rows", "start", "end"}


@pytest.mark.parametrize(
    "form", ["polars", "lazy", "pandas", "pyarrow", "mapping", "parquet", "csv", "ndjson", "arrow"]
)
def test_a_table_may_come_in_any_form(form: str, tmp_path: Path) -> None:
    """Frames of other libraries, mappings and files give the same verdicts."""
    current, path = table(1), tmp_path / "current"
    whole = current.with_columns(pl.col("t").dt.replace_time_zone(None))
    forms = {
        "polars": lambda: whole,
        "lazy": whole.lazy,
        "pandas": lambda: pd.DataFrame(whole.to_dict(as_series=False)),
        "pyarrow": lambda: pa.table(whole.to_arrow()),
        "mapping": lambda: whole.to_dict(as_series=False),
        "parquet": lambda: (whole.write_parquet(f"{path}.parquet"), Path(f"{path}.parquet"))[1],
        "csv": lambda: (whole.write_csv(f"{path}.csv"), f"{path}.csv")[1],
        "ndjson": lambda: (whole.write_ndjson(f"{path}.ndjson"), f"{path}.ndjson")[1],
        "arrow": lambda: (whole.write_ipc(f"{path}.arrow"), f"{path}.arrow")[1],
    }

    report = killick.check(forms[form](), reference=whole)

    assert report.status == "ok"
    assert report.current.rows == ROWS
    assert report.current.start == killick.check(whole, whole).current.start


# What comes in, and what it comes to: the status of the report, or the words of the one message.
T = table()
NULL = pl.lit(None)
ODD_TABLES = {
    "zero rows": (T.head(0), T, "inconclusive"),
    "one row": (T.tail(1), T, "inconclusive"),
    "reference of one row": (T, T.head(1), "ok|inconclusive"),
    "reference of no rows": (T, T.head(0), "reference: holds no rows"),
    "no columns": (pl.DataFrame(), T, "current: holds no columns"),
    "no table": (5, T, "is not a table"),
    "a column of nulls": (T.with_columns(x=NULL), T, "fail"),
    "a column of nulls in the reference": (T, T.with_columns(x=NULL), "ok"),
    "a constant column": (T.with_columns(x=1.0), T.with_columns(x=1.0), "ok"),
    "a constant that moved": (T.with_columns(x=2.0), T.with_columns(x=1.0), "fail"),
    "a nested column": (T.with_columns(pl.struct("x").alias("n")), T.with_columns(pl.struct("x").alias("n")), "ok"),
    "numbers that became lists": (T.with_columns(pl.concat_list("x").alias("x")), T, "fail"),
    "numbers that became text": (T.with_columns(pl.col("x").cast(pl.String)), T, "fail"),
    "text that became numbers": (T.with_columns(c=3), T, "fail"),
    "a score that became text": (T.with_columns(score=pl.lit("high")), T, "fail"),
    "another time zone": (T.with_columns(pl.col("t").dt.convert_time_zone("Asia/Tokyo")), T, "ok"),
    "times without their zone": (T.with_columns(pl.col("t").dt.replace_time_zone(None)), T, "warn"),
    "times as text": (T.with_columns(pl.col("t").dt.to_string("iso")), T, "ok"),
    "times of several zones": (
        T.with_columns(t=pl.Series(["2024-01-01T00:00:00+02:00", "2024-01-01T00:00:00Z"] * (ROWS // 2))),
        T,
        "ok|fail|warn",
    ),
    "no times at all": (T.with_columns(t=pl.lit("soon")), T, "current.t: does not hold times"),
    "labels still to come": (T.drop("label"), T, "ok"),
    "labels all null": (T.with_columns(label=NULL), T, "ok"),
    "a score that is gone": (T.drop("score"), T, "fail"),
    "a feature that is gone": (T.drop("x"), T, "fail"),
    "a feature that is new": (T.with_columns(z=1), T, "warn"),
    "not a number": (T.with_columns(x=float("nan")), T, "fail"),
    "infinity": (T.with_columns(x=float("inf")), T, "fail"),
    "numbers near the end of floats": (T.with_columns(x=1e308), T, "fail"),
    "integers that became floats": (T.with_columns(pl.col("label").cast(pl.Float64)), T, "ok"),
}


@pytest.mark.parametrize("name", ODD_TABLES)
def test_odd_tables_are_judged_or_refused_in_one_message(name: str) -> None:
    """No odd table stops a run with anything but a mistake that says where it is and what to do."""
    current, reference, expected = ODD_TABLES[name]
    if ":" in expected or " " in expected:
        with pytest.raises(Mistaken, match=re.escape(expected)) as refused:
            killick.check(current, reference=reference)
        assert all(mistake.place and mistake.problem for mistake in refused.value.mistakes)
        return

    report = killick.check(current, reference=reference)

    assert re.fullmatch(expected, report.status)
    assert "NaN" not in report.to_json()


def test_a_column_named_twice_is_refused() -> None:
    """A frame with two columns of one name, as pandas allows, is a mistake of the data."""
    twice = pd.DataFrame(np.zeros((60, 2)), columns=["x", "x"])

    with pytest.raises(DataError, match=r"unique|twice"):
        killick.check(twice, reference=T)


def test_a_schema_that_changed_names_the_columns() -> None:
    """What is gone fails, what is new warns, what is of another type fails and is not compared."""
    moved = T.drop("x").with_columns(c=3, z=1)

    verdicts = killick.check(moved, reference=T).verdicts

    told = {(v.check, v.column, v.status) for v in verdicts if v.check in ("quality.schema", "quality.type")}
    assert told == {("quality.schema", "x", "fail"), ("quality.type", "c", "fail"), ("quality.schema", "z", "warn")}
    assert {v.status for v in verdicts if v.check == "drift.univariate" and v.column in ("x", "c")} == {"inconclusive"}


@pytest.mark.parametrize("bare", ["current", "reference"])
def test_times_that_name_a_zone_on_one_side_only_are_told(bare: str) -> None:
    """They may be hours apart: the check says which side is read in the spec's zone, and judges the rest."""
    naive = T.with_columns(pl.col("t").dt.replace_time_zone(None))
    current, reference = (naive, T) if bare == "current" else (T, naive)

    verdicts = killick.check(current, reference=reference).verdicts

    (told,) = (v for v in verdicts if v.check == "quality.type")
    assert (told.column, told.metric, told.status) == ("t", "zone_changed", "warn")
    words = {"current": "current table", "reference": "reference"}
    assert f"the {words[bare]}'s are read in the spec's" in told.reason
    assert {v.status for v in verdicts if v.check == "drift.univariate"} == {"ok"}


def test_batches_add_up() -> None:
    """Profiles of parts are the profile of the whole, and what was added can be taken away again."""
    reference = killick.Reference.fit(table(2))
    one, two = T[:150], T[150:]

    whole, parts = reference.profile(T), reference.profile(one) + reference.profile(two)

    assert parts.rows == whole.rows == ROWS
    assert said(reference.check(parts)) == said(reference.check(whole))
    assert dict((parts - reference.profile(two)).by_segment) == dict(reference.profile(one).by_segment)
    with pytest.raises(CallError, match="cannot be subtracted"):
        _ = reference.profile(one) - whole


def test_a_reference_judges_as_a_check_does() -> None:
    """The two ways to ask give the same answer about the same columns."""
    moved = T.with_columns(x=pl.col("x") + 1)

    by_reference = killick.Reference.fit(table(2)).check(killick.Reference.fit(table(2)).profile(moved))
    by_check = killick.check(moved, reference=table(2)).verdicts

    assert said(by_reference) == said(by_check)


def test_profiles_of_another_reference_are_refused() -> None:
    """What was measured with another yardstick cannot be judged by this one."""
    with pytest.raises(CallError, match="another reference"):
        killick.Reference.fit(T).check(killick.Reference.fit(table(2)).profile(T))


def test_a_spec_is_read_with_all_that_it_extends(tmp_path: Path) -> None:
    """Each parent is looked for in the folder of the file that names it."""
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "company.yaml").write_text("owner: platform\nfalse_alarms: {rota: everyone}\n")
    (tmp_path / "team" / "team.yaml").write_text("extends: company.yaml\nowner: ml\n")
    spec = "killick: 1\nmodel: m\ntask: binary\nextends: team/team.yaml\nschema: {score: p}\n"
    (tmp_path / "killick.yaml").write_text(spec)

    loaded = load_spec(tmp_path / "killick.yaml")

    assert (loaded.owner, loaded.false_alarms.rota) == ("ml", "everyone")


def test_a_parent_that_is_not_there_is_a_mistake_with_a_line(tmp_path: Path) -> None:
    """It is the spec that is wrong, at the line that names the parent."""
    path = tmp_path / "killick.yaml"
    path.write_text("killick: 1\nmodel: m\ntask: binary\nextends: team.yaml\nschema: {score: p}\n")

    with pytest.raises(SpecError, match=r"line 4.*extends"):
        load_spec(path)


def test_a_spec_is_inferred_and_can_be_acted_on() -> None:
    """A label of two words that do not say which is positive makes classes, instead of a refusal."""
    words = T.with_columns(label=pl.when(pl.col("label") == 1).then(pl.lit("A")).otherwise(pl.lit("B")))

    assert infer_spec(T).task == "binary"
    assert infer_spec(words).task == "multiclass"
    assert killick.check(words, reference=words).status == "ok"


@pytest.mark.parametrize("chance", [0.0, 1.0, -1.0])
def test_a_budget_is_a_chance(chance: float) -> None:
    """Whoever asks for no false alarms at all, or for nothing else, is told."""
    with pytest.raises(CallError, match="false_alarms"):
        killick.check(T, reference=T, false_alarms=chance)
