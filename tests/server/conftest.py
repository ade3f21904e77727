"""Servers that the tests share: one that is open to this machine, one that asks for tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.serving import Server, start, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCOPES = ("ingest", "read", "operate", "admin")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without specs or tokens, and without a rate that a test would meet."""
    running = start(tmp_path_factory.mktemp("open"), "--requests-per-second", "100000", "--burst", "100000")
    yield running
    assert running.stop() == 0, running.log.read_text()
    assert "Traceback" not in running.log.read_text()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks everybody for a token, and a token of each scope."""
    store = tmp_path_factory.mktemp("guarded")
    tokens = {scope: token(store, f"a {scope}", scope) for scope in SCOPES}
    running = start(store, "--require-token", "--requests-per-second", "100000", "--burst", "100000")
    running.tokens.update(tokens)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server without patience or room: half a second for headers and bodies, four connections."""
    running = start(
        tmp_path_factory.mktemp("hasty"),
        header_seconds=0.5,
        body_seconds=0.5,
        connections_max=4,
        body_bytes_max=1_000_000,
        held_bytes_max=1_500_000,
        inflated_bytes_max=1_000_000,
    )
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Server]:
    """A server that knows five models at most, for a test of its own."""
    running = start(tmp_path, models_max=5)
    yield running
    assert running.stop() == 0, running.log.read_text()
