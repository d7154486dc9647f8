"""Towers: parts of a network that keep to themselves for a while, as the two GPUs of Krizhevsky et al. 2012 did.

Where a convolution or a dense layer works in g groups, each of its groups can have a device of its own, and so can
every op around it that computes a channel from that channel alone. What produces the first of these values may read
everything (the input, the other towers), and yet each tower computes only its own share of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from netspec.graph.graph import Graph, Input, Node
from netspec.ops import (
    AdaptiveAvgPool2d,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    GroupNorm,
    Identity,
    InstanceNorm,
    L2Normalize,
    LayerNorm,
    LayerScale,
    LocalResponseNorm,
    Pad,
    Pad2d,
    PRelu,
    Resize,
    RmsNorm,
    Slice,
    Softmax,
)
from netspec.ops.activation import Elementwise
from netspec.ops.merge import Add, Divide, Multiply, Subtract
from netspec.ops.pooling import Pool2d
from netspec.ops.reduction import Reduction
from netspec.types import TensorType

MOST_TOWERS = 4  # more groups than this are a form of sparsity (ResNeXt, depthwise), not of placement


@dataclass(frozen=True, slots=True)
class Run:
    """Nodes, in the graph's order, whose outputs lie divided among the same number of towers.

    Tower t of `count` holds channels [t·C/count, (t + 1)·C/count) of each.
    """

    count: int
    nodes: tuple[str, ...]


def find_runs(graph: Graph) -> tuple[Run, ...]:
    """The runs of towers in a graph, in its order; no node is in two. The smallest count that a node can be in wins.

    A run has at least one convolution or dense layer in `count` groups, 2 to 4, and holds what reaches it, or is
    reached from it, through ops that keep towers apart.

    >>> from netspec.graph import Input, make_node
    >>> from netspec.ops import Relu
    >>> x = Input("x", TensorType.of(6))
    >>> a = make_node("a", Dense(units=4), [x])
    >>> b = make_node("b", Relu(), [a])
    >>> c = make_node("c", Dense(units=4, groups=2), [b])
    >>> d = make_node("d", Dense(units=2), [c])
    >>> find_runs(Graph("small", (x,), (a, b, c, d), ("d",)))
    (Run(count=2, nodes=('a', 'b', 'c')),)
    """
    found: dict[str, Run] = {}
    for count in range(2, MOST_TOWERS + 1):
        for run in _runs(graph, count):
            free = tuple(name for name in run.nodes if name not in found)
            if any(_seeds(graph.values[name], count) for name in free):
                found |= dict.fromkeys(free, Run(count, free))
    return tuple(dict.fromkeys(found[node.name] for node in graph.nodes if node.name in found))


def keeps_apart(node: Node, count: int) -> bool:
    """Whether a node computes each of `count` towers' share of its output from that tower's share of its inputs."""
    if not node.inputs:  # a parameter is given whole, as inputs are
        return False
    types = (*read_apart(node).values(), node.type)
    return _separates(node, count) and all(width(type) % count == 0 for type in types)


def _runs(graph: Graph, count: int) -> list[Run]:
    """Connected values: union of every node that keeps towers apart with what it reads."""
    leader = {node.name: node.name for node in graph.nodes}  # inputs are given whole, and connect nothing

    def lead(name: str) -> str:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for node in graph.nodes:
        if keeps_apart(node, count):
            for name in read_apart(node):
                if name in leader:
                    leader[lead(name)] = lead(node.name)
    members: dict[str, list[str]] = {lead(node.name): [] for node in graph.nodes if _seeds(node, count)}
    for node in graph.nodes:
        if lead(node.name) in members:
            members[lead(node.name)].append(node.name)
    return [Run(count, tuple(nodes)) for nodes in members.values()]


def _seeds(value: Input | Node, count: int) -> bool:
    """A norm in groups makes no towers: only what multiplies by weights is worth a device of its own."""
    return (
        isinstance(value, Node) and isinstance(value.op, Conv2d | ConvTranspose2d | Dense) and value.op.groups == count
    )


def axis_of(type: TensorType) -> int:
    """The axis that towers divide: the channels of a map, the features that a dense layer maps."""
    return 2 if type.rank == 3 else 1


def width(type: TensorType) -> int:
    """The size of that axis; a value without features has one."""
    return type.features[axis_of(type) - 1] if type.rank > 1 else 1


def read_apart(node: Node) -> dict[str, TensorType]:
    """What each tower reads a share of: every input but one that a merge broadcasts along the divided axis."""
    merges = isinstance(node.op, Add | Subtract | Multiply | Divide)
    inputs = zip(node.inputs, node.input_types, strict=True)
    return {name: type for name, type in inputs if not (merges and width(type) == 1)}


def _separates(node: Node, count: int) -> bool:
    """By what the op reads. An op that is not named here mixes its channels."""
    type = node.input_types[0]
    match node.op:
        case Conv2d(groups=groups) | ConvTranspose2d(groups=groups) | Dense(groups=groups):
            return groups % count == 0
        case LocalResponseNorm(region="map"):
            return True
        case LocalResponseNorm(groups=groups):
            return groups % count == 0
        case GroupNorm(groups=groups):
            return groups % count == 0 and type.rank != 3
        case LayerNorm(axes=axes) | RmsNorm(axes=axes) | L2Normalize(axes=axes):
            return axis_of(type) not in axes
        case Reduction(axes=axes):  # the axis that towers divide keeps its place
            return axis_of(type) not in axes and axis_of(node.type) == axis_of(type)
        case Softmax(axis=axis) | Concat(axis=axis) | Slice(axis=axis) | Pad(axis=axis):
            return axis != axis_of(type)
        case LayerScale(axis=axis):
            return axis == axis_of(type)
        case BatchNorm() | InstanceNorm() | PRelu() | Flatten():  # of (N, C, L), towers would divide L
            return type.rank != 3
        case Elementwise() | Add() | Subtract() | Multiply() | Divide() | Identity():
            return True
        case Pool2d() | AdaptiveAvgPool2d() | GlobalAvgPool2d() | Pad2d() | Resize():
            return True
        case _:
            return False
