"""The control store in SQL: SQLite in one file (the default), or PostgreSQL when several hosts run Killick.

Promise: what a transaction has committed survives `kill -9` and power loss (SQLite: write-ahead log, synchronous FULL),
what it has not committed never was, and transactions are serialised: by `BEGIN IMMEDIATE`, or by an advisory lock. A
failure of the store is an `OutsideError`. Cost: one fsync for a transaction that writes, none for one that reads.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from functools import partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from killick.adapters.control_errors import mapped
from killick.adapters.control_statements import Statements
from killick.adapters.control_tables import REVISION
from killick.adapters.control_transaction import SqlTransaction
from killick.adapters.durable import make_durable
from killick.errors import CallError, IllegalMove, Mistake, OutsideError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["SqlControl", "open_control"]

# Longer than any transaction of ours lasts, shorter than a person waits before looking for the reason.
_PATIENCE_SECONDS = 30.0
# Nothing of ours computes so long between two statements: who is silent longer is stopped, or his host is gone.
_SILENCE_SECONDS = 120
# A checkpoint of somebody else's takes some milliseconds.
_LOOK_AGAIN_SECONDS = 0.05
# 64 MiB: the manifest, a busy week of deliveries and the index of profiles stay in memory.
_CACHE_KIBIBYTES = 64 * 1024
# "killick" on a telephone keypad: whoever else takes advisory locks in the same database will hardly have chosen it.
_ADVISORY_LOCK = 5_455_425

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    f"cache_size = -{_CACHE_KIBIBYTES}",
    "temp_store = MEMORY",
    "journal_size_limit = 67108864",
    # What is forgotten is gone from the file too, not only from the tables.
    "secure_delete = ON",
)


def open_control(url_or_path: str | Path, *, patience_seconds: float = _PATIENCE_SECONDS) -> SqlControl:
    """Open a control store, create it where there is none, and bring its schema up to date.

    Args:
        url_or_path: a file (its folder is made), or an SQLAlchemy URL such as `postgresql://host/killick`.
        patience_seconds: how long a transaction waits for its turn before it gives up.

    Raises:
        CallError: the address cannot be used, or a newer Killick has written the store.
        OutsideError: the store cannot be opened.
    """
    url = _url(url_or_path)
    secrets = [key for key in url.query if "password" in key or "secret" in key]
    name = url.difference_update_query(secrets).render_as_string(hide_password=True)
    file = None
    with mapped(name, "open it"):
        if url.get_backend_name() == "sqlite" and url.database:
            file = Path(url.database)
            if not file.exists():
                make_durable(file.parent)  # SQLite sees to the file's name, and to no folder's
        control = SqlControl(_engine(url, patience_seconds), name, patience_seconds, file)
        try:
            control.migrate()
        except BaseException:
            control.close()
            raise
    return control


class SqlControl:
    """A `Control` in SQL. Threads share it and take turns; so do processes, on their own `SqlControl` of one store."""

    def __init__(self, engine: sa.Engine, name: str, patience_seconds: float, file: Path | None = None) -> None:
        self.name = name
        self._file = file
        self._opened: tuple[int, int] | None = None
        self._engine = engine
        self._statements = Statements(engine.dialect.name)
        self._patience_seconds = patience_seconds
        # SQLite's waiters sleep and look again; among threads a lock is faster, and nobody is overtaken for long.
        self._turn = threading.Lock()
        self._owner: int | None = None

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """Begin a transaction; it commits when the block ends, and rolls back when the block raises.

        Raises:
            IllegalMove: this thread is inside a transaction of this store already.
            OutsideError: the store could not begin or commit, or a failure inside the block was passed over. Nothing
                was written, unless a server was lost while it committed: then nobody knows. Whoever repeats what he did
                under the same key (a delivery's sequence, a document's revision) finds out, and does no harm.
        """
        if self._owner == threading.get_ident():
            raise IllegalMove("a transaction is open in this thread already; pass it on instead of beginning another")
        if not self._turn.acquire(timeout=self._patience_seconds):
            raise OutsideError(
                f"{self.name}: another thread has kept its transaction open for {self._patience_seconds:g} s"
            )
        self._owner = threading.get_ident()
        try:
            with self._begun() as connection:
                transaction = SqlTransaction(connection, self._statements, self.name)
                try:
                    yield transaction
                    # PostgreSQL would answer COMMIT by rolling back, without a word.
                    transaction.check()
                finally:
                    transaction.is_open = False
        finally:
            self._owner = None
            self._turn.release()

    def scrub(self) -> None:
        """Write SQLite's log back into its file and empty it. The log of PostgreSQL is its server's affair.

        Raises:
            OutsideError: somebody has been reading or writing all the time; the log is as it was.
        """
        if self._file is None:
            return
        until = time.monotonic() + self._patience_seconds
        address = f"{self._file.resolve().as_uri()}?mode=rw"
        try:
            # Of its own, outside any transaction.
            with closing(sqlite3.connect(address, self._patience_seconds, uri=True)) as connection:
                # SQLite waits for readers and writers, and not for who does the same.
                while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                    if time.monotonic() > until:
                        problem = "is in use all the time, and its log still holds what was removed"
                        raise OutsideError(f"control store {self.name} {problem}; ask again later")
                    time.sleep(_LOOK_AGAIN_SECONDS)
        except sqlite3.Error as error:
            raise OutsideError(f"control store {self.name} could not empty its log: {error}") from error

    def migrate(self) -> None:
        """Bring the schema up to date: one SELECT when it is; Alembic, slow to import, is met only when it is not."""
        with self._begun() as connection:
            # Inside a transaction, so that of two processes that open an empty store only one creates it.
            found = _revision(connection)
            if found == REVISION:
                return
            if found is not None and found > REVISION:
                mistake = Mistake(
                    self.name, "was written by a newer Killick", found, hint="install one at least as new"
                )
                raise CallError(mistake)
            _upgrade(connection)

    def close(self) -> None:
        """Let go of the store. What was committed is safe without it."""
        with suppress(sa.exc.SQLAlchemyError):
            self._engine.dispose()

    @contextmanager
    def _begun(self) -> Iterator[sa.Connection]:
        with mapped(self.name, "begin a transaction"):
            self._look()
            connection = self._engine.connect()
        try:
            with mapped(self.name, "begin a transaction"):
                connection.begin()
                self._opened = self._opened or _identity(self._file)
            yield connection
            with mapped(self.name, "commit"):
                connection.commit()
        finally:
            # Closing rolls back what is not committed. When even that fails, the reason is on its way up already.
            with suppress(sa.exc.SQLAlchemyError):
                connection.close()

    def _look(self) -> None:
        """Refuse to write into a file that has lost its name, as an open one can be: nobody would find it again.

        Another one in its place, say a backup, is opened instead.
        """
        if self._opened and _identity(self._file) != self._opened:
            self._engine.dispose()
            self._opened = None


def _identity(file: Path | None) -> tuple[int, int] | None:
    """Return which file stands under a name."""
    if file is None:
        return None
    found = file.stat()
    return found.st_dev, found.st_ino


def _url(url_or_path: str | Path) -> sa.URL:
    text = str(url_or_path)
    hint = "give a file, sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    if "://" not in text:
        if text in {"", ":memory:"}:
            raise CallError(Mistake("control store", "needs a file", text, hint=hint))
        return sa.URL.create("sqlite", database=text)
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        # Neither the text nor what was said of it: there may be a password in them.
        raise CallError(Mistake("control store", "has an address that cannot be read", hint=hint)) from None
    kind = url.get_backend_name()
    if kind in {"postgresql", "postgres"}:  # the short one is what many hosting companies hand out
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise CallError(Mistake("control store", "is of no known kind", url.drivername, hint=hint))
    if url.database in {None, "", ":memory:"}:
        raise CallError(Mistake("control store", "needs a file", text, hint=hint))
    return url


def _engine(url: sa.URL, patience_seconds: float) -> sa.Engine:
    is_file = url.get_backend_name() == "sqlite"
    bounds = {} if is_file else {name: at for name, at in _bounds(patience_seconds).items() if name not in url.query}
    try:
        # One connection: transactions take turns anyway, and its caches stay warm. A server may have dropped it since.
        engine = sa.create_engine(url, connect_args=bounds, pool_size=1, max_overflow=0, pool_pre_ping=not is_file)
    except ModuleNotFoundError as error:
        raise CallError(
            Mistake("control store", f"needs {error.name}", hint="pip install 'killick[postgres]'")
        ) from error
    if is_file:
        sa.event.listen(engine, "connect", partial(_prepare_sqlite, patience_seconds))
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        sa.event.listen(engine, "begin", partial(_begin_postgresql, patience_seconds))
    return engine


def _bounds(patience_seconds: float) -> dict[str, int]:
    """Return how long a server may be silent, in libpq's words: by default that is two minutes, and two hours."""
    # libpq counts whole seconds here, and takes one for two.
    return {"connect_timeout": max(2, ceil(patience_seconds)), "tcp_user_timeout": ceil(patience_seconds * 1000)}


def _prepare_sqlite(patience_seconds: float, connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # or the driver begins transactions of its own
    cursor = connection.cursor()
    # First of all: the next ones may have to wait.
    cursor.execute(f"PRAGMA busy_timeout = {int(patience_seconds * 1000)}")
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgresql(patience_seconds: float, connection: sa.Connection) -> None:
    # Under READ COMMITTED each statement sees what was committed before it, hence all that the last holder of the lock
    # wrote. A SERIALIZABLE snapshot would be taken before the lock is granted, and miss it.
    connection.exec_driver_sql(
        f"SET LOCAL lock_timeout = '{ceil(patience_seconds * 1000)}ms'; "
        f"SET LOCAL idle_in_transaction_session_timeout = '{_SILENCE_SECONDS}s'; "
        f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"
    )


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
