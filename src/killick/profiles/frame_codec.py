"""The bytes of a frame: Arrow IPC, in memory. Nothing here touches a disk, though Polars' names sound like it."""

from __future__ import annotations

import io

import polars as pl


def pack_frame(frame: pl.DataFrame) -> bytes:
    """Return a frame's bytes.

    >>> unpack_frame(pack_frame(pl.DataFrame({"temp": [39.0]}))).rows()
    [(39.0,)]
    """
    file = io.BytesIO()
    frame.write_ipc(file)
    return file.getvalue()


def unpack_frame(packed: bytes) -> pl.DataFrame:
    """Read a frame's bytes.

    Raises:
        ValueError: they are no frame.
    """
    try:
        return pl.read_ipc(io.BytesIO(packed))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
