"""The front door for programs and notebooks: tables or paths in, values out.

    import killick

    report = killick.check(current, reference=train)
    report.status, report.save("report.html")

A table is anything with the Arrow C stream interface (pandas, Polars, pyarrow, DuckDB ...) or a mapping of columns; a
path, glob or URI may lead to Parquet, CSV, NDJSON or Arrow, and may be larger than memory. Costs: about half a second
for two tables of a million rows and twenty columns.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from killick.adapters.tables import FileTables
from killick.checks.business import FAMILY
from killick.checks.catalogue import CATALOGUE
from killick.checks.comparison import BUDGET
from killick.engine.check import EVERY_CHECK, check_profiles, fit_rows, judge, learn, needs_census, skewed
from killick.engine.fit import refuse_strangers
from killick.engine.saved import SUFFIX
from killick.engine.table_profile import TableProfile, measure_source
from killick.errors import CallError, Mistake, did_you_mean
from killick.ports.tables import FrameSource
from killick.reports.words import counted
from killick.spec.document import Spec
from killick.spec.load import extends_of, parse_spec, sealed
from killick.telemetry import infer
from killick.telemetry.door import admit

Profile = TableProfile

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import polars as pl

    from killick.checks.reference import SegmentKey
    from killick.checks.sharing import Draft
    from killick.checks.verdict import Verdict
    from killick.ports.tables import Source
    from killick.reports.report import Report
    from killick.telemetry.door import Table

    TableOrPath: TypeAlias = Table | str | Path
    TableOrProfile: TypeAlias = Table | Profile | "Reference" | str | Path
    SpecOrPath: TypeAlias = Spec | str | Path

# A chain of parents longer than this goes round in a circle, or is beyond anybody's memory; `parse_spec` says which.
_PARENTS_MAX = 16
# A file of so many values is read at once, some 160 MB; a larger one goes through in batches.
_IN_MEMORY_VALUES = 20_000_000


def check(
    current: TableOrProfile,
    reference: TableOrProfile,
    spec: SpecOrPath | None = None,
    *,
    false_alarms: float = BUDGET,
    checks: Collection[str] = EVERY_CHECK,
    offline: TableOrPath | None = None,
) -> Report:
    """Compare a table with a reference: columns, shares, drift and, with labels, concept and performance.

    Args:
        current: the rows to check: a table, a path, or a profile (or the path of one, `.killick`).
        reference: the rows to check them against, such as the training table; likewise, or a `Reference`.
        spec: which column plays which part; a `Spec`, a path to one, or None to infer it from the reference. A
            reference that is a profile has its own.
        false_alarms: the chance of any failure in the whole run, if nothing had changed.
        checks: patterns of the checks that are wanted, such as `["drift.*", "quality.missing"]`.
        offline: the same entities and times as in `current`, from an offline store: what differs is `quality.skew`.

    Raises:
        CallError: an argument cannot be used.
        SpecError: the spec has mistakes; all of them are named.
        DataError: a table cannot be read, or is not what the spec says.

    >>> train = {"temp": [20.0 + day % 9 for day in range(400)]}
    >>> check({"temp": [68.0 + 2 * (day % 9) for day in range(400)]}, reference=train).status
    'fail'
    """
    how = Asked(false_alarms, known_checks(checks), offline)
    return checked(current, reference, spec, how)[0]


class Asked(NamedTuple):
    """How to check: with what chance of a false failure, by which checks, beside which offline table."""

    false_alarms: float = BUDGET
    checks: tuple[str, ...] = EVERY_CHECK
    offline: TableOrPath | None = None


def checked(
    current: TableOrProfile,
    reference: TableOrProfile,
    spec: SpecOrPath | None,
    how: Asked,
    watch: Callable[[str, Source], Callable[[int], None] | None] | None = None,
) -> tuple[Report, Chosen]:
    """Check as `check` does, and say by which spec; `watch` returns what is told how many rows of a source are done.

    Raises:
        CallError: an argument cannot be used.
        SpecError: the spec has mistakes; all of them are named.
        DataError: a table cannot be read, or is not what the spec says.
    """
    if not 0.0 < how.false_alarms < 1.0:
        hint = "give the chance of any false failure in the run, for example 0.05"
        raise CallError(Mistake("false_alarms", "is no chance between 0 and 1", how.false_alarms, hint=hint))
    before, now = open_side(reference, name="reference"), open_side(current, name="current")
    chosen = side_spec(before, now, spec)
    if spec is not None:
        refuse_strangers(chosen.spec, [side.schema.names() for side in (before, now) if not isinstance(side, Profile)])
    beside = None if how.offline is None else open_table(how.offline, name="offline")
    tell = watch or (lambda _, __: None)
    if isinstance(before, Profile):
        known = before
    else:
        census = needs_census(how.checks)
        known = learn(before, chosen.spec, chosen.rows, census=census, tell=tell("reference", before))
    measured = now if isinstance(now, Profile) else measure_source(now, known.fit, tell=tell("current", now))
    more = side_skew(now, beside, known)
    report = check_profiles(measured, known, false_alarms=how.false_alarms, checks=how.checks, more=more)
    return report, chosen


class Reference:
    """A reference that many batches are checked against: fitted once, then each batch costs one pass over its rows.

    reference = killick.Reference.fit(train, spec)
    profile = reference.profile(monday) + reference.profile(tuesday)
    reference.check(profile)
    """

    def __init__(self, learned: Profile) -> None:
        self._learned = learned

    @classmethod
    def fit(cls, train: TableOrPath, spec: SpecOrPath | None = None) -> Reference:
        """Learn a reference from a table, with a spec, a path to one, or None to infer it.

        Raises:
            SpecError: the spec has mistakes.
            DataError: the table cannot be read, or is not what the spec says.
        """
        source = open_table(train, name="reference")
        chosen = spec_for(source, spec)
        return cls(learn(source, chosen.spec, chosen.rows))

    @classmethod
    def load(cls, path: str | Path) -> Reference:
        """Read a reference that was saved.

        Raises:
            DataError: it is not there, or no profile.
        """
        return cls(Profile.load(path))

    def save(self, path: str | Path) -> None:
        """Write the reference to a file, `.killick`.

        Raises:
            OutsideError: the file could not be written.
        """
        self._learned.save(path)

    def __repr__(self) -> str:
        return (
            f"<Reference of {self.spec.model}: {counted(self.rows, 'row')}, {counted(len(self.segments), 'segment')}>"
        )

    @property
    def learned(self) -> Profile:
        """The profile of its rows."""
        return self._learned

    @property
    def spec(self) -> Spec:
        """The spec that it was fitted by."""
        return self._learned.fit.spec

    @property
    def rows(self) -> int:
        """How many rows it was learned from."""
        return self._learned.rows

    @property
    def segments(self) -> tuple[SegmentKey, ...]:
        """Every segment that it knows; the whole is the empty one."""
        return tuple(self._learned.by_segment)

    def profile(self, batch: TableOrPath) -> Profile:
        """Return the profile of a batch. Profiles add up, and can be subtracted again.

        Raises:
            DataError: the table cannot be read, or is not what the spec says.
        """
        return measure_source(open_table(batch, name="current"), self._learned.fit)

    def check(
        self, batch: TableOrProfile, *, false_alarms: float = BUDGET, checks: Collection[str] = EVERY_CHECK
    ) -> list[Verdict]:
        """Judge a batch against the reference. `killick.check(batch, reference)` makes a report of it.

        Args:
            batch: a table, a path, or what `profile` gave, or a sum of such.
            false_alarms: the chance of any failure among the verdicts, if nothing had changed.
            checks: patterns of the checks that are wanted.

        Raises:
            CallError: it is a profile that was made by another reference.
            DataError: the table cannot be read, or is not what the spec says.
        """
        side = open_side(batch, name="current")
        profile = side if isinstance(side, Profile) else measure_source(side, self._learned.fit)
        if profile.fit.fingerprint != self._learned.fit.fingerprint:
            hint = "profile the batch with this reference"
            raise CallError(Mistake("profile", "was made by another reference", hint=hint))
        return judge(profile, self._learned, false_alarms=false_alarms, checks=known_checks(checks))[0]


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
    source = open_table(table, name="table")
    return _usable(*infer.infer_spec(fit_rows(source), model=model))[0]


def open_table(table: TableOrPath, *, name: str) -> Source:
    """Return a table as a source, whatever holds it. A file that is small enough is read into memory at once.

    Raises:
        DataError: it is no table, or cannot be read.
    """
    if not isinstance(table, str | Path):
        return FrameSource(admit(table, name=name), name=name)
    source = FileTables().open(str(table))
    rows = source.size()
    if rows is None or rows * len(source.schema) > _IN_MEMORY_VALUES:
        return source
    return FrameSource(source.sample(rows), name=str(table))


def open_side(table: TableOrProfile, *, name: str) -> Source | Profile:
    """Return one side of a check: a profile, or a table as a source.

    Raises:
        DataError: it is neither, or cannot be read.
    """
    if isinstance(table, Profile):
        return table
    if isinstance(table, Reference):
        return table.learned
    if isinstance(table, str | Path) and str(table).endswith(SUFFIX):
        return Profile.load(table)
    return open_table(table, name=name)


class Chosen(NamedTuple):
    """The spec to go by; where it had to be inferred, the notes that say why, and the rows that it is from."""

    spec: Spec
    notes: dict[str, str]
    rows: pl.DataFrame | None


def spec_for(reference: Source, spec: SpecOrPath | None) -> Chosen:
    """Return the spec to check a reference by."""
    if spec is not None:
        return Chosen(spec if isinstance(spec, Spec) else load_spec(spec), {}, None)
    rows = fit_rows(reference)
    return Chosen(*_usable(*infer.infer_spec(rows, model="model")), rows)


def side_spec(before: Source | Profile, now: Source | Profile, spec: SpecOrPath | None) -> Chosen:
    """Return the spec to check two sides by.

    Raises:
        CallError: a spec is given beside a profile, which has its own.
    """
    own = next((side.fit.spec for side in (before, now) if isinstance(side, Profile)), None)
    if own is not None and spec is not None:
        hint = "leave the spec out, or profile the tables again by it"
        raise CallError(Mistake("spec", "cannot be given beside a profile, which has its own", hint=hint))
    if own is not None or isinstance(before, Profile):
        return Chosen(own, {}, None)  # type: ignore[arg-type]  # a profile has a spec
    return spec_for(before, spec)


def side_skew(now: Source | Profile, offline: Source | None, known: Profile) -> Sequence[Draft]:
    """Return what an offline table says of the current rows; nothing when there is none.

    Raises:
        CallError: the current side is a profile, which has no rows to compare.
    """
    if offline is None:
        return ()
    if isinstance(now, Profile):
        raise CallError(Mistake("offline", "needs the current rows, not a profile of them", hint="give the table"))
    return skewed(now, offline, known.fit)


def known_checks(patterns: Collection[str]) -> tuple[str, ...]:
    """Return patterns of checks, each of which some check matches.

    Raises:
        CallError: one matches none.
    """
    asked = (patterns,) if isinstance(patterns, str) else tuple(patterns)
    # What a business figure is called is the operator's affair.
    names = [*(entry.name for entry in CATALOGUE), f"{FAMILY}kpi"]
    strange = [
        pattern
        for pattern in asked
        if not (pattern.startswith(FAMILY) or any(fnmatchcase(name, pattern) for name in names))
    ]
    if not asked:
        raise CallError(Mistake("checks", "names none", value=[], hint="leave it out to ask for all of them"))
    if strange:
        raise CallError(
            *(Mistake("checks", "is no check", value=one, hint=did_you_mean(one, names)) for one in strange)
        )
    return asked


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
