"""The boxes of a drawing: each is a layer, with the activations, norms and dropouts that follow it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from netspec.graph.graph import Graph, Input, Node
from netspec.graph.towers import find_runs, keeps_apart
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

# Drawn as a circle with this sign, where lines meet.
MERGES: Final[Mapping[type[Op], str]] = {Add: "+", Subtract: "−", Multiply: "×", Divide: "÷", Concat: "‖"}

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
        folded: the nodes drawn with it, each the only reader of the one before.
        reads: indices of the boxes that it reads, without repeats; they precede it.
        towers: the number of towers that its value is divided among; 1 if it is not divided.
        apart: the boxes of `reads` of which each tower reads only its own share.
    """

    head: Input | Node
    kind: Kind
    folded: tuple[Node, ...] = ()
    reads: tuple[int, ...] = ()
    towers: int = 1
    apart: frozenset[int] = frozenset()


def make_boxes(graph: Graph) -> list[Box]:
    """The boxes of a graph, in topological order."""
    towers = {name: run.count for run in find_runs(graph) for name in run.nodes}
    chains = list(_chains(graph))
    box_of = {value.name: index for index, chain in enumerate(chains) for value in chain}
    boxes: list[Box] = []
    for head, *folded in chains:
        count = max(towers.get(value.name, 1) for value in (head, *folded))
        reads = tuple(dict.fromkeys(box_of[name] for name in head.inputs)) if isinstance(head, Node) else ()
        apart = isinstance(head, Node) and count > 1 and keeps_apart(head, count)
        shared = frozenset(index for index in reads if apart and boxes[index].towers == count)
        nodes = tuple(value for value in folded if isinstance(value, Node))
        boxes.append(Box(head, _kind(head), nodes, reads, count, shared))
    return boxes


def _chains(graph: Graph) -> Iterator[list[Input | Node]]:
    """The values of a graph, each once, as chains of a head and the nodes that are folded into it."""
    taken: set[str] = set()
    for value in graph.values.values():
        if value.name in taken:
            continue
        chain = [value]
        while follower := _follower(graph, chain[-1]):
            chain.append(follower)
        taken.update(member.name for member in chain)
        yield chain


def _follower(graph: Graph, value: Input | Node) -> Node | None:
    """The node to fold into a value's box: its only reader, if the value is no output and the op is folded."""
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
    """The sign of a merge."""
    assert isinstance(box.head, Node)  # noqa: S101 # an input is no merge
    return MERGES[type(box.head.op)]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Boxes `first` to `last` stand for `times` copies in a row; `until` is the last node of the last copy."""

    first: int
    last: int
    times: int
    until: str


@dataclass(frozen=True, slots=True)
class Boxes:
    """The boxes to draw, and the stretches of them that stand for several copies."""

    boxes: list[Box]
    repeats: list[Repeat] = field(default_factory=list)
