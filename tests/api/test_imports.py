"""What a program pays that only compares two tables: it loads nothing that it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHECK = """
import killick
train = {"temp": [20.0 + day % 9 for day in range(400)], "town": ["Ulm", "Jena"] * 200}
assert killick.check({"temp": [68.0 + day % 9 for day in range(400)], "town": ["Ulm"] * 400}, train).status == "fail"
"""


def loaded_by(program: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded after a program."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(done.stdout.split())


def test_a_check_without_labels_loads_neither_scikit_learn_nor_scipy_stats() -> None:
    """Both take longer to load than a million rows to check."""
    loaded = loaded_by(CHECK)

    assert {"killick.engine.check", "scipy.special"} <= loaded
    assert not {name for name in loaded if name == "sklearn" or name.startswith(("sklearn.", "scipy.stats"))}


@pytest.mark.parametrize("heavy", ["numpy", "polars", "scipy", "msgspec", "rich"])
def test_the_bare_import_loads_nothing_heavy(heavy: str) -> None:
    """`import killick` fetches a room when it is first asked for, and no sooner."""
    assert heavy not in loaded_by("import killick")


@pytest.mark.parametrize("heavy", ["numpy", "polars", "scipy"])
def test_help_needs_no_numbers(heavy: str) -> None:
    """`killick --help` is read by somebody who waits for it."""
    assert heavy not in loaded_by("from killick.cli.main import run; run(['--help'])")
