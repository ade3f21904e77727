"""A table profile as a file, `.killick`: what `killick profile` writes and `killick check` reads.

It holds the fit (spec, scale, types) and all that was counted, so it can stand on either side of a check without the
rows. The bytes depend on nothing but the rows and the spec: the same table gives the same file. A file that is cut
short, of a newer schema or no such file is refused in one message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

import msgspec

from killick.checks.reference import Reference, SegmentKey, pack_reference, unpack_reference
from killick.checks.schema import ColumnType  # noqa: TC001 - msgspec reads the annotation
from killick.engine.fit import Fit
from killick.errors import DataError, Mistake, SpecError
from killick.profiles.census_codec import pack_census, unpack_census
from killick.profiles.frame_codec import pack_schema, unpack_schema
from killick.reports.report import Extent  # noqa: TC001 - msgspec reads the annotation
from killick.spec.load import parse_spec
from killick.spec.write import write_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.checks.reference import BySegment, HealthyWindow
    from killick.profiles.census import Census

FILE_SCHEMA = "killick.table/1"
SUFFIX = ".killick"
_HINT = "make it again with `killick profile`"


# A profile of a thousand columns in a hundred segments and windows has some hundred megabytes.
BYTES_MAX = 1 << 30
# Thousands of columns, each with an override; to read it takes a hundred times its memory.
_SPEC_LENGTH_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a table.

    Attributes:
        fit: how it was measured. Only profiles of the same fit add up and can be compared.
        by_segment: its rows' profile in each segment; the whole is the empty one.
        columns: which columns it has, under the operator's names, and what they are watched as.
        extent: how many rows, from when to when.
        windows: the profiles for each window of event time, where these were asked for.
        census: what is kept of all rows besides counts, where one is taken.
        timeless: how many rows should have an event time, and have none.
    """

    fit: Fit
    by_segment: BySegment
    columns: Mapping[str, ColumnType]
    extent: Extent
    windows: tuple[HealthyWindow, ...] = ()
    census: Census | None = None
    timeless: int = 0

    @property
    def reference(self) -> Reference:
        """The profiles as what others are compared with."""
        return Reference(self.fit.scale, self.by_segment, self.windows)


_K = TypeVar("_K", bound=Kept)


class _Packed(msgspec.Struct, frozen=True):
    schema: str
    spec: Annotated[str, msgspec.Meta(max_length=_SPEC_LENGTH_MAX)]
    fit_columns: dict[str, ColumnType]
    types: bytes
    width: int | None
    segments: tuple[SegmentKey, ...]
    profiles: bytes
    columns: dict[str, ColumnType]
    extent: Extent
    census: bytes | None
    timeless: int


def pack_table(kept: Kept) -> bytes:
    """Return the bytes of what is kept of a table."""
    fit = kept.fit
    return msgspec.msgpack.encode(
        _Packed(
            schema=FILE_SCHEMA,
            spec=write_spec(fit.spec, {}),
            fit_columns=dict(fit.columns),
            types=pack_schema(fit.schema),
            width=fit.width,
            segments=fit.segments,
            profiles=pack_reference(kept.reference),
            columns=dict(kept.columns),
            extent=kept.extent,
            census=pack_census(kept.census) if kept.census else None,
            timeless=kept.timeless,
        )
    )


def unpack_table(packed: bytes, made: type[_K], *, name: str) -> _K:
    """Read the bytes of what is kept of a table.

    Args:
        packed: the bytes.
        made: what to make of them.
        name: what to call them in a message.

    Raises:
        DataError: they are not a table profile, of a newer schema, or half there.
    """
    try:
        held = msgspec.msgpack.decode(packed, type=_Packed)
        schema = unpack_schema(held.types)
        spec = parse_spec(held.spec, source=name)
    except (msgspec.MsgspecError, SpecError, ValueError, RecursionError) as error:
        said = str(error).partition("\n")[0]
        raise DataError(Mistake(name, f"is no profile that can be read: {said}", hint=_HINT)) from None
    if held.schema != FILE_SCHEMA:
        problem = "is of a schema that this version cannot read"
        raise DataError(Mistake(name, problem, value=held.schema, hint=_HINT))
    reference = unpack_reference(held.profiles)
    census = unpack_census(held.census) if held.census else None
    return made(
        fit=Fit(
            spec, reference.scale, held.fit_columns, schema, held.width, census.asked if census else None, held.segments
        ),
        by_segment=reference.profiles,
        columns=held.columns,
        extent=held.extent,
        windows=reference.windows,
        census=census,
        timeless=held.timeless,
    )
