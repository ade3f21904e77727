"""The answer first: what a check found, in the words of the person who asked.

What matters most is named first (`importance`): faults that are certain, then the model's performance, then the columns
that changed, each with the word that says most about it; then what is worth a look, what holds, and what is not known.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from killick.reports.importance import CERTAIN, CONCEPT, DRIFT, PERFORMANCE, by_importance
from killick.reports.words import amount, counted, listed, metric, percent, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from killick.checks.verdict import Verdict
    from killick.reports.words import Segment

BUSINESS = "business."
# What a certain fault is called in a sentence about columns; one that is not here gives its own reason.
_FAULTS = {
    "columns_missing": ("column is missing", "columns are missing"),
    "type_changed": ("column changed its type", "columns changed their type"),
}
# What a column's share that fails is called behind its name.
_SHARES = {
    "quality.missing": "missing",
    "quality.unseen": "unknown values",
    "quality.range": "out of range",
    "quality.outliers": "outliers",
    "quality.constant": "of one value",
}
_WAYS = {"up": "higher", "down": "lower"}
# More names than this are counted: a headline is read at a glance.
COLUMNS_MAX, PLACES_MAX, REASONS_MAX = 4, 3, 2


def headline(verdicts: Sequence[Verdict]) -> str:
    """Say in a sentence or a few what the verdicts come to.

    >>> headline([])
    'Nothing could be judged: there are no verdicts.'
    """
    return " ".join(sentences(verdicts))


def sentences(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the sentences of the answer, the most important first; at least one."""
    unknown = [verdict for verdict in verdicts if verdict.status == "inconclusive"]
    if len(unknown) == len(verdicts):
        return [_sentence(f"Nothing could be judged: {_commonest(unknown) or 'there are no verdicts'}")]
    failed = by_importance(verdict for verdict in verdicts if verdict.status == "fail")
    told = [*_certain(failed), *_changed(verdicts, failed), *_otherwise(failed), *_rest(failed)]
    warned = _warned(verdicts, failed)
    broken = [verdict for verdict in verdicts if verdict.status == "error"]
    if broken:
        told.append(_sentence(f"{counted(len(broken), 'check')} could not be computed: {broken[0].reason}"))
    return [*told, *warned, *_holds(verdicts, loud=bool(told or warned))]


def _certain(failed: Sequence[Verdict]) -> list[str]:
    """Say what is wrong for certain, and what the model lost: one sentence for each kind."""
    told = []
    for number, words in _FAULTS.items():
        columns = list(_columns(verdict for verdict in failed if verdict.metric == number))
        if columns:
            told.append(f"{counted(len(columns), *words)}: {listed(columns, COLUMNS_MAX)}.")
    others: dict[str, Verdict] = {}
    for verdict in failed:
        if verdict.check in CERTAIN and verdict.metric not in _FAULTS:
            others.setdefault(verdict.check, verdict)
    told += [_reason(verdict) for verdict in list(others.values())[:REASONS_MAX]]
    losses = [verdict for verdict in failed if verdict.check.startswith(PERFORMANCE)]
    return told + _lost(losses)


def _lost(losses: Sequence[Verdict]) -> list[str]:
    """Say what the model lost where it lost most, in its own numbers as far as the reference's are known."""
    told = []
    for verdict in losses:
        if verdict.segment == losses[0].segment and verdict.value is not None and verdict.effect is not None:
            now, before = (amount(value, verdict.metric) for value in (verdict.value, verdict.value - verdict.effect))
            # A verdict without reference rows was compared with a number that somebody declared.
            origin = "in the reference" if verdict.n_reference else "declared"
            told.append(f"{_number(verdict)} {now} ({before} {origin})")
    if not told:
        return [_reason(verdict) for verdict in losses[:1]]
    there = f" at {place(losses[0].segment)}" if losses[0].segment else ""
    return [f"The model does worse{there}: {listed(told[:REASONS_MAX])}."]


def _number(verdict: Verdict) -> str:
    """Name a number of the model: a metric by its own name, a business figure by the figure's."""
    if verdict.check.startswith(BUSINESS):
        return f"{metric(verdict.metric)} {verdict.check.removeprefix(BUSINESS)}"
    return metric(verdict.metric)


