"""The lines of edges that do not simply lead to the next column, as corner points along their routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netspec.graph.drawing.boxes import Box
from netspec.graph.drawing.columns import Cell
from netspec.graph.drawing.routes import Across, Along, Over, Routes, Track
from netspec.graph.drawing.solids import Solid

TRACK = 9.0  # distance between parallel lines
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Column:
    """The x of a column's center, and of the vertical lines before and after it that no box or label crosses."""

    before: float
    center: float
    after: float


@dataclass(frozen=True, slots=True)
class Lane:
    """The vertical positions of a lane.

    Attributes:
        top: the top of its boxes.
        middle: the middle of its boxes.
        pitch: the distance between the centers of neighboring towers.
        caption: the first line of its labels.
    """

    top: float
    middle: float
    pitch: float
    caption: float


@dataclass(frozen=True, slots=True)
class Placed:
    """A box with its coordinates.

    Attributes:
        index: the index of the box.
        left: the x of its front face.
        after: the x of vertical lines between its column and the next.
        middle: the y of the middle of all its towers.
        pitch: the distance between the centers of neighboring towers.
        center, caption: the x of the label's center, and the y of its first line.
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
        """The right end of the solid, including its depth."""
        return self.left + self.solid.width + self.solid.right

    @property
    def middles(self) -> list[float]:
        """The y of the middle of each tower's front face."""
        count = self.box.towers
        return [self.middle + (tower - (count - 1) / 2) * self.pitch for tower in range(count)]

    @property
    def top(self) -> Point:
        """The center of the top face of the first tower."""
        rise = (self.solid.height + self.solid.up) / 2
        return self.left + (self.solid.width + self.solid.right) / 2, self.middles[0] - rise


@dataclass(frozen=True, slots=True)
class Line:
    """A line through corner points, with an arrow at its end unless other lines continue it."""

    corners: list[Point]
    arrow: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """The positions of boxes, columns and lanes.

    `floors` has the lower end of each row, `left` and `right` are the ends of the longest row.
    """

    placed: Sequence[Placed]
    cells: Sequence[Cell]
    columns: dict[int, Column]
    lanes: dict[tuple[int, int], Lane]
    floors: dict[int, float]
    left: float
    right: float

    def height(self, track: Track) -> float:
        """The y of a track."""
        return self.lanes[track.row, track.lane].top - TRACK * (track.number + 0.5)


def draw_routes(routes: Routes, frame: Frame) -> list[Line]:
    """Return the lines of all edges with a route. At a box with towers, a line joins or branches to all of them."""
    lines: list[Line] = []
    for (source, target), route in routes.routes.items():
        match route:
            case Along(lane):
                lines += _connect(frame, source, target, frame.lanes[frame.cells[target].row, lane].middle)
            case Over(track):
                lines += _connect(frame, source, target, frame.height(track), lifted=True)
            case Across():
                lines += _cross_rows(frame, source, target, route)
    return lines


def _connect(frame: Frame, source: int, target: int, y: float, *, lifted: bool = False) -> list[Line]:
    """The lines of an edge that runs at height y.

    A lifted edge ends at the top of the target, and starts at the top of the source if both are in the same lane.
    """
    same_lane = frame.cells[source].lane == frame.cells[target].lane
    joins, start = _leave(frame, source, y, by_top=lifted and same_lane)
    branches, end = _arrive(frame, target, y, by_top=lifted)
    return [*joins, *_through(start, end, branches)]


def _cross_rows(frame: Frame, source: int, target: int, route: Across) -> list[Line]:
    u, v = frame.cells[source], frame.cells[target]
    right = frame.right + TRACK * (route.exit + 0.5)
    floor = frame.floors[u.row] + TRACK * (route.exit + 0.5)
    left = frame.left - TRACK * (route.entry + 0.5)
    y = frame.height(route.out) if route.out else frame.lanes[u.row, u.lane].middle
    joins, start = _leave(frame, source, y, by_top=route.out is not None)
    y_end = frame.height(route.into) if route.into else frame.lanes[v.row, v.lane].middle
    branches, end = _arrive(frame, target, y_end, by_top=route.into is not None)
    bend = [(right, start[-1][1]), (right, floor), (left, floor), (left, end[0][1])]
    return [*joins, *_through([*start, *bend], end, branches)]


def _leave(frame: Frame, index: int, y: float, *, by_top: bool) -> tuple[list[Line], list[Point]]:
    """The lines that join the towers of a box, and the first points of the edge, of which the last is at height y."""
    box, column = frame.placed[index], frame.columns[frame.cells[index].column]
    if box.box.towers > 1:
        gather = [Line([(box.right, m), (column.after, m), (column.after, y)], arrow=False) for m in box.middles]
        return gather, [(column.after, y)]
    if by_top:
        return [], [box.top, (box.top[0], y)]
    return [], [(box.right, box.middle), (column.after, box.middle), (column.after, y)]


def _arrive(frame: Frame, index: int, y: float, *, by_top: bool) -> tuple[list[Line], list[Point]]:
    """The lines that branch to the towers of a box, and the last points of the edge, of which the first is at y."""
    box, column = frame.placed[index], frame.columns[frame.cells[index].column]
    if box.box.towers > 1:
        return [Line([(column.before, y), (column.before, m), (box.left, m)]) for m in box.middles], [
            (column.before, y)
        ]
    if by_top:
        return [], [(box.top[0], y), box.top]
    return [], [(column.before, y), (column.before, box.middle), (box.left, box.middle)]


def _through(start: list[Point], end: list[Point], branches: list[Line]) -> list[Line]:
    return [Line([*start, *end], arrow=not branches), *branches]
