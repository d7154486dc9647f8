"""The cells of boxes: columns by the distance from the inputs, lanes for parallel branches, rows wrapped like text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, pairwise

from netspec.graph.drawing.boxes import Box


@dataclass(frozen=True, slots=True)
class Cell:
    """The cell of a box: `column` is numbered across all rows, `lane` from the top of a row."""

    row: int
    column: int
    lane: int


def place_boxes(boxes: Sequence[Box], widths: Sequence[float], gap: float, room: float) -> list[Cell]:
    """Return the cell of each box.

    Args:
        boxes: the boxes in topological order.
        widths: the width of each box with its label.
        gap: the gap between columns.
        room: the greatest width of a row.
    """
    columns = _columns(boxes)
    lanes = _lanes(boxes, columns)
    rows = _rows(boxes, columns, _column_widths(columns, widths), gap, room)
    return [Cell(rows[column], column, lane) for column, lane in zip(columns, lanes, strict=True)]


def _columns(boxes: Sequence[Box]) -> list[int]:
    """The column of each box: its longest distance from an input. A box without reads is just before its reader."""
    columns: list[int] = []
    for box in boxes:
        columns.append(1 + max((columns[read] for read in box.reads), default=-1))
    for index, box in enumerate(boxes):
        if not box.reads:
            readers = [columns[i] for i, other in enumerate(boxes) if index in other.reads]
            columns[index] = max(0, min(readers, default=1) - 1)
    return columns


def _lanes(boxes: Sequence[Box], columns: Sequence[int]) -> list[int]:
    """The lane of each box: the free lane nearest to that of the first box it reads, so that chains are straight."""
    taken: set[tuple[int, int]] = set()
    lanes: list[int] = []
    for index, box in enumerate(boxes):
        read_lanes = [lanes[read] for read in box.reads] or [0]
        preferred = min(read_lanes) if box.kind == "merge" else read_lanes[0]
        lane = next(lane for lane in _outward(preferred) if (columns[index], lane) not in taken)
        taken.add((columns[index], lane))
        lanes.append(lane)
    return lanes


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


def _rows(boxes: Sequence[Box], columns: Sequence[int], widths: list[float], gap: float, room: float) -> list[int]:
    """The row of each column. A row has at least 60% of the columns that fit, and ends where the fewest edges cross."""
    crossing = [0] * (len(widths) + 1)  # the number of edges across the boundary before each column
    for index, box in enumerate(boxes):
        for read in box.reads:
            for column in range(columns[read] + 1, columns[index] + 1):
                crossing[column] += 1
    starts = [0]
    while True:
        first = starts[-1]
        ends = list(accumulate(width + gap for width in widths[first:]))
        if ends[-1] - gap <= room:
            break
        most = max(1, sum(end - gap <= room for end in ends))
        least = max(1, round(0.6 * most))
        starts.append(first + min(range(most, least - 1, -1), key=lambda length: crossing[first + length]))
    bounds = [*starts, len(widths)]
    return [row for row, (start, end) in enumerate(pairwise(bounds)) for _ in range(start, end)]
