"""Killed by SIGKILL, in the middle of anything: what was acknowledged is there, and nothing half."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import pytest

from killick.adapters.control import open_control
from killick.errors import StaleWrite
from killick.ledger.chain import verify
from killick.testing.control_examples import MODEL, SCALE, Window

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX's"),
]

# One move of everything, numbered by the ledger. An acknowledgement goes out after the commit.
STORY = """
import os, sys
from contextlib import suppress
from pathlib import Path
from killick.adapters.control import open_control
from killick.ledger.chain import extend
from killick.testing.control_examples import MODEL, SCALE, a_batch, a_command, a_fact, a_key, a_verdict
from killick.testing.faults import FaultPlan, every_fault, faulty

def move(control):
    with control.transaction() as t:
        head = t.ledger_head()
        number = head.sequence + 1 if head else 1
        t.put("state", MODEL, str(number), bytes(20_000), revision=0)
        t.add_batch(a_batch(number))
        assert t.deliver(MODEL, "predictions", "host", number, b"taken", number) is None
        t.settle([f"batch-{number}"])
        t.add_profiles(MODEL, SCALE, {a_key(number): bytes(5_000)})
        t.add_verdicts(MODEL, [a_verdict(number)])
        t.post(a_command(number))
        t.append(extend(head, a_fact(str(number))))
    return number
"""
CALLS = 11  # begin, nine calls, commit


def whole_moves(path: Path) -> int:
    """How many moves are there, after holding every part of the store to the same number."""
    control = open_control(path)
    with suppress(StaleWrite), control.transaction() as t:
        number = verify(t.ledger())
        everything = [
            len(t.documents("state", MODEL)),
            len(t.batches(MODEL, "predictions")),
            len(t.profiles(MODEL, SCALE, Window(0, 2**62))),
            len(t.verdicts(MODEL)),
            len(t.due(MODEL, 2**62)),
        ]
        answers = [t.deliver(MODEL, "predictions", "host", move, b"new", 1) for move in range(1, number + 2)]
        assert answers == [b"taken"] * number + [None]
        assert t.pending(MODEL) == []
        assert t._connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        raise StaleWrite  # asking for a delivery has noted it: roll that back
    control.close()
    assert everything == [number] * 5
    return number


def test_killed_at_any_moment_what_was_acknowledged_is_there(tmp_path):
    """A process moves on and on; whenever it is killed, no more than the move under way is lost."""
    path = tmp_path / "control.db"
    code = STORY + textwrap.dedent("""
        control = open_control(sys.argv[1])
        while True:
            os.write(1, b"%d\\n" % move(control))
    """)
    acknowledged = 0
    for milliseconds in (1, 7, 23, 40):
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it is under way
            time.sleep(milliseconds / 1000)
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split(b"\n")
        acknowledged = max([acknowledged + 1, *(int(line) for line in rest[:-1])])
        moves = whole_moves(path)
        assert acknowledged <= moves <= acknowledged + 1
        acknowledged = moves


def test_killed_at_every_call_a_move_is_made_wholly_or_not_at_all(tmp_path):
    """Before and after each call of the second move: it is there if and only if the commit had its effect."""
    code = STORY + textwrap.dedent("""
        plan = FaultPlan()
        first = open_control(Path(sys.argv[1], "counted.db"))
        move(faulty(first, plan))
        first.close()
        for number, plan in enumerate(every_fault(len(plan.calls), fault="sigkill")):
            child = os.fork()
            if child == 0:
                control = open_control(Path(sys.argv[1], f"{number}.db"))
                move(control)
                move(faulty(control, plan))
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9, plan
        print(number + 1)
    """)
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    faults = int(done.stdout)
    found = [whole_moves(tmp_path / f"{number}.db") for number in range(faults)]
    assert faults == 2 * CALLS
    assert found == [1] * (faults - 1) + [2]
