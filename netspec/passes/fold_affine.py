"""Fold batch normalization and other affine maps of channels into the layer before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.arrays import np
from netspec.graph import Graph, Node
from netspec.ops import Conv2d, ConvTranspose2d, Dense, MultiHeadAttention
from netspec.passes.channel_map import ChannelMap, channel_map, remove_maps, with_bias
from netspec.passes.rewrite import Fold, Pass, Rewrite, rebuild, sole_reader

if TYPE_CHECKING:
    from netspec.ops.base import Array


@dataclass(frozen=True, slots=True)
class FoldAffine:
    """Fold an affine map of the output into a layer: s·(w·x + b) + t = (s·w)·x + (s·b + t) for each channel.

    Attributes:
        layer: the layer's name.
        map: the map of its channels.
        transposed: the number of groups of a transposed convolution, whose weight is (in, out / groups, H, W); 0 for
            other layers, whose weight has the output channels first.
        prefix: what the names of the layer's weights begin with, such as `out_` for the last projection of attention.
    """

    layer: str
    map: ChannelMap
    transposed: int = 0
    prefix: str = ""

    def apply(self, weights: dict[str, Array]) -> None:
        """Replace the layer's weight, and its bias if it has one or the map shifts."""
        factor, shift = self.map.coefficients(weights)
        path = f"{self.layer}.{self.prefix}"
        weight = np.asarray(weights[f"{path}weight"], np.float64)
        channels = weight.shape[1] * self.transposed or len(weight)
        weights[f"{path}weight"] = self._scaled(weight, np.broadcast_to(factor, channels))
        if self.map.shifts or f"{path}bias" in weights:
            bias = np.asarray(weights.get(f"{path}bias", 0.0), np.float64)
            weights[f"{path}bias"] = np.broadcast_to(bias * factor + shift, channels)

    def _scaled(self, weight: Array, factor: Array) -> Array:
        """Multiply each output channel of the weight by its factor."""
        if not self.transposed:
            product: Array = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
            return product
        grouped = weight.reshape(self.transposed, -1, *weight.shape[1:])
        return (grouped * factor.reshape(self.transposed, 1, -1, 1, 1)).reshape(weight.shape)


def fold_affine(graph: Graph) -> Rewrite | None:
    """Replace a layer and the affine maps after it by one layer: batch norms, scales and shifts of channels.

    Precondition: inference. The layer is a convolution, a dense layer or attention with an output projection. Only the
    map reads it, and neither is an output: the layer's value changes, and the map's name disappears. The map has a
    factor and a shift for each of the layer's channels, or one for all; a normalization of (N, L, F), which is along L,
    is none. Attention needs a bias of its own to take a shift.
    """
    maps = {node.name: found for node in graph.nodes if (found := _maps_after(graph, node))}
    if not maps:
        return None
    folded = [each for found in maps.values() for each in found]
    removed, drops = remove_maps(graph, folded)
    renamed = {each.node: layer for layer, found in maps.items() for each in found}
    shifts = {layer: any(each.shifts for each in found) for layer, found in maps.items()}
    nodes = [with_bias(graph, node, bias=shifts[node.name]) if node.name in maps else node for node in graph.nodes]
    rewritten = rebuild(graph, [node for node in nodes if node.name not in removed], renamed)
    folds: list[Fold] = [_fold(node, each) for node in graph.nodes for each in maps.get(node.name, ())]
    meaning = {layer: found[-1].node for layer, found in maps.items()}
    changed = tuple(node.name for node in graph.nodes if node.name in removed)
    return Rewrite(rewritten, changed, (*folds, *drops), meaning)


def _maps_after(graph: Graph, layer: Node) -> list[ChannelMap]:
    """The maps that can be folded into a layer, in their order."""
    if not isinstance(layer.op, Conv2d | ConvTranspose2d | Dense | MultiHeadAttention):
        return []
    axis = layer.type.rank - 1 if isinstance(layer.op, Dense | MultiHeadAttention) else 1
    maps: list[ChannelMap] = []
    source = layer.name
    while (reader := sole_reader(graph, source)) is not None and reader.name not in graph.outputs:
        found = channel_map(graph, reader, axis)
        if found is None or (found.shifts and isinstance(layer.op, MultiHeadAttention) and not layer.op.bias):
            break
        maps.append(found)
        source = reader.name
    return maps


def _fold(layer: Node, found: ChannelMap) -> FoldAffine:
    transposed = layer.op.groups if isinstance(layer.op, ConvTranspose2d) else 0
    return FoldAffine(layer.name, found, transposed, "out_" if isinstance(layer.op, MultiHeadAttention) else "")


PASS = Pass(
    "fold-affine",
    "batch norms, scales and shifts of channels are folded into the layer before them",
    ("inference",),
    fold_affine,
)
