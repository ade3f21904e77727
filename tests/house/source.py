"""The source tree as the tests of the house see it: files, their syntax, what their names stand for."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KILLICK = ROOT / "src" / "killick"
CLIENT = ROOT / "client" / "killick_client"

# DESIGN section 3: no IO, no clock, no unseeded randomness in these.
BELOW_PORTS = (
    "recovery",
    *("alerting", "diagnosis", "rollout", "retraining", "review"),
    "checks",
    *("wire", "formats"),
    *("profiles", "telemetry", "registry", "ledger"),
    *("spec", "stats"),
    "automaton",
    *("clock", "identity"),
    "errors",
)


def files() -> list[Path]:
    """Every Python file of both packages."""
    return sorted([*KILLICK.rglob("*.py"), *CLIENT.rglob("*.py")])


def room(path: Path) -> str:
    """The room (or loose file) of `killick` that a file is in; `killick_client` for the client's."""
    if path.is_relative_to(CLIENT):
        return "killick_client"
    return path.relative_to(KILLICK).parts[0].removesuffix(".py")


def is_operators(path: Path) -> bool:
    """Whether a file stands for the operator's own code, which uses the house from outside."""
    return path.is_relative_to(KILLICK / "demo" / "operator")


def is_migration(path: Path) -> bool:
    """Whether a file is one of Alembic's, which loads it by path and prescribes its words."""
    return "migrations" in path.parts


def place(path: Path, node: ast.AST | None = None) -> str:
    """`src/killick/errors.py:12`, for a message that an editor can follow."""
    line = getattr(node, "lineno", None)
    return f"{path.relative_to(ROOT)}:{line}" if line else str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(module: ast.Module) -> Iterator[tuple[str, ast.stmt, bool]]:
    """Each import as (dotted name, statement, whether it runs on import); type-only imports do not run."""
    yield from _imports(module.body, runs=True)


def _imports(body: list[ast.stmt], *, runs: bool) -> Iterator[tuple[str, ast.stmt, bool]]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from ((alias.name, statement, runs) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from ((f"{statement.module}.{alias.name}", statement, runs) for alias in statement.names)
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(statement.body, runs=False)
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from _imports(statement.body, runs=False)
            yield from _imports(statement.orelse, runs=runs)
        else:
            for field in ("body", "orelse", "finalbody"):
                yield from _imports(getattr(statement, field, []), runs=runs)
            for inner in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
                yield from _imports(inner.body, runs=runs)


def origins(module: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `{"dt": "datetime.datetime", "np": "numpy"}`."""
    names: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for alias in node.names:
                head = alias.name.partition(".")[0]
                names[alias.asname or head] = alias.name if alias.asname else head
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str | None:
    """The full dotted name of `dt.now` or `np.random.seed`; of a bare builtin, `builtins.open`; else None."""
    if isinstance(node, ast.Name):
        return names.get(node.id, f"builtins.{node.id}")
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, names)
        return f"{owner}.{node.attr}" if owner and not owner.startswith("builtins.") else None
    return None
