"""`killick check`: two tables are compared, told in words, and written where it was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.text import Text

from killick.api import checked
from killick.checks.drift import CHECK as DRIFT
from killick.cli.console import err, grid, out, toned
from killick.cli.progress import watching
from killick.clock import format_instant
from killick.errors import OutsideError
from killick.reports.importance import LOUD, by_importance
from killick.reports.words import counted, listed, place

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from killick.api import Asked, Chosen
    from killick.checks.verdict import Verdict
    from killick.cli.console import FailOn
    from killick.reports.report import Extent, Report

HOLDS, FAILS, UNKNOWN = 0, 1, 4
_SHOWN_MAX = 30


@dataclass(frozen=True, slots=True)
class How:
    """How to check, and what is bad enough for an exit code of 1."""

    asked: Asked
    fail_on: FailOn = "fail"
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Files:
    """Where the report is to be written."""

    html: Path | None = None
    json: Path | None = None
    junit: Path | None = None


def check_paths(current: str, reference: str, spec: Path | None, files: Files, how: How) -> int:
    """Check, tell and write; return the exit code."""
    with watching(err()) as watch:
        report, chosen = checked(current, reference, spec, how.asked, watch)
    to_stdout = files.json is not None and str(files.json) == "-"
    console = err() if to_stdout else out()
    # Files first: whoever reads only the beginning of the answer closes the pipe on the rest of it.
    written = _write(report, files if not to_stdout else replace(files, json=None))
    _tell(console, report, (current, reference), _note(report, chosen))
    for path in written:
        console.print(Text(f"written: {path}", style="dim"))
    if to_stdout:
        print(report.to_json())
    return exit_code(report.status, how.fail_on, lenient=how.lenient)


def exit_code(status: str, fail_on: FailOn, *, lenient: bool) -> int:
    """Return what a report's status means to a shell.

    >>> exit_code("warn", "fail", lenient=False), exit_code("warn", "warn", lenient=False)
    (0, 1)
    """
    if status == "inconclusive":
        return HOLDS if lenient else UNKNOWN
    bad = {"never": (), "fail": ("fail", "error"), "warn": ("warn", "fail", "error")}[fail_on]
    return FAILS if status in bad else HOLDS


def _tell(console: Console, report: Report, names: tuple[str, str], note: str) -> None:
    """Tell a report: the answer, what it is about, what is worth a look, and how it was judged."""
    console.print(toned(report.status, report.status.upper()), Text(report.headline))
    console.print()
    about = grid()
    about.add_column(style="dim")
    about.add_column(overflow="fold")
    about.add_row("current", Text(f"{names[0]}: {covers(report.current)}"))
    about.add_row("reference", Text(f"{names[1]}: {covers(report.reference)}"))
    if note:
        about.add_row("note", Text(note))
    console.print(about)
    found = _worth_a_look(report)
    if found:
        console.print()
        console.print(_table(found[:_SHOWN_MAX], unbroken=console.is_terminal))
    if len(found) > _SHOWN_MAX:
        console.print(f"and {len(found) - _SHOWN_MAX} more: --html or --json has them all", style="dim")
    console.print()
    counts = ", ".join(f"{number} {status}" for status, number in report.summary.items() if number)
    chance = f"a {report.false_alarm_budget * 100:g} % chance of any false failure"
    shared = f"{counted(report.tests, 'test')} shared {chance}" if report.tests else "no test could be made"
    console.print(f"{counts or 'nothing judged'}; {shared}", style="dim")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the answer: a verdict, or several that say the same of different columns."""

    status: str
    subject: str
    check: str
    said: str


def _worth_a_look(report: Report) -> list[_Line]:
    """Return what does not hold, the most important first; then what could not be judged, once for all its columns."""
    bad = by_importance(v for v in report.verdicts if v.status in LOUD)
    lines = [_Line(v.status, _subject(v), v.check, v.reason) for v in bad]
    unknown: dict[str, list[str]] = {}
    for verdict in report.verdicts:
        if verdict.status == "inconclusive":
            unknown.setdefault(verdict.check, []).append(_subject(verdict))
    reasons = {v.check: v.reason for v in reversed(report.verdicts) if v.status == "inconclusive"}
    lines += [
        _Line("inconclusive", listed(list(dict.fromkeys(subjects)), 3), check, reasons[check])
        for check, subjects in unknown.items()
    ]
    return lines


def _subject(verdict: Verdict) -> str:
    where = f" ({place(verdict.segment)})" if verdict.segment else ""
    return f"{verdict.column or verdict.metric}{where}"


def _table(lines: list[_Line], *, unbroken: bool) -> Table:
    table = grid("status", "column", "what was found")
    for line in lines:
        word = "drift" if line.check == DRIFT else line.check.rpartition(".")[2]
        # On a terminal a number and its % stay together; a file keeps plain spaces, for grep.
        text = line.said.replace(" %", "\N{NO-BREAK SPACE}%") if unbroken else line.said
        said = Text.assemble((f"{word}: ", "dim"), (text, "dim" if line.status == "inconclusive" else ""))
        table.add_row(toned(line.status), Text(line.subject), said)
    table.columns[0].no_wrap = True
    table.columns[1].max_width = 28
    return table


def covers(extent: Extent) -> str:
    """Say how much a table holds: rows, and from when to when."""
    rows = counted(extent.rows, "row")
    if extent.start is None or extent.end is None:
        return rows
    first, last = (format_instant(instant)[:10] for instant in (extent.start, extent.end - 1))
    return f"{rows}, {first} to {last}"


def _note(report: Report, chosen: Chosen) -> str:
    """Return what is to be known of how the two were compared."""
    sampled = next((v.reason for v in report.verdicts if v.metric == "sampled_rows"), "")
    return sampled or (_inferred(chosen) if chosen.notes else "")


def _inferred(chosen: Chosen) -> str:
    """Say what was taken for what, since nobody said it, and what of that is in doubt."""
    spec, schema = chosen.spec, chosen.spec.schema
    parts = {
        "event_time": schema.event_time,
        "score": schema.score,
        "decision": schema.decision,
        "label": schema.label.column if schema.label else None,
        "prediction_id": schema.prediction_id,
        "entity_id": schema.entity_id,
        "latency": schema.latency,
        "version": schema.version,
        "status": schema.status,
    }
    doubted = {part for part in parts if "IN DOUBT" in chosen.notes.get(f"schema.{part}", "")}
    said = (f"{part} {name}{' (in doubt)' * (part in doubted)}" for part, name in parts.items() if name)
    taken = ", ".join(said) or "no parts, only features"
    left = f"; left out: {', '.join(spec.features.exclude)}" if spec.features.exclude else ""
    return f"inferred from the reference: {taken}{left} (killick init writes it down)"


def _write(report: Report, files: Files) -> list[Path]:
    """Write the files that were asked for, and return their paths."""
    forms = {files.json: report.to_json, files.html: report.to_html, files.junit: report.to_junit}
    wanted = {path: form for path, form in forms.items() if path}
    for path, form in wanted.items():
        text = form()
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise OutsideError(f"{path} could not be written: {error.strerror or error}") from error
    return list(wanted)
