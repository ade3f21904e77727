"""A table profile as a file, `.killick`: what `killick profile` writes and `killick check` reads.

It holds the fit (spec, scale, types) and all that was counted, so it can stand on either side of a check without the
rows. The bytes depend on nothing but the rows and the spec: the same table gives the same file. A file that is cut
short, of a newer schema or no such file is refused in one message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import polars as pl

from killick.checks.reference import pack_reference, unpack_reference
from killick.checks.schema import ColumnType  # noqa: TC001 - msgspec reads the annotation
from killick.engine.fit import Fit
from killick.errors import DataError, Mistake, SpecError
from killick.profiles.census_codec import pack_census, unpack_census
from killick.profiles.frame_codec import pack_frame, unpack_frame
from killick.reports.report import Extent  # noqa: TC001 - msgspec reads the annotation
from killick.spec.load import parse_spec
from killick.spec.write import write_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.checks.reference import Reference
    from killick.clock import Instant
    from killick.profiles.census import Census

FILE_SCHEMA = "killick.table/1"
SUFFIX = ".killick"
_HINT = "make it again with `killick profile`"


class _Packed(msgspec.Struct, frozen=True):
    schema: str
    spec: str
    fit_columns: dict[str, ColumnType]
    types: bytes
    width: int | None
    profiles: bytes
    columns: dict[str, ColumnType]
    extent: Extent
    middle: int | None
    census: bytes | None
    timeless: int = 0


class Held(NamedTuple):
    """What is kept of a table, field by field as in `TableProfile`."""

    fit: Fit
    reference: Reference
    columns: Mapping[str, ColumnType]
    extent: Extent
    middle: Instant | None
    census: Census | None
    timeless: int


def pack_table(held: Held) -> bytes:
    """Return a table profile's bytes."""
    return msgspec.msgpack.encode(
        _Packed(
            schema=FILE_SCHEMA,
            spec=write_spec(held.fit.spec, {}),
            fit_columns=dict(held.fit.columns),
            types=pack_frame(pl.DataFrame(schema=held.fit.schema)),
            width=held.fit.width,
            profiles=pack_reference(held.reference),
            columns=dict(held.columns),
            extent=held.extent,
            middle=held.middle,
            census=pack_census(held.census) if held.census else None,
            timeless=held.timeless,
        )
    )


def unpack_table(packed: bytes, *, name: str) -> Held:
    """Read a table profile's bytes.

    Args:
        packed: the bytes.
        name: what to call them in a message.

    Raises:
        DataError: they are not a table profile, of a newer schema, or half there.
    """
    try:
        held = msgspec.msgpack.decode(packed, type=_Packed)
        schema = unpack_frame(held.types).schema
        spec = parse_spec(held.spec, source=name)
    except (msgspec.MsgspecError, SpecError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise DataError(Mistake(name, f"is no profile that can be read: {said}", hint=_HINT)) from None
    if held.schema != FILE_SCHEMA:
        problem = "is of a schema that this version cannot read"
        raise DataError(Mistake(name, problem, value=held.schema, hint=_HINT))
    reference = unpack_reference(held.profiles)
    census = unpack_census(held.census) if held.census else None
    asked = census.asked if census else None
    fit = Fit(spec, reference.scale, held.fit_columns, schema, held.width, asked)
    return Held(fit, reference, held.columns, held.extent, held.middle, census, held.timeless)
