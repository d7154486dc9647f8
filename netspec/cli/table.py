"""Tables as plain text, and counts and sizes in short form.

Where a terminal is too narrow for a table, counts are shortened first (`61.0M`), then long texts are folded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

Cell = str | int | None  # an integer is a count: 60,965,224, or 61.0M where that is too wide

GAP: Final = 2
NARROWEST: Final = 6
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


class Column(NamedTuple):
    """A column: aligned to the right if `right`; its texts may continue on the next line if `fold`."""

    title: str
    right: bool = False
    fold: bool = False


def render_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None = None
) -> list[list[str]]:
    r"""Return the lines of the header, then the lines of each row.

    Args:
        columns: the title and alignment of each column.
        rows: a cell for each column.
        width: the most characters in a line; None for no limit. A table that cannot fold further exceeds it.

    >>> table = render_table([Column("layer"), Column("weights", right=True)], [["conv1", 34944], ["relu1", None]])
    >>> print("\n".join(line for row in table for line in row))
    layer  weights
    conv1   34,944
    relu1
    """
    titles = [column.title for column in columns]
    cells = [[_text(cell) for cell in row] for row in rows]
    if width is not None and sum(_widths(titles, cells)) + GAP * (len(columns) - 1) > width:
        cells = [[short_count(cell) if isinstance(cell, int) else _text(cell) for cell in row] for row in rows]
    widths = _widths(titles, cells)
    if width is not None:
        _narrow(widths, columns, width)
    return [_lines(columns, widths, row) for row in (titles, *cells)]


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


def _narrow(widths: list[int], columns: Sequence[Column], width: int) -> None:
    """Narrow the widest foldable column, one character at a time, until the table fits or no column can fold."""
    while sum(widths) + GAP * (len(widths) - 1) > width:
        foldable = [i for i, c in enumerate(columns) if c.fold and widths[i] > max(NARROWEST, len(c.title))]
        if not foldable:
            return
        widths[max(foldable, key=lambda i: widths[i])] -= 1


def _lines(columns: Sequence[Column], widths: Sequence[int], row: Sequence[str]) -> list[str]:
    folded = [fold(text, width) for text, width in zip(row, widths, strict=True)]
    lines = []
    for index in range(max(map(len, folded))):
        parts = [pieces[index] if index < len(pieces) else "" for pieces in folded]
        aligned = [
            part.rjust(width) if column.right else part.ljust(width)
            for column, part, width in zip(columns, parts, widths, strict=True)
        ]
        lines.append((" " * GAP).join(aligned).rstrip())
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
        parts = [word] if len(word.rstrip()) <= width else re.findall(r"[^\s_./,;:-]*[\s_./,;:-]?", word)
        for part in parts:
            if len(lines[-1]) + len(part.rstrip()) > width and lines[-1]:
                lines.append("")
            lines[-1] += part
            while len(lines[-1].rstrip()) > width:
                lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return [line.rstrip() for line in lines if line.strip()]
