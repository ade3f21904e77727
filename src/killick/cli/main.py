"""The command line: what can be asked, and what the answer's exit code is.

    0  it holds                       3  a fault outside: a disk, a store, a trainer; trying again may help
    1  checks fail, the ledger too    4  nothing could be judged
    2  a mistake in the call, the spec or the data: all of them, one a line, and no traceback
   70  a mistake of ours            130  interrupted

Each command's work is in a file of its own and is imported when it is asked for: `killick --help` needs neither Polars
nor numpy.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, CycloptsError, Group, Parameter

from killick.cli.console import FailOn, out, tell_fault
from killick.cli.server import forget, serve, token_app
from killick.errors import CallError, Mistake

if TYPE_CHECKING:
    from collections.abc import Sequence

DEBUG = "--debug"
INTERRUPTED = 130

_TABLES = Group("Tables", sort_key=1)
_MODELS = Group("Models over time", sort_key=2)
_MORE = Group("More", sort_key=3)

app = App(
    name="killick",
    help="Watches machine-learning models in production, finds out why they go wrong, and hauls them back.",
    help_epilogue="Exit codes: 0 it holds, 1 checks fail, 2 a mistake in the call, the spec or the data, 3 a fault "
    "outside, 4 nothing could be judged. With --debug (or KILLICK_DEBUG=1) a fault shows its traceback.",
    help_format="plaintext",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    group_commands=_MORE,
)
ledger_app = App(name="ledger", help="Look into the ledger: the record of every decision and act.", group=_MODELS)
app.command(ledger_app)
app.command(serve, group=_MODELS)
app.command(forget, group=_MODELS)
app.command(token_app)

_Json = Annotated[bool, Parameter(name="--json", negative="")]
_Flag = Parameter(negative="")
# What a person says to an incident, a rollout, a recovery or a retraining.
_Key = Annotated[str, Parameter(help="Its id, or the beginning of it.")]
_By = Annotated[str, Parameter(help="Who says so; it goes into the ledger.")]
_Why = Annotated[str, Parameter(help="Why.")]
_ItsSpec = Annotated[Path, Parameter(help="The model's spec.")]
_ItsStore = Annotated[
    Path | None,
    Parameter(help="Where Killick keeps what it knows; without it, the folder store beside the spec."),
]


@app.command(group=_TABLES)
def check(  # noqa: PLR0913 - every option of the command is an argument
    current: str,
    *,
    reference: str,
    spec: Path | None = None,
    html: Path | None = None,
    json: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    junit: Path | None = None,
    fail_on: FailOn = "fail",
    allow_inconclusive: Annotated[bool, _Flag] = False,
    false_alarms: float = 0.05,
    checks: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    offline: str | None = None,
) -> int:
    """Compare a table with a reference: columns, shares, drift and, with labels, concept and performance.

    Args:
        current: The rows to check: a path, glob or URI to Parquet, CSV, NDJSON or Arrow, or a .killick profile.
        reference: The rows to check them against, such as the training table; likewise.
        spec: Which column plays which part; without it, it is inferred from the reference.
        html: Write a report as a page.
        json: Write the report as killick.report/1; - is standard output.
        junit: Write the report as JUnit XML, for a CI server.
        fail_on: From which status on the exit code is 1.
        allow_inconclusive: Exit with 0 though nothing could be judged.
        false_alarms: The chance of any failure in the run, if nothing had changed.
        checks: Only these checks, such as drift.* quality.missing; killick checks lists them.
        offline: The same entities and times as in CURRENT, from an offline store: what differs is told as skew.
    """
    from killick.api import Asked, known_checks
    from killick.cli.checking import Files, How, check_paths

    files = Files(html=html, json=json, junit=junit)
    asked = Asked(false_alarms, known_checks(checks or ("*",)), offline)
    how = How(asked, fail_on=fail_on, lenient=allow_inconclusive)
    return check_paths(str(current), str(reference), spec, files, how)


@app.command(group=_TABLES)
def profile(
    data: str | None = None,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    reference: str | None = None,
    spec: Path | None = None,
    merge: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    json: _Json = False,
) -> int:
    """Write what is known of a table into a small file that stands in for it, or add such files up.

    Args:
        data: The table.
        output: Where the profile is written; without it, beside you, under the table's name.
        reference: Measure by this profile (or table), so that the two can be compared to the last row.
        spec: Which column plays which part; without it, it is inferred.
        merge: Add these profiles up, in place of measuring a table.
        json: Write the answer as JSON.
    """
    from killick.cli.profiling import merge_paths, profile_path

    if merge:
        return merge_paths(merge if data is None else [str(data), *merge], output, as_json=json)
    if data is None:
        raise CallError(Mistake("DATA", "is needed: the table to profile", hint="or --merge A B -o C"))
    return profile_path(str(data), output, reference, spec, as_json=json)


@app.command(group=_TABLES)
def init(
    data: str,
    *,
    output: Annotated[Path, Parameter(alias="-o", allow_leading_hyphen=True)] = Path("killick.yaml"),
    model: str | None = None,
    force: Annotated[bool, _Flag] = False,
) -> int:
    """Write a first spec for a table, with the reason for every choice.

    Args:
        data: The table: predictions, with or without outcomes.
        output: Where the spec is written; - is standard output.
        model: The model's name; without it, the table's.
        force: Replace a spec that is there.
    """
    from killick.cli.specs import write_first

    return write_first(str(data), output, model, force=force)


@app.command(group=_TABLES)
def validate(spec: Path = Path("killick.yaml"), *, json: _Json = False) -> int:
    """Read a spec and list every mistake in it, with its line.

    Args:
        spec: The spec.
        json: Write the answer as JSON.
    """
    from killick.cli.specs import validate_spec

    return validate_spec(spec, as_json=json)


@app.command(group=_MODELS)
def replay(
    history: str,
    *,
    spec: Path = Path("killick.yaml"),
    store: Path | None = None,
    html: Path | None = None,
    compare: str | None = None,
    fresh: Annotated[bool, _Flag] = False,
    json: _Json = False,
) -> int:
    """Live through a history by the same engine that runs live: what it would have found and done.

    A replay that was interrupted goes on where it stopped.

    Args:
        history: Recorded predictions, with their outcomes.
        spec: The spec; the files that it names are looked for in its folder.
        store: Where Killick keeps what it knows; without it, the folder store beside the spec.
        html: Write the story as a page.
        compare: Count what other tools' rules would have said as well: 'psi>0.2,js>0.1,wasserstein>0.1,ks,3sigma'.
        fresh: Begin anew, and forget what the store knows.
        json: Write the answer as JSON.
    """
    from killick.cli.replaying import replay_path

    return replay_path(str(history), spec, store, html, compare, fresh=fresh, as_json=json)


@app.command(group=_MODELS)
def status(*, store: Path = Path("store"), json: _Json = False) -> int:
    """Say how every model is: what serves, what is open, how it does.

    Args:
        store: Where Killick keeps what it knows.
        json: Write the answer as JSON.
    """
    from killick.cli.looking import show_status

    return show_status(store, as_json=json)


@app.command(group=_MODELS)
def incidents(
    *,
    store: Path = Path("store"),
    running: Annotated[bool, Parameter(name="--open", negative="")] = False,
    json: _Json = False,
) -> int:
    """List the incidents, the newest first.

    Args:
        store: Where Killick keeps what it knows.
        running: Only those that are not resolved.
        json: Write the answer as JSON.
    """
    from killick.cli.looking import show_incidents

    return show_incidents(store, running=running, as_json=json)


@app.command(group=_MODELS)
def approve(
    key: _Key, *, by: _By, because: _Why, spec: _ItsSpec = Path("killick.yaml"), store: _ItsStore = None
) -> int:
    """Say yes to what waits for a person: a recovery or a retraining."""
    from killick.cli.operating import give

    return give("approve", key, spec, store, actor=by, reason=because)


@app.command(group=_MODELS)
def abort(key: _Key, *, by: _By, because: _Why, spec: _ItsSpec = Path("killick.yaml"), store: _ItsStore = None) -> int:
    """Stop a rollout, a recovery or a retraining, wherever it stands; traffic goes back to what it was."""
    from killick.cli.operating import give

    return give("abort", key, spec, store, actor=by, reason=because)


@app.command(group=_MODELS)
def acknowledge(
    key: _Key,
    *,
    by: Annotated[str, Parameter(help="Who takes it; it goes into the ledger.")],
    because: _Why,
    spec: _ItsSpec = Path("killick.yaml"),
    store: _ItsStore = None,
) -> int:
    """Take an incident: somebody looks after it now."""
    from killick.cli.operating import give

    return give("acknowledge", key, spec, store, actor=by, reason=because)


@app.command(group=_MODELS)
def clear(key: _Key, *, by: _By, because: _Why, spec: _ItsSpec = Path("killick.yaml"), store: _ItsStore = None) -> int:
    """End an incident: what it was about is the new normal, and what comes from now on is healthy."""
    from killick.cli.operating import give

    return give("clear", key, spec, store, actor=by, reason=because)


@app.command(group=_MODELS)
def models(*, store: Path = Path("store"), json: _Json = False) -> int:
    """List the models and their versions, and which of them was live since when.

    Args:
        store: Where Killick keeps what it knows.
        json: Write the answer as JSON.
    """
    from killick.cli.looking import show_models

    return show_models(store, as_json=json)


@ledger_app.command
def verify(*, store: Path = Path("store"), head: str | None = None, json: _Json = False) -> int:
    """Check that nothing in the ledger was changed, dropped or, with a head that you kept, cut off.

    Args:
        store: Where Killick keeps what it knows.
        head: A hash that the newest entry had when you wrote it down.
        json: Write the answer as JSON.
    """
    from killick.cli.looking import verify_ledger

    return verify_ledger(store, head, as_json=json)


@app.command
def checks(*, json: _Json = False) -> int:
    """List what can be checked: every check, what it asks and when it applies.

    Args:
        json: Write the answer as JSON.
    """
    from killick.cli.looking import show_checks

    return show_checks(as_json=json)


@app.command
def doctor(*, spec: Path = Path("killick.yaml"), store: Path = Path("store"), json: _Json = False) -> int:
    """Look whether everything is here that Killick needs: libraries, disk, spec, reference, loaders, store.

    Args:
        spec: The spec, if there is one.
        store: Where Killick keeps what it knows, if it is there.
        json: Write the answer as JSON.
    """
    from killick.cli.doctor import examine

    return examine(spec, store, as_json=json)


@app.command
def demo(*, folder: Path | None = None) -> int:
    """Tell the story of a year of real flights, from drift to recovery.

    Args:
        folder: Where its files are left; without it, killick-demo here.
    """
    from killick.demo.story import tell

    return tell(folder or Path("killick-demo"), out())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit code."""
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code. No traceback is shown unless it is asked for."""
    debug = DEBUG in arguments or os.environ.get("KILLICK_DEBUG", "") not in ("", "0")
    try:
        found = app(
            [word for word in arguments if word != DEBUG],
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`killick incidents | head`): that is no fault of anybody's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - whatever it is, a person is told and an exit code is given
        return tell_fault(error, call=isinstance(error, CycloptsError), debug=debug)
    return found if isinstance(found, int) else 0
