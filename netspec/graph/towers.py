"""Towers: stretches of a network whose channels can be divided among devices without any exchange.

If a convolution or dense layer works in g groups, each group can be computed on its own device, as on the two GPUs of
Krizhevsky et al. 2012. So can every op around it that computes each channel from that channel alone. The first layer of
such a stretch may read everything, the input or other towers; each tower still computes only its share of the output.
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
from netspec.ops.merge import Broadcasting
from netspec.ops.pooling import Pool2d
from netspec.ops.reduction import Reduction
from netspec.types import TensorType

MOST_GROUPS = 4  # more are a form of sparsity (ResNeXt, depthwise), not of placement


@dataclass(frozen=True, slots=True)
class Run:
    """Connected nodes, in the graph's order, whose outputs can be divided among `count` towers.

    Tower t holds channels [t·C/count, (t + 1)·C/count) of each output.
    """

    count: int
    nodes: tuple[str, ...]


def find_runs(graph: Graph) -> tuple[Run, ...]:
    """The runs of a graph, in its order, each with at least one convolution or dense layer in `count` groups, 2 to 4.

    A run contains all nodes connected to that layer through ops that keep towers apart. No node is in two runs; the
    run with the smaller count takes it.

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
    run_of: dict[str, Run] = {}
    for count in range(2, MOST_GROUPS + 1):
        for run in _runs(graph, count):
            free = tuple(name for name in run.nodes if name not in run_of)
            if any(_seeds(graph.values[name], count) for name in free):
                run_of |= dict.fromkeys(free, Run(count, free))
    return tuple(dict.fromkeys(run_of[node.name] for node in graph.nodes if node.name in run_of))


def is_channelwise(node: Node, count: int) -> bool:
    """Whether each of `count` towers can compute its share of a node's output from its share of the inputs."""
    if not node.inputs:  # a parameter is whole in each tower, as the network's inputs are
        return False
    types = (*channelwise_inputs(node).values(), node.type)
    return _separates(node, count) and all(width(type) % count == 0 for type in types)


def _runs(graph: Graph, count: int) -> list[Run]:
    """The connected components, by union-find, of nodes that keep towers apart and the values that they read."""
    parent = {node.name: node.name for node in graph.nodes}  # inputs of the network are whole, and connect nothing

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for node in graph.nodes:
        if is_channelwise(node, count):
            for name in channelwise_inputs(node):
                if name in parent:
                    parent[root(name)] = root(node.name)
    members: dict[str, list[str]] = {root(node.name): [] for node in graph.nodes if _seeds(node, count)}
    for node in graph.nodes:
        if root(node.name) in members:
            members[root(node.name)].append(node.name)
    return [Run(count, tuple(nodes)) for nodes in members.values()]


def _seeds(value: Input | Node, count: int) -> bool:
    """Whether a value is a layer of filters in `count` groups. A norm in groups alone is not worth several devices."""
    return (
        isinstance(value, Node) and isinstance(value.op, Conv2d | ConvTranspose2d | Dense) and value.op.groups == count
    )


def axis_of(type: TensorType) -> int:
    """The axis that towers divide: the channels of a map, or the features of tokens (N, L, F)."""
    return 2 if type.rank == 3 else 1


def width(type: TensorType) -> int:
    """The size of the axis that towers divide; 1 for a value without features."""
    return type.features[axis_of(type) - 1] if type.rank > 1 else 1


def channelwise_inputs(node: Node) -> dict[str, TensorType]:
    """The inputs that a node reads divided, by name: all but those that a merge broadcasts along the divided axis."""
    merges = isinstance(node.op, Broadcasting)
    inputs = zip(node.inputs, node.input_types, strict=True)
    return {name: type for name, type in inputs if not (merges and width(type) == 1)}


def _separates(node: Node, count: int) -> bool:
    """Whether the op computes each of `count` shares of channels from that share. An op not listed mixes channels."""
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
        case Reduction(axes=axes):  # the output has to be divided along the same axis
            return axis_of(type) not in axes and axis_of(node.type) == axis_of(type)
        case Softmax(axis=axis) | Concat(axis=axis) | Slice(axis=axis) | Pad(axis=axis):
            return axis != axis_of(type)
        case LayerScale(axis=axis):
            return axis == axis_of(type)
        case BatchNorm() | InstanceNorm() | PRelu() | Flatten():  # of (N, C, L), towers would divide L
            return type.rank != 3
        case Elementwise() | Broadcasting() | Identity():
            return True
        case Pool2d() | AdaptiveAvgPool2d() | GlobalAvgPool2d() | Pad2d() | Resize():
            return True
        case _:
            return False
