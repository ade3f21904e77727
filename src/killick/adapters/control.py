"""The control store in SQL: SQLite in one file (the default), or PostgreSQL when several hosts run Killick.

Promise: what a transaction has committed survives `kill -9` and power loss (SQLite: write-ahead log, synchronous FULL),
what it has not committed never was, and transactions are serialised: `BEGIN IMMEDIATE` there, an advisory lock here. A
failure of the store is an `OutsideError`. Cost: one fsync for a transaction that writes; claiming 10,000 identities takes
some tens of milliseconds.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from killick.adapters.control_tables import REVISION, TIME_MAX, TIME_MIN, Statements
from killick.checks.verdict import Verdict
from killick.clock import Window
from killick.errors import CallError, DataError, IllegalMove, Mistake, OutsideError, StaleWrite
from killick.identity import canonical_json
from killick.ledger.entry import GENESIS, Entry
from killick.ports.control import Batch, Command, Document, Identity, ProfileKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy.engine.interfaces import DBAPIConnection

__all__ = ["SqlControl", "SqlTransaction", "open_control"]

# Longer than any transaction of ours lasts, shorter than a person waits before looking for the reason.
_PATIENCE_SECONDS = 30.0
# 64 MiB: the index of the identities of a busy day stays in memory.
_CACHE_KIBIBYTES = 64 * 1024
# A parameter of some megabytes at most, however many ids are asked for.
_IDS_AT_ONCE = 50_000
# "killick" on a telephone keypad: whoever else takes advisory locks in the same database will hardly have chosen it.
_ADVISORY_LOCK = 5_455_425

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    f"cache_size = -{_CACHE_KIBIBYTES}",
    "temp_store = MEMORY",
    "journal_size_limit = 67108864",
)

# MessagePack and not JSON: a one-sided interval has an infinite end, and JSON has no word for it.
_packed_verdict = msgspec.msgpack.Decoder(Verdict)
# The ledger's entries are kept as the JSON that is hashed, for whoever audits them with other tools.
_entry = msgspec.json.Decoder(Entry)
_segment = msgspec.json.Decoder(tuple[tuple[str, str], ...])


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
    name = url.render_as_string(hide_password=True)
    with _mapped(name, "open it"):
        if url.get_backend_name() == "sqlite" and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        control = SqlControl(_engine(url, patience_seconds), name, patience_seconds)
        try:
            control.migrate()
        except BaseException:
            control.close()
            raise
    return control


class SqlControl:
    """A `Control` in SQL. Threads share it and take turns; so do processes, on their own `SqlControl` of one store."""

    def __init__(self, engine: sa.Engine, name: str, patience_seconds: float) -> None:
        self.name = name
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
            OutsideError: the store could not begin or commit; nothing was written.
        """
        if self._owner == threading.get_ident():
            raise IllegalMove("a transaction is open in this thread already; pass it on instead of beginning another")
        if not self._turn.acquire(timeout=self._patience_seconds):
            raise OutsideError(f"{self.name}: another thread has kept its transaction open for {self._patience_seconds:g} s")
        self._owner = threading.get_ident()
        try:
            with self._begun() as connection:
                transaction = SqlTransaction(connection, self._statements, self.name)
                try:
                    yield transaction
                finally:
                    transaction.is_open = False
        finally:
            self._owner = None
            self._turn.release()

    def migrate(self) -> None:
        """Bring the schema up to date. Costs one SELECT when it is; Alembic, slow to import, is met only when it is not."""
        with self._begun() as connection:
            # Inside a transaction, so that of two processes that open an empty store only one creates it.
            found = _revision(connection)
            if found == REVISION:
                return
            if found is not None and found > REVISION:
                mistake = Mistake(self.name, "was written by a newer Killick", found, hint="install one at least as new")
                raise CallError(mistake)
            _upgrade(connection)

    def close(self) -> None:
        """Let go of the store. What was committed is safe without it."""
        with suppress(sa.exc.SQLAlchemyError):
            self._engine.dispose()

    @contextmanager
    def _begun(self) -> Iterator[sa.Connection]:
        with _mapped(self.name, "begin a transaction"):
            connection = self._engine.connect()
        try:
            with _mapped(self.name, "begin a transaction"):
                connection.begin()
            yield connection
            with _mapped(self.name, "commit"):
                connection.commit()
        finally:
            # Closing rolls back what is not committed. When even that fails, the reason is on its way up already.
            with suppress(sa.exc.SQLAlchemyError):
                connection.close()


