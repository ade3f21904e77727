"""What all tests share: how Hypothesis searches, and a line that says which killick is being tested."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import NoServerError, Server, own_server, shared_server

# Laws and batteries assert outside of test files; pytest explains their asserts as well, when told before anybody
# imports them.
pytest.register_assert_rewrite(
    "killick.testing.laws",
    "killick.testing.control_battery",
    "killick.testing.control_laws",
    "killick.testing.telemetry_laws",
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


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server that all workers of this run share."""
    folder = tmp_path_factory.getbasetemp()
    yield from _served(lambda: shared_server(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder))


@pytest.fixture
def postgres_to_crash() -> Iterator[Server]:
    """A PostgreSQL server of the test's own."""
    yield from _served(own_server)


@pytest.fixture
def database(postgres: Server) -> Iterator[Callable[[], str]]:
    """Make empty databases, and return their URLs."""
    with ExitStack() as ends:
        yield lambda: postgres.url(ends.enter_context(postgres.database()))


@pytest.fixture(params=["sqlite", "postgresql"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Make addresses of control stores that are not there yet: files, and then PostgreSQL's URLs."""
    if request.param == "postgresql":
        return request.getfixturevalue("database")  # type: ignore[no-any-return]
    numbers = count()
    return lambda: str(tmp_path / f"{next(numbers)}.db")


def _served(server: Callable[[], AbstractContextManager[Server]]) -> Iterator[Server]:
    with ExitStack() as ends:
        try:
            found = ends.enter_context(server())
        except NoServerError as error:
            pytest.skip(str(error))
        yield found
