"""The pages that are tested, and what is taken out of them: code blocks, sections, tables."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
KILLICK = ROOT / "src" / "killick"

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and the line on which it starts."""

    page: Path
    language: str
    text: str
    line: int


def pages() -> list[Path]:
    """Every page that we write, decision records included."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def blocks(page: Path, language: str) -> list[Block]:
    """The fenced blocks of one language, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, found["language"], found["text"], text.count("\n", 0, found.start()) + 2)
        for found in _BLOCK.finditer(text)
        if found["language"] == language
    ]


def headings(page: Path, level: int) -> list[str]:
    """The headings of a level, outside of code."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    return re.findall(rf"^{'#' * level} (.+)$", text, flags=re.MULTILINE)
