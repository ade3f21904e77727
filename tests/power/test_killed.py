"""Hosts that share a store die by SIGKILL at any moment: what was acknowledged is there and counted, once."""

import json
import os
import subprocess
import sys
from random import Random

import pytest

from tests.power.story import catches_up, holds, open_post
from tests.power.trace import ROOT

pytestmark = [
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX's"),
]

DEATHS, COUNT = 40, 200


def test_killed_at_any_moment_hosts_lose_nothing_and_count_nothing_twice(tmp_path):
    """One receives from several threads, two profile and age; they die forty times, and start again."""
    seed = int(os.environ.get("KILLICK_SEED", "1973"))
    command = [sys.executable, "-m", "tests.power.hosts", str(tmp_path), str(seed), str(DEATHS), str(COUNT)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert ran.returncode == 0, f"seed {seed}: {ran.stderr}"
    acknowledged = json.loads(ran.stdout)
    try:
        with open_post(tmp_path) as post:
            holds(post, COUNT, acknowledged)
            missing = sorted(set(range(COUNT)) - set(acknowledged))
            catches_up(post, COUNT, [missing, Random(seed).sample(range(COUNT), COUNT)])
    except Exception as error:
        error.add_note(f"KILLICK_SEED={seed}; {len(acknowledged)} of {COUNT} deliveries had been acknowledged")
        raise
    # Otherwise they have been too slow to be killed in the middle of anything.
    assert len(acknowledged) > COUNT // 4
