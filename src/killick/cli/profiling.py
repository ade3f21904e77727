"""`killick profile`: a table becomes a file of a few hundred kilobytes that stands in for it, and such files add up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from killick.api import Profile, open_side, open_table, side_spec, spec_for
from killick.cli.checking import covers
from killick.cli.console import err, grid, out, say_json
from killick.cli.progress import watching
from killick.engine.check import learn
from killick.engine.saved import SUFFIX
from killick.engine.table_profile import measure_source
from killick.errors import CallError, Mistake
from killick.reports.words import counted, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

HOLDS = 0


def profile_path(data: str, output: Path | None, reference: str | None, spec: Path | None, *, as_json: bool) -> int:
    """Profile a table, on a scale of its own or on that of a reference, and write it."""
    place = output or Path(f"{Path(data).stem}{SUFFIX}")
    _fits(place)
    source = open_table(data, name=data)
    with watching(err()) as watch:
        if reference is None:
            chosen = spec_for(source, spec)
            profile = learn(source, chosen.spec, chosen.rows, tell=watch(data, source))
        else:
            profile = measure_source(source, _reference(reference, spec).fit, windows=True, tell=watch(data, source))
    profile.save(place)
    return _tell(profile, place, as_json=as_json)


def merge_paths(paths: Sequence[str], output: Path | None, *, as_json: bool) -> int:
    """Add profiles up, and write the sum."""
    if output is None:
        raise CallError(
            Mistake("--output", "is needed: the sum is a new file", hint="killick profile --merge A B -o C")
        )
    _fits(output)
    parts = [Profile.load(path) for path in paths]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    total.save(output)
    return _tell(total, output, as_json=as_json)


def _reference(path: str, spec: Path | None) -> Profile:
    side = open_side(path, name="reference")
    chosen = side_spec(side, side, spec)
    return side if isinstance(side, Profile) else learn(side, chosen.spec, chosen.rows)


def _fits(place: Path) -> None:
    if place.suffix != SUFFIX:
        raise CallError(Mistake(str(place), "is no name for a profile", hint=f"end it in {SUFFIX}"))


def _tell(profile: Profile, place: Path, *, as_json: bool) -> int:
    """Say what was measured."""
    columns = {name: column.kind for name, column in profile.fit.columns.items() if not column.part}
    unwatched = [name for name, kind in columns.items() if kind is None]
    values = {
        "file": str(place),
        "bytes": place.stat().st_size,
        "rows": profile.rows,
        "start": profile.extent.start,
        "end": profile.extent.end,
        "columns": columns,
        "segments": len(profile.segments) - 1,
        "scale": profile.fit.scale.fingerprint,
        "spec_hash": profile.fit.spec.fingerprint,
    }
    if as_json:
        say_json(values)
        return HOLDS
    console = out()
    console.print(Text(f"{place} is written, {place.stat().st_size / 1e3:,.0f} kB: it stands in for the table."))
    about = grid()
    about.add_column(style="dim")
    about.add_column(overflow="fold")
    about.add_row("rows", Text(covers(profile.extent)))
    about.add_row("columns", Text(counted(len(columns) - len(unwatched), "column")))
    if unwatched:
        about.add_row("not watched", Text(listed(unwatched)))
    if len(profile.segments) > 1:
        about.add_row("segments", Text(counted(len(profile.segments) - 1, "segment")))
    about.add_row("scale", Text(profile.fit.scale.fingerprint[:12]))
    console.print(about)
    console.print(Text(f"Next: killick check NEW_DATA --reference {place}", style="dim"))
    return HOLDS
