"""The lines of edges that do not lead directly to the next column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netspec.graph.drawing.boxes import Box
from netspec.graph.drawing.columns import Cell
from netspec.graph.drawing.routes import Across, Along, Over, Track, Ways
from netspec.graph.drawing.solids import Solid

TRACK = 9.0  # distance of parallel lines
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Column:
    """The center of a column, and the positions just before and after it that no box or label covers."""

    before: float
    center: float
    after: float


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane's heights: the top and middle of its boxes, the first line of their labels, and the pitch of towers."""

    top: float
    middle: float
    pitch: float
    caption: float


@dataclass(frozen=True, slots=True)
class Placed:
    """A box with its coordinates.

    Attributes:
        index: its index among all boxes.
        left: the left edge of its front face.
        after: where lines may run between its column and the next.
        middle: the middle of the front faces of all its towers, from the top of the drawing.
        pitch: the distance from one tower to the next.
        center, caption: the center of the label from the left, and its first line from the top.
    """

    index: int
    box: Box
    solid: Solid
    label: list[str]
    left: float
    after: float
    middle: float
    pitch: float
    center: float
    caption: float

    @property
    def right(self) -> float:
        """The right edge of the solid, including its depth."""
        return self.left + self.solid.width + self.solid.right

    @property
    def middles(self) -> list[float]:
        """The middle of each tower's front face."""
        count = self.box.towers
        return [self.middle + (tower - (count - 1) / 2) * self.pitch for tower in range(count)]

    @property
    def top(self) -> Point:
        """The middle of the uppermost face."""
        rise = (self.solid.height + self.solid.up) / 2
        return self.left + (self.solid.width + self.solid.right) / 2, self.middles[0] - rise


@dataclass(frozen=True, slots=True)
class Line:
    """A line with corners, and an arrow at its end unless other lines continue it."""

    corners: list[Point]
    arrow: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """All coordinates. `floors` are the lower ends of rows; `left` and `right` the ends of the longest row."""

    placed: Sequence[Placed]
    cells: Sequence[Cell]
    columns: dict[int, Column]
    lanes: dict[tuple[int, int], Lane]
    floors: dict[int, float]
    left: float
    right: float

    def height(self, track: Track) -> float:
        """The distance of a track from the top of the drawing."""
        return self.lanes[track.row, track.lane].top - TRACK * (track.number + 0.5)


def draw_ways(ways: Ways, frame: Frame) -> list[Line]:
    """The lines of all edges but the direct ones. Lines from towers join at the start, and split again at the end."""
    lines: list[Line] = []
    for (source, target), way in ways.ways.items():
        match way:
            case Along(lane):
                lines += _join(frame, source, target, frame.lanes[frame.cells[target].row, lane].middle)
            case Over(track):
                lines += _join(frame, source, target, frame.height(track), lifted=True)
            case Across():
                lines += _cross_rows(frame, source, target, way)
    return lines


def _join(frame: Frame, source: int, target: int, y: float, *, lifted: bool = False) -> list[Line]:
    """The lines from one box to another along a height. A lifted line uses the tops of the boxes where it can."""
    same = frame.cells[source].lane == frame.cells[target].lane
    out, start = _leave(frame, source, y, by_top=lifted and same)
    into, end = _arrive(frame, target, y, by_top=lifted)
    return [*out, *_through(start, end, into)]


def _cross_rows(frame: Frame, source: int, target: int, way: Across) -> list[Line]:
    u, v = frame.cells[source], frame.cells[target]
    margin = frame.right + TRACK * (way.exit + 0.5)
    floor = frame.floors[u.row] + TRACK * (way.exit + 0.5)
    left = frame.left - TRACK * (way.entry + 0.5)
    y = frame.height(way.out) if way.out else frame.lanes[u.row, u.lane].middle
    out, start = _leave(frame, source, y, by_top=way.out is not None)
    y_end = frame.height(way.into) if way.into else frame.lanes[v.row, v.lane].middle
    into, end = _arrive(frame, target, y_end, by_top=way.into is not None)
    bend = [(margin, start[-1][1]), (margin, floor), (left, floor), (left, end[0][1])]
    return [*out, *_through([*start, *bend], end, into)]


def _leave(frame: Frame, index: int, y: float, *, by_top: bool) -> tuple[list[Line], list[Point]]:
    """Lines that join the towers of a box, and the first points of the edge, of which the last is at height y."""
    box, column = frame.placed[index], frame.columns[frame.cells[index].column]
    if box.box.towers > 1:
        gather = [Line([(box.right, m), (column.after, m), (column.after, y)], arrow=False) for m in box.middles]
        return gather, [(column.after, y)]
    if by_top:
        return [], [box.top, (box.top[0], y)]
    return [], [(box.right, box.middle), (column.after, box.middle), (column.after, y)]


def _arrive(frame: Frame, index: int, y: float, *, by_top: bool) -> tuple[list[Line], list[Point]]:
    """Lines that lead to the towers of a box, and the last points of the edge, of which the first is at height y."""
    box, column = frame.placed[index], frame.columns[frame.cells[index].column]
    if box.box.towers > 1:
        return [Line([(column.before, y), (column.before, m), (box.left, m)]) for m in box.middles], [
            (column.before, y)
        ]
    if by_top:
        return [], [(box.top[0], y), box.top]
    return [], [(column.before, y), (column.before, box.middle), (box.left, box.middle)]


def _through(start: list[Point], end: list[Point], spread: list[Line]) -> list[Line]:
    return [Line([*start, *end], arrow=not spread), *spread]
