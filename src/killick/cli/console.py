"""How the program speaks: tones on a terminal, plain lines in a pipe, and one clear message for a mistake."""

from __future__ import annotations

import getpass
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from killick.errors import CallError, KillickError, Mistake, Mistaken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Beyond so many mistakes the first ones are mended first.
_MISTAKES_MAX = 40
# A pipe has no width; lines of this length are read well in a log.
_PIPE_COLUMNS = 120
FailOn: TypeAlias = Literal["warn", "fail", "never"]

USAGE, OUTSIDE, OURS = 2, 3, 70
# By which a store is recognised.
CONTROL = "control.sqlite"

TONES = {
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "error": "bold red",
    "inconclusive": "dim",
    "open": "bold red",
    "acknowledged": "yellow",
    "mitigating": "yellow",
    "resolved": "green",
    "reviewed": "green",
}


def out() -> Console:
    """Return the console for answers."""
    return _console(stderr=False)


def err() -> Console:
    """Return the console for messages that are no part of the answer."""
    return _console(stderr=True)


def toned(word: str, text: str | None = None) -> Text:
    """Return a word in the tone that its meaning has; in a pipe it is plain."""
    return Text(text or word, style=TONES.get(word, ""))


def grid(*headings: str, right: Sequence[str] = ()) -> Table:
    """Return a table without lines: aligned columns, headings in grey."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=bool(headings), pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    return table


def say_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a value as JSON, indented, to standard output."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def tell_fault(error: Exception, *, call: bool, debug: bool) -> int:
    """Say what went wrong, and return the exit code that it has.

    Args:
        error: what was raised.
        call: it is about how the command was written.
        debug: show the traceback as well.
    """
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    console = err()
    if call:
        _mistakes(console, [Mistake("killick", _without_frame(str(error)), hint="killick --help shows how")])
        return USAGE
    if isinstance(error, Mistaken):
        _mistakes(console, error.mistakes)
    elif isinstance(error, KillickError) and error.exit_code != OURS:
        console.print(Text.assemble(("error  ", "bold red"), str(error)), soft_wrap=True)
    elif isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        console.print(Text.assemble(("error  ", "bold red"), f"{named}{error.strerror or error}"), soft_wrap=True)
        return OUTSIDE
    else:
        said = f"{type(error).__name__}: {error}".splitlines()[0]
        console.print(Text.assemble(("a mistake of ours  ", "bold red"), said), soft_wrap=True)
        if not debug:
            console.print("Run it again with --debug for the details, and please report them.", soft_wrap=True)
        return OURS
    return error.exit_code


def _mistakes(console: Console, mistakes: Sequence[Mistake]) -> None:
    for mistake in mistakes[:_MISTAKES_MAX]:
        console.print(Text.assemble(("mistake  ", "bold red"), str(mistake)), soft_wrap=True)
    if len(mistakes) > _MISTAKES_MAX:
        console.print(f"and {len(mistakes) - _MISTAKES_MAX} more")


def _without_frame(text: str) -> str:
    return " ".join(text.replace("\n", " ").split())


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    narrow = stream.isatty() or "COLUMNS" in os.environ
    return Console(stderr=stderr, width=None if narrow else _PIPE_COLUMNS, highlight=False, emoji=False, markup=True)


def person() -> str:
    """Return who is logged in, for the ledger."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run as a number that has no name.
        return f"user {os.getuid()}"


def must_be_store(store: Path, control: str | None) -> None:
    """Refuse a folder in which nothing of ours is: whoever looks into a store or forgets in it means one that is there.

    Raises:
        CallError: it is no store.
    """
    if control is None and not (store / CONTROL).is_file():
        hint = "name the folder with --store; killick serve and killick replay make one beside the spec"
        raise CallError(Mistake(str(store), "is no store of Killick's", hint=hint))
