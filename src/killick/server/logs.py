"""The server's log: a line for each event on standard error, as text for a person or as JSON for a collector.

What comes from outside is written with its line breaks escaped, so that nobody can forge a line.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal, TypeAlias

import msgspec

from killick.clock import format_instant

Form: TypeAlias = Literal["text", "json"]


class LineFormatter(logging.Formatter):
    """One event, one line."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an event; a traceback follows it as text, and is a field of it as JSON."""
        at = format_instant(int(record.created * 1_000_000))
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if self._form == "json":
            fields = {"at": at, "level": record.levelname.lower(), "logger": record.name, "message": message}
            return msgspec.json.encode(fields | ({"traceback": trace} if trace else {})).decode()
        line = f"{at} {record.levelname.lower():<7} {_one_line(message)}"
        return f"{line}\n{trace}" if trace else line


def begin_logging(form: Form, *, access: bool) -> None:
    """Let the server's loggers write to standard error; each request too, if `access`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(form))
    root = logging.getLogger("killick")
    root.handlers = [handler]
    root.propagate = False
    root.setLevel(logging.INFO)
    logging.getLogger("killick.access").setLevel(logging.INFO if access else logging.WARNING)


def _one_line(message: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
