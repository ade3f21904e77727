"""What the client's tests share: a server, and a client that ends with its test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from killick_client import Client
from tests.client.outside import Outside, serving

NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, which nobody serves


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A server that takes everything, until it is told otherwise."""
    with serving() as server:
        yield server


@pytest.fixture
def a_client(tmp_path: Path, outside: Outside) -> Iterator[Callable[..., Client]]:
    """Make clients of the server with a spool of the test's own; they end when it does."""
    made: list[Client] = []

    def make(url: str | None = None, **settings: Any) -> Client:
        given = {"model": "m", "version": "v1", "spool": tmp_path / "spool", "flush_seconds": 0.01} | settings
        made.append(Client(url or outside.url, **given))
        return made[-1]

    yield make
    for client in made:
        client.close(timeout_seconds=0.1)


@pytest.fixture
def nowhere() -> str:
    """Where no server is."""
    return NOWHERE
