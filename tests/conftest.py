"""What all tests share: how Hypothesis searches, and a line that says which killick is being tested."""

import importlib.util
import os

import pytest
from hypothesis import HealthCheck, settings

# Laws and batteries assert outside of test files; pytest explains their asserts as well, when told before anybody
# imports them.
pytest.register_assert_rewrite(
    "killick.testing.laws", "killick.testing.control_battery", "killick.testing.control_laws"
)

# No deadline: two cores are shared with other work, and a slow example is no wrong one. In CI the same
# examples are tried every time (a red build must be able to turn green only by a change); at a desk, new
# ones.
settings.register_profile(
    "killick",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("killick")


def pytest_report_header() -> list[str]:
    """Say where each package comes from: the wheel, an editable install or the tree."""
    found = {name: importlib.util.find_spec(name) for name in ("killick", "killick_client")}
    return [f"{name}: {spec.origin if spec else 'not installed'}" for name, spec in found.items()]
