"""The boxes of a drawing. A box is a layer, with the activations, norms and dropouts that follow it folded in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from netspec.graph.graph import Graph, Input, Node
from netspec.graph.towers import find_runs, is_channelwise
from netspec.ops import (
    AdaptiveAvgPool2d,
    Add,
    AvgPool2d,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Divide,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    Identity,
    InstanceNorm,
    L2Normalize,
    LayerNorm,
    LayerScale,
    LocalResponseNorm,
    MaxPool2d,
    Multiply,
    Op,
    PRelu,
    RmsNorm,
    Softmax,
    Subtract,
)
from netspec.ops.activation import Elementwise

Kind = Literal["input", "conv", "dense", "pool", "merge", "other"]

# The ops that are drawn as a circle where edges meet, and the sign in it.
MERGES: Final[Mapping[type[Op], str]] = {Add: "+", Subtract: "−", Multiply: "×", Divide: "÷", Concat: "‖"}

# The ops that are folded into the box of the value that they read.
FOLDED = (
    Elementwise,
    PRelu,
    Softmax,
    LocalResponseNorm,
    BatchNorm,
    LayerNorm,
    RmsNorm,
    GroupNorm,
    InstanceNorm,
    L2Normalize,
    LayerScale,
    Flatten,
    Identity,
)


@dataclass(frozen=True, slots=True)
class Box:
    """One box of a drawing.

    Attributes:
        head: the value that gives the box its name and shape.
        folded: the nodes that are folded in, each the only reader of the one before.
        reads: the indices of the boxes that it reads, all of them before it, without repeats.
        towers: the number of towers that its value is divided among; 1 if it is not divided.
        apart: the boxes among `reads` of which each tower reads only its own part.
    """

    head: Input | Node
    kind: Kind
    folded: tuple[Node, ...] = ()
    reads: tuple[int, ...] = ()
    towers: int = 1
    apart: frozenset[int] = frozenset()


def make_boxes(graph: Graph) -> list[Box]:
    """Make the boxes of a graph, in topological order."""
    towers = {name: run.count for run in find_runs(graph) for name in run.nodes}
    chains = list(_chains(graph))
    box_of = {value.name: index for index, chain in enumerate(chains) for value in chain}
    boxes: list[Box] = []
    for head, *folded in chains:
        count = max(towers.get(value.name, 1) for value in (head, *folded))
        reads = tuple(dict.fromkeys(box_of[name] for name in head.inputs)) if isinstance(head, Node) else ()
        divided = isinstance(head, Node) and count > 1 and is_channelwise(head, count)
        apart = frozenset(index for index in reads if divided and boxes[index].towers == count)
        nodes = tuple(value for value in folded if isinstance(value, Node))
        boxes.append(Box(head, _kind(head), nodes, reads, count, apart))
    return boxes


def _chains(graph: Graph) -> Iterator[list[Input | Node]]:
    """Yield the values of each box: its head, then the nodes folded into it. Each value is in one chain."""
    chained: set[str] = set()
    for value in graph.values.values():
        if value.name in chained:
            continue
        chain = [value]
        while follower := _follower(graph, chain[-1]):
            chain.append(follower)
        chained.update(member.name for member in chain)
        yield chain


def _follower(graph: Graph, value: Input | Node) -> Node | None:
    """The node to fold into the box of a value: its only reader, unless the value is an output of the graph."""
    readers = graph.readers[value.name]
    if isinstance(value, Input) or len(readers) != 1 or value.name in graph.outputs:
        return None
    return readers[0] if isinstance(readers[0].op, FOLDED) else None


def _kind(value: Input | Node) -> Kind:
    if isinstance(value, Input):
        return "input"
    kinds: dict[Kind, tuple[type[Op], ...]] = {
        "conv": (Conv2d, ConvTranspose2d),
        "dense": (Dense,),
        "pool": (MaxPool2d, AvgPool2d, AdaptiveAvgPool2d, GlobalAvgPool2d),
        "merge": tuple(MERGES),
    }
    return next((kind for kind, ops in kinds.items() if isinstance(value.op, ops)), "other")


def sign_of(box: Box) -> str:
    """Return the sign in the circle of a merge."""
    assert isinstance(box.head, Node)  # noqa: S101 # a merge is no input
    return MERGES[type(box.head.op)]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The boxes `first` to `last`, drawn once for `times` consecutive copies, of which the last ends at `until`."""

    first: int
    last: int
    times: int
    until: str


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes to draw, and the repeats among them."""

    boxes: list[Box]
    repeats: list[Repeat] = field(default_factory=list)
