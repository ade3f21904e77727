"""One word for one thing (DESIGN section 2; docs/glossary.md is the normative page)."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.house.source import ROOT, files, is_migration, is_operators, place, tree

GLOSSARY = ROOT / "docs" / "glossary.md"

# Every word of DESIGN section 2, and the closed sets of values.
WORDS = {
    *(
        "model",
        "version",
        "role",
        "prediction",
        "entity",
        "outcome",
        "scale",
        "profile",
        "reference",
        "window",
    ),
    *("segment", "check", "verdict", "severity", "objective", "rota", "alert", "incident", "change", "cause"),
    *("playbook", "action", "recovery", "rollout", "traffic plan", "epoch", "ledger", "review"),
}
VALUES = {
    "role": ("live", "canary", "shadow", "fallback", "retired"),
    "verdict": ("ok", "warn", "fail", "inconclusive", "error"),
    "severity": ("page", "ticket", "digest"),
    "incident": ("open", "acknowledged", "mitigating", "resolved", "reviewed"),
    "action": ("rollback", "fallback", "retrain", "hold", "page", "ask for review"),
    "mode": ("observe", "recommend", "act"),
    "gate": ("harm", "safe", "insufficient", "blind"),
}

# A second word for a thing that has one: as part of a name that we define, it is a mistake.
INSTEAD = {
    "audit": "ledger",
    "baseline": "reference",
    "champion": "live",
    "cohort": "segment",
    "cohorts": "segment",
    "detector": "check",
    "detectors": "check",
    "experiment": "rollout",
    "groundtruth": "outcome",
    "inference": "prediction",
    "journal": "ledger",
    "oncall": "rota",
    "remediation": "recovery",
    "slice": "segment",
    "slices": "segment",
    "slo": "objective",
    "slos": "objective",
    "stage": "role",
    "stages": "role",
    "subgroup": "segment",
    "subgroups": "segment",
}
# The same, where the second word is two.
INSTEAD_PHRASES = {"ground_truth": "outcome", "on_call": "rota", "error_rate_budget": "objective"}


@cache
def rows() -> dict[str, str]:
    """The glossary's tables: word -> the rest of its line."""
    found = re.findall(r"^\| \*\*(.+?)\*\* \|(.*)\|$", GLOSSARY.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(found)


def words(name: str) -> list[str]:
    """The words of an identifier: `CanaryStage`, `canary_stage` and `CANARY_STAGE` have the same two."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")


def names_defined(module: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Each name that a module gives to something: what it only uses belongs to others."""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.arg):
            yield node.arg, node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node


def is_pythons_slice(node: ast.AST) -> bool:
    """Whether a name says by its type that it holds Python's own slices."""
    said = getattr(node, "returns", None) or getattr(node, "annotation", None)
    return said is not None and re.search(r"\bslice\b", ast.unparse(said)) is not None


def second_words(module: ast.Module) -> list[tuple[ast.AST, str, str]]:
    """Each name with a word in it that the glossary has another word for, and that word."""
    found = []
    for name, node in names_defined(module):
        parts = [part for part in words(name) if not (part.startswith("slice") and is_pythons_slice(node))]
        found += [(node, name, INSTEAD[part]) for part in parts if part in INSTEAD]
        found += [(node, name, word) for phrase, word in INSTEAD_PHRASES.items() if phrase in "_".join(parts)]
    return found


def test_the_glossary_has_every_word() -> None:
    """Whoever meets a word of ours can look it up."""
    assert WORDS - set(rows()) == set()


def test_the_glossary_has_every_value_of_the_closed_sets() -> None:
    """Roles, statuses, severities and their like are listed, each on the line of its word."""
    absent = [
        f"{word}: {value}" for word, values in VALUES.items() for value in values if f"`{value}`" not in rows()[word]
    ]

    assert not absent


def test_the_glossary_says_which_words_are_not_used() -> None:
    """What is banned from the code stands in the glossary beside the word to use: the two lists are one."""
    absent = [
        f"{second} (instead: {word})"
        for second, word in INSTEAD.items()
        if second.removesuffix("s") not in rows()[word].lower().replace(" ", "").replace("-", "")
    ]

    assert not absent


def test_one_word_for_one_thing() -> None:
    """No name that we define has a second word in it for what the glossary already names."""
    found = [
        f"{place(path, node)}: {name}: say {word}"
        for path in files()
        if not is_operators(path) and not is_migration(path)
        for node, name, word in second_words(tree(path))
    ]
    found += [f"{place(path)}: say {INSTEAD[word]}" for path in files() for word in words(path.stem) if word in INSTEAD]

    assert not found, "\n".join(found)


def test_a_second_word_is_found_however_it_is_spelled() -> None:
    """In capitals, in camels, as an argument or as an attribute; but only as a whole word."""
    guilty = "BASELINE = 1\nclass CanaryStage: ...\ndef f(cohort_size): self.audit = 1\nground_truth = 2"

    assert len(second_words(ast.parse(guilty))) == 5
    assert second_words(ast.parse("storage = 1\nauditor = 2\nsliced = text[slice(1)]")) == []
    assert second_words(ast.parse("def slices() -> dict[str, slice]: ...")) == []