class SqlTransaction:
    """A `Transaction` on one connection. The docstrings of `killick.ports.control.Transaction` say what each method does."""

    def __init__(self, connection: sa.Connection, statements: Statements, name: str) -> None:
        self.is_open = True
        self._connection = connection
        self._run = statements
        self._name = name
        self._noted: set[str] = {""}  # what belongs to no model belongs to the store itself

    def get(self, kind: str, model: str, key: str) -> Document | None:
        rows = self._rows(self._run.get, the_kind=kind, the_model=model, the_key=key)
        return Document(kind, model, key, rows[0][0], rows[0][1]) if rows else None

    def put(self, kind: str, model: str, key: str, body: bytes, *, revision: int) -> None:
        if revision == 0:
            row = {"kind": kind, "model": model, "key": key, "body": body, "revision": 1}
            written = self._write(self._run.put_first, row)
        else:
            row = {"the_kind": kind, "the_model": model, "the_key": key, "the_revision": revision, "body": body}
            written = self._write(self._run.put_next, row)
        if not written:
            raise StaleWrite(f"{kind} {key!r} of {model!r} is no longer at revision {revision}; read it again")
        self._note(model)

    def documents(self, kind: str, model: str) -> list[Document]:
        rows = self._rows(self._run.documents, the_kind=kind, the_model=model)
        return [Document(*row) for row in rows]

    def models(self) -> list[str]:
        return [row[0] for row in self._rows(self._run.models)]

    def add_batch(self, batch: Batch) -> bool:
        key = {"model": batch.model, "producer": batch.producer, "sequence": batch.sequence}
        row = key | {"batch_id": batch.batch_id, "kind": batch.kind, "path": batch.path, "rows": batch.rows}
        row |= {"window_start": batch.window.start, "window_end": batch.window.end, "written_at": batch.written_at}
        if self._write(self._run.add_batch, row):
            self._note(batch.model)
            return True
        if self._rows(self._run.batch_key, **key):
            return False
        raise StaleWrite(f"batch {batch.batch_id!r} is there already, from another producer or under another sequence")

    def batches(self, model: str, kind: str, window: Window | None = None) -> list[Batch]:
        start, end = (window.start, window.end) if window else (TIME_MIN, TIME_MAX)
        return [_batch(row) for row in self._rows(self._run.batches, model=model, kind=kind, start=start, end=end)]

    def batch(self, batch_id: str) -> Batch | None:
        rows = self._rows(self._run.batch, batch_id=batch_id)
        return _batch(rows[0]) if rows else None

    def claim(self, model: str, prediction_ids: Sequence[str], batch_id: str) -> list[bool]:
        fresh = dict.fromkeys(prediction_ids, True)
        for ids in _listed(fresh):
            fresh.update((row[0], False) for row in self._rows(self._run.claimed, the_model=model, ids=ids))
        for ids in _listed(prediction_id for prediction_id, is_fresh in fresh.items() if is_fresh):
            self._write(self._run.claim, {"the_model": model, "ids": ids, "batch_id": batch_id})
        if fresh:
            self._note(model)
        # The first of several copies takes the claim, and leaves nothing for the next.
        return [fresh.pop(prediction_id, False) for prediction_id in prediction_ids]

    def identities(self, model: str, prediction_ids: Iterable[str]) -> dict[str, Identity]:
        known: dict[str, Identity] = {}
        for ids in _listed(prediction_ids):
            rows = self._rows(self._run.identities, the_model=model, ids=ids)
            known.update((prediction_id, Identity(batch_id, label)) for prediction_id, batch_id, label in rows)
        return known

    def set_labels(self, model: str, labels: Mapping[str, int]) -> None:
        rows = [{"the_model": model, "the_id": name, "label": label} for name, label in labels.items()]
        self._write(self._run.set_label, rows)

    def add_profiles(self, model: str, scale: str, profiles: Mapping[ProfileKey, bytes]) -> None:
        names = {(key.version, key.role, _segment_text(key.segment)) for key in profiles}
        numbers = self._series(model, scale)
        if missing := sorted(names - numbers.keys()):
            common = {"model": model, "scale": scale}
            rows = [common | {"version": name[0], "role": name[1], "segment": name[2]} for name in missing]
            self._write(self._run.add_series, rows)
            numbers = self._series(model, scale)
            self._note(model)
        self._write(self._run.add_profile, [_profile_row(numbers, key) | {"body": body} for key, body in profiles.items()])

    def profiles(self, model: str, scale: str, window: Window) -> dict[ProfileKey, bytes]:
        found: dict[int, list[Any]] = {}
        for row in self._rows(self._run.profiles, model=model, scale=scale, start=window.start, end=window.end):
            found.setdefault(row[0], []).append(row)
        names = {number: (name[0], name[1], _segment.decode(name[2])) for name, number in self._series(model, scale).items()}
        return {
            ProfileKey(*names[number], Window(start, end)): body
            for number in sorted(found, key=names.__getitem__)
            for _, start, end, body in sorted(found[number], key=itemgetter(1, 2))
        }

    def drop_profiles(self, model: str, scale: str, keys: Iterable[ProfileKey]) -> None:
        numbers = self._series(model, scale)
        places = [_profile_row(numbers, key) for key in keys if _series_name(key) in numbers]
        self._write(self._run.drop_profile, [{f"the_{name}": value for name, value in place.items()} for place in places])

    def add_verdicts(self, model: str, verdicts: Sequence[Verdict]) -> None:
        self._write(self._run.add_verdict, [_verdict_row(model, verdict) for verdict in verdicts])
        if verdicts:
            self._note(model)

    def verdicts(self, model: str, window: Window | None = None, check: str | None = None) -> list[Verdict]:
        start, end = (window.start, window.end) if window else (TIME_MIN, TIME_MAX)
        if check is None:
            rows = self._rows(self._run.verdicts, model=model, start=start, end=end)
        else:
            rows = self._rows(self._run.verdicts_of_check, model=model, start=start, end=end, check=check)
        with _mapped(self._name, "read a verdict"):
            return [_packed_verdict.decode(row[0]) for row in rows]

    def post(self, command: Command) -> None:
        row = {"key": command.key, "model": command.model, "name": command.name, "body": command.body, "due": command.due}
        self._write(self._run.post, row)
        self._note(command.model)

    def due(self, model: str, now: int) -> list[Command]:
        return [Command(*row) for row in self._rows(self._run.due, model=model, now=now)]

    def finish(self, key: str, now: int) -> None:
        self._write(self._run.finish, {"the_key": key, "now": now})

    def ledger_head(self) -> Entry | None:
        entries = self._entries(self._run.head)
        return entries[0] if entries else None

    def append(self, entry: Entry) -> None:
        place = self._rows(self._run.head_place)
        sequence, head = place[0] if place else (0, GENESIS)
        if (entry.sequence, entry.previous) != (sequence + 1, head):
            raise StaleWrite(f"ledger entry {entry.sequence} does not follow entry {sequence}; read the head again")
        body = canonical_json(entry)
        self._write(self._run.append, {"sequence": entry.sequence, "hash": entry.hash, "entry": body})
        self._note(entry.fact.model)

    def ledger(self) -> list[Entry]:
        return self._entries(self._run.ledger)

    def _entries(self, statement: sa.Select[Any]) -> list[Entry]:
        rows = self._rows(statement)
        with _mapped(self._name, "read a ledger entry"):
            return [_entry.decode(row[0]) for row in rows]

    def _series(self, model: str, scale: str) -> dict[tuple[str, str, str], int]:
        rows = self._rows(self._run.series, model=model, scale=scale)
        return {(version, role, segment): number for number, version, role, segment in rows}

    def _note(self, model: str) -> None:
        if model not in self._noted:
            self._write(self._run.note_model, {"model": model})
            self._noted.add(model)

    def _rows(self, statement: sa.Select[Any], **parameters: object) -> Sequence[sa.Row[Any]]:
        self._check_open()
        with _mapped(self._name, "read"):
            return self._connection.execute(statement, parameters).all()

    def _write(self, statement: sa.Executable, rows: Mapping[str, object] | Sequence[Mapping[str, object]]) -> int:
        """Run a statement for one row or for many, and return how many rows of the store it changed."""
        self._check_open()
        if not rows:
            return 0
        with _mapped(self._name, "write"):
            # Without the option, the count of an INSERT is not kept.
            return self._connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount

    def _check_open(self) -> None:
        if not self.is_open:
            raise IllegalMove("the transaction has ended; begin another one")


