"""The errors of the control store in SQL: whatever the driver raises leaves it as one of ours."""

from __future__ import annotations

from typing import Protocol

import msgspec
import sqlalchemy as sa

from killick.errors import DataError, Mistake, OutsideError

__all__ = ["mapped"]


class Failing(Protocol):
    """A transaction, which must know that a statement of it has failed."""

    has_failed: bool


class mapped:  # noqa: N801 - reads as a word: `with mapped(...)`
    """Turn what SQLAlchemy, the driver, the file system and msgspec raise into our errors.

    A class, because `contextlib.contextmanager` would cost more than many of the statements inside it.
    """

    __slots__ = ("_doing", "_name", "_transaction")

    def __init__(self, name: str, doing: str, transaction: Failing | None = None) -> None:
        self._name = name
        self._doing = doing
        self._transaction = transaction

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sa.exc.SQLAlchemyError) and self._transaction:
            self._transaction.has_failed = True
        if isinstance(error, UnicodeError | OverflowError | sa.exc.DataError):
            reason = getattr(error, "orig", None) or error
            raise DataError(Mistake(f"control store {self._name}", f"cannot hold a value: {reason}")) from error
        if isinstance(error, sa.exc.SQLAlchemyError | OSError | msgspec.MsgspecError):
            reason = getattr(error, "orig", None) or error
            raise OutsideError(f"control store {self._name} could not {self._doing}: {reason}") from error
