"""How a grammar is read: small parsers for a place in the document, and combinators that make larger ones of them.

A `Parser` takes a `Place` and returns a value, or notes what is wrong there and raises `Stop`. The combinators
(`record`, `each`, `named` ...) catch that and read on, so that one reading finds every mistake. `grammar.py` is the
table that is made of these; nothing here knows a model from a metric.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

from killick.errors import Mistake, SpecError, did_you_mean
from killick.spec.tree import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from killick.spec.tree import Node

T = TypeVar("T")

# Nobody reads on after these, and a file that is no spec at all should not be compared word by word.
_MISTAKES_MAX = 100

Parser: TypeAlias = "Callable[[Place], T]"


class Stop(Exception):
    """Here is no value. Whatever had to be said about it is noted."""


@dataclass(slots=True)
class Notes:
    """What a reading finds: mistakes, what is not acted on yet (`later`: its values), and where every path stands."""

    source: str
    mistakes: list[Mistake] = field(default_factory=list)
    unheeded: list[Mistake] = field(default_factory=list)
    later: dict[str, object] = field(default_factory=dict)
    places: dict[str, Node] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)

    def refuse(self, path: str, problem: str, hint: str, value: object = None) -> None:
        """Note a mistake at a path; its line is that of the nearest piece that was written."""
        node = self._nearest(path)
        self.mistakes.append(Mistake(locate(path, node.source), problem, value, node.line, hint))
        self.wrong.add(path)
        if len(self.mistakes) == _MISTAKES_MAX:
            more = Mistake(self.source, "may have more mistakes", hint="mend these first")
            raise SpecError(*self.mistakes, more)

    def clean(self, *paths: str) -> bool:
        """Whether nothing is wrong at these paths or inside them."""
        inside = tuple(f"{path}{mark}" for path in paths for mark in ".[")
        return not any(wrong in paths or wrong.startswith(inside) for wrong in self.wrong)

    def _nearest(self, path: str) -> Node:
        while path not in self.places and path:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return self.places[path]


@dataclass(frozen=True, slots=True)
class Place:
    """A piece of the document, the path that leads to it, and the notes of this reading."""

    node: Node
    path: str
    notes: Notes

    def __post_init__(self) -> None:
        self.notes.places[self.path] = self.node

    def refuse(self, problem: str, hint: str) -> NoReturn:
        """Note that what stands here cannot be used, and stop reading it."""
        self.notes.refuse(self.path, problem, hint, self.node.plain())
        raise Stop

    @contextmanager
    def unharmed(self) -> Iterator[None]:
        """Stop at the end of the block when a mistake was noted inside it."""
        before = len(self.notes.mistakes)
        yield
        if len(self.notes.mistakes) > before:
            raise Stop

    def mapping(self) -> Mapping[str, Node]:
        """Return what stands here by key."""
        if not isinstance(self.node.content, dict):
            self.refuse("must be a mapping", "write key: value, one on a line, or {key: value}")
        return self.node.content

    def sequence(self) -> Sequence[Node]:
        """Return what stands here in order."""
        if not isinstance(self.node.content, tuple):
            self.refuse("must be a list", "write [one, another]")
        return self.node.content

    def at(self, key: str) -> Place:
        """Return the place under a key. A key with a dot in it makes an ambiguous path, but a line tells which."""
        step = key or '""'  # an empty key must not look like no path at all
        return Place(self.mapping()[key], f"{self.path}.{step}" if self.path else step, self.notes)

    def item(self, index: int) -> Place:
        """Return the place of an item, counted from 0 as in `jq` and Python."""
        return Place(self.sequence()[index], f"{self.path}[{index}]", self.notes)


def read_fields(place: Place, fields: Mapping[str, Parser[Any]], needs: Mapping[str, str]) -> dict[str, Any]:
    """Read a mapping with known keys. What is absent, null or wrong is absent from the result.

    `needs` are the keys that must be there, each with the hint for who left it out.
    """
    mapping = place.mapping()
    meant = set()
    for key in [key for key in mapping if key not in fields]:
        wrong = place.at(key)
        # A whole mapping would fill the screen, and its key is the mistake.
        value = None if isinstance(wrong.node.content, dict | tuple) else wrong.node.plain()
        wrong.notes.refuse(wrong.path, "is not known", did_you_mean(key, fields), value)
        meant |= set(get_close_matches(key, sorted(fields), n=1))
    values = {}
    for key, parser in fields.items():
        if key in mapping and mapping[key].content is not None:
            with suppress(Stop):
                values[key] = parser(place.at(key))
        elif key in needs and key not in meant:  # a misspelt key was told already
            path = f"{place.path}.{key}" if place.path else key
            place.notes.refuse(path, "is missing", needs[key])
    return values


def record(
    make: Callable[..., T],
    fields: Mapping[str, Parser[Any]],
    *,
    needs: Mapping[str, str] | None = None,
    holds: Callable[[Place, T], None] | None = None,
) -> Parser[T]:
    """Return the parser of a mapping with known keys, made into a value.

    `holds` checks what keys must hold among each other. Like `make`, it sees only a record without mistakes.
    """

    def parse(place: Place) -> T:
        with place.unharmed():
            values = read_fields(place, fields, needs or {})
        value = make(**values)
        if holds:
            holds(place, value)
        return value

    return parse


def each(parser: Parser[T], *, holds: Callable[[Place, tuple[T, ...]], None] | None = None) -> Parser[tuple[T, ...]]:
    """Return the parser of a list. `holds` sees only a list without mistakes."""

    def parse(place: Place) -> tuple[T, ...]:
        values = []
        with place.unharmed():
            for index in range(len(place.sequence())):
                with suppress(Stop):
                    values.append(parser(place.item(index)))
        if holds:
            holds(place, tuple(values))
        return tuple(values)

    return parse


def one_or_more(parser: Parser[T]) -> Parser[tuple[T, ...]]:
    """Return the parser of a list that may be written without brackets when it has one item."""
    several = each(parser)

    def parse(place: Place) -> tuple[T, ...]:
        return several(place) if isinstance(place.node.content, tuple) else (parser(place),)

    return parse


def named(make: Callable[[str, Place], T]) -> Parser[tuple[T, ...]]:
    """Return the parser of a mapping whose keys are the operator's own names."""

    def parse(place: Place) -> tuple[T, ...]:
        values = []
        with place.unharmed():
            for name in place.mapping():
                with suppress(Stop):
                    values.append(make(name, place.at(name)))
        return tuple(values)

    return parse


def unheeded(parser: Parser[Any], meaning: str) -> Parser[Any]:
    """Return a parser that accepts what is written and notes that it is not acted on yet. It has no value."""

    def parse(place: Place) -> NoReturn:
        place.notes.later[place.path] = parser(place)
        where = locate(place.path, place.node.source)
        note = Mistake(where, f"is not acted on yet: {meaning}", place.node.plain(), place.node.line)
        place.notes.unheeded.append(note)
        raise Stop

    return parse


def repeated(values: Iterable[T]) -> Iterable[tuple[int, int]]:
    """Yield the positions of each repetition and of what it repeats.

    >>> list(repeated(["v1", "v2", "v1"]))
    [(2, 0)]
    """
    first: dict[T, int] = {}
    for index, value in enumerate(values):
        if value in first:
            yield index, first[value]
        else:
            first[value] = index
