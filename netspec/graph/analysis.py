"""Costs of a graph: weights, multiply-accumulates, activation memory, receptive fields."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from netspec.graph.graph import Graph, Node
from netspec.types import TensorType


@dataclass(frozen=True, slots=True)
class ReceptiveField:
    """The part of the network's input on which one output position depends. Units: input elements.

    Attributes:
        size: its (height, width).
        step: the distance between the fields of neighboring output positions, (height, width).
        whole: whether an op before it reads all of its input, so that the field is the whole input.
    """

    size: tuple[int, int] = (1, 1)
    step: tuple[int | Fraction, int | Fraction] = (1, 1)
    whole: bool = False

    def __str__(self) -> str:
        return "all" if self.whole else f"{self.size[0]}x{self.size[1]}"


@dataclass(frozen=True, slots=True)
class NodeCost:
    """The costs of a node: numbers of weights, MACs and activation bytes per sample, and its receptive field."""

    node: Node
    trainable: int
    untrained: int
    macs: int
    activation_bytes: int
    receptive_field: ReceptiveField

    @property
    def name(self) -> str:
        """The node's name."""
        return self.node.name

    @property
    def kind(self) -> str:
        """The kind of the node's op."""
        return self.node.op.kind

    @property
    def types(self) -> tuple[TensorType, ...]:
        """The type of the output, as a tuple of one."""
        return (self.node.type,)

    @property
    def weights(self) -> int:
        """The number of weights, including running statistics."""
        return self.trainable + self.untrained


@dataclass(frozen=True, slots=True)
class Analysis:
    """The costs of a graph: one row for each node, and totals."""

    rows: tuple[NodeCost, ...]

    @property
    def weights(self) -> int:
        """The number of weights, including running statistics."""
        return sum(row.weights for row in self.rows)

    @property
    def untrained(self) -> int:
        """The number of weights that are not trained."""
        return sum(row.untrained for row in self.rows)

    @property
    def macs(self) -> int:
        """The number of multiply-accumulate operations per sample."""
        return sum(row.macs for row in self.rows)

    @property
    def activation_bytes(self) -> int:
        """The size of all outputs per sample. Units: bytes."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def neurons(self) -> int:
        """The number of outputs of layers with MACs, as Krizhevsky et al. 2012, section 3.5, count neurons."""
        return sum(row.node.type.size for row in self.rows if row.macs)


def analyze(graph: Graph) -> Analysis:
    """Compute the costs of a graph in one pass over its nodes."""
    fields = {value.name: ReceptiveField() for value in graph.inputs}
    rows = []
    for node in graph.nodes:
        fields[node.name] = _receptive_field(node, [fields[name] for name in node.inputs])
        weights = node.weights.values()
        rows.append(
            NodeCost(
                node,
                trainable=sum(w.size for w in weights if w.trainable),
                untrained=sum(w.size for w in weights if not w.trainable),
                macs=node.op.macs(*node.input_types),
                activation_bytes=node.type.size * node.type.dtype.bytes,
                receptive_field=fields[node.name],
            )
        )
    return Analysis(tuple(rows))


def at_inference(graph: Graph) -> Analysis:
    """Compute the costs of a graph without its auxiliary heads, as papers count them."""
    return Analysis(tuple(row for row in analyze(graph).rows if row.name not in graph.training_only))


def _receptive_field(node: Node, inputs: list[ReceptiveField]) -> ReceptiveField:
    window = node.op.window()
    if not inputs:
        return ReceptiveField(size=(0, 0))
    if window is None or any(field.whole for field in inputs):
        return ReceptiveField(whole=True)
    size = [max(field.size[axis] for field in inputs) for axis in (0, 1)]
    step = [max(field.step[axis] for field in inputs) for axis in (0, 1)]
    stride = window.stride or _size_ratio(node)
    return ReceptiveField(
        (
            math.ceil(size[0] + (window.kernel[0] - 1) * step[0]),
            math.ceil(size[1] + (window.kernel[1] - 1) * step[1]),
        ),
        (step[0] * stride[0], step[1] * stride[1]),
    )


def _size_ratio(node: Node) -> tuple[Fraction, Fraction]:
    """The ratio of input to output size of an op on maps, along both axes."""
    (_, height, width), (_, rows, columns) = node.input_types[0].features, node.type.features
    return Fraction(height, rows), Fraction(width, columns)
