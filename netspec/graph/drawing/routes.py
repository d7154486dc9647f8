"""The routes of edges: straight to the next column, along a free lane, over the boxes, or to another row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from netspec.graph.drawing.boxes import Box
from netspec.graph.drawing.columns import Cell

Edge = tuple[int, int]
BOX = -1  # the owner of a cell with a box


@dataclass(frozen=True, slots=True)
class Track:
    """A horizontal line above the boxes of a lane; number 0 is the lowest."""

    row: int
    lane: int
    number: int


@dataclass(frozen=True, slots=True)
class Along:
    """A route through empty cells of a lane."""

    lane: int


@dataclass(frozen=True, slots=True)
class Over:
    """A route up, along a track, and down."""

    track: Track


@dataclass(frozen=True, slots=True)
class Across:
    """A route to a later row, through the right and then the left margin.

    Attributes:
        out, into: the tracks to the right margin and from the left one; None for a box next to the margin.
        exit: the number of its line in the right margin, among the edges that leave the row.
        entry: the number of its line in the left margin.
    """

    out: Track | None
    exit: int
    entry: int
    into: Track | None


@dataclass
class Routes:
    """The routes of a drawing.

    Attributes:
        direct: the edges to the next column.
        routes: the routes of all other edges.
        tracks: the number of tracks of each lane, by row and lane.
        exits: the number of edges that leave each row.
        entries: the number of lines in the left margin.
    """

    direct: list[Edge] = field(default_factory=list)
    routes: dict[Edge, Along | Over | Across] = field(default_factory=dict)
    tracks: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    exits: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    entries: int = 0


def find_routes(boxes: Sequence[Box], cells: Sequence[Cell]) -> Routes:
    """Find the route of each edge. Shorter edges come first, and so get the tracks closest to the boxes."""
    found = Routes()
    tracks = _Intervals()
    margin = _Intervals()
    owners: dict[tuple[int, int], int] = {(cell.column, cell.lane): BOX for cell in cells}
    edges = [(read, index) for index, box in enumerate(boxes) for read in box.reads]
    columns: dict[int, list[int]] = defaultdict(list)
    for cell in cells:
        columns[cell.row].append(cell.column)
    first = {row: min(numbers) for row, numbers in columns.items()}
    last = {row: max(numbers) for row, numbers in columns.items()}

    def track(row: int, lane: int, start: float, end: float) -> Track:
        number = tracks.place((row, lane), start, end)
        found.tracks[row, lane] = max(found.tracks[row, lane], number + 1)
        return Track(row, lane, number)

    for source, target in sorted(edges, key=lambda edge: (cells[edge[1]].column - cells[edge[0]].column, edge)):
        u, v = cells[source], cells[target]
        if u.row != v.row:
            out = None if u.column == last[u.row] else track(u.row, u.lane, u.column, last[u.row] + 1)
            into = None if v.column == first[v.row] else track(v.row, v.lane, first[v.row] - 1, v.column)
            entry = margin.place((0, 0), u.row, v.row)
            found.routes[source, target] = Across(out, found.exits[u.row], entry, into)
            found.exits[u.row] += 1
            found.entries = max(found.entries, entry + 1)
        elif v.column == u.column + 1:
            found.direct.append((source, target))
        elif (lane := _free_lane(owners, source, u, v)) is not None:
            owners |= {(column, lane): source for column in range(u.column + 1, v.column)}
            found.routes[source, target] = Along(lane)
        else:
            found.routes[source, target] = Over(track(v.row, v.lane, u.column, v.column))
    return found


def _free_lane(owners: dict[tuple[int, int], int], source: int, u: Cell, v: Cell) -> int | None:
    """The lane of one of the ends, if the cells between them are empty but for edges from the same box.

    `owners` has the box whose edge occupies a cell, or BOX.
    """
    for lane in dict.fromkeys((u.lane, v.lane)):
        between = [(column, lane) for column in range(u.column + 1, v.column)]
        if all(owners.get(cell, source) == source for cell in between):
            return lane
    return None


class _Intervals:
    """Assigns intervals to numbered lines such that those of a line do not overlap. They may touch."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, int], list[list[tuple[float, float]]]] = defaultdict(list)

    def place(self, where: tuple[int, int], start: float, end: float) -> int:
        """Add an interval to the first line of `where` in which it fits, and return the line's number."""
        lines = self._lines[where]
        for number, intervals in enumerate(lines):
            if all(end <= a or b <= start for a, b in intervals):
                intervals.append((start, end))
                return number
        lines.append([(start, end)])
        return len(lines) - 1
