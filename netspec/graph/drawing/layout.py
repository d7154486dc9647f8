"""The layout of a drawing: coordinates of boxes, edges and brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netspec.graph.drawing.boxes import Box, Boxes, Repeat
from netspec.graph.drawing.columns import Cell, place_boxes
from netspec.graph.drawing.lines import TRACK, Column, Frame, Lane, Line, Placed, draw_ways
from netspec.graph.drawing.routes import Edge, Ways, find_ways
from netspec.graph.drawing.solids import Solid, Style, label_of, solid_of

LETTER = 0.62  # average width of a letter, as a share of the text size
LINE = 1.3  # height of a line of text, as a share of the text size
MARGIN = 14.0
BRACKET = 26.0  # height of the brackets below a row
CAPTION = 17.0  # height of a line of small text at a tower


@dataclass(frozen=True, slots=True)
class Bracket:
    """A mark under a stretch of boxes that stands for several copies, or under its part in one row.

    `opens` and `closes` are whether the stretch begins and ends in this row.
    """

    repeat: Repeat
    left: float
    right: float
    top: float
    opens: bool
    closes: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything to draw: boxes, direct edges to the next column, lines of all other edges, brackets; and the size."""

    boxes: list[Placed]
    direct: list[Edge]
    lines: list[Line]
    brackets: list[Bracket]
    width: float
    height: float


def lay_out(drawn: Boxes, style: Style) -> Layout:
    """The layout of boxes in topological order."""
    boxes = drawn.boxes
    solids = [solid_of(box, style) for box in boxes]
    labels = [label_of(box, style) for box in boxes]
    extents = [solid.width + solid.right for solid in solids]
    texts = [style.text * LETTER * max(map(len, label)) for label in labels]
    widths = [max(style.column, *pair) for pair in zip(extents, texts, strict=True)]
    cells = place_boxes(boxes, widths, style.gap, style.row)
    ways = find_ways(boxes, cells)
    columns = _columns(cells, widths, style.gap, MARGIN + TRACK * ways.entries)
    marked = {cells[index].row for repeat in drawn.repeats for index in range(repeat.first, repeat.last + 1)}
    lanes, floors = _lanes(boxes, solids, labels, cells, ways, style, marked)
    placed = [
        Placed(
            index,
            box,
            solid,
            label,
            after=columns[cell.column].after,
            left=columns[cell.column].center - (solid.width + solid.right) / 2,
            center=columns[cell.column].center,
            middle=lanes[cell.row, cell.lane].middle,
            pitch=lanes[cell.row, cell.lane].pitch,
            caption=lanes[cell.row, cell.lane].caption,
        )
        for index, (box, solid, label, cell) in enumerate(zip(boxes, solids, labels, cells, strict=True))
    ]
    left = min(column.before for column in columns.values())
    right = max(column.after for column in columns.values())
    frame = Frame(placed, cells, columns, lanes, floors, left, right)
    width = right + MARGIN + TRACK * max(ways.exits.values(), default=0)
    brackets = [bracket for repeat in drawn.repeats for bracket in _brackets(repeat, placed, cells, floors)]
    return Layout(placed, ways.direct, draw_ways(ways, frame), brackets, width, max(floors.values()) + TRACK)


def _brackets(
    repeat: Repeat, placed: Sequence[Placed], cells: Sequence[Cell], floors: dict[int, float]
) -> Iterator[Bracket]:
    rows: dict[int, list[Placed]] = {}
    for index in range(repeat.first, repeat.last + 1):
        rows.setdefault(cells[index].row, []).append(placed[index])
    for row, inside in rows.items():
        left, right = min(box.left for box in inside), max(box.right for box in inside)
        yield Bracket(repeat, left, right, floors[row] - BRACKET, row == min(rows), row == max(rows))


def _columns(cells: Sequence[Cell], widths: Sequence[float], gap: float, left: float) -> dict[int, Column]:
    """The columns by number, each as wide as its widest box."""
    most: dict[int, float] = {}
    rows: dict[int, int] = {}
    for cell, width in zip(cells, widths, strict=True):
        most[cell.column] = max(most.get(cell.column, 0.0), width)
        rows[cell.column] = cell.row
    columns: dict[int, Column] = {}
    ends: dict[int, float] = {}
    for column, width in sorted(most.items()):
        start = ends[rows[column]] + gap if rows[column] in ends else left
        ends[rows[column]] = start + width
        columns[column] = Column(start - gap / 4, start + width / 2, start + width + gap / 4)
    return columns


def _lanes(
    boxes: Sequence[Box],
    solids: Sequence[Solid],
    labels: Sequence[list[str]],
    cells: Sequence[Cell],
    ways: Ways,
    style: Style,
    marked: set[int],
) -> tuple[dict[tuple[int, int], Lane], dict[int, float]]:
    """The lanes by row and number, and the lower end of each row. The boxes of a lane are centered on one line.

    Rows in `marked` have room for brackets below.
    """
    here: dict[tuple[int, int], list[int]] = {}
    for index, cell in enumerate(cells):
        here.setdefault((cell.row, cell.lane), []).append(index)
    lanes: dict[tuple[int, int], Lane] = {}
    floors: dict[int, float] = {}
    y = MARGIN
    for row in range(1 + max(cell.row for cell in cells)):
        for lane in range(1 + max(cell.lane for cell in cells if cell.row == row)):
            inside = here.get((row, lane), [])
            pitch = max((_pitch(boxes[i], solids[i]) for i in inside), default=0.0)
            top = y + TRACK * ways.tracks.get((row, lane), 0)
            middle = top + max((_reach(boxes[i], solids[i], pitch) + solids[i].up for i in inside), default=TRACK)
            bottom = middle + max((_reach(boxes[i], solids[i], pitch) for i in inside), default=TRACK)
            lanes[row, lane] = Lane(top, middle, pitch, bottom + 1.3 * style.text)
            y = bottom + style.text * (1.2 + LINE * max((len(labels[i]) for i in inside), default=0))
        floors[row] = y = y + BRACKET * (row in marked)
        y += TRACK * (ways.exits.get(row, 0) + 2)
    return lanes, floors


def _pitch(box: Box, solid: Solid) -> float:
    return solid.height + solid.up + 2 * CAPTION if box.towers > 1 else 0.0


def _reach(box: Box, solid: Solid, pitch: float) -> float:
    """The distance from the middle of a box's towers to the lower edge of the last one, with its caption."""
    return (box.towers - 1) / 2 * pitch + solid.height / 2 + (CAPTION if box.towers > 1 else 0)
