"""Repeats: consecutive copies of the same boxes in a deep network are found, to be drawn once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import takewhile

from netspec.graph.drawing.boxes import Box, Boxes, Repeat
from netspec.graph.graph import Node
from netspec.ops import Op
from netspec.ops.dropout import Dropping

LONGEST = 64  # greatest number of boxes in a repeat


@dataclass(frozen=True, slots=True)
class _Run:
    """`times` consecutive copies of `period` boxes, from the box `first` on."""

    first: int
    period: int
    times: int

    @property
    def saved(self) -> int:
        """The number of boxes that need not be drawn."""
        return (self.times - 1) * self.period


def collapse_repeats(boxes: list[Box]) -> Boxes:
    """Keep only one of the consecutive copies of equal boxes.

    Boxes are equal if their ops, shapes, folded ops, towers and the distances to the boxes that they read are equal.
    Initializers and rates of dropout, which often change with the depth, make no difference. Copies stay if boxes
    outside of them read any copy but the last. A repeat of blocks begins where a block does.
    """
    tokens = _tokens(boxes)
    last_readers = _last_readers(boxes)
    kept: list[Box] = []
    repeats: list[Repeat] = []
    kept_index: list[int] = []  # the index in `kept` of each box, or of its copy
    index = 0
    while index < len(boxes):
        run = _best(tokens, last_readers, index)
        if run.times > 1 and _is_shifted(boxes, tokens, last_readers, run):
            run = _Run(index, 1, 1)
        for box in boxes[index : index + run.period]:
            kept_index.append(len(kept))
            reads = tuple(dict.fromkeys(kept_index[read] for read in box.reads))
            kept.append(replace(box, reads=reads, apart=frozenset(kept_index[read] for read in box.apart)))
        if run.times > 1:
            end = boxes[index + run.period * run.times - 1]
            until = (end.folded or (end.head,))[-1].name
            repeats.append(Repeat(len(kept) - run.period, len(kept) - 1, run.times, until))
            kept_index += kept_index[-run.period :] * (run.times - 1)
        index += run.period * run.times
    return Boxes(kept, repeats)


def _tokens(boxes: list[Box]) -> list[int]:
    """A number for each box, which is the same for equal boxes."""
    numbers: dict[str, int] = {}
    keys = []
    for index, box in enumerate(boxes):
        ops = [_drawn(node.op) for node in (box.head, *box.folded) if isinstance(node, Node)]
        reads = [index - read for read in box.reads]
        keys.append(repr((box.kind, ops, box.head.type, reads, box.towers, sorted(index - r for r in box.apart))))
    return [numbers.setdefault(key, len(numbers)) for key in keys]


def _drawn(op: Op) -> str:
    """An op without what a drawing does not show."""
    hidden = {"initialize", "rate"} if isinstance(op, Dropping) else {"initialize"}
    return f"{op.kind} { ({name: value for name, value in op if name not in hidden})!r}"


def _is_shifted(boxes: list[Box], tokens: list[int], last_readers: list[int], run: _Run) -> bool:
    """Whether a run with as many copies begins a few boxes later, where the blocks begin of which it is made."""
    depths = [_shared_depth(boxes, run.first + shift) for shift in range(run.period)]
    shift = depths.index(min(depths))
    return shift > 0 and _times(tokens, last_readers, run.first + shift, run.period) >= run.times


def _shared_depth(boxes: list[Box], index: int) -> int:
    """The number of blocks that hold both a box and the one before it, by the dots in their names."""
    if index == 0:
        return -1
    scopes = (boxes[i].head.name.split(".")[:-1] for i in (index - 1, index))
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*scopes, strict=False))))


def _last_readers(boxes: list[Box]) -> list[int]:
    """The index of the last box that reads each box; its own if there is none."""
    last = list(range(len(boxes)))
    for index, box in enumerate(boxes):
        for read in box.reads:
            last[read] = index
    return last


def _best(tokens: list[int], last_readers: list[int], first: int) -> _Run:
    """The run from a box on that saves the most boxes, with the shortest period among equals."""
    periods = range(1, min(LONGEST, (len(tokens) - first) // 2) + 1)
    runs = (_Run(first, period, _times(tokens, last_readers, first, period)) for period in periods)
    return max(runs, key=lambda run: run.saved, default=_Run(first, 1, 1))


def _times(tokens: list[int], last_readers: list[int], first: int, period: int) -> int:
    """The largest number of copies such that boxes after the last copy read none of the others."""
    copy = tokens[first : first + period]
    copies, times, furthest = 1, 1, 0
    while tokens[(start := first + copies * period) : start + period] == copy:
        furthest = max(furthest, *last_readers[start - period : start])
        copies += 1
        if furthest < start + period:
            times = copies
    return times
