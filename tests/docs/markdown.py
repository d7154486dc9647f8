"""Reads README.md and docs/: their blocks of code, tables, links and headings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
_FENCE = re.compile(  # which an item of a list may hold
    r"(?:<!-- excerpt: (\S+) -->\n)?^(?P<indent> *)```(\w*)\n(.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")


class Block(NamedTuple):
    """A block of code in a page.

    Attributes:
        excerpt: the file that the comment above it names, or empty.
        section: the number of headings before it, which identifies its section.
    """

    page: Path
    line: int
    language: str
    text: str
    excerpt: str
    section: int

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(*languages: str, pages: tuple[Path, ...] = PAGES) -> list[Block]:
    """Return the blocks in these languages, in order."""
    return [block for page in pages for block in _blocks(page) if block.language in languages]


def _blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _FENCE.finditer(text):
        before = text[: found.start()]
        prose = _FENCE.sub("", before)  # without YAML comments, which look like headings
        line = text[: found.start(3)].count("\n") + 1
        code = re.sub(f"^{found['indent']}", "", found[4], flags=re.MULTILINE)
        yield Block(page, line, found[3], code, found[1] or "", len(_HEADING.findall(prose)))


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """Return the targets of the links of a page."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings, as GitHub converts them."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def codes(text: str) -> list[str]:
    """Return the texts in backticks, without the escapes that tables need."""
    return [code.replace("\\|", "|") for code in _CODE.findall(text)]


def rows(page: Path) -> list[list[str]]:
    """Return the cells of each row of the tables of a page, headers included."""
    lines = [line for line in prose(page).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
