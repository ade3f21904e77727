"""The front door for programs and notebooks: tables or paths in, values out.

    import killick

    report = killick.check(current, reference=train)
    report.status, report.save("report.html")

A table is anything with the Arrow C stream interface (pandas, Polars, pyarrow, DuckDB ...) or a mapping of columns; a
path, glob or URI may lead to Parquet, CSV, NDJSON or Arrow. Costs: about a second for two tables of a million rows and
twenty columns, on one core.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from killick.adapters.tables import FileTables
from killick.checks.comparison import BUDGET
from killick.engine.check import Fitted, Profiles, check_tables, fit, judge, measure_table
from killick.errors import CallError, Mistake
from killick.spec.document import Spec
from killick.spec.load import extends_of, parse_spec, sealed
from killick.telemetry import infer
from killick.telemetry.door import admit

if TYPE_CHECKING:
    import polars as pl

    from killick.checks.reference import SegmentKey
    from killick.checks.verdict import Verdict
    from killick.reports.report import Report
    from killick.telemetry.door import Table

    TableOrPath: TypeAlias = Table | str | Path
    SpecOrPath: TypeAlias = Spec | str | Path

# A chain of parents longer than this goes round in a circle, or is beyond anybody's memory; `parse_spec` says which.
_PARENTS_MAX = 16


def check(
    current: TableOrPath,
    reference: TableOrPath,
    spec: SpecOrPath | None = None,
    *,
    false_alarms: float = BUDGET,
) -> Report:
    """Compare a table with a reference: columns, shares, drift and, with labels, performance.

    Args:
        current: the rows to check; a table or a path.
        reference: the rows to check them against, such as the training table; a table or a path.
        spec: which column plays which part; a `Spec`, a path to one, or None to infer it from the reference.
        false_alarms: the chance of any failure in the whole run, if nothing had changed.

    Raises:
        CallError: an argument cannot be used.
        SpecError: the spec has mistakes; all of them are named.
        DataError: a table cannot be read, or is not what the spec says.
    """
    if not 0.0 < false_alarms < 1.0:
        hint = "give the chance of any false failure in the run, for example 0.05"
        raise CallError(Mistake("false_alarms", "is no chance between 0 and 1", false_alarms, hint=hint))
    train = read_table(reference, name="reference")
    return check_tables(read_table(current, name="current"), train, spec_for(train, spec)[0], false_alarms=false_alarms)


class Reference:
    """A reference that many batches are checked against: fitted once, then each batch costs one pass over its rows.

    reference = killick.Reference.fit(train, spec)
    profile = reference.profile(monday) + reference.profile(tuesday)
    reference.check(profile)
    """

    def __init__(self, fitted: Fitted) -> None:
        self._fitted = fitted

    @classmethod
    def fit(cls, train: TableOrPath, spec: SpecOrPath | None = None) -> Reference:
        """Learn a reference from a table, with a spec, a path to one, or None to infer it.

        Raises:
            SpecError: the spec has mistakes.
            DataError: the table cannot be read, or is not what the spec says.
        """
        table = read_table(train, name="reference")
        return cls(fit(table, spec_for(table, spec)[0]))

    @property
    def spec(self) -> Spec:
        """The spec that it was fitted by."""
        return self._fitted.spec

    @property
    def rows(self) -> int:
        """How many rows it was learned from."""
        return self._fitted.extent.rows

    @property
    def segments(self) -> tuple[SegmentKey, ...]:
        """Every segment that it knows; the whole is the empty one."""
        return self._fitted.reference.segments

    def profile(self, batch: TableOrPath) -> Profiles:
        """Return the profiles of a batch, by segment. They add up, and can be subtracted again.

        Raises:
            DataError: the table cannot be read, or is not what the spec says.
        """
        return measure_table(read_table(batch, name="current"), self._fitted)

    def check(self, profiles: Profiles, *, false_alarms: float = BUDGET) -> list[Verdict]:
        """Judge profiles against the reference.

        Args:
            profiles: what `profile` gave, or a sum of such.
            false_alarms: the chance of any failure among the verdicts, if nothing had changed.

        Raises:
            CallError: they were made by another reference.
        """
        scale = self._fitted.reference.scale
        strange = [p for p in profiles.profiles.values() if p.scale.fingerprint != scale.fingerprint]
        if strange:
            hint = "profile the batch with this reference"
            raise CallError(Mistake("profiles", "were made by another reference", hint=hint))
        return judge(self._fitted, profiles, false_alarms=false_alarms)[0]


def load_spec(path: str | Path) -> Spec:
    """Read a spec, and the files that it `extends`, each named from the folder of the file that names it.

    Raises:
        CallError: a file is not there.
        SpecError: with every mistake that could be found.
    """
    text, parents = spec_texts(path)
    return parse_spec(text, source=str(path), parents=parents)


def infer_spec(table: TableOrPath, *, model: str = "model") -> Spec:
    """Return a first spec for a table. `killick init` writes it into a file, with the reason for every choice.

    Raises:
        DataError: the table cannot be read.
    """
    return _usable(*infer.infer_spec(read_table(table, name="table"), model=model))[0]


def read_table(table: TableOrPath, *, name: str) -> pl.DataFrame:
    """Return a table, whatever holds it.

    Raises:
        DataError: it is no table, or cannot be read.
    """
    return FileTables().read(str(table)) if isinstance(table, str | Path) else admit(table, name=name)


def spec_for(reference: pl.DataFrame, spec: SpecOrPath | None) -> tuple[Spec, dict[str, str]]:
    """Return the spec to check by, and, where it had to be inferred, the notes that say why it is as it is."""
    if spec is None:
        return _usable(*infer.infer_spec(reference, model="model"))
    return (spec if isinstance(spec, Spec) else load_spec(spec)), {}


def spec_texts(path: str | Path) -> tuple[str, dict[str, str]]:
    """Return a spec's text, and those of the files that it extends, by the names that they are called there.

    Raises:
        CallError: the spec is not there. A parent that is not there is `parse_spec`'s to tell, with its line.
    """
    text = FileTables().text(str(path))
    parents: dict[str, str] = {}
    folder, child = Path(path).parent, text
    for _ in range(_PARENTS_MAX):
        name = extends_of(child)
        if name is None or name in parents:
            break
        try:
            child = FileTables(folder).text(name)
        except CallError:
            break
        parents[name] = child
        folder = (folder / name).parent
    return text, parents


def _usable(spec: Spec, notes: dict[str, str]) -> tuple[Spec, dict[str, str]]:
    """Return an inferred spec that can be acted on: without knowing which label is positive, labels are classes."""
    if spec.task == "binary" and "say which value is positive" in notes.get("schema.label", ""):
        return sealed(replace(spec, task="multiclass")), notes
    return spec, notes
