"""The layout of a drawing: coordinates of its boxes, edges and brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netspec.graph.drawing.boxes import Box, Boxes, Repeat
from netspec.graph.drawing.columns import Cell, place_boxes
from netspec.graph.drawing.lines import TRACK, Column, Frame, Lane, Line, Placed, draw_routes
from netspec.graph.drawing.routes import Edge, Routes, find_routes
from netspec.graph.drawing.solids import Solid, Style, label_of, solid_of

LINE = 1.3  # height of a line of text, relative to the text size
MARGIN = 14.0
BRACKET = 26.0  # height of a bracket below a row
CAPTION = 17.0  # height of a line of small text at a tower


@dataclass(frozen=True, slots=True)
class Bracket:
    """A bracket under the boxes of a repeat in one row.

    `opens` and `closes` tell whether the repeat begins and ends in this row.
    """

    repeat: Repeat
    left: float
    right: float
    top: float
    opens: bool
    closes: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """A drawing with coordinates.

    Attributes:
        boxes: the boxes.
        direct: the edges to the next column.
        lines: the lines of all other edges.
        brackets: the brackets under repeats.
        width, height: the size of the drawing.
    """

    boxes: list[Placed]
    direct: list[Edge]
    lines: list[Line]
    brackets: list[Bracket]
    width: float
    height: float


def lay_out(drawn: Boxes, style: Style) -> Layout:
    """Lay out boxes, which are in topological order."""
    boxes = drawn.boxes
    solids = [solid_of(box, style) for box in boxes]
    labels = [label_of(box, style) for box in boxes]
    extents = [solid.width + solid.right for solid in solids]
    texts = [style.text * style.letter * max(map(len, label)) for label in labels]
    widths = [max(style.column, *pair) for pair in zip(extents, texts, strict=True)]
    cells = place_boxes(drawn, widths, style.gap, style.row)
    routes = find_routes(boxes, cells)
    columns = _columns(cells, widths, style.gap, MARGIN + TRACK * routes.entries)
    bracketed = {cells[index].row for repeat in drawn.repeats for index in range(repeat.first, repeat.last + 1)}
    lanes, floors = _lanes(boxes, solids, labels, cells, routes, style, bracketed)
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
    width = right + MARGIN + TRACK * max(routes.exits.values(), default=0)
    brackets = [bracket for repeat in drawn.repeats for bracket in _brackets(repeat, placed, cells, floors)]
    return Layout(placed, routes.direct, draw_routes(routes, frame), brackets, width, max(floors.values()) + TRACK)


def _brackets(
    repeat: Repeat, placed: Sequence[Placed], cells: Sequence[Cell], floors: dict[int, float]
) -> Iterator[Bracket]:
    rows: dict[int, list[Placed]] = {}
    for index in range(repeat.first, repeat.last + 1):
        rows.setdefault(cells[index].row, []).append(placed[index])
    for row, boxes in rows.items():
        left, right = min(box.left for box in boxes), max(box.right for box in boxes)
        yield Bracket(repeat, left, right, floors[row] - BRACKET, row == min(rows), row == max(rows))


def _columns(cells: Sequence[Cell], widths: Sequence[float], gap: float, left: float) -> dict[int, Column]:
    """Place the columns of each row from left to right, each as wide as its widest box."""
    column_widths: dict[int, float] = {}
    rows: dict[int, int] = {}
    for cell, width in zip(cells, widths, strict=True):
        column_widths[cell.column] = max(column_widths.get(cell.column, 0.0), width)
        rows[cell.column] = cell.row
    columns: dict[int, Column] = {}
    ends: dict[int, float] = {}  # where the last column of each row ends
    for column, width in sorted(column_widths.items()):
        start = ends[rows[column]] + gap if rows[column] in ends else left
        ends[rows[column]] = start + width
        columns[column] = Column(start - gap / 4, start + width / 2, start + width + gap / 4)
    return columns


def _lanes(
    boxes: Sequence[Box],
    solids: Sequence[Solid],
    labels: Sequence[list[str]],
    cells: Sequence[Cell],
    routes: Routes,
    style: Style,
    bracketed: set[int],
) -> tuple[dict[tuple[int, int], Lane], dict[int, float]]:
    """Place the lanes, by row and number, and return them with the lower end of each row.

    The boxes of a lane are centered on one line. Rows that are `bracketed` have space for brackets at their end.
    """
    members: dict[tuple[int, int], list[int]] = {}
    for index, cell in enumerate(cells):
        members.setdefault((cell.row, cell.lane), []).append(index)
    lanes: dict[tuple[int, int], Lane] = {}
    floors: dict[int, float] = {}
    y = MARGIN
    for row in range(1 + max(cell.row for cell in cells)):
        for lane in range(1 + max(cell.lane for cell in cells if cell.row == row)):
            indices = members.get((row, lane), [])
            pitch = max((_pitch(boxes[i], solids[i]) for i in indices), default=0.0)
            top = y + TRACK * routes.tracks.get((row, lane), 0)
            middle = top + max(
                (_half_height(boxes[i], solids[i], pitch) + solids[i].up for i in indices), default=TRACK
            )
            bottom = middle + max((_half_height(boxes[i], solids[i], pitch) for i in indices), default=TRACK)
            lanes[row, lane] = Lane(top, middle, pitch, bottom + 1.3 * style.text)
            y = bottom + style.text * (1.2 + LINE * max((len(labels[i]) for i in indices), default=0))
        floors[row] = y = y + BRACKET * (row in bracketed)
        y += TRACK * (routes.exits.get(row, 0) + 2)
    return lanes, floors


def _pitch(box: Box, solid: Solid) -> float:
    """The distance between the centers of neighboring towers."""
    return solid.height + solid.up + 2 * CAPTION if box.towers > 1 else 0.0


def _half_height(box: Box, solid: Solid, pitch: float) -> float:
    """The distance from the middle of a box's towers to the lower end of the last, including its caption."""
    return (box.towers - 1) / 2 * pitch + solid.height / 2 + (CAPTION if box.towers > 1 else 0)
