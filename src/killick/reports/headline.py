"""The answer first: what a check found, in the words of the person who asked."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from killick.reports.words import counted, listed, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from killick.checks.verdict import Verdict
    from killick.reports.words import Segment

DRIFT = "drift."
# What each family's failure is called in a sentence about columns; a family that is not here names itself.
_FAULTS = {
    "quality.missing": "too many values are missing in",
    "quality.unseen": "unknown categories turned up in",
    "quality.range": "values are out of range in",
    "quality.type": "the type is wrong in",
    "quality.schema": "the schema does not hold for",
    "quality.duplicates": "rows are duplicated, by",
    "quality.output": "the model's output is wrong in",
}
SENTENCES_MAX = 4
PLACES_MAX = 4


def headline(verdicts: Sequence[Verdict]) -> str:
    """Say in a sentence or a few what the verdicts come to.

    >>> headline([])
    'Nothing could be judged: there are no verdicts.'
    """
    failed = [verdict for verdict in verdicts if verdict.status == "fail"]
    broken = [verdict for verdict in verdicts if verdict.status == "error"]
    told = [_moved(verdicts, failed), *_faults(failed)]
    sentences = [sentence for sentence in told if sentence]
    if len(sentences) > SENTENCES_MAX:
        sentences = [*sentences[:SENTENCES_MAX], "More fails: see below."]
    if broken:
        sentences.append(f"{counted(len(broken), 'check')} could not be computed: {_sentence(broken[0].reason)}")
    return " ".join(sentences) or _quiet(verdicts)


def _moved(verdicts: Sequence[Verdict], failed: Sequence[Verdict]) -> str:
    """Say which columns drifted, where."""
    columns = _columns(verdict for verdict in failed if verdict.check.startswith(DRIFT))
    if not columns:
        return ""
    all_columns = len(_columns(verdict for verdict in verdicts if verdict.check.startswith(DRIFT)))
    where: dict[Segment, list[str]] = {}
    for verdict in failed:
        if verdict.check.startswith(DRIFT) and verdict.column:
            where.setdefault(verdict.segment, []).append(verdict.column)
    told = []
    for segment, names in sorted(where.items(), key=lambda item: (-len(set(item[1])), item[0]))[:PLACES_MAX]:
        there = f" {'at ' if segment else ''}{place(segment)}"
        told.append(listed(list(dict.fromkeys(names))) + (there if len(where) > 1 or segment else ""))
    more = len(where) - PLACES_MAX
    rest = f"; and in {counted(more, 'more segment')}" if more > 0 else ""
    return f"{len(columns)} of {counted(all_columns, 'column')} moved: {'; '.join(told)}{rest}."


def _faults(failed: Sequence[Verdict]) -> list[str]:
    """Say what else fails, a sentence for each check."""
    by_check: dict[str, list[Verdict]] = {}
    for verdict in failed:
        if not verdict.check.startswith(DRIFT):
            by_check.setdefault(verdict.check, []).append(verdict)
    told = []
    for check, found in by_check.items():
        columns = list(_columns(found))
        if check in _FAULTS and columns:
            said = f"{_FAULTS[check]} {listed(columns)}"
        else:
            said = f"{check} fails: {found[0].reason}"
        told.append(_sentence(said[:1].upper() + said[1:] if check in _FAULTS else said))
    return told


def _quiet(verdicts: Sequence[Verdict]) -> str:
    """Say that nothing fails, and how far that can be said."""
    if not verdicts:
        return "Nothing could be judged: there are no verdicts."
    unknown = [verdict for verdict in verdicts if verdict.status == "inconclusive"]
    if len(unknown) == len(verdicts):
        reason, _ = Counter(verdict.reason for verdict in unknown).most_common(1)[0]
        return _sentence(f"Nothing could be judged: {reason}")
    warned = _columns(verdict for verdict in verdicts if verdict.status == "warn")
    judged = len(_columns(verdict for verdict in verdicts if verdict.status != "inconclusive"))
    about = f" in {counted(judged, 'column')}" if judged else ""
    if warned or any(verdict.status == "warn" for verdict in verdicts):
        return f"Nothing fails{about}; worth a look: {listed(list(warned)) or 'the warnings below'}."
    partly = f" {counted(len(unknown), 'number')} could not be judged." if unknown else ""
    return f"Everything holds{about}.{partly}"


def _columns(verdicts: Iterable[Verdict]) -> dict[str, None]:
    """Return the columns that verdicts are about, each once, in their order."""
    return {verdict.column: None for verdict in verdicts if verdict.column}


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
