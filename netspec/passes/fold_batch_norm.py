"""Fold batch normalization, which at inference is an affine map of each channel, into the layer before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netspec.arrays import np
from netspec.graph import Graph, Node, make_node
from netspec.ops import BatchNorm, Conv2d, ConvTranspose2d, Dense, Op
from netspec.passes.rewrite import Pass, Rewrite, rebuild, sole_reader

if TYPE_CHECKING:
    from netspec.ops.base import Array


@dataclass(frozen=True, slots=True)
class FoldNorm:
    """Fold a normalization into a layer: norm(w·x + b) = s·w·x + (b − mean)·s + shift, s = scale / √(variance + ε).

    Attributes:
        layer: the layer's name. Its `weight` has the output channels first; it may have no `bias`.
        norm: the normalization's name.
        epsilon: the normalization's epsilon.
        transposed: the number of groups of a transposed convolution, whose weight is (in, out / groups, H, W); 0 for
            other layers.
    """

    layer: str
    norm: str
    epsilon: float
    transposed: int = 0

    def apply(self, weights: dict[str, Array]) -> None:
        """Replace the layer's weight and bias, and remove the weights of the normalization."""

        def take(name: str, default: float) -> Array:
            return np.asarray(weights.pop(f"{self.norm}.{name}", default), np.float64)

        scale, shift, mean = take("weight", 1.0), take("bias", 0.0), take("running_mean", 0.0)
        factor = scale / np.sqrt(take("running_variance", 1.0) + self.epsilon)
        weight = np.asarray(weights[f"{self.layer}.weight"], np.float64)
        bias = np.asarray(weights.get(f"{self.layer}.bias", 0.0), np.float64)
        weights[f"{self.layer}.weight"] = self._scaled(weight, factor)
        weights[f"{self.layer}.bias"] = (bias - mean) * factor + shift

    def _scaled(self, weight: Array, factor: Array) -> Array:
        """Multiply each output channel of the weight by its factor."""
        if not self.transposed:
            product: Array = weight * factor.reshape(-1, *(1,) * (weight.ndim - 1))
            return product
        grouped = weight.reshape(self.transposed, -1, *weight.shape[1:])
        return (grouped * factor.reshape(self.transposed, 1, -1, 1, 1)).reshape(weight.shape)


def fold_batch_norm(graph: Graph) -> Rewrite | None:
    """Replace a convolution, transposed convolution or dense layer and its normalization by one layer with a bias.

    Precondition: inference. Only the normalization reads the layer, and neither is an output: the layer's value
    changes, and the normalization's name disappears. A dense layer has to return (N, channels); of (N, L, F) the
    normalization would be along L.
    """
    norms = {node.name: norm for node in graph.nodes if (norm := _foldable_norm(graph, node))}
    if not norms:
        return None
    renamed = {norm.name: name for name, norm in norms.items()}
    nodes = [_with_bias(graph, node) if node.name in norms else node for node in graph.nodes]
    folded = rebuild(graph, [node for node in nodes if node.name not in renamed], renamed)
    folds = [_fold(node.op, node.name, norms[node.name]) for node in graph.nodes if node.name in norms]
    return Rewrite(folded, tuple(renamed), tuple(folds), {name: norm.name for name, norm in norms.items()})


def _foldable_norm(graph: Graph, node: Node) -> Node | None:
    """The normalization that can be folded into a node, or None."""
    if not isinstance(node.op, Conv2d | ConvTranspose2d) and not (isinstance(node.op, Dense) and node.type.rank == 2):
        return None
    reader = sole_reader(graph, node.name)
    if reader is None or not isinstance(reader.op, BatchNorm) or reader.name in graph.outputs:
        return None
    return reader


def _with_bias(graph: Graph, node: Node) -> Node:
    """The layer with a bias and without initializers, which describe weights that it no longer has."""
    op = node.op.model_copy(update={"bias": True, "initialize": {}})
    return make_node(node.name, op, [graph.values[name] for name in node.inputs])


def _fold(op: Op, layer: str, norm: Node) -> FoldNorm:
    if not isinstance(norm.op, BatchNorm):
        raise TypeError(f"expected a batch_norm, received {norm.op.kind}")
    return FoldNorm(layer, norm.name, norm.op.epsilon, op.groups if isinstance(op, ConvTranspose2d) else 0)


PASS = Pass(
    "fold-batch-norm",
    "batch normalization is folded into the weights of the layer before it",
    ("inference",),
    fold_batch_norm,
)
