"""Bodies as they come over the wire: their kind, and what they are once inflated. No more is inflated than is allowed.

A few bytes can stand for gigabytes, so inflating goes in pieces and stops at the limit. gzip is RFC 1952 (several
members are one body), zstd RFC 8878 with windows of at most 8 MiB, which is all that HTTP asks for (RFC 9659).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from killick.errors import DataError, Mistake
from killick.server.problems import Refused

if TYPE_CHECKING:
    from killick.wire.decode import Media

JSON, NDJSON, ARROW = "application/json", "application/x-ndjson", "application/vnd.apache.arrow.stream"
# What the decoders of `killick.wire.decode` call them.
MEDIA: dict[str, Media] = {JSON: "json", NDJSON: "ndjson", ARROW: "arrow"}
ENCODINGS = ("gzip", "zstd")

# Told of each piece as it is inflated; it raises to stop.
Taking: TypeAlias = Callable[[int], None]

_GZIP = 31  # zlib's word for: a gzip header, a window of any size
_PIECE_BYTES = 1024 * 1024
# What is fed at once: each member's end copies what follows it in its piece, and never the rest of the body.
_GZIP_PIECE_BYTES = 16 * 1024
_ZSTD_WINDOW_BYTES = 8 * 1024 * 1024
# A block of zstd is at most 128 KiB, and of at least 4 bytes: a piece of 1 KiB inflates to no more than 32 MiB.
_ZSTD_PIECE_BYTES = 1024
# Packers in parallel write a part for each 64 KiB or more: 256 MiB have 4,096. Each empty one would cost us its set-up.
_PARTS_MAX = 10_000


def media_type(content_type: str, accepted: tuple[str, ...]) -> str:
    """Return which of the accepted media types a body has; its parameters do not matter.

    Raises:
        Refused: 415, with what is accepted.

    >>> media_type("application/json; charset=utf-8", (JSON, NDJSON))
    'application/json'
    """
    found = content_type.partition(";")[0].strip().lower()
    if found not in accepted:
        said = f"the body is {found or 'of no stated type'}; accepted here: {', '.join(accepted)}"
        raise Refused(415, said, headers={"Accept-Post": ", ".join(accepted)})
    return found


def content_encoding(header: str) -> str:
    """Return how a body is packed: `gzip`, `zstd` or nothing.

    Raises:
        Refused: 415, with what is understood.
    """
    found = header.strip().lower()
    if found in {"", "identity"}:
        return ""
    if found not in ENCODINGS:
        said = f"the body is packed by {found!r}; understood here: {', '.join(ENCODINGS)}, or none"
        raise Refused(415, said, headers={"Accept-Encoding": ", ".join(ENCODINGS)})
    return found


def inflate(body: bytes, encoding: str, bytes_max: int, taking: Taking = lambda _size: None) -> bytes:
    """Return a body unpacked.

    Args:
        body: as it was sent.
        encoding: `gzip`, `zstd` or nothing.
        bytes_max: what it may become.
        taking: is told the size of each piece before it is kept.

    Raises:
        Refused: 413, it becomes more than is allowed; what was inflated beyond is at most 32 MiB, and thrown away.
        DataError: it is not what its header says, or is cut off.
    """
    if not encoding:
        return body
    pieces: list[bytes] = []
    held = 0
    for piece in (_gunzipped if encoding == "gzip" else _unzstd)(body):
        held += len(piece)
        if held > bytes_max:
            raise Refused(413, f"the body inflates to more than {bytes_max:,} bytes; send it in parts")
        taking(len(piece))
        pieces.append(piece)
    return b"".join(pieces)


def _gunzipped(body: bytes) -> Iterator[bytes]:
    view, at = memoryview(body), 0
    for _ in range(_PARTS_MAX):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            fed: bytes | memoryview = member.unconsumed_tail
            if not fed:
                fed = view[at : at + _GZIP_PIECE_BYTES]
                at += len(fed)
            try:
                piece = member.decompress(fed, _PIECE_BYTES)
            except zlib.error as error:
                raise _broken("gzip", str(error)) from error
            if not (piece or fed or member.eof):
                raise _broken("gzip", "it is cut off")
            yield piece
        at -= len(member.unused_data)
        if at >= len(body):
            return
    raise _broken("gzip", f"it has more than {_PARTS_MAX:,} members")


def _unzstd(body: bytes) -> Iterator[bytes]:
    import zstandard

    view, at = memoryview(body), 0
    for _ in range(_PARTS_MAX):
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
        while not frame.eof:
            fed = view[at : at + _ZSTD_PIECE_BYTES]
            if not fed:
                raise _broken("zstd", "it is cut off")
            try:
                piece = frame.decompress(fed)
            except zstandard.ZstdError as error:
                raise _broken("zstd", str(error)) from error
            at += len(fed) - len(frame.unused_data)
            yield piece
        if at >= len(body):
            return
    raise _broken("zstd", f"it has more than {_PARTS_MAX:,} frames")


def _broken(encoding: str, problem: str) -> DataError:
    return DataError(Mistake("body", f"is no {encoding}: {problem}"))
