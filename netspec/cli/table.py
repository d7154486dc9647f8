"""Tables as plain text, and counts and sizes in short form.

Where a terminal is too narrow for a table, spare columns are left out first. Then counts are shortened (`61.0M`), long
texts are folded between words, columns stand one space apart, and words are broken. If all that is not enough, each row
becomes a paragraph, with a line for each cell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

Cell = str | int | None  # an integer is a count: 60,965,224, or 61.0M where that is too wide

GAP: Final = 2
NARROWEST: Final = 6  # of a column whose words are broken
_PIECE: Final = re.compile(r"[^\s_./,;:-]*[\s_./,;:-]?")  # a word, up to the mark after which a line may break
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


class Column(NamedTuple):
    """A column: aligned to the right if `right`; its texts may continue on the next line if `fold`.

    One that is `spare` is only in tables that fit as they are: `--json` has it too.
    """

    title: str
    right: bool = False
    fold: bool = False
    spare: bool = False


def render_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None = None
) -> list[list[str]]:
    r"""Return the lines of the header, then the lines of each row. If rows are paragraphs, the header has no lines.

    Args:
        columns: the title and alignment of each column.
        rows: a cell for each column.
        width: the most characters in a line; None for no limit. The first cell of a paragraph may exceed it.

    >>> table = render_table([Column("layer"), Column("weights", right=True)], [["conv1", 34944], ["relu1", None]])
    >>> print("\n".join(line for row in table for line in row))
    layer  weights
    conv1   34,944
    relu1
    """
    titles = [column.title for column in columns]
    cells = [[_text(cell) for cell in row] for row in rows]
    widths = _widths(titles, cells)
    if width is None or sum(widths) <= _room(width, columns, GAP):
        return [_lines(columns, widths, row, GAP) for row in (titles, *cells)]
    if any(column.spare for column in columns):
        kept = [index for index, column in enumerate(columns) if not column.spare]
        return render_table([columns[index] for index in kept], [[row[index] for index in kept] for row in rows], width)
    cells = [[short_count(cell) if isinstance(cell, int) else _text(cell) for cell in row] for row in rows]
    for gap, whole_words in ((GAP, True), (1, True), (1, False)):
        widths, room = _widths(titles, cells), _room(width, columns, gap)
        _narrow(widths, _least(columns, cells, whole_words=whole_words), room)
        if sum(widths) <= room:
            return [_lines(columns, widths, row, gap) for row in (titles, *cells)]
    return [[], *(_paragraph(titles, row, width) for row in rows)]


def short_count(count: int) -> str:
    """Return a count in about three digits.

    >>> short_count(950), short_count(34944), short_count(60965224), short_count(999999)
    ('950', '34.9k', '61.0M', '1.0M')
    """
    for unit, suffix in _UNITS:
        if count >= unit or round(count / unit, 4) >= 1:
            return f"{count / unit:.1f}{suffix}"
    return str(count)


def memory(size: int) -> str:
    """Return a number of bytes in the largest binary unit that it reaches.

    >>> memory(950), memory(249475072), memory(1024**2 - 1)
    ('950 B', '237.9 MiB', '1.0 MiB')
    """
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if round(value, 1) < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) else cell


def _widths(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(titles, *cells, strict=True)]


def _room(width: int, columns: Sequence[Column], gap: int) -> int:
    """Return the characters that a line of this width has for the texts of its columns."""
    return width - gap * (len(columns) - 1)


def _least(columns: Sequence[Column], cells: Sequence[Sequence[str]], *, whole_words: bool) -> list[int]:
    """Return the width below which each column is not narrowed."""
    least = []
    for index, column in enumerate(columns):
        texts = [row[index] for row in cells]
        if column.fold and whole_words:
            texts = [piece.rstrip() for text in texts for piece in _PIECE.findall(text)]
        widest = NARROWEST if column.fold and not whole_words else max(map(len, texts), default=0)
        least.append(max(len(column.title), widest))
    return least


def _narrow(widths: list[int], least: Sequence[int], room: int) -> None:
    """Narrow the widest column that can be, one character at a time, until all fit or none can be."""
    while sum(widths) > room:
        narrowable = [index for index, width in enumerate(widths) if width > least[index]]
        if not narrowable:
            return
        widths[max(narrowable, key=lambda index: widths[index])] -= 1


def _lines(columns: Sequence[Column], widths: Sequence[int], row: Sequence[str], gap: int) -> list[str]:
    folded = [fold(text, width) for text, width in zip(row, widths, strict=True)]
    lines = []
    for index in range(max(map(len, folded))):
        parts = [pieces[index] if index < len(pieces) else "" for pieces in folded]
        aligned = [
            part.rjust(width) if column.right else part.ljust(width)
            for column, part, width in zip(columns, parts, widths, strict=True)
        ]
        lines.append((" " * gap).join(aligned).rstrip())
    return lines


def _paragraph(titles: Sequence[str], row: Sequence[Cell], width: int) -> list[str]:
    """Return the lines of a row: its first cell and those without a title, then a line for each other text."""
    first, *others = [(title, _text(cell)) for title, cell in zip(titles, row, strict=True)]
    heading = (" " * GAP).join([first[1], *(text for title, text in others if text and not title)])
    label = max(map(len, titles)) + GAP
    lines = [heading]  # not folded: a path that the terminal breaks can still be copied
    for title, text in others:
        if title and text:
            start, *rest = fold(text, max(NARROWEST, width - GAP - label))
            lines += [" " * GAP + title.ljust(label) + start, *(" " * (GAP + label) + line for line in rest)]
    return lines


def fold(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` characters.

    Lines break after spaces; a word that is longer breaks after a punctuation mark, or else anywhere.

    >>> fold("local_response_norm", 15), fold("conv1", 15), fold("block.0.conv block.0.relu", 18)
    (['local_response_', 'norm'], ['conv1'], ['block.0.conv', 'block.0.relu'])
    """
    if len(text) <= width:
        return [text]
    lines = [""]
    for word in re.findall(r"\S*\s*", text):
        parts = [word] if len(word.rstrip()) <= width else _PIECE.findall(word)
        for part in parts:
            if len(lines[-1]) + len(part.rstrip()) > width and lines[-1]:
                lines.append("")
            lines[-1] += part
            while len(lines[-1].rstrip()) > width:
                lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines if line.strip()]
