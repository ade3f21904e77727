"""Reading a spec: the text of `killick.yaml` in, a `Spec` or every mistake at once out.

Promise: pure. Files are read elsewhere: `extends_of` says which parent a text asks for, `parse_spec` takes the parents'
texts. A `Spec` that comes from here needs no validation again. Its fingerprint depends on what is meant and not on
comments, the order of keys, spelling (`1%`, `0.01`) or defaults that are written out.

Cost: about a millisecond for ten lines; bounded (`tree.py`).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from killick.errors import Mistake, SpecError, did_you_mean
from killick.identity import fingerprint
from killick.spec.crosscheck import cross_check
from killick.spec.document import Schema, Spec
from killick.spec.grammar import DOCUMENT, NEEDS
from killick.spec.reader import Notes, Place, read_fields
from killick.spec.tree import Node, locate, read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["extends_of", "parse_spec", "sealed", "unheeded"]

_NO_PARENTS: Mapping[str, str] = MappingProxyType({})

# A team's defaults extend a company's; who needs more is lost.
_GENERATIONS_MAX = 8


def parse_spec(text: str, *, source: str = "killick.yaml", parents: Mapping[str, str] = _NO_PARENTS) -> Spec:
    """Read a spec.

    Args:
        text: the document.
        source: its name, for messages.
        parents: the texts that `extends` may name, by the name that is written there.

    Raises:
        SpecError: with every mistake that could be found.

    >>> parse_spec("{killick: 1, model: churn, task: binary, schema: {score: p}}").schema.score
    'p'
    """
    return _read(text, source, parents)[0]


def unheeded(
    text: str, *, source: str = "killick.yaml", parents: Mapping[str, str] = _NO_PARENTS
) -> tuple[Mistake, ...]:
    """Return what a spec says rightly but nothing acts on yet, so that nobody relies on it: `validate` prints it.

    It has no place in the `Spec`, except that it counts in the fingerprint.

    Raises:
        SpecError: as `parse_spec` does.
    """
    return _read(text, source, parents)[1]


def extends_of(text: str) -> str | None:
    """Return the parent that a document extends, or None when it has none or cannot be read (`parse_spec` says why)."""
    try:
        root, _ = read_tree(text, source="")
    except SpecError:
        return None
    parent = _extends(root)
    return parent.content if parent and isinstance(parent.content, str) else None


def sealed(spec: Spec, later: Mapping[str, object] = MappingProxyType({})) -> Spec:
    """Return the spec with its fingerprint, as one made in code needs it. `later` is what it says beyond its values."""
    meant: dict[str, Any] = msgspec.to_builtins(spec)
    del meant["fingerprint"]
    return replace(spec, fingerprint=fingerprint([meant, dict(later)]))


def _read(text: str, source: str, parents: Mapping[str, str]) -> tuple[Spec, tuple[Mistake, ...]]:
    root, mistakes = _read_with_parents(text, source, parents)
    notes = Notes(source, mistakes)
    place = Place(root, "", notes)
    parts = read_fields(place, DOCUMENT, NEEDS)
    parts.pop("killick", None)
    # Stand-ins for what is missing, so that the rest can be cross-checked; a spec with mistakes never leaves.
    spec = Spec(**{"model": "", "task": "binary", "schema": Schema(), **parts})
    cross_check(spec, notes)
    if notes.mistakes:
        raise SpecError(*sorted(notes.mistakes, key=lambda mistake: mistake.line or 0))
    return sealed(spec, notes.later), tuple(notes.unheeded)


def _read_with_parents(text: str, source: str, parents: Mapping[str, str]) -> tuple[Node, list[Mistake]]:
    """Return the document laid over its parents, the nearest on top, and the mistakes of all."""
    root, found = read_tree(text, source=source)
    mistakes, seen, link = [*found], [source], _extends(root)
    while link:
        parent = link.content
        problem, hint = _unusable(parent, seen, parents)
        if problem:
            place = locate("extends", link.source)
            mistakes.append(Mistake(place, problem, link.plain(), link.line, hint))
            break
        elder, found = read_tree(parents[str(parent)], source=str(parent), main=False)
        mistakes += found
        seen.append(str(parent))
        link = _extends(elder)
        root = root.under(elder)
    return root, mistakes


def _unusable(parent: object, seen: list[str], parents: Mapping[str, str]) -> tuple[str, str]:
    """Return what is wrong with a name of a parent, and a hint; empty texts when nothing is."""
    if not isinstance(parent, str):
        return "must be a text", "name one file, for example team.yaml"
    if parent in seen:
        return "goes round in a circle", "a spec cannot extend itself"
    if len(seen) > _GENERATIONS_MAX:
        return f"is generation {len(seen) + 1} of parents", f"extend at most {_GENERATIONS_MAX}"
    if parent not in parents:
        return "was not found", did_you_mean(parent, parents) if parents else "write a path from this file's folder"
    return "", ""


def _extends(root: Node) -> Node | None:
    """Return the `extends` of a document's root, unless there is none or it is null."""
    node = root.content.get("extends") if isinstance(root.content, dict) else None
    return node if node and node.content is not None else None
