"""Killed by SIGKILL, in the middle of anything: what was acknowledged is there, and nothing half."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress

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
STORY += f"CALLS = {CALLS}\n"
MOVING = STORY + textwrap.dedent("""
    control = open_control(sys.argv[1])
    while True:
        os.write(1, b"%d\\n" % move(control))
""")
# With one `SqlControl` from beginning to end.
MOVING_ON = STORY + textwrap.dedent("""
    import time
    from killick.errors import OutsideError
    control = open_control(sys.argv[1], patience_seconds=2)
    while True:
        try:
            os.write(1, b"%d\\n" % move(control))
        except OutsideError:
            os.write(1, b"failed\\n")
            time.sleep(0.05)
""")


def whole_moves(address: str) -> int:
    """How many moves are there, after holding every part of the store to the same number."""
    control = open_control(address)
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
        if "://" not in address:
            assert t._connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        raise StaleWrite  # asking for a delivery has noted it: roll that back
    control.close()
    assert everything == [number] * 5
    return number


def test_killed_at_any_moment_what_was_acknowledged_is_there(addresses):
    """A process moves on and on; whenever it is killed, no more than the move under way is lost."""
    address, acknowledged = addresses(), 0
    for milliseconds in (1, 7, 23, 40):
        with subprocess.Popen([sys.executable, "-c", MOVING, address], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it is under way
            time.sleep(milliseconds / 1000)
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split(b"\n")
        acknowledged = max([acknowledged + 1, *(int(line) for line in rest[:-1])])
        moves = whole_moves(address)
        assert acknowledged <= moves <= acknowledged + 1
        acknowledged = moves


def test_killed_at_every_call_a_move_is_made_wholly_or_not_at_all(addresses):
    """Before and after each call of a move: it is there if and only if the commit had its effect."""
    address = addresses()
    code = STORY + textwrap.dedent("""
        open_control(sys.argv[1]).close()  # what it imports, no child has to
        plans = [FaultPlan(), *every_fault(CALLS, fault="sigkill")]
        for plan in plans:
            child = os.fork()
            if child == 0:
                # Whatever a dead one had left half done, this one would run into.
                print(move(faulty(open_control(sys.argv[1]), plan)), len(plan.calls), flush=True)
                os._exit(0)
            died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            assert died == (0 if plan is plans[0] else -9), plan
    """)
    done = subprocess.run([sys.executable, "-c", code, address], check=True, capture_output=True, text=True)
    assert done.stdout == f"1 {CALLS}\n"
    # The first one lived, and the last one died after the commit.
    assert whole_moves(address) == 2


def test_a_server_that_is_killed_loses_nothing_and_is_found_again(postgres_to_crash):
    """Who moves on and on is told that the world has failed, repeats the move, and goes on when the server is back."""
    address, server, made, failures = postgres_to_crash.url(), postgres_to_crash, [], 0
    with subprocess.Popen([sys.executable, "-c", MOVING_ON, address], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line != "failed\n":
                made.append(int(line))
                if len(made) in {3, 8, 13}:
                    server.crash()
                if len(made) == 20:
                    process.send_signal(signal.SIGKILL)
            else:
                failures += 1
                if failures % 3 == 0:
                    server.start()
    # A commit whose answer was lost has been made or not; one that was acknowledged has.
    assert made == sorted(set(made))
    assert failures >= 9
    assert made[-1] <= whole_moves(address) <= made[-1] + 1
