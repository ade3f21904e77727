"""The world as the engine sees it: the ports, and nothing that knows a technology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from killick.ports.archive import Archive
    from killick.ports.control import Control
    from killick.ports.folders import Folders
    from killick.ports.models import Models
    from killick.ports.tables import Tables
    from killick.ports.traffic import Traffic
    from killick.ports.trainer import Trainer


@dataclass(frozen=True, slots=True)
class World:
    """Every port that a use case may need. `wiring.py` fills it for real, `killick.testing` with fakes.

    `host` goes into the names of files, so that two processes that share an archive never write the same one. A process
    that starts again is another one: under the old name it would write other rows into a file that was acknowledged.
    """

    control: Control
    archive: Archive
    tables: Tables
    folders: Folders
    models: Models
    traffic: Traffic
    trainer: Trainer
    host: str = ""