class _mapped:  # noqa: N801 - reads as a word: `with _mapped(...)`
    """Turn what SQLAlchemy, the driver, the file system and msgspec raise into our errors.

    A class, because `contextlib.contextmanager` would cost more than many of the statements inside it.
    """

    __slots__ = ("_doing", "_name")

    def __init__(self, name: str, doing: str) -> None:
        self._name = name
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sa.exc.SQLAlchemyError | OSError | msgspec.MsgspecError):
            reason = getattr(error, "orig", None) or error
            raise OutsideError(f"control store {self._name} could not {self._doing}: {reason}") from error
        if isinstance(error, UnicodeError | OverflowError):
            raise DataError(Mistake(f"control store {self._name}", f"cannot hold a value: {error}")) from error


def _url(url_or_path: str | Path) -> sa.URL:
    text = str(url_or_path)
    hint = "give a file, sqlite:///FILE or postgresql://USER@HOST/DATABASE"
    if "://" not in text:
        if text in {"", ":memory:"}:
            raise CallError(Mistake("control store", "needs a file", text, hint=hint))
        return sa.URL.create("sqlite", database=text)
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError as error:
        raise CallError(Mistake("control store", "is not an address", text, hint=hint)) from error
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise CallError(Mistake("control store", "is of no known kind", url.drivername, hint=hint))
    if url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}:
        raise CallError(Mistake("control store", "needs a file", text, hint=hint))
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _engine(url: sa.URL, patience_seconds: float) -> sa.Engine:
    is_file = url.get_backend_name() == "sqlite"
    try:
        # One connection: transactions take turns anyway, and its caches stay warm. A server may have dropped it meanwhile.
        engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=not is_file)
    except ModuleNotFoundError as error:
        raise CallError(Mistake("control store", f"needs {error.name}", hint="pip install 'killick[postgres]'")) from error
    if is_file:
        sa.event.listen(engine, "connect", partial(_prepare_sqlite, patience_seconds))
        sa.event.listen(engine, "begin", _begin_sqlite)
    else:
        sa.event.listen(engine, "begin", partial(_begin_postgresql, patience_seconds))
    return engine


