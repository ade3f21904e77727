"""The worker process of `killick serve`: `python -m killick.cli.working JSON`. It is started by the server alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from killick.api import load_spec
from killick.engine.live import Live
from killick.errors import CallError, Mistake
from killick.server.logs import begin_logging
from killick.server.pulse import Pulse
from killick.server.worker import report
from killick.wiring import beside, open_world, system_clock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from killick.engine.world import World
    from killick.server.logs import Form
    from killick.spec.document import Spec

# Answers come first: of one core that both want, the worker gets a tenth.
_NICENESS = 10


class Place(msgspec.Struct, frozen=True):
    """What a server and its worker work on: the specs, the store, and where the control store is."""

    specs: tuple[str, ...]
    store: str
    control: str | None
    log: str

    @property
    def command(self) -> list[str]:
        """What starts the worker of a server that works here."""
        return [sys.executable, "-m", "killick.cli.working", msgspec.json.encode(self).decode()]

    def open(self) -> tuple[World, Live, dict[str, Spec]]:
        """Open the world and what is watched in it.

        Raises:
            Mistaken: the specs cannot be used, or do not go together.
            OutsideError: the store cannot be opened.
        """
        paths = [Path(path) for path in self.specs]
        specs = _specs(paths)
        world = open_world(paths[0].parent if paths else Path(), self.store, self.control)
        homes = {model: beside(world, path.parent) for path, model in zip(paths, specs, strict=True)}
        return world, Live(world, specs, homes), specs


def _specs(paths: Sequence[Path]) -> dict[str, Spec]:
    specs: dict[str, Spec] = {}
    for path in paths:
        spec = load_spec(path)
        if spec.model in specs:
            hint = "each spec is of another model"
            raise CallError(Mistake(str(path), "names a model that another spec names too", spec.model, hint=hint))
        specs[spec.model] = spec
    return specs


def work(place: Place, control: IO[bytes], tell: IO[bytes]) -> None:
    """Do what is due until the server ends."""
    os.nice(_NICENESS)
    form: Form = "json" if place.log == "json" else "text"
    begin_logging(form, access=False)
    clock = system_clock()
    _, live, _ = place.open()
    live.open(clock.now())
    report(Pulse(live, clock), control, tell)


def _own_output() -> IO[bytes]:
    """Return standard output for the reports alone: what a library prints, in C even, goes to standard error."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return own


if __name__ == "__main__":
    work(msgspec.json.decode(sys.argv[1], type=Place), sys.stdin.buffer, _own_output())
