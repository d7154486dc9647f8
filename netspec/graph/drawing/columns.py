"""The cells of boxes: columns by distance from the inputs, parallel lanes, and rows that break like lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, pairwise

from netspec.graph.drawing.boxes import Box


@dataclass(frozen=True, slots=True)
class Cell:
    """The position of a box. Columns are numbered over all rows, lanes from the top within a row."""

    row: int
    column: int
    lane: int


def place_boxes(boxes: Sequence[Box], widths: Sequence[float], gap: float, room: float) -> list[Cell]:
    """The cell of each box.

    Args:
        boxes: in topological order.
        widths: of the boxes with their labels.
        gap: between columns.
        room: the greatest width of a row.
    """
    columns = _columns(boxes)
    lanes = _lanes(boxes, columns)
    rows = _rows(boxes, columns, _column_widths(columns, widths), gap, room)
    return [Cell(rows[column], column, lane) for column, lane in zip(columns, lanes, strict=True)]


def _columns(boxes: Sequence[Box]) -> list[int]:
    """The length of the longest path to each box; a box without inputs stands just before its first reader."""
    columns: list[int] = []
    for box in boxes:
        columns.append(1 + max((columns[read] for read in box.reads), default=-1))
    for index, box in enumerate(boxes):
        if not box.reads:
            readers = [columns[i] for i, other in enumerate(boxes) if index in other.reads]
            columns[index] = max(0, min(readers, default=1) - 1)
    return columns


def _lanes(boxes: Sequence[Box], columns: Sequence[int]) -> list[int]:
    """For each box, the free lane nearest to the lane of the first box that it reads; of a merge, the topmost."""
    taken: set[tuple[int, int]] = set()
    lanes: list[int] = []
    for index, box in enumerate(boxes):
        read = [lanes[index] for index in box.reads] or [0]
        wanted = min(read) if box.kind == "merge" else read[0]
        lane = next(lane for lane in _outward(wanted) if (columns[index], lane) not in taken)
        taken.add((columns[index], lane))
        lanes.append(lane)
    return lanes


def _outward(lane: int) -> Iterator[int]:
    """A lane, then its neighbors, nearest first."""
    yield lane
    for distance in count(1):
        yield lane + distance
        if lane >= distance:
            yield lane - distance


def _column_widths(columns: Sequence[int], widths: Sequence[float]) -> list[float]:
    most = [0.0] * (max(columns) + 1)
    for column, width in zip(columns, widths, strict=True):
        most[column] = max(most[column], width)
    return most


def _rows(boxes: Sequence[Box], columns: Sequence[int], widths: list[float], gap: float, room: float) -> list[int]:
    """The row of each column. A row breaks where the fewest edges cross, within its last 40 %."""
    crossing = [0] * (len(widths) + 1)  # at index c, the edges that pass from column c - 1 to column c
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
        starts.append(first + min(range(most, least - 1, -1), key=lambda taken: crossing[first + taken]))
    bounds = [*starts, len(widths)]
    return [row for row, (a, b) in enumerate(pairwise(bounds)) for _ in range(a, b)]
