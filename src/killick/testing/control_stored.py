"""What the control store in memory keeps: tables as dictionaries, and an index of windows."""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from killick.ports.control import KEYS, SERVERS, merge_stretches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from killick.checks.verdict import Verdict
    from killick.clock import Instant, Window
    from killick.ledger.entry import Entry
    from killick.ports.control import Batch, Command, Document, Half, Quarantined, Stretch

K = TypeVar("K")
V = TypeVar("V")


class ByWindow(Generic[K, V]):
    """Values under a key and a window; finding those inside a window costs as much as they are."""

    def __init__(self) -> None:
        self.rows: dict[Window, dict[K, V]] = {}
        self._windows: list[Window] = []

    def copy(self) -> ByWindow[K, V]:
        """Return another of these with the same values."""
        other: ByWindow[K, V] = ByWindow()
        other.rows = {window: dict(row) for window, row in self.rows.items()}
        other._windows = list(self._windows)
        return other

    def row(self, window: Window) -> dict[K, V]:
        """Return the values of one window, to be read and written."""
        if window not in self.rows:
            self.rows[window] = {}
            insort(self._windows, window)
        return self.rows[window]

    def inside(self, window: Window) -> Iterator[tuple[Window, dict[K, V]]]:
        """Yield the windows that lie inside this one, in order, and their values."""
        for place in range(bisect_left(self._windows, window.start, key=attrgetter("start")), len(self._windows)):
            found = self._windows[place]
            if found.start > window.end:
                return
            if window.covers(found):
                yield found, self.rows[found]

    def in_order(self, window: Window) -> list[tuple[K, Window, V]]:
        """Return the values inside a window, with the key and the window of each, in order of both."""
        held = [(key, found, value) for found, row in self.inside(window) for key, value in row.items()]
        return sorted(held, key=itemgetter(0, 1))


class Stored:
    """What is kept. Numbers count additions and are never given twice, so gaps in them mean nothing."""

    def __init__(self) -> None:
        self.models: dict[str, None] = {}
        self.documents: dict[tuple[str, str], dict[str, Document]] = {}
        self.batches: dict[str, Batch] = {}
        self.pending: dict[str, None] = {}
        self.removed: dict[str, float] = {}
        self.deliveries: dict[tuple[str, str, str, int], tuple[Stretch, bytes]] = {}
        self.tallies: dict[str, dict[str, int]] = {}
        self.quarantine: dict[str, dict[int, Quarantined]] = {}
        self.halves: dict[str, dict[tuple[str, str], Half]] = {}
        self.profiles: dict[tuple[str, str], ByWindow[tuple[Any, ...], bytes]] = {}
        self.verdicts: dict[str, ByWindow[str, tuple[int, Verdict]]] = {}
        self.commands: dict[str, Command] = {}
        self.open: dict[str, dict[str, int]] = {}  # model -> key of what is not done -> its number
        self.ledger: dict[int, Entry] = {}
        self.number = 0

    def copy(self) -> Stored:
        """Return another of these that holds the same."""
        other = Stored()
        for name, held in vars(self).items():
            copied = {key: _copied(value) for key, value in held.items()} if isinstance(held, dict) else held
            setattr(other, name, copied)
        return other

    def next_number(self) -> int:
        """Return a number that was never given before."""
        self.number += 1
        return self.number


def _copied(held: Any) -> Any:  # noqa: ANN401 - a container of the store, or one of the frozen values in it
    return held.copy() if isinstance(held, dict | ByWindow) else held


def touches(one: Window, other: Window) -> bool:
    """Whether two windows have an instant in common."""
    return one.start < other.end and other.start < one.end


def aged(stretches: Iterable[Stretch], keys_before: Instant, drop_before: Instant) -> list[Stretch]:
    """Return what is remembered of deliveries whose answers are forgotten; they come in order."""
    old = [one for one in stretches if one.at >= (keys_before if one.producer.startswith(KEYS) else drop_before)]
    return merge_stretches(one for one in old if not one.producer.startswith(SERVERS))
