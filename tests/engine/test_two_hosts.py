"""Two processes on one control store and one archive: both take in and both profile, and every row is counted once."""

import subprocess
import sys
from contextlib import suppress

import pytest

from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.engine.open import open_model
from killick.engine.profiling import profile_pending
from killick.engine.turns import Watched
from killick.errors import StaleWrite
from killick.testing.simulator import BEGIN, bad_release
from tests.docs.pages import ROOT
from tests.engine.shop import LONG_AFTER, Shop

# Even deliveries are one host's, odd ones the other's; each brings half of the rows of its neighbours once more.
DELIVERIES, ROWS = 8, 20
HOST = """
import sys
from dataclasses import replace
from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.testing.simulator import bad_release
from tests.engine.shop import Shop
from tests.engine.test_two_hosts import DELIVERIES, take_in

story = bad_release()
world = story.make_world(open_control(sys.argv[1]), FolderArchive(sys.argv[2]))
shop = Shop(story, replace(world, host=sys.argv[3]))  # under one name they would write the same files
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3]), DELIVERIES, 2):
    take_in(shop, number)
"""


def take_in(shop, number):
    """Take in a delivery of orders, and what became of them, and profile what is pending, perhaps the other host's."""
    rows = shop.orders(ROWS, start=ROWS // 2 * number)
    labels = {name: place % 3 % 2 for place, name in enumerate(rows["prediction_id"], start=ROWS // 2 * number)}
    for step in (lambda: shop.predict(rows, sequence=number), lambda: shop.turn_out(labels, sequence=number)):
        with suppress(StaleWrite):  # the other host was faster; what is left is pending, and somebody's next round
            step()


@pytest.mark.faults
def test_two_hosts_take_in_and_profile_at_once_and_nothing_is_counted_twice(addresses, tmp_path):
    """The counts are those of one host that did it all, whoever was faster."""
    story, address, folder = bad_release(), addresses(), str(tmp_path / "telemetry")
    control = open_control(address)
    shop = Shop(story, story.make_world(control, FolderArchive(folder)))
    open_model(shop.world, story.spec, BEGIN)
    command = [sys.executable, "-c", HOST, address, folder]
    hosts = [
        subprocess.Popen([*command, first], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for first in ("0", "1")
    ]
    for host in hosts:
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
    for host in hosts:
        assert host.stdin is not None
        host.stdin.write(b"go\n")
        host.stdin.flush()
    for host in hosts:
        host.communicate()
        assert host.returncode == 0
    profile_pending(shop.world, Watched(story.spec, shop.scale, ()), LONG_AFTER)
    alone = Shop.opened(story)
    for number in range(DELIVERIES):
        take_in(alone, number)
    assert shop.counted().rows == alone.counted().rows == ROWS // 2 * (DELIVERIES + 1)
    assert (shop.counted().counts == alone.counted().counts).all()
    control.close()
