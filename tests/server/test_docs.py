"""The page about the server is so: its examples are answered, its routes and bounds are those of the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from killick.server.ingest import CHANGES_MAX
from killick.server.limits import MEBIBYTE, Limits
from killick.server.routes import ROUTES
from killick.server.tokens import SCOPES
from tests.docs.pages import DOCS, blocks
from tests.server.serving import token

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.serving import Server

PAGE = DOCS / "server.md"
TEXT = PAGE.read_text(encoding="utf-8")


def curls() -> list[str]:
    """The commands that the page shows, in order; one goes on for as long as no prompt begins another."""
    shown = [command for block in blocks(PAGE, "console") for command in block.text.split("$ ")[1:]]
    return [command for command in shown if command.startswith("curl ")]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="curl or bash is not installed")
def test_the_examples_are_answered(server: Server, tmp_path: Path) -> None:
    """Each with a 2xx, by a shell and the real curl, in the order of the page."""
    (tmp_path / ".curlrc").write_text("silent\nshow-error\nfail-with-body\n")
    environment = {**os.environ, "CURL_HOME": str(tmp_path), "TOKEN": token(server.store, "a reader", "read")}
    for command in curls():
        here = command.replace("127.0.0.1:8642", f"{server.host}:{server.port}")
        done = subprocess.run(
            ["bash", "-c", here], env=environment, capture_output=True, text=True, check=False, timeout=30
        )

        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_every_route_is_in_the_table_with_its_scope() -> None:
    """No route is left to be found out, and none is told of that is not there."""
    rows = re.findall(r"^\| `(?:GET|POST) (.+?) \| ?(\w*) \|", TEXT, flags=re.MULTILINE)
    told = {(path, scope or None) for paths, scope in rows for path in re.findall(r"/[^`,\s]+", paths)}

    assert told == {(route.path, route.scope) for route in ROUTES}


def test_every_status_that_can_come_is_explained() -> None:
    """What a program must know before it meets it."""
    told = {int(one) for row in re.findall(r"^\| ([\d, ]+) \|", TEXT, flags=re.MULTILINE) for one in row.split(", ")}

    assert told == {status for route in ROUTES for status in route.problems}


def test_the_bounds_are_those_of_the_code() -> None:
    """Numbers on a page grow old; these cannot."""
    limits = Limits()
    said = TEXT.partition("## Bounds")[2].partition("\n## ")[0]
    bounds = (
        f"| {limits.body_bytes_max // MEBIBYTE} MiB |",
        f"| {limits.inflated_bytes_max // MEBIBYTE} MiB |",
        f"| any other body, unpacked | {limits.inflated_text_bytes_max // MEBIBYTE} MiB |",
        f"| changes in a body | {CHANGES_MAX:,} |",
        f"| {limits.requests_per_second:,.0f} a second, {limits.burst:,} at once |",
        f"| {limits.held_bytes_max // MEBIBYTE // 1024} GiB |",
        f"| {limits.connections_max}; {limits.waiting_max} |",
        f"| {limits.header_seconds:.0f} s; {limits.body_seconds:.0f} s |",
        f"| {limits.models_max:,} |",
    )

    assert [bound for bound in bounds if bound not in said] == []
    assert [scope for scope in SCOPES if f"| `{scope}` |" not in TEXT] == []
