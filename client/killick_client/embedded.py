"""Opening the embedded store behind `Client.local`, where it can be used.

Promise: a process that cannot use the store is told so at every try, and never hangs. A forked child has none of its
parent's threads; once Polars was loaded in the parent, whoever asks it for something in the child waits for ever.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from killick_client.transport import Transport

# With threads of their own, or on the way to load what has them.
_THREADED = ("polars", "killick.local")
# Those of them that this process's parent had loaded before it forked.
_FORKED_WITH: list[str] = []


def open_store(point: EntryPoint, path: str) -> Transport:
    """Load the store's library and open the store: in the sender's thread, so that a process that forks loads nothing.

    Raises:
        RuntimeError: this process is a fork that cannot use it.
    """
    if _FORKED_WITH:
        raise RuntimeError(
            f"this process was forked after {_FORKED_WITH[0]} had been loaded, and cannot use the store: "
            "start it by spawn; what it logs is kept for the next start"
        )
    opened: Transport = point.load()(path)
    return opened


def _after_fork() -> None:
    _FORKED_WITH.extend(name for name in _THREADED if name in sys.modules)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
