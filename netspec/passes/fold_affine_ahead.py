"""Fold batch normalization and other affine maps of channels into the layers after them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.arrays import np
from netspec.graph import Graph, Node
from netspec.ops import Conv2d, ConvTranspose2d, Dense, FilterOp
from netspec.passes.channel_map import ChannelMap, channel_map, remove_maps, with_bias
from netspec.passes.rewrite import Fold, Pass, Rewrite, rebuild

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netspec.ops.base import Array


@dataclass(frozen=True, slots=True)
class FoldAhead:
    """Fold an affine map of the input into a layer: w·(s·x + t) + b = (w·s)·x + (w·t + b) for each channel.

    Attributes:
        layer: the layer's name.
        map: the map of its input's channels.
        groups: the number of the layer's groups.
        transposed: whether the weight has the input channels first.
    """

    layer: str
    map: ChannelMap
    groups: int = 1
    transposed: bool = False

    def apply(self, weights: dict[str, Array]) -> None:
        """Replace the layer's weight, and its bias if the map shifts."""
        factor, shift = self.map.coefficients(weights)
        weight = np.asarray(weights[f"{self.layer}.weight"], np.float64)
        if self.transposed:
            weights[f"{self.layer}.weight"] = weight * factor.reshape(-1, 1, 1, 1)
            return
        grouped = weight.reshape(self.groups, -1, *weight.shape[1:])
        weights[f"{self.layer}.weight"] = (grouped * self._by_group(factor, grouped)).reshape(weight.shape)
        if self.map.shifts:
            bias = np.asarray(weights.get(f"{self.layer}.bias", 0.0), np.float64)
            products = grouped * self._by_group(shift, grouped)
            weights[f"{self.layer}.bias"] = bias + products.reshape(len(weight), -1).sum(axis=1)

    def _by_group(self, numbers: Array, grouped: Array) -> Array:
        """Numbers of the input's channels, to be multiplied with a weight (groups, filters, channels of a group, …)."""
        channels = np.broadcast_to(numbers, self.groups * grouped.shape[2])
        return channels.reshape(self.groups, 1, grouped.shape[2], *(1,) * (grouped.ndim - 3))


def fold_affine_ahead(graph: Graph) -> Rewrite | None:
    """Remove affine maps of channels, and fold them into the weights of all layers that read them.

    Precondition: inference. A map is no output, and all its readers are convolutions, dense layers, or maps that are
    folded too. If it shifts, none of the layers pads its input, for zeros of the padding would have to be shifted too,
    and none is a transposed convolution, whose edges few elements reach.
    """
    maps: dict[str, ChannelMap] = {}
    reached: dict[str, list[Node]] = {}  # the layers after each folded map
    for node in reversed(graph.nodes):
        layers = _layers_after(graph, node, reached)
        found = _map_before(graph, node, layers) if layers else None
        if found is not None:
            maps[node.name], reached[node.name] = found, layers
    if not maps:
        return None
    removed, drops = remove_maps(graph, list(maps.values()))
    folds: list[Fold] = [_fold(layer, found) for name, found in maps.items() for layer in reached[name]]
    taking: dict[str, bool] = {}  # the layers that take a map, and whether one shifts
    for name, found in maps.items():
        for layer in reached[name]:
            taking[layer.name] = found.shifts or taking.get(layer.name, False)
    renamed: dict[str, str] = {}
    for name, found in reversed(maps.items()):
        renamed[name] = renamed.get(found.source, found.source)
    nodes = [with_bias(graph, node, bias=taking[node.name]) if node.name in taking else node for node in graph.nodes]
    rewritten = rebuild(graph, [node for node in nodes if node.name not in removed], renamed)
    changed = tuple(node.name for node in graph.nodes if node.name in removed)
    return Rewrite(rewritten, changed, (*folds, *drops))


def _layers_after(graph: Graph, node: Node, reached: Mapping[str, list[Node]]) -> list[Node]:
    """The layers that read a node, directly or through folded maps; none if something else reads it too."""
    layers: list[Node] = []
    for reader in graph.readers[node.name]:
        if reader.name in reached:
            layers += reached[reader.name]
        elif isinstance(reader.op, Conv2d | ConvTranspose2d | Dense):
            layers.append(reader)
        else:
            return []
    return [] if node.name in graph.outputs else layers


def _map_before(graph: Graph, node: Node, layers: list[Node]) -> ChannelMap | None:
    """The map of a node that all of these layers can take, or None."""
    axis = node.type.rank - 1 if isinstance(layers[0].op, Dense) else 1
    found = channel_map(graph, node, axis)
    if found is None or (found.shifts and not all(_takes_shift(layer) for layer in layers)):
        return None
    return found


def _takes_shift(layer: Node) -> bool:
    return isinstance(layer.op, Dense) or (isinstance(layer.op, Conv2d) and not layer.op.explicit_padding)


def _fold(layer: Node, found: ChannelMap) -> FoldAhead:
    if isinstance(layer.op, ConvTranspose2d):
        return FoldAhead(layer.name, found, transposed=True)
    return FoldAhead(layer.name, found, layer.op.groups if isinstance(layer.op, FilterOp) else 1)


PASS = Pass(
    "fold-affine-ahead",
    "batch norms, scales and shifts of channels are folded into the layers after them",
    ("inference",),
    fold_affine_ahead,
)
