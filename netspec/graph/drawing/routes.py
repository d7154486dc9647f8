"""The routes of edges: directly to the next column, along a free lane, over the boxes, or to another row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from netspec.graph.drawing.boxes import Box
from netspec.graph.drawing.columns import Cell

Edge = tuple[int, int]


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
    """A route to a later row, through the right margin and the left one.

    Attributes:
        out: the track to the right margin; None if the box is next to it.
        exit: the index among the edges that leave the row, which is the position in the right margin.
        entry: the position in the left margin.
        into: the track from the left margin; None if the box is next to it.
    """

    out: Track | None
    exit: int
    entry: int
    into: Track | None


@dataclass
class Ways:
    """The routes of all edges. Those to the next column are `direct`; the rest need tracks, exits and entries."""

    direct: list[Edge] = field(default_factory=list)
    ways: dict[Edge, Along | Over | Across] = field(default_factory=dict)
    tracks: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    exits: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    entries: int = 0


def find_ways(boxes: Sequence[Box], cells: Sequence[Cell]) -> Ways:
    """The route of each edge. Shorter edges choose first, and so run nearer to the boxes."""
    found = Ways()
    tracks = _Intervals()
    gutters = _Intervals()
    owners: dict[tuple[int, int], int] = {(cell.column, cell.lane): -1 for cell in cells}  # -1: a box
    edges = [(read, index) for index, box in enumerate(boxes) for read in box.reads]
    last = {cell.row: max(c.column for c in cells if c.row == cell.row) for cell in _one_a_row(cells)}
    first = {cell.row: min(c.column for c in cells if c.row == cell.row) for cell in _one_a_row(cells)}

    def track(row: int, lane: int, start: float, end: float) -> Track:
        number = tracks.place((row, lane), start, end)
        found.tracks[row, lane] = max(found.tracks[row, lane], number + 1)
        return Track(row, lane, number)

    for source, target in sorted(edges, key=lambda edge: (cells[edge[1]].column - cells[edge[0]].column, edge)):
        u, v = cells[source], cells[target]
        if u.row != v.row:
            out = None if u.column == last[u.row] else track(u.row, u.lane, u.column, last[u.row] + 1)
            into = None if v.column == first[v.row] else track(v.row, v.lane, first[v.row] - 1, v.column)
            entry = gutters.place((0, 0), u.row, v.row)
            found.ways[source, target] = Across(out, found.exits[u.row], entry, into)
            found.exits[u.row] += 1
            found.entries = max(found.entries, entry + 1)
        elif v.column == u.column + 1:
            found.direct.append((source, target))
        elif (lane := _free_lane(owners, source, u, v)) is not None:
            owners |= {(column, lane): source for column in range(u.column + 1, v.column)}
            found.ways[source, target] = Along(lane)
        else:
            found.ways[source, target] = Over(track(v.row, v.lane, u.column, v.column))
    return found


def _one_a_row(cells: Sequence[Cell]) -> list[Cell]:
    return list({cell.row: cell for cell in cells}.values())


def _free_lane(owners: dict[tuple[int, int], int], source: int, u: Cell, v: Cell) -> int | None:
    """The lane of either end, if between the ends it has no boxes, and no edges from another box."""
    for lane in dict.fromkeys((u.lane, v.lane)):
        between = [(column, lane) for column in range(u.column + 1, v.column)]
        if all(owners.get(cell, source) == source for cell in between):
            return lane
    return None


class _Intervals:
    """Intervals on numbered lines. Intervals of a line do not overlap, but may touch."""

    def __init__(self) -> None:
        self._taken: dict[tuple[int, int], list[list[tuple[float, float]]]] = defaultdict(list)

    def place(self, where: tuple[int, int], start: float, end: float) -> int:
        """Put an interval on the first line of `where` on which it fits, and return the line's number."""
        lines = self._taken[where]
        for number, taken in enumerate(lines):
            if all(end <= a or b <= start for a, b in taken):
                taken.append((start, end))
                return number
        lines.append([(start, end)])
        return len(lines) - 1