def _changed(verdicts: Sequence[Verdict], failed: Sequence[Verdict]) -> list[str]:
    """Say which columns changed: everywhere, and then those that did in segments only."""
    told = []
    apart = (*CERTAIN, CONCEPT)
    measured = [v for v in failed if v.column and v.check not in apart and not v.check.startswith(PERFORMANCE)]
    everywhere = list(_columns(verdict for verdict in measured if not verdict.segment))
    if everywhere:
        everything = len(_columns(verdicts))
        named = [_with_word(column, measured) for column in everywhere]
        told.append(f"{len(everywhere)} of {counted(everything, 'column')} changed: {listed(named, COLUMNS_MAX)}.")
    where: dict[Segment, dict[str, None]] = {}
    for verdict in measured:
        if verdict.segment and verdict.column and verdict.column not in everywhere:
            where.setdefault(verdict.segment, {})[verdict.column] = None
    places = sorted(where.items(), key=lambda item: (-len(item[1]), item[0]))
    parts = [f"{listed(list(columns), COLUMNS_MAX)} at {place(segment)}" for segment, columns in places[:PLACES_MAX]]
    if parts:
        more = len(places) - PLACES_MAX
        rest = f"; and more in {counted(more, 'other segment')}" if more > 0 else ""
        told.append(f"In segments{' only' if everywhere else ''}: {'; '.join(parts)}{rest}.")
    return told


def _otherwise(failed: Sequence[Verdict]) -> list[str]:
    """Say of which columns the relation to the outcome changed; when a score is off, of all of them at once."""
    found = [verdict for verdict in failed if verdict.check == CONCEPT]
    columns = list(_columns(found))
    seen = f", as seen in {listed(columns, PLACES_MAX)}" if columns else ""
    return [f"Outcomes no longer follow the inputs as they did{seen}."] if found else []


def _rest(failed: Sequence[Verdict]) -> list[str]:
    """Say what else fails and belongs to no column, by its own reasons."""
    apart = (*CERTAIN, CONCEPT)
    loose = [v for v in failed if not v.column and v.check not in apart and not v.check.startswith(PERFORMANCE)]
    more = len(loose) - REASONS_MAX
    return [_reason(verdict) for verdict in loose[:REASONS_MAX]] + ([f"And {more} more fail."] if more > 0 else [])


def _warned(verdicts: Sequence[Verdict], failed: Sequence[Verdict]) -> list[str]:
    """Name what is worth a look, beside what fails anyhow."""
    failing = _columns(failed)
    found = by_importance(verdict for verdict in verdicts if verdict.status == "warn")
    names = list(dict.fromkeys(v.column or v.check for v in found if not v.column or v.column not in failing))
    return [f"Worth a look: {listed(names, COLUMNS_MAX)}."] if names else []


def _holds(verdicts: Sequence[Verdict], *, loud: bool) -> list[str]:
    """Say how many columns hold, and how much could not be judged."""
    status: dict[str, set[str]] = {}
    for verdict in verdicts:
        if verdict.column:
            status.setdefault(verdict.column, set()).add(verdict.status)
    held = sum("ok" in found and found <= {"ok", "inconclusive"} for found in status.values())
    unknown = sum(found == {"inconclusive"} for found in status.values())
    told = []
    if not loud:
        told.append(f"Everything holds in {counted(held, 'column')}." if held else "Everything that was judged holds.")
    elif held:
        told.append(f"{counted(held, 'column holds', 'columns hold')}.")
    if unknown:
        told.append(f"{counted(unknown, 'column')} could not be judged.")
    elif not loud and (left := sum(verdict.status == "inconclusive" for verdict in verdicts)):
        told.append(f"{counted(left, 'number')} could not be judged.")
    return told


def _with_word(column: str, measured: Sequence[Verdict]) -> str:
    """Return a column's name with the word that says most of it: that of the verdict with the largest effect."""
    mine = [verdict for verdict in measured if verdict.column == column and not verdict.segment]
    # Effects of drift are in spreads or shares, and those of shares in shares: a whole spread outweighs any share.
    mine.sort(key=lambda verdict: (-abs(verdict.effect or 0.0), verdict.check not in _SHARES))
    words = [word for verdict in mine if (word := _word(verdict))]
    return f"{column} ({words[0]})" if words else column


def _word(verdict: Verdict) -> str:
    if verdict.check in _SHARES:
        return f"{percent(verdict.value)} {_SHARES[verdict.check]}"
    return _WAYS.get(verdict.direction or "", "") if verdict.check.startswith(DRIFT) else ""


def _reason(verdict: Verdict) -> str:
    """Return a verdict's reason as a sentence, with where it is."""
    there = "".join(f"{one} " for one in (verdict.column, place(verdict.segment) if verdict.segment else "") if one)
    said = _sentence(f"{there.strip()}: {verdict.reason}" if there else verdict.reason)
    return said if there else said[:1].upper() + said[1:]


def _commonest(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(verdict.reason for verdict in verdicts)
    return counts.most_common(1)[0][0] if counts else ""


def _columns(verdicts: Iterable[Verdict]) -> dict[str, None]:
    """Return the columns that verdicts are about, each once, in their order."""
    return {verdict.column: None for verdict in verdicts if verdict.column}


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
