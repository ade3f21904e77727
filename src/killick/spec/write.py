"""Writing a spec: the commented `killick.yaml` that `killick init` starts an operator with.

Promise: what is written reads back as the equal `Spec`. Only what differs from the defaults is written, so that a spec
shows what its operator decided. Every note finds a place: above its key, or above the nearest key that is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from decimal import Decimal
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from killick.clock import format_duration
from killick.spec.tree import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from killick.spec.document import Band, Features, RetrainingPolicy, RolloutPolicy, Schema, Spec

_WIDTH = 100

_OPENING = {
    "schema": "Which column plays which part. The other columns are the features.",
    "features": "What the model looks at, and what inference cannot know of it.",
    "reference": "What live data is compared with.",
    "drift": "By what each kind of column is compared.",
    "evaluate_every": "How often everything is judged.",
    "changes": "What happened in the world, and when.",
    "folders": "Where new files of predictions and outcomes come to lie.",
    "segments": "How rows are grouped. Each group is judged for itself.",
    "value": "What each kind of decision is worth.",
    "false_alarms": "How often the people on call accept being called for nothing.",
    "keep": "How fine profiles are kept, and how long.",
    "objectives": "What must hold, in terms that matter.",
    "versions": "The versions that can be loaded.",
    "rollout": "How a version goes out.",
    "playbooks": "What is done about an incident: observe, recommend or act.",
    "retraining": "How a new version is trained, and what it must show.",
}

# A word that no reader of YAML, 1.1 or 1.2, takes for anything but a text; and an amount with its unit.
_WORD = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.-]*")
_AMBIGUOUS = frozenset({"y", "n", "yes", "no", "on", "off"})
_AMOUNT = re.compile(r"[0-9]+(\.[0-9]+)?(%|pp|ms|us|[dhms])( [0-9]+(ms|us|[dhms]))*")

_SHORT_ESCAPE_MAX = 0xFFFF

# Beyond so many characters a percentage is harder to read than the fraction itself.
_PERCENT_CHARACTERS_MAX = 12


def write_spec(spec: Spec, notes: Mapping[str, str]) -> str:
    """Return the text of a spec, with notes as comments.

    Args:
        spec: what is written.
        notes: comments by the path that they are about, such as `schema.score`; the empty path is the document.

    >>> from killick.spec.document import Schema, Spec
    >>> print(write_spec(Spec("churn", "binary", Schema(score="p")), {"schema.score": "lies in [0, 1]"}), end="")
    killick: 1
    model: churn
    task: binary
    <BLANKLINE>
    # Which column plays which part. The other columns are the features.
    schema:
      # lies in [0, 1]
      score: p
    """
    document = _document(spec)
    page = _Page(_placed(notes, document))
    return "\n".join([*page.comments("", 0), *page.sections(document)]) + "\n"


# ------------------------------------------------------------------------------------------------ values to a document


def _document(spec: Spec) -> dict[str, Any]:
    """Return what is written, as mappings, lists and scalars, in the order of DESIGN 5.5."""
    document = _changed(
        spec,
        schema=_schema,
        features=_features,
        segments=lambda segments: [_segment(bands) for bands in segments],
        reference=lambda path: {"data": path},
        value=_changed,
        false_alarms=lambda alarms: _changed(alarms, per=format_duration),
        keep=lambda keep: _changed(keep, signals=format_duration, columns=format_duration),
        evaluate_every=format_duration,
        objectives=lambda objectives: [_changed(each, window=format_duration) for each in objectives],
        versions=lambda versions: [_changed(version) for version in versions],
        folders=lambda folders: [_changed(folder) for folder in folders],
        rollout=_rollout,
        playbooks=lambda playbooks: [_changed(playbook) for playbook in playbooks],
        retraining=_retraining,
    )
    document.pop("fingerprint", None)
    first = {"killick": 1, "model": spec.model, "task": spec.task}
    if spec.owner is not None:
        first["owner"] = spec.owner
    return first | document


def _changed(value: Any, /, **forms: Callable[[Any], Any]) -> dict[str, Any]:  # noqa: ANN401 - a value of document.py
    """Return the fields that have no default or another value than it, each in its written form."""
    written = {}
    for each in fields(value):
        default = each.default if each.default_factory is MISSING else each.default_factory()
        content = getattr(value, each.name)
        if content != default:
            written[each.name] = forms.get(each.name, _plain)(content)
    return written


def _plain(content: object) -> object:
    if isinstance(content, tuple):
        return list(content)
    return dict(content) if isinstance(content, Mapping) else content


def _schema(schema: Schema) -> dict[str, Any]:
    written = _changed(
        schema,
        label=lambda label: _changed(label, delay=format_duration),
        kpis=lambda kpis: {kpi.name: {k: v for k, v in _changed(kpi).items() if k != "name"} for kpi in kpis},
    )
    # One column and one for each class are the same key.
    return {"score" if key == "scores" else key: content for key, content in written.items()}


def _features(features: Features) -> dict[str, Any]:
    return _changed(features, override=lambda override: {column: _changed(override[column]) for column in override})


def _segment(bands: tuple[Band, ...]) -> Any:  # noqa: ANN401 - a word, a mapping or a list of these
    written = [band.name if band.name == band.column and not band.bins else _band(band) for band in bands]
    return written if len(written) > 1 else written[0]


def _band(band: Band) -> dict[str, Any]:
    return {band.name: {key: content for key, content in _changed(band).items() if key != "name"}}


def _rollout(rollout: RolloutPolicy) -> dict[str, Any]:
    return _changed(
        rollout,
        steps=lambda steps: [_percent(step, "%") for step in steps],
        hold=format_duration,
        guardrails=lambda rails: {
            rail.metric: {"worse_by": _percent(rail.worse_by, "pp") if rail.metric == "error_rate" else rail.worse_by}
            for rail in rails
        },
        patience=format_duration,
    )


def _retraining(policy: RetrainingPolicy) -> dict[str, Any]:
    return _changed(
        policy,
        rows=format_duration,
        holdout=format_duration,
        gate=lambda gate: {gate.metric: "better"} | {key: gate.alpha for key in _changed(gate) if key == "alpha"},
        cooldown=format_duration,
        timeout=format_duration,
    )


def _percent(fraction: float, unit: str) -> str | float:
    """Return a fraction in hundredths where that is exact and short: `1%`, `0.2pp`."""
    hundredths = f"{Decimal(repr(fraction)).scaleb(2).normalize():f}{unit}"
    return hundredths if len(hundredths) <= _PERCENT_CHARACTERS_MAX else fraction


# ------------------------------------------------------------------------------------------------ a document to text


class _Page:
    """Lays a document out: sections as blocks, what is short and has no comment inside on one line."""

    def __init__(self, notes: Mapping[str, list[str]]) -> None:
        self.notes = notes

    def sections(self, document: dict[str, Any]) -> Iterator[str]:
        for key, content in document.items():
            opening = _OPENING.get(key)
            if opening:
                yield ""
                yield f"# {opening}"
            yield from self.entry(f"{_scalar(key)}:", content, key, 0)

    def comments(self, path: str, indent: int) -> Iterator[str]:
        pad = " " * indent
        for note in self.notes.get(path, ()):
            for line in wrap(_printable(note), _WIDTH - indent - 2, break_long_words=False, break_on_hyphens=False):
                yield f"{pad}# {line}"

    def entry(self, head: str, content: Any, path: str, indent: int) -> Iterator[str]:  # noqa: ANN401 - any content
        """Yield the lines of one key or one item, comments first."""
        yield from self.comments(path, indent)
        pad = " " * indent
        line = f"{pad}{head} {_flow(content)}"
        if not self.is_block(content, path, indent) and (len(line) <= _WIDTH or not _holds_more(content)):
            yield line
            return
        yield f"{pad}{head}"
        if isinstance(content, dict):
            for key, inside in content.items():
                yield from self.entry(f"{_scalar(key)}:", inside, f"{path}.{key}", indent + 2)
        else:
            for index, inside in enumerate(content):
                yield from _hung(self.entry("-", inside, f"{path}[{index}]", indent + 2))

    def is_block(self, content: Any, path: str, indent: int) -> bool:  # noqa: ANN401 - any content
        if not _holds_more(content):
            return False
        first = indent == 0 and (isinstance(content, dict) or any(isinstance(inside, dict) for inside in content))
        return (first and path != "segments") or any(note.startswith((f"{path}.", f"{path}[")) for note in self.notes)


def _hung(lines: Iterator[str]) -> Iterator[str]:
    """Hang the first line of a block on the dash above it, unless that line is a comment."""
    for line in lines:
        following = next(lines, "") if line.strip() == "-" else ""
        if following and not following.lstrip().startswith("#"):
            yield f"{line} {following.lstrip()}"
        else:
            yield from [line, following][: 1 + bool(following)]


def _placed(notes: Mapping[str, str], document: dict[str, Any]) -> dict[str, list[str]]:
    """Return the comments by the path above which they stand; one whose own path is not written names it."""
    written = {"", *_paths(document, "")}
    placed: dict[str, list[str]] = {}
    for path, note in notes.items():
        at = path
        while at not in written:
            at = at[: max(at.rfind("."), at.rfind("["), 0)]
        rest = path[len(at) :].lstrip(".")
        placed.setdefault(at, []).extend(f"{rest}: {line}" if rest else line for line in note.splitlines())
    return placed


def _paths(content: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - any content
    if isinstance(content, dict):
        inside = {f"{path}.{key}" if path else str(key): value for key, value in content.items()}
    elif isinstance(content, list):
        inside = {f"{path}[{index}]": value for index, value in enumerate(content)}
    else:
        return
    for each, value in inside.items():
        yield each
        yield from _paths(value, each)


def _holds_more(content: object) -> bool:
    return isinstance(content, dict | list) and bool(content)


def _flow(content: Any) -> str:  # noqa: ANN401 - any content
    if isinstance(content, dict):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(value)}" for key, value in content.items()) + "}"
    if isinstance(content, list):
        return "[" + ", ".join(_flow(value) for value in content) + "]"
    return _scalar(content)


def _scalar(content: str | float | bool) -> str:  # noqa: FBT001 - any scalar of the document
    """Return a scalar as it is typed: plain where every reader agrees on it, else in double quotes.

    >>> [_scalar(content) for content in ("origin", "NO", "28d", "1%", "*", 0.5, -5.0, True)]
    ['origin', '"NO"', '28d', '1%', '"*"', '0.5', '-5', 'true']
    """
    if isinstance(content, bool):
        return "true" if content else "false"
    if isinstance(content, float) and content.is_integer() and "e" not in repr(content):
        return repr(int(content))
    if not isinstance(content, str):
        return repr(content)
    is_word = _WORD.fullmatch(content) and content.lower() not in _AMBIGUOUS and isinstance(resolve(content), str)
    if is_word or _AMOUNT.fullmatch(content):
        return content
    return _printable(json.dumps(content, ensure_ascii=False))


def _printable(line: str) -> str:
    """Return the text with what YAML forbids, or could take for a line break, written as an escape."""
    return "".join(mark if mark.isprintable() else _escape(ord(mark)) for mark in line)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code <= _SHORT_ESCAPE_MAX else f"\\U{code:08x}"
