"""YAML text as a tree of nodes that know their lines: the only file that knows which YAML library we use.

Promise: plain scalars mean what the core schema of YAML 1.2.2 (section 10.3.2) says and nothing more, so `NO` and
`2013-04-01` are texts. What cannot be read is one mistake, with its line and what to do about it.
Cost: a megabyte takes seconds; bounded by `_CHARACTERS_MAX`, `_DEPTH_MAX` and `_NODES_MAX` (aliases expanded).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from killick.errors import Mistake, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Scalar: TypeAlias = str | int | float | bool | None

# The largest spec we have seen, two hundred versions long, is 40 kB.
_CHARACTERS_MAX = 1_000_000
# Nine lines of aliases can mean a billion nodes ("a billion laughs"); a spec of a megabyte has fewer than these.
_NODES_MAX = 200_000
# Python refuses to convert or to show much longer ones, because the time grows with the square.
_DIGITS_MAX = 3_000
# The grammar needs seven levels.
_DEPTH_MAX = 32

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOLEAN = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

# What the parser says, and what a person should do about it: the first that matches.
_SYNTAX_HINTS = (
    (r"character '\\t'", "indent with spaces, not with a tab"),
    (r"mapping values are not allowed", "put quotes around a text that has ': ' in it"),
    (r"alias", "put quotes around a text that starts with *, or define the anchor first"),
    (r"anchor", "put quotes around a text that starts with &"),
    (r"cannot start any token", "put quotes around this text"),
    (r"expected ',' or", "close the bracket, or put a comma between the entries"),
    (r"expected the node content", "close the bracket"),
    (r"unexpected end of stream", "close the quote"),
    (r"another document", "one file holds one spec: remove the line ---"),
    (r"could not find expected ':'", "a key is followed by a colon and a space"),
    (r"block end|block mapping start", "keys of one mapping start in the same column"),
)


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of the document. `line` is where its key stands, or the piece itself when it has no key.

    `written` is a scalar's text as it was typed; `source` names the file when it is not the main one.
    """

    content: Scalar | tuple[Node, ...] | Mapping[str, Node]
    line: int
    written: str = ""
    source: str = ""

    def plain(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the content as Python lists, dicts and scalars: what a message shows."""
        if isinstance(self.content, tuple):
            return [node.plain() for node in self.content]
        if isinstance(self.content, dict):
            return {key: node.plain() for key, node in self.content.items()}
        return self.content

    def under(self, parent: Node) -> Node:
        """Return this node laid over its parent's: mappings merge deeply, a null takes back what the parent said."""
        if not (isinstance(self.content, dict) and isinstance(parent.content, dict)):
            return self
        merged = dict(parent.content)
        for key, node in self.content.items():
            merged[key] = node.under(merged[key]) if key in merged else node
        return replace(self, content=merged)


def read_tree(text: str, *, source: str, main: bool = True) -> tuple[Node, tuple[Mistake, ...]]:
    """Read a document whose root is a mapping; return it with the mistakes that leave the rest readable.

    Raises:
        SpecError: one mistake: too large, not YAML, empty, or not a mapping.
    """
    if len(text) > _CHARACTERS_MAX:
        raise SpecError(
            Mistake(source, f"is longer than {_CHARACTERS_MAX:,} characters", len(text), hint="is it the right file?")
        )
    composed = _compose(text, source)
    if composed is None:
        hint = "start with: killick: 1; or let `killick init DATA` write one"
        raise SpecError(Mistake(source, "is empty", line=1, hint=hint))
    builder = _Builder(source, "" if main else source)
    root = builder.build(composed, "", composed.start_mark.line + 1, 0)
    if not isinstance(root.content, dict):
        hint = "a spec is a mapping that starts with: killick: 1"
        raise SpecError(Mistake(source, "is not a mapping", root.plain(), root.line, hint))
    return root, tuple(builder.mistakes)


def locate(path: str, source: str) -> str:
    """Return the place that a mistake names: the path, and the file when it is a parent's.

    >>> locate("value.unit", ""), locate("value.unit", "team.yaml")
    ('value.unit', 'value.unit (team.yaml)')
    """
    return f"{path} ({source})" if source else path


def resolve(written: str) -> Scalar:
    """Return what a plain scalar means in the core schema of YAML 1.2.2.

    >>> [resolve(text) for text in ("NO", "010", "0x1F", "1e3", "true", "~", "2013-04-01")]
    ['NO', 10, 31, 1000.0, True, None, '2013-04-01']
    """
    if _NULL.fullmatch(written):
        return None
    if _BOOLEAN.fullmatch(written):
        return written.lower() == "true"
    if _INTEGER.fullmatch(written) and len(written) <= _DIGITS_MAX:
        base = {"0o": 8, "0x": 16}.get(written[:2], 10)
        return int(written, base)
    if _FLOAT.fullmatch(written):
        return float(written)
    if _INFINITE.fullmatch(written):
        return float(written.lower().replace(".", "", 1))
    return written


def _compose(text: str, source: str) -> Any:  # noqa: ANN401 - the library's nodes have no common type
    """Return the library's node graph, or None for a document without content."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    yaml = YAML(typ="rt", pure=True)
    yaml.composer.warn_double_anchors = False
    try:
        return yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.problem, error.context) if part)
        hint = next((hint for pattern, hint in _SYNTAX_HINTS if re.search(pattern, problem)), "")
        line = mark.line + 1 if mark else None
        raise SpecError(Mistake(source, f"is not YAML: {problem}", line=line, hint=hint)) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = text[error.position]
        hint = "remove the character, or write it as an escape in double quotes"
        raise SpecError(Mistake(source, "has a character that YAML forbids", character, line, hint)) from None
    except YAMLError as error:
        raise SpecError(Mistake(source, f"is not YAML: {error}")) from None
    except RecursionError:
        raise SpecError(_too_deep(source, None)) from None


def _too_deep(source: str, line: int | None) -> Mistake:
    return Mistake(source, f"is nested deeper than {_DEPTH_MAX} levels", line=line, hint="is a bracket never closed?")


class _Builder:
    """Turns the library's nodes into ours, counting what aliases expand to."""

    def __init__(self, place: str, source: str) -> None:
        self.place = place
        self.source = source
        self.mistakes: list[Mistake] = []
        self.nodes = 0

    def build(self, raw: Any, path: str, line: int, depth: int) -> Node:  # noqa: ANN401 - see _compose
        """Return our node for the library's. `line` is what the node answers for."""
        self.nodes += 1
        if self.nodes > _NODES_MAX:
            hint = "aliases expand to more than a spec can need"
            raise SpecError(Mistake(self.place, f"has more than {_NODES_MAX:,} values", line=line, hint=hint))
        if depth > _DEPTH_MAX:
            raise SpecError(_too_deep(self.place, line))
        if raw.id == "mapping":
            pairs = dict(self._pairs(raw, path, depth))
            return Node(pairs, line, source=self.source)
        if raw.id == "sequence":
            items = (
                self.build(item, f"{path}[{index}]", item.start_mark.line + 1, depth + 1)
                for index, item in enumerate(raw.value)
            )
            return Node(tuple(items), line, source=self.source)
        return Node(self._scalar(raw, path, line), line, raw.value, self.source)

    def _pairs(self, raw: Any, path: str, depth: int) -> Iterator[tuple[str, Node]]:  # noqa: ANN401 - see _compose
        seen: dict[str, int] = {}
        for key, value in raw.value:
            line = key.start_mark.line + 1
            if key.id != "scalar":
                self._refuse(path or self.place, "has a key that is not a word", None, line, "keys are words")
                continue
            name = str(key.value)
            inside = f"{path}.{name}" if path else name
            if key.style is None and name == "<<":
                self._refuse(inside, "is not read", None, line, "share defaults with extends: team.yaml")
            elif name in seen:
                self._refuse(inside, f"is written twice, first on line {seen[name]}", None, line, "keep one")
            else:
                seen[name] = line
                yield name, self.build(value, inside, line, depth + 1)

    def _scalar(self, raw: Any, path: str, line: int) -> Scalar:  # noqa: ANN401 - see _compose
        tag = str(raw.tag)
        if not tag.startswith(_TAG) or "/" in tag:
            self._refuse(path or self.place, "has a tag that is not read", tag, line, "remove what starts with !")
            return str(raw.value)
        # An explicit `!!str` cannot be told from a text that needs none, and need not be.
        return resolve(raw.value) if raw.style is None and tag != f"{_TAG}str" else str(raw.value)

    def _refuse(self, path: str, problem: str, value: object, line: int, hint: str) -> None:
        self.mistakes.append(Mistake(locate(path, self.source), problem, value, line, hint))
