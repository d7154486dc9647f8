"""Collapsing repeated stretches of boxes, so that a deep network is drawn as its building blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netspec.graph.drawing.boxes import Box, Boxes, Repeat
from netspec.graph.graph import Node

LONGEST = 64  # boxes of the longest stretch


@dataclass(frozen=True, slots=True)
class _Stretch:
    first: int
    period: int
    times: int

    @property
    def saved(self) -> int:
        return (self.times - 1) * self.period


def collapse_repeats(boxes: list[Box]) -> Boxes:
    """Draw each stretch of boxes that occurs several times in a row only once.

    Boxes are equal if their ops, shapes, folded ops, towers and distances to the boxes that they read are. A stretch is
    not collapsed if later boxes read any copy but the last.
    """
    tokens = _tokens(boxes)
    reach = _last_readers(boxes)
    kept: list[Box] = []
    repeats: list[Repeat] = []
    place: list[int] = []  # for each of the given boxes, its index among those kept
    index = 0
    while index < len(boxes):
        stretch = _best(tokens, reach, index)
        for box in boxes[index : index + stretch.period]:
            place.append(len(kept))
            reads = tuple(dict.fromkeys(place[read] for read in box.reads))
            kept.append(replace(box, reads=reads, apart=frozenset(place[read] for read in box.apart)))
        if stretch.times > 1:
            until = boxes[index + stretch.period * stretch.times - 1]
            last = (until.folded or (until.head,))[-1].name
            repeats.append(Repeat(len(kept) - stretch.period, len(kept) - 1, stretch.times, last))
            place += place[-stretch.period :] * (stretch.times - 1)
        index += stretch.period * stretch.times
    return Boxes(kept, repeats)


def _tokens(boxes: list[Box]) -> list[int]:
    """A number for each box, the same for equal boxes."""
    numbers: dict[str, int] = {}
    keys = []
    for index, box in enumerate(boxes):
        ops = [repr(node.op) for node in (box.head, *box.folded) if isinstance(node, Node)]
        reads = [index - read for read in box.reads]
        keys.append(repr((box.kind, ops, box.head.type, reads, box.towers, sorted(index - r for r in box.apart))))
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _last_readers(boxes: list[Box]) -> list[int]:
    """For each box, the index of the last box that reads it, or its own."""
    last = list(range(len(boxes)))
    for index, box in enumerate(boxes):
        for read in box.reads:
            last[read] = index
    return last


def _best(tokens: list[int], reach: list[int], first: int) -> _Stretch:
    """The stretch from a box on that saves the most boxes, the shortest of equals; one box if nothing repeats."""
    periods = range(1, min(LONGEST, (len(tokens) - first) // 2) + 1)
    stretches = (_Stretch(first, period, _times(tokens, reach, first, period)) for period in periods)
    return max(stretches, key=lambda stretch: stretch.saved, default=_Stretch(first, 1, 1))


def _times(tokens: list[int], reach: list[int], first: int, period: int) -> int:
    """The largest number of copies of the stretch such that later boxes read only the last copy."""
    copy = tokens[first : first + period]
    times, closed, furthest = 1, 1, 0
    while tokens[(start := first + times * period) : start + period] == copy:
        furthest = max(furthest, *reach[start - period : start])
        times += 1
        if furthest < start + period:
            closed = times
    return closed
