"""A stranger has files and a spec, and no demo: the command line gives the same incidents as the story's engine."""

import json
import subprocess
import sys

from killick.clock import DAY
from killick.demo.faults import STORY, Script
from tests.demo.conftest import MakeWorkspace, lived_through, machines

# What a stranger's interpreter does not have: the demo, under any name.
WITHOUT_DEMO = """
import sys
class NoDemo:
    def find_spec(self, name, path=None, target=None):
        if name == "killick.demo" or name.startswith("killick.demo."):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoDemo())
from killick.cli.main import main
main()
"""


def test_the_command_line_without_the_demo_gives_the_same_incidents(make: MakeWorkspace) -> None:
    """`killick replay flights.parquet --spec killick.yaml` in the stranger's folder, and the ledger verifies."""
    fault = STORY.faults[0]
    folder = make("stranger", Script(faults=(fault,)), fault.start - 18 * DAY, fault.start + 8 * DAY)
    command = [sys.executable, "-c", WITHOUT_DEMO]

    done = subprocess.run(
        [*command, "replay", "flights.parquet", "--spec", "killick.yaml", "--store", "theirs"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    shown = subprocess.run(
        [*command, "incidents", "--store", "theirs", "--json"], cwd=folder, capture_output=True, text=True, check=True
    )
    theirs = json.loads(shown.stdout)
    verified = subprocess.run(
        [*command, "ledger", "verify", "--store", "theirs"], cwd=folder, capture_output=True, text=True, check=False
    )

    world, spec = lived_through(folder, "ours")
    ours = machines(world, spec, "incident")
    assert ours
    assert {(one["id"], one["title"]) for one in theirs} == {(machine.id, machine.body.title) for machine in ours}
    assert verified.returncode == 0, verified.stderr


def test_the_demo_is_not_there_for_the_stranger() -> None:
    """The test above would mean nothing if the demo could be imported all the same."""
    script = WITHOUT_DEMO.replace("from killick.cli.main import main\nmain()", "import killick.demo.story")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ModuleNotFoundError" in done.stderr
