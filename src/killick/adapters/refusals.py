"""What Polars and an object store say of a table that cannot be read, as one message of ours.

Polars goes on for a page, with advice about its own options; an object store tells every retry. Said here is what is
wrong, where, and what to do: a `DataError` for the file, an `OutsideError` for the world between it and us.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

from killick.errors import DataError, Mistake, OutsideError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

# How the crate `object_store` and its HTTP client begin what they say, and what it says about credentials.
_OUTSIDE = re.compile(
    r"object-store error|error sending request|Generic \w+ error|credential|HTTP error", re.IGNORECASE
)
_ABSENT = re.compile(r"not found|NoSuchKey|NoSuchBucket|\b404\b", re.IGNORECASE)
_DENIED = re.compile(
    r"credential|unauthori[sz]ed|forbidden|access ?denied|\b40[13]\b|metadata.*token|IMDS", re.IGNORECASE
)
_DENIED_HINT = "give credentials as the store's own programs read them, for example AWS_ACCESS_KEY_ID"


@contextmanager
def clear_faults(path: str) -> Iterator[None]:
    """Say in one message what keeps a table from being read.

    Raises:
        DataError: the file is not there, or is not what its name says.
        OutsideError: whoever holds it does not answer, or does not let us.
    """
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        said = str(error)
        if "://" in path and _OUTSIDE.search(said):
            raise _outside(path, said) from None
        # The rest is advice about Polars' own options.
        first = said.strip().partition("\n")[0].removesuffix(":")
        hint = "is the file whole, and what its name says?"
        if isinstance(error, pl.exceptions.NoDataError) or "empty reader" in said:
            raise DataError(Mistake(path, "is empty", hint="a table has at least its columns' names")) from None
        if "utf-8" in said.lower():
            hint = "save the file as UTF-8"
        raise DataError(Mistake(path, f"cannot be read: {first}", hint=hint)) from None


def same_columns(file: str, columns: Collection[str], first: str, expected: Collection[str]) -> None:
    """Refuse a file of a glob that has other columns than the first one. Their order means nothing.

    Raises:
        DataError: it names the file and the columns.
    """
    missing = [column for column in expected if column not in columns]
    extra = [column for column in columns if column not in expected]
    told = [f"{word} {', '.join(map(repr, found))}" for word, found in (("lacks", missing), ("adds", extra)) if found]
    if told:
        problem = f"has other columns than {first}: it {' and '.join(told)}"
        raise DataError(Mistake(file, problem, hint="read files with the same columns together"))


def _outside(path: str, said: str) -> DataError | OutsideError:
    if _ABSENT.search(said):
        return DataError(Mistake(path, "is not there", hint="the store knows no such table"))
    if _DENIED.search(said):
        return OutsideError(f"{path} may not be read: the store asks for other credentials; {_DENIED_HINT}")
    causes = [line.strip() for line in said.splitlines() if line.strip()]
    return OutsideError(f"{path} could not be reached: {re.sub(r'^[0-9]+: ', '', causes[-1])}")
