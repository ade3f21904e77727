"""A replay on SQLite and a folder, killed by the system at any moment, is resumed by the next process."""

import random
import signal
import subprocess
import sys
import time

import pytest

from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.testing.simulator import MODEL, bad_release
from tests.engine.survivors import Survivors, Tables, live, remembered, scale_of

REPLAY = """
import os, sys
from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.engine.replay import replay
from killick.testing.simulator import bad_release

story = bad_release()
world = story.make_world(open_control(sys.argv[1] + "/control.sqlite"), FolderArchive(sys.argv[1] + "/telemetry"))
os.write(1, b"begun\\n")
for lived in replay(world, story.spec, story.history):
    os.write(1, b"lived\\n")
os.write(1, b"ended\\n")
"""


@pytest.mark.faults
@pytest.mark.slow
def test_killed_by_the_system_at_any_moment_a_replay_goes_on_where_it_stopped(tmp_path):
    """Process after process is killed; what they leave in the end is what one that nothing disturbed leaves."""
    chance, deaths, said = random.Random(4), 0, b""
    while b"ended" not in said:
        with subprocess.Popen([sys.executable, "-c", REPLAY, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it is under way
            if deaths < 8:
                time.sleep(chance.uniform(0.0, 0.15))
                process.send_signal(signal.SIGKILL)
            said = process.stdout.read()
        deaths += process.returncode == -signal.SIGKILL
        assert process.returncode in (0, -signal.SIGKILL)
    assert deaths >= 4

    story, undisturbed = bad_release(), Survivors.none()
    live(undisturbed.start(story), story, story.history.window.end)
    control, archive = open_control(tmp_path / "control.sqlite"), FolderArchive(tmp_path / "telemetry")
    found = remembered(control, scale_of(control))
    with control.transaction() as t:
        batches = [batch for kind in ("predictions", "shadows", "outcomes") for batch in t.batches(MODEL, kind)]
    control.close()
    found["tables"] = Tables({batch.path: archive.read(batch.path) for batch in batches})
    assert found == undisturbed.remember(scale_of(undisturbed.control))
