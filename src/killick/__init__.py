"""Killick watches machine-learning models in production, finds out why they go wrong, and hauls them back.

The public names are in `__all__`. Each is fetched from its room when it is first asked for, so that
`import killick` stays silent and takes milliseconds.
"""

from importlib import import_module

_ROOMS: dict[str, str] = {
    "Client": "killick_client",
    "Profile": "killick.api",
    "Reference": "killick.api",
    "Report": "killick.reports.report",
    "Router": "killick_client",
    "Verdict": "killick.checks.verdict",
    "check": "killick.api",
    "infer_spec": "killick.api",
    "load_spec": "killick.api",
    "summarise": "killick.local",
}
"""Where each public name lives, e.g. `"check": "killick.api"`."""

__all__ = [
    "Client",
    "Profile",
    "Reference",
    "Report",
    "Router",
    "Verdict",
    "check",
    "infer_spec",
    "load_spec",
    "summarise",
]


def __getattr__(name: str) -> object:
    """Fetch a public name from its room, once."""
    if name not in _ROOMS:
        message = f"module 'killick' has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(_ROOMS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Show the public names and nothing else."""
    return [*__all__]
