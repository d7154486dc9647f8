"""The cells of boxes: columns by the distance from the inputs, lanes for parallel branches, rows wrapped like text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, pairwise

from netspec.graph.drawing.boxes import Box, Boxes


@dataclass(frozen=True, slots=True)
class Cell:
    """The cell of a box: `column` is numbered across all rows, `lane` from the top of a row."""

    row: int
    column: int
    lane: int


def place_boxes(drawn: Boxes, widths: Sequence[float], gap: float, room: float) -> list[Cell]:
    """Return the cell of each box.

    Args:
        drawn: the boxes in topological order, and the repeats among them.
        widths: the width of each box with its label.
        gap: the gap between columns.
        room: the greatest width of a row.
    """
    columns = _columns(drawn.boxes)
    lanes = _lanes(drawn.boxes, columns)
    rows = _rows(_crossings(drawn, columns), _column_widths(columns, widths), gap, room)
    return [Cell(rows[column], column, lane) for column, lane in zip(columns, lanes, strict=True)]


def _columns(boxes: Sequence[Box]) -> list[int]:
    """The column of each box: its longest distance from an input.

    What is computed from parameters alone, such as a bias of attention, is just before its reader.
    """
    columns: list[int] = []
    for box in boxes:
        columns.append(1 + max((columns[read] for read in box.reads), default=-1))
    dependent, readers = _depends_on_input(boxes), _readers(boxes)
    for index in reversed(range(len(boxes))):
        if not dependent[index] and readers[index]:
            columns[index] = max(0, min(columns[reader] for reader in readers[index]) - 1)
    return columns


def _lanes(boxes: Sequence[Box], columns: Sequence[int]) -> list[int]:
    """The lane of each box: the free lane nearest to that of the first box it reads, so that chains are straight.

    What is computed from parameters alone comes last, near its reader.
    """
    taken: set[tuple[int, int]] = set()
    lanes: dict[int, int] = {}
    dependent, readers = _depends_on_input(boxes), _readers(boxes)
    alone = [index for index in reversed(range(len(boxes))) if not dependent[index]]
    for index in (*(index for index in range(len(boxes)) if dependent[index]), *alone):
        box, near = boxes[index], boxes[index].reads if dependent[index] else readers[index]
        near_lanes = [lanes[other] for other in near if other in lanes] or [0]
        preferred = min(near_lanes) if box.kind == "merge" else near_lanes[0]
        lane = next(lane for lane in _outward(preferred) if (columns[index], lane) not in taken)
        taken.add((columns[index], lane))
        lanes[index] = lane
    return [lanes[index] for index in range(len(boxes))]


def _depends_on_input(boxes: Sequence[Box]) -> list[bool]:
    """Whether each box is an input, or computed from one."""
    depends: list[bool] = []
    for box in boxes:
        depends.append(box.kind == "input" or any(depends[read] for read in box.reads))
    return depends


def _readers(boxes: Sequence[Box]) -> list[list[int]]:
    readers: list[list[int]] = [[] for _ in boxes]
    for index, box in enumerate(boxes):
        for read in box.reads:
            readers[read].append(index)
    return readers


def _outward(lane: int) -> Iterator[int]:
    """Yield a lane, then the others by their distance from it."""
    yield lane
    for distance in count(1):
        yield lane + distance
        if lane >= distance:
            yield lane - distance


def _column_widths(columns: Sequence[int], widths: Sequence[float]) -> list[float]:
    column_widths = [0.0] * (max(columns) + 1)
    for column, width in zip(columns, widths, strict=True):
        column_widths[column] = max(column_widths[column], width)
    return column_widths


def _crossings(drawn: Boxes, columns: Sequence[int]) -> list[int]:
    """The number of edges and brackets of repeats that cross the boundary before each column."""
    crossings = [0] * (max(columns) + 2)
    spans = [(columns[read], columns[index]) for index, box in enumerate(drawn.boxes) for read in box.reads]
    for repeat in drawn.repeats:
        within = columns[repeat.first : repeat.last + 1]
        spans.append((min(within), max(within)))
    for first, last in spans:
        for column in range(first + 1, last + 1):
            crossings[column] += 1
    return crossings


def _rows(crossings: list[int], widths: list[float], gap: float, room: float) -> list[int]:
    """The row of each column. A row has at least 60% of the columns that fit, and ends where least is crossed."""
    starts = [0]
    while True:
        first = starts[-1]
        ends = list(accumulate(width + gap for width in widths[first:]))
        if ends[-1] - gap <= room:
            break
        most = max(1, sum(end - gap <= room for end in ends))
        least = max(1, round(0.6 * most))
        starts.append(first + min(range(most, least - 1, -1), key=lambda length: crossings[first + length]))
    bounds = [*starts, len(widths)]
    return [row for row, (start, end) in enumerate(pairwise(bounds)) for _ in range(start, end)]
