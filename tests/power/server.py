"""A server that does what it is told, one line at a time, while somebody spoils its disk.

    python -m tests.power.server FOLDER DESCRIPTOR

`send 7` receives the seventh delivery and answers `acknowledged`, or `refused` for an `OutsideError`; `profile`
profiles what is pending; `limit 4096` makes every file end there (EFBIG), and `limit -1` none. It answers through a
socket: no call that anybody spoils writes into one.
"""

from __future__ import annotations

import resource
import socket
import sys
from pathlib import Path

from killick.engine.receive import Receiver
from killick.errors import OutsideError
from tests.engine.telemetry import NOW
from tests.power.story import hourly, open_post


def main(folder: str, descriptor: str) -> None:
    """Serve until nobody asks any more."""
    with open_post(Path(folder)) as post, socket.socket(fileno=int(descriptor)) as line:
        receiver = Receiver(post.world, lambda: NOW)
        for told in line.makefile("r"):
            what, _, number = told.strip().partition(" ")
            try:
                if what == "send":
                    receiver.receive(hourly(int(number)))
                elif what == "profile":
                    post.profile()
                else:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), resource.RLIM_INFINITY))
            except OutsideError:
                line.sendall(b"refused\n")
            except BaseException as error:  # noqa: BLE001 - whoever runs the test is told
                line.sendall(f"{error!r}\n".encode())
            else:
                line.sendall(b"acknowledged\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