def _prepare_sqlite(patience_seconds: float, connection: DBAPIConnection, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined] # or the driver begins transactions of its own
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
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(patience_seconds * 1000)}ms'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")


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


def _listed(ids: Iterable[str]) -> Iterator[str]:
    """Yield the ids as JSON arrays of a bounded length."""
    everything = list(ids)
    for first in range(0, len(everything), _IDS_AT_ONCE):
        part = everything[first : first + _IDS_AT_ONCE]
        if any("\0" in prediction_id for prediction_id in part):
            # SQLite would cut the id there, PostgreSQL refuse it: two predictions might pass for one.
            bad = next(prediction_id for prediction_id in part if "\0" in prediction_id)
            raise DataError(Mistake("prediction_id", "holds a NUL character", bad))
        try:
            yield msgspec.json.encode(part).decode()
        except UnicodeError as error:
            raise DataError(Mistake("prediction_id", f"is not Unicode text: {error}")) from error


@lru_cache(maxsize=4096)
def _segment_text(segment: tuple[tuple[str, str], ...]) -> str:
    return canonical_json(segment).decode()


def _series_name(key: ProfileKey) -> tuple[str, str, str]:
    return key.version, key.role, _segment_text(key.segment)


def _profile_row(numbers: Mapping[tuple[str, str, str], int], key: ProfileKey) -> dict[str, Any]:
    return {"series": numbers[_series_name(key)], "window_start": key.window.start, "window_end": key.window.end}


def _verdict_row(model: str, verdict: Verdict) -> dict[str, Any]:
    start, end = (verdict.window.start, verdict.window.end) if verdict.window else (TIME_MIN, TIME_MAX)
    body = msgspec.msgpack.encode(verdict)
    row = {"model": model, "window_start": start, "window_end": end, "body": body}
    return row | {"fingerprint": verdict.fingerprint, "check_name": verdict.check}


def _batch(row: sa.Row[Any]) -> Batch:
    batch_id, model, kind, producer, sequence, path, rows, start, end, written_at = row
    return Batch(batch_id, model, kind, producer, sequence, path, rows, Window(start, end), written_at)
