"""`killick init` and `killick validate`: a first spec for a table, and every mistake of one that is there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from killick.api import open_table, spec_texts
from killick.cli.console import grid, out, say_json, toned
from killick.clock import format_duration
from killick.errors import CallError, Mistake, OutsideError, SpecError
from killick.reports.words import counted
from killick.spec.load import parse_spec, sealed, unheeded
from killick.spec.write import write_spec
from killick.telemetry.infer import infer_spec
from killick.telemetry.search import BY_NAME

if TYPE_CHECKING:
    from killick.spec.document import Spec

HOLDS, MISTAKEN = 0, 2

# A spec is inferred from so many rows of a large table: enough to see that an id comes twice.
_LOOKED_AT = 500_000


def write_first(data: str, output: Path, model: str | None, *, force: bool) -> int:
    """Write a first spec for a table."""
    if output.exists() and not force:
        raise CallError(
            Mistake(str(output), "is there already", hint="name another with -o, or replace it with --force")
        )
    source = open_table(data, name=data)
    table = source.sample(_LOOKED_AT)
    inferred, notes = infer_spec(table, model=model or _name_of(data))
    # Paths in a spec are relative to it; a table elsewhere is named as it was given.
    spec = sealed(replace(inferred, reference=data))
    # What goes without saying for each part is said once for all of them.
    lines = {path: [line for line in note.splitlines() if line != BY_NAME] for path, note in notes.items()}
    told = {path: "\n".join(said) for path, said in lines.items() if said}
    text = write_spec(spec, told | {"schema": "Chosen by their names, where nothing else is said."})
    if str(output) == "-":
        print(text, end="")
        return HOLDS
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"{output} could not be written: {error.strerror or error}") from error
    console = out()
    console.print(
        Text(f"{output} is written: {counted(source.size() or table.height, 'row')}, {_shape(spec, table.columns)}")
    )
    doubts = [f"{path}: {line}" for path, note in notes.items() for line in note.splitlines() if "IN DOUBT" in line]
    if doubts:
        console.print("Please look at what is in doubt:", style="yellow")
        for doubt in doubts:
            console.print(Text(f"  {doubt.replace('IN DOUBT: ', '')}"))
    steps = (
        f"validate {output}",
        f"check NEW_DATA --reference {data} --spec {output}",
        f"replay HISTORY --spec {output}",
    )
    for step in steps:
        console.print(Text(f"{'Next: ' if step is steps[0] else '      '}killick {step}", style="dim"), soft_wrap=True)
    return HOLDS


def validate_spec(path: Path, *, as_json: bool) -> int:
    """Read a spec and list every mistake."""
    text, parents = spec_texts(path)
    try:
        spec = parse_spec(text, source=str(path), parents=parents)
    except SpecError as error:
        if not as_json:
            raise
        say_json({"valid": False, "mistakes": [_as_json(mistake) for mistake in error.mistakes]})
        return MISTAKEN
    later = unheeded(text, source=str(path), parents=parents)
    if as_json:
        notes = [_as_json(mistake) for mistake in later]
        say_json({"valid": True, "model": spec.model, "spec_hash": spec.fingerprint, "unheeded": notes})
        return HOLDS
    console = out()
    console.print(toned("ok", "OK"), Text(f"{path} says what to watch of {spec.model}."))
    table = grid()
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, said in _says(spec).items():
        table.add_row(name, Text(said))
    console.print(table)
    for mistake in later:
        console.print(Text(f"not acted on yet: {mistake}", style="yellow"), soft_wrap=True)
    return HOLDS


def _says(spec: Spec) -> dict[str, str]:
    """Say what a spec comes to."""
    alarms = spec.false_alarms
    rows = {
        "task": spec.task,
        "reference": spec.reference or "",
        "segments": ", ".join(" x ".join(band.name for band in by) for by in spec.segments),
        "evaluated": f"every {format_duration(spec.evaluate_every)}",
        "false alarms": f"{alarms.budget:g} in {format_duration(alarms.per)} ({alarms.rota})",
        "objectives": ", ".join(objective.name for objective in spec.objectives),
        "versions": ", ".join(version.name for version in spec.versions),
        "playbooks": ", ".join(f"{book.when}: {' and '.join(book.do)} ({book.mode})" for book in spec.playbooks),
        "hash": spec.fingerprint[:12],
    }
    return {name: said for name, said in rows.items() if said}


def _shape(spec: Spec, columns: list[str]) -> str:
    free = [column for column in columns if column not in spec.schema.columns]
    return f"{counted(len(spec.features.select(free)), 'feature')}, task {spec.task}"


def _name_of(data: str) -> str:
    """Return a model's name from a path.

    >>> _name_of("data/flight delays.parquet"), _name_of("s3://bucket/*.parquet")
    ('flight-delays', 'model')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(data).stem).strip("-._")[:100] or "model"


def _as_json(mistake: Mistake) -> dict[str, object]:
    return {
        "place": mistake.place,
        "line": mistake.line,
        "problem": mistake.problem,
        "value": None if mistake.value is None else str(mistake.value),
        "hint": mistake.hint,
    }
