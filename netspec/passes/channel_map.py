"""Affine maps of channels, factor · x + shift, that nodes compute at inference. Convolutions can compute them too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.arrays import np
from netspec.graph import Graph, Node, make_node
from netspec.ops import Add, BatchNorm, LayerScale, Multiply, Op, Parameter, Rescale, Subtract
from netspec.ops.dropout import Dropping
from netspec.passes.remove_unused import Drop

if TYPE_CHECKING:
    from netspec.ops.base import Array, Weights


@dataclass(frozen=True, slots=True)
class ChannelMap:
    """The map of a node: a factor and a shift for each channel, or for all of them.

    Attributes:
        node: the name of the node.
        op: its op: a `batch_norm`, `layer_scale` or `rescale`, dropout, or arithmetic with a parameter.
        source: the name of the value that it maps.
        parameter: the name of that parameter; empty for other ops.
        reversed: whether the value is subtracted from the parameter.
    """

    node: str
    op: Op
    source: str
    parameter: str = ""
    reversed: bool = False

    @property
    def shifts(self) -> bool:
        """Whether 0 may become another number."""
        match self.op:
            case Dropping() | LayerScale() | Multiply():
                return False
            case Rescale(offset=offset):
                return offset != 0.0
            case _:
                return True

    def coefficients(self, weights: Weights) -> tuple[Array, Array]:
        """The factors and the shifts in float64. Shapes: (C,) or (1,) each."""
        match self.op:
            case BatchNorm(epsilon=epsilon):
                factor = self._weight(weights, "weight", 1.0) / np.sqrt(
                    self._weight(weights, "running_variance", 1.0) + epsilon
                )
                return factor, self._weight(weights, "bias", 0.0) - self._weight(weights, "running_mean", 0.0) * factor
            case LayerScale():
                return self._weight(weights, "weight", 1.0), np.zeros(1)
            case Dropping(inference_scale=scale):
                return np.full(1, scale), np.zeros(1)
            case Rescale(scale=scale, offset=offset):
                return np.full(1, scale), np.full(1, offset)
        operand = np.asarray(weights[f"{self.parameter}.weight"], np.float64).reshape(-1)
        match self.op:
            case Multiply():
                return operand, np.zeros(1)
            case Add():
                return np.ones(1), operand
            case _:  # a subtraction
                return (-np.ones(1), operand) if self.reversed else (np.ones(1), -operand)

    def _weight(self, weights: Weights, name: str, default: float) -> Array:
        """A weight of the node, or its default if the op has none."""
        return np.asarray(weights.get(f"{self.node}.{name}", default), np.float64).reshape(-1)


def channel_map(graph: Graph, node: Node, axis: int) -> ChannelMap | None:
    """Return the map that a node applies to each channel, or None if it computes anything else.

    Args:
        graph: the graph.
        node: the node.
        axis: the axis of the channels.
    """
    match node.op:
        case Dropping() | Rescale():
            return ChannelMap(node.name, node.op, node.inputs[0])
        case BatchNorm():
            return ChannelMap(node.name, node.op, node.inputs[0]) if axis == 1 else None
        case LayerScale(axis=scaled):
            return ChannelMap(node.name, node.op, node.inputs[0]) if axis == scaled else None
        case Add() | Multiply() | Subtract():
            return _arithmetic(graph, node, axis)
        case _:
            return None


def _arithmetic(graph: Graph, node: Node, axis: int) -> ChannelMap | None:
    """The map of a value and a parameter, if the parameter has one number for each channel, or one for all."""
    constant = [
        isinstance(value, Node) and isinstance(value.op, Parameter) for value in map(graph.values.get, node.inputs)
    ]
    if sorted(constant) != [False, True]:
        return None
    position = constant.index(True)
    source, operand = node.inputs[1 - position], graph.values[node.inputs[position]]
    if node.type != graph.type_of(source):
        return None
    if any(size != 1 for number, size in enumerate(operand.type.features, 1) if number != axis):
        return None
    return ChannelMap(node.name, node.op, source, operand.name, reversed=position == 0)


def remove_maps(graph: Graph, maps: list[ChannelMap]) -> tuple[set[str], tuple[Drop, ...]]:
    """Return the nodes to remove when maps are folded, with the parameters that nothing else reads; and their weights.

    A parameter that is an output stays.
    """
    removed = {each.node for each in maps}
    for each in maps:
        readers = graph.readers.get(each.parameter, ())
        if readers and each.parameter not in graph.outputs and all(reader.name in removed for reader in readers):
            removed.add(each.parameter)
    weights = [f"{node.name}.{weight}" for node in graph.nodes if node.name in removed for weight in node.weights]
    return removed, tuple(map(Drop, weights))


def with_bias(graph: Graph, layer: Node, *, bias: bool) -> Node:
    """Return a layer that has a bias if `bias`, and no initializers, which describe weights that it no longer has."""
    changes: dict[str, object] = {"initialize": {}} | ({"bias": True} if bias else {})
    return make_node(layer.name, layer.op.model_copy(update=changes), [graph.values[name] for name in layer.inputs])
