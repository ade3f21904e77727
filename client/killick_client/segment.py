"""A file of records, and the batch that each of them is.

A record is a header (`KLK1`, state, length, CRC-32) and a MessagePack array, `Batch`. The state is the one byte that is
ever overwritten: a batch that the server has answered is not sent again after a restart. It is outside the checksum,
and need not be durable: what is sent twice is counted once.
"""

from __future__ import annotations

import contextlib
import struct
import zlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

HEADER = struct.Struct("<4sBxxxII")  # magic, state, three bytes of nothing, length, CRC-32
_MAGIC = b"KLK1"
_STATE_AT = 4
_WAITING, _DONE = 0, 1


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """One request to come: where it goes, what it holds, and under which number it is known to the server."""

    producer: str
    sequence: int
    kind: str
    path: str
    content_type: str
    events: int
    body: bytes


def record(batch: Batch) -> bytes:
    """Return a batch as it is written."""
    payload = msgspec.msgpack.encode(batch)
    return HEADER.pack(_MAGIC, _WAITING, len(payload), zlib.crc32(payload)) + payload


class Segment:
    """One file of records, read from its beginning while its end still grows."""

    def __init__(self, path: Path) -> None:
        """Take a file that is there. It is opened when it is read: a thousand that wait take no descriptor."""
        self.path = path
        self.size = path.stat().st_size
        self.corrupt = 0
        self.is_open = False  # for the writer, who may put more behind what has been read
        self._position = 0  # of the record that is read next
        self._read = -1  # of the record that was read last
        self._opened: BinaryIO | None = None

    def open(self) -> BinaryIO:
        """Open it, once.

        Raises:
            OSError: it cannot be opened.
        """
        if self._opened is None:
            self._opened = self.path.open("r+b", buffering=0)
        return self._opened

    @property
    def waiting_bytes(self) -> int:
        """How much of it has not been answered yet."""
        return self.size - (self._read if self._read >= 0 else self._position)

    def next(self) -> Batch | None:
        """Return the first batch that is not done, again until it is; None at the end.

        Raises:
            OSError: it cannot be read.
        """
        if self._read >= 0:
            self._position = self._read
        file = self.open()
        while self._position + HEADER.size <= self.size:
            file.seek(self._position)
            magic, state, length, checksum = HEADER.unpack(self._exactly(HEADER.size))
            end = self._position + HEADER.size + length
            # One that is done is read too: its length is only to be trusted with its checksum.
            is_whole = magic == _MAGIC and end <= self.size
            batch = self._parse(self._exactly(length), checksum) if is_whole else None
            if batch is None:
                self._skip()
                continue
            at, self._position = self._position, end
            if state != _DONE:
                self._read = at
                return batch
        self.corrupt += self._position < self.size
        self._position = self.size
        return None

    def done(self) -> None:
        """Mark the batch that was read last."""
        at, self._read = self._read, -1
        with contextlib.suppress(OSError):  # it may be sent a second time, which is harmless
            file = self.open()
            file.seek(at + _STATE_AT)
            file.write(bytes([_DONE]))

    def close(self) -> None:
        """Let go of the file."""
        if self._opened is not None:
            self._opened.close()

    def remove(self) -> None:
        """Delete the file."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _exactly(self, length: int) -> bytes:
        read = self.open().read(length)
        return read if len(read) == length else read.ljust(length, b"\0")  # cut by somebody: no checksum will fit

    def _parse(self, payload: bytes, checksum: int) -> Batch | None:
        if zlib.crc32(payload) != checksum:
            return None
        try:
            return msgspec.msgpack.decode(payload, type=Batch)
        except msgspec.DecodeError:  # of another version of this program
            return None

    def _skip(self) -> None:
        """Go on at whatever next looks like a record."""
        self.corrupt += 1
        self.open().seek(self._position + 1)
        found = self._exactly(self.size - self._position - 1).find(_MAGIC)
        self._position = self.size if found < 0 else self._position + 1 + found
