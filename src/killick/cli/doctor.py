"""`killick doctor`: is everything here that Killick needs, and what would it trip over?

Nothing is changed and no code of the operator's is run: loaders are looked for, not called.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.text import Text

from killick.adapters.tables import FileTables
from killick.api import load_spec
from killick.cli.console import CONTROL, grid, out, say_json, toned
from killick.cli.looking import reading
from killick.errors import KillickError
from killick.ledger.chain import verify
from killick.reports.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from killick.checks.verdict import Status
    from killick.spec.document import Spec

HOLDS, FAILS = 0, 1
# A store of a few models grows by less than this in a year.
_FREE_MIN = 1e9


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    status: Status
    said: str


def examine(spec: Path, store: Path, *, as_json: bool) -> int:
    """Look at everything, tell it, and return the exit code: 1 when something fails."""
    findings = [*_program(), *_disk(store), *_spec(spec), *_store(store)]
    bad = any(finding.status == "fail" for finding in findings)
    if as_json:
        told = [{"what": one.what, "status": one.status, "said": one.said} for one in findings]
        say_json({"status": "fail" if bad else "ok", "findings": told})
        return FAILS if bad else HOLDS
    table = grid("status", "what", "what was found")
    for finding in findings:
        table.add_row(toned(finding.status), Text(finding.what), Text(finding.said))
    table.columns[0].no_wrap = True
    out().print(table)
    return FAILS if bad else HOLDS


def _program() -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("program", "ok", f"killick {version('killick')} on Python {python}, {os.cpu_count()} cores")
    needed = [_name_of(line) for line in requires("killick") or () if "extra ==" not in line]
    lacking = [name for name in needed if _version_of(name) is None]
    held = ", ".join(f"{name} {_version_of(name)}" for name in ("polars", "numpy", "scipy", "altair"))
    said = f"missing: {', '.join(lacking)}; pip install killick" if lacking else f"{len(needed)} are there: {held} ..."
    yield Finding("libraries", "fail" if lacking else "ok", said)


def _disk(store: Path) -> Iterator[Finding]:
    place = next(folder for folder in (store.absolute(), *store.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except OSError as error:
        yield Finding("disk", "fail", f"{place} cannot be written: {error.strerror or error}")
        return
    said = f"{free / 1e9:.1f} GB are free at {place}"
    yield Finding("disk", "ok" if free >= _FREE_MIN else "warn", said)


def _spec(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("spec", "inconclusive", f"{path} is not there; killick init DATA writes one")
        return
    try:
        spec = load_spec(path)
    except KillickError as error:
        mistakes = str(error).splitlines()
        more = f" ({len(mistakes) - 1} more: killick validate {path})" if len(mistakes) > 1 else ""
        yield Finding("spec", "fail", f"{mistakes[0]}{more}")
        return
    yield Finding("spec", "ok", f"{path} says what to watch of {spec.model}")
    yield from _reference(spec, path.parent)
    for source in spec.versions:
        module = source.loader.partition(":")[0]
        yield _loader(source.name, module, path.parent)


def _reference(spec: Spec, folder: Path) -> Iterator[Finding]:
    if spec.reference is None:
        yield Finding("reference", "inconclusive", "the spec names none: reference: {data: train.parquet}")
        return
    try:
        source = FileTables(folder).open(spec.reference)
        lacking = sorted(spec.schema.columns - set(source.schema))
        rows = source.size()
    except KillickError as error:
        yield Finding("reference", "fail", str(error))
        return
    held = "a table of any length" if rows is None else counted(rows, "row")
    said = f"lacks {', '.join(lacking)}" if lacking else f"{held}, {counted(len(source.schema), 'column')}"
    yield Finding("reference", "warn" if lacking else "ok", f"{spec.reference}: {said}")


def _loader(name: str, module: str, folder: Path) -> Finding:
    beside = (folder / f"{module.replace('.', '/')}.py").exists() or (folder / module.replace(".", "/")).is_dir()
    try:
        there = beside or find_spec(module) is not None
    except (ImportError, ValueError):
        there = False
    said = f"its loader's module {module} is {'there' if there else 'found neither beside the spec nor installed'}"
    return Finding(f"version {name}", "ok" if there else "fail", said)


def _store(store: Path) -> Iterator[Finding]:
    if not (store / CONTROL).exists():
        yield Finding("store", "inconclusive", f"{store} holds none yet; killick replay makes one")
        return
    try:
        with reading(store) as t:
            entries = verify(t.ledger(), None)
    except KillickError as error:
        yield Finding("store", "fail", str(error))
        return
    yield Finding("store", "ok", f"{store} opens, and its ledger of {counted(entries, 'entry', 'entries')} verifies")


def _name_of(requirement: str) -> str:
    """Return a package's name from its requirement.

    >>> _name_of("numpy>=1.26"), _name_of("killick-client >= 0.1")
    ('numpy', 'killick-client')
    """
    return requirement.replace("=", " ").replace(">", " ").replace("<", " ").replace("!", " ").split()[0]


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
