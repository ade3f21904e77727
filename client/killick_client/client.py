"""`Client`: what a service calls. Nothing here raises into the caller, blocks it, or grows without a bound.

Promise: `log_*` costs microseconds, in threads, in asyncio and in forked workers alike. What was logged is on disk
after `flush_seconds` (a crash of the process loses at most that), durable against a power loss after `fsync_seconds`,
and sent until the server has it, by the next start if need be. Beyond the bounds the newest is dropped, counted and
reported.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import quote
from weakref import WeakSet

from msgspec import structs

from killick_client.embedded import open_store
from killick_client.encoding import ChangeLine, GaugeLine, OutcomeLine, PredictionLine, encode, microseconds
from killick_client.pipeline import Pipeline, Settings, Statistics
from killick_client.privacy import Privacy
from killick_client.ring import Parcel
from killick_client.tables import ARROW, height, is_drawn, pack
from killick_client.transport import HttpTransport
from killick_client.watch import PARTS, OpenPrediction, watched

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from killick_client.privacy import Treatment
    from killick_client.transport import Transport

    When: TypeAlias = dt.datetime | int | str | None

URL = "http://127.0.0.1:8642"
# A hundred thousand predictions of 20 features: a second or so of a busy service whose disk does not answer.
MEMORY_BYTES_MAX = 64 << 20
# Half a million predictions or more: hours of a server's absence for most, and no disk is full of it.
SPOOL_BYTES_MAX = 256 << 20
_PROFILES = "application/vnd.killick.profiles"
_TRANSPORTS = "killick_client.transports"
Line = TypeVar("Line", PredictionLine, OutcomeLine)


class Client:
    """Logs what a model does. One for a process is enough; all its threads may use it.

    Args:
        url: the server's address; else `KILLICK_URL`, else the server of this machine.
        model: whose predictions these are.
        version: which version answers, where a call does not say.
        token: of the server, else `KILLICK_TOKEN`.
        spool: the folder for what waits to be sent, else `KILLICK_SPOOL`, else the user's state folder. Every server
            and model has a folder of its own in it.
        memory_bytes_max: of what is not yet on disk.
        spool_bytes_max: of what is on disk, of all processes that log to this server for this model together.
        flush_seconds: how often what was logged is written to the spool.
        fsync_seconds: how often the spool is made safe from a power loss, at most.
        sample: the share of predictions that are logged, drawn by their ids; each has its weight. Outcomes are drawn
            alike, so let the service that logs them name the same share.
        privacy: by column, `"drop"`, `Hash(key)` or `Truncate(characters)`.
        transport: how batches travel, instead of HTTP; or a function that opens one, called once in each process.

    Raises:
        ValueError: the address, the token, the model's name, the share, a bound or the privacy is no such thing.

    >>> client = Client(model="flight-delay", version="v3")
    >>> client.statistics().logged
    0
    """

    def __init__(  # noqa: PLR0913 - one place to say everything, and all but one has a default
        self,
        url: str | None = None,
        *,
        model: str,
        version: str | None = None,
        token: str | None = None,
        spool: str | os.PathLike[str] | None = None,
        memory_bytes_max: int = MEMORY_BYTES_MAX,
        spool_bytes_max: int = SPOOL_BYTES_MAX,
        flush_seconds: float = 0.1,
        fsync_seconds: float = 1.0,
        sample: float = 1.0,
        privacy: Mapping[str, Treatment] | None = None,
        transport: Transport | Callable[[], Transport] | None = None,
    ) -> None:
        if not model:
            raise ValueError("model: whose predictions are these? Give the model's name")
        if not 0 < sample <= 1:
            raise ValueError(f"sample: a share in (0, 1], not {sample!r}")
        if min(memory_bytes_max, spool_bytes_max, flush_seconds) <= 0 or fsync_seconds < 0:
            raise ValueError(
                "memory_bytes_max, spool_bytes_max and flush_seconds are more than 0, fsync_seconds not less"
            )
        address = url or os.environ.get("KILLICK_URL") or URL
        self.model, self.version = model, version
        self._sample, self._weight = sample, 1.0 / sample if sample < 1 else None
        self._privacy = Privacy(privacy or {})
        if transport is None:
            token = token or os.environ.get("KILLICK_TOKEN")
            HttpTransport(address, token)  # a mistake in them is the caller's, and told here
            self._open_transport: Callable[[], Transport] = partial(HttpTransport, address, token)
        else:
            self._open_transport = transport if callable(transport) else partial(_given, transport)
        named = f"/v1/models/{quote(model, safe='')}"
        kinds = ("predictions", "outcomes", "gauges", "profiles")
        self._settings = Settings(
            paths={kind: f"{named}/{kind}" for kind in kinds} | {"changes": "/v1/changes"},
            folder=_spool_folder(spool, address, model),
            memory_bytes_max=memory_bytes_max,
            spool_bytes_max=spool_bytes_max,
            flush_seconds=flush_seconds,
            fsync_seconds=fsync_seconds,
        )
        self._begin()
        _CLIENTS.add(self)

    @classmethod
    def local(cls, path: str | os.PathLike[str], *, model: str, **settings: Any) -> Self:  # noqa: ANN401 - what else `Client` takes
        """Return a client without a server: it stores straight into the embedded store in a folder.

        A forked child of a process that had loaded Polars cannot store: what it logs is kept for the next start.

        Args:
            path: the store's folder.
            model: whose predictions these are.
            settings: what else `Client` takes.

        Raises:
            RuntimeError: `killick`, which brings the store, is not installed.
        """
        from importlib.metadata import entry_points  # not needed by anybody with a server

        found = next(iter(entry_points(group=_TRANSPORTS, name="local")), None)
        if found is None:
            raise RuntimeError("Client.local needs the store that comes with killick: pip install killick")
        opener = partial(open_store, found, os.fspath(path))
        return cls(f"local:{Path(path).resolve()}", model=model, transport=opener, **settings)

    def log_prediction(  # noqa: PLR0913 - a prediction has that many parts, and needs but one of them
        self,
        *,
        prediction_id: str | None = None,
        features: Mapping[str, Any],
        score: float | None = None,
        scores: Mapping[str, float] | None = None,
        decision: str | float | bool | None = None,
        entity_id: str | None = None,
        event_time: When = None,
        latency_seconds: float | None = None,
        status: str = "ok",
        role: str = "live",
        version: str | None = None,
        trace_id: str | None = None,
        log_url: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Log one prediction, and return its id: the one given, or a new one.

        `event_time` is a datetime, microseconds since 1970 UTC or ISO 8601 text, else now. `status` says how it went:
        `ok`, or the name of what went wrong. All parts are those of `killick_client.Prediction`.
        """
        name = ""
        try:
            name = f"{self._pipeline.producer}-{next(self._ids)}" if prediction_id is None else str(prediction_id)
            if self._sample < 1 and not is_drawn(name, self._sample):
                self._pipeline.ring.skip()
                return name
            line = PredictionLine(
                prediction_id=name,
                event_time=microseconds(event_time, time.time_ns() // 1_000),
                features=features,
                version=self.version if version is None else version,
                entity_id=entity_id,
                score=score,
                decision=decision,
                role=role,
                latency_seconds=latency_seconds,
                status=None if status == "ok" else status,
                trace_id=trace_id,
                log_url=log_url,
                metadata=metadata,
                sampling_weight=self._weight,
                scores=scores,
            )
            self._pipeline.put_line("predictions", encode(self._told(line)))
        except Exception as error:  # noqa: BLE001 - the service must never notice that it is watched
            self._pipeline.fail(error)
        return name

    def log_predictions(self, table: object) -> None:
        """Log a table of predictions.

        A table is a Polars, pandas or pyarrow one or whatever else has the Arrow interface, a mapping of columns, or
        rows that are mappings. Columns have the names that the model's spec gives them.
        """
        self._log_table("predictions", table)

    def log_outcome(
        self,
        *,
        prediction_id: str,
        label: bool | float | str | None = None,
        kpis: Mapping[str, float] | None = None,
        known_at: When = None,
    ) -> None:
        """Log what turned out for a prediction; `known_at` is like `event_time`."""
        try:
            name = str(prediction_id)
            if self._sample < 1 and not is_drawn(name, self._sample):
                self._pipeline.ring.skip()
                return
            at = microseconds(known_at, time.time_ns() // 1_000)
            line = OutcomeLine(prediction_id=name, known_at=at, label=label, kpis=kpis)
            self._pipeline.put_line("outcomes", encode(self._told(line)))
        except Exception as error:  # noqa: BLE001 - the service must never notice that it is watched
            self._pipeline.fail(error)

    def log_outcomes(self, table: object) -> None:
        """Log a table of outcomes, of any kind that `log_predictions` takes."""
        self._log_table("outcomes", table)

    def log_change(self, *, kind: str, name: str, version: str | None = None, note: str = "", at: When = None) -> None:
        """Log something that happened in the model's world: a release, a new version of a pipeline."""
        now = time.time_ns() // 1_000
        self._log(
            "changes",
            lambda: ChangeLine(
                at=microseconds(at, now), kind=kind, name=name, version=version, note=note, model=self.model
            ),
        )

    def log_gauge(self, name: str, value: float, at: When = None) -> None:
        """Log a number that the service tells of itself, such as the length of its queue."""
        now = time.time_ns() // 1_000
        self._log("gauges", lambda: GaugeLine(at=microseconds(at, now), name=name, value=value))

    def log_profile(self, packed: bytes) -> None:
        """Send a packed profile that was made in this process: the rows themselves stay here."""
        try:
            self._pipeline.put(Parcel("profiles", _PROFILES, 1, bytes(memoryview(packed))))
        except Exception as error:  # noqa: BLE001 - the service must never notice that it is watched
            self._pipeline.fail(error)

    def prediction(self, **parts: object) -> OpenPrediction:
        """Return a prediction under way, to be filled in a `with` block and logged at its end.

        Its latency is the block's. An error is its `status`, by name, and goes on.

        Args:
            parts: what `log_prediction` takes, as far as it is known already. With any other it is counted as dropped.
        """
        if unknown := parts.keys() - PARTS:
            error = AttributeError(f"a prediction has no part {min(unknown)!r}")
            known = {name: value for name, value in parts.items() if name not in unknown}
            return OpenPrediction(lambda **_: self._pipeline.fail(error), known)
        return OpenPrediction(self.log_prediction, parts)

    def watch(
        self,
        function: Callable[..., Any] | None = None,
        *,
        features: Callable[..., Mapping[str, Any]] | None = None,
        **parts: Callable[..., Any],
    ) -> Any:  # noqa: ANN401 - the function, or what decorates it
        """Decorate a function, plain or async: each call is logged as a prediction, with its latency and error.

        Args:
            function: what predicts.
            features: how to get the features from the call's arguments; else the first argument that is a mapping, or
                all of them by name.
            parts: how to get other parts from the arguments, such as `entity_id=lambda request: request["user"]`. The
                result is the score if it is a number, the scores if it is a mapping, and the decision if it is text.
        """
        if function is None:
            return lambda function: watched(self.prediction, function, features, parts)
        return watched(self.prediction, function, features, parts)

    def flush(self, timeout_seconds: float = 10.0) -> bool:
        """Wait until the server has answered for all that was logged so far and not dropped; say whether it has.

        It waits, as `close` does and nothing else: in asyncio, `await asyncio.to_thread(client.flush)`.
        """
        try:
            return self._pipeline.flush(timeout_seconds)
        except Exception as error:  # noqa: BLE001 - the service must never notice that it is watched
            self._pipeline.fail(error, 0)
            return False

    def close(self, timeout_seconds: float = 2.0) -> None:
        """Flush for as long, and end; what could not be sent waits in the spool for the next start."""
        try:
            self._pipeline.close(timeout_seconds)
        except Exception as error:  # noqa: BLE001 - the service must never notice that it is watched
            self._pipeline.fail(error, 0)

    def statistics(self) -> Statistics:
        """Return what became of everything logged in this process so far."""
        return self._pipeline.statistics()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """Begin anew: no event, no thread, another producer."""
        self._pipeline = Pipeline(self._settings, self._open_transport)
        self._ids = count()

    def _log(self, kind: str, event: Callable[[], object]) -> None:
        try:
            self._pipeline.put_line(kind, encode(event()))
        except Exception as error:  # noqa: BLE001 - the service must never notice that it is watched
            self._pipeline.fail(error)

    def _log_table(self, kind: str, table: object) -> None:
        told = 0
        try:
            weight, version = (self._weight, self.version) if kind == "predictions" else (None, None)
            for rows, body, is_line in pack(table, self._privacy, self._sample, weight, version):
                told += rows
                if body is None:
                    self._pipeline.ring.skip(rows)
                elif isinstance(body, Exception):
                    self._pipeline.fail(body, rows)
                elif is_line:
                    self._pipeline.put_line(kind, body)
                else:
                    self._pipeline.put(Parcel(kind, ARROW, rows, body))
        except Exception as error:  # noqa: BLE001 - the service must never notice that it is watched
            self._pipeline.fail(error, max(1, height(table) - told))

    def _told(self, line: Line) -> Line:
        """Return of a line what may be told."""
        return type(line)(**self._privacy.event(structs.asdict(line))) if self._privacy else line


def _given(transport: Transport) -> Transport:
    return transport


_CLIENTS: WeakSet[Client] = WeakSet()


def _after_fork() -> None:
    """Begin anew in a child: what its parent logged is its parent's to send."""
    for client in list(_CLIENTS):
        client._pipeline.abandon()  # noqa: SLF001 - the same file
        client._begin()  # noqa: SLF001 - the same file


if hasattr(os, "register_at_fork"):  # once for all clients: there is no way to take it back
    os.register_at_fork(after_in_child=_after_fork)


def _spool_folder(spool: str | os.PathLike[str] | None, address: str, model: str) -> Path:
    """Return the folder for one server and model, in the one that was named or in the user's own."""
    named = spool or os.environ.get("KILLICK_SPOOL")
    key = blake2b(f"{address}\n{model}".encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return (Path(named) if named else _state_folder() / "killick" / "spool") / key


def _state_folder() -> Path:
    """Return where applications keep their state for this user (XDG, and its like on macOS and Windows)."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home, as in some containers
        import tempfile

        home = Path(tempfile.gettempdir(), f"killick-{os.getuid() if hasattr(os, 'getuid') else ''}")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Application Support"
    return Path(os.environ.get("XDG_STATE_HOME") or home / ".local" / "state")
