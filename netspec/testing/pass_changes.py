"""The changes that planted faults make to passes: disguise ops, spoil the result, or ignore the precondition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netspec.graph import Graph, Hint, Node, make_node
from netspec.ops import Conv2d, Identity, MaxPool2d, Op, Permute, Relu
from netspec.ops.activation import Elementwise
from netspec.ops.attributes import NO_PADDING, both, padding_of
from netspec.passes import Fold, Rewrite
from netspec.passes.fold_affine import FoldAffine
from netspec.passes.fold_affine_ahead import FoldAhead
from netspec.passes.fold_constants import FoldConstants
from netspec.passes.fold_dropout_scale import FoldScale
from netspec.passes.fold_padding import fold_padding
from netspec.passes.remove_heads import remove_heads
from netspec.passes.rewrite import remove_nodes

if TYPE_CHECKING:
    from netspec.ops.base import Array

Run = Callable[[Graph], Rewrite | None]
AffineFold = FoldAffine | FoldAhead
Spoil = Callable[[AffineFold, dict[str, "Array"]], None]


def disguised(run: Run, *ops: type[Op], disguise: Callable[[Op], Op]) -> Run:
    """Return the pass with nodes of these ops disguised as other ops while it runs."""

    def faulty(graph: Graph) -> Rewrite | None:
        original = {node.name: node.op for node in graph.nodes if isinstance(node.op, ops)}
        rewrite = run(_with_ops(graph, {name: disguise(op) for name, op in original.items()}))
        return None if rewrite is None else replace(rewrite, graph=_with_ops(rewrite.graph, original))

    return faulty


def _with_ops(graph: Graph, ops: Mapping[str, Op]) -> Graph:
    return replace(graph, nodes=tuple(replace(node, op=ops.get(node.name, node.op)) for node in graph.nodes))


def as_max_pool(op: Op) -> Op:
    """Return the max pool with the same window."""
    return MaxPool2d(**{name: getattr(op, name) for name in MaxPool2d.model_fields})


def as_unpadded(op: Op) -> Op:
    """Return a 1x1 convolution without padding for one that pads its input and keeps its size."""
    if isinstance(op, Conv2d) and op.explicit_padding:
        return op.model_copy(update={"kernel_size": both(1), "padding": NO_PADDING})
    return op


def with_folds(run: Run, change: Callable[[tuple[Fold, ...]], tuple[Fold, ...]]) -> Run:
    """Return the pass with its folds changed."""

    def faulty(graph: Graph) -> Rewrite | None:
        rewrite = run(graph)
        return None if rewrite is None else replace(rewrite, folds=change(rewrite.folds))

    return faulty


def with_each(run: Run, change: Callable[[AffineFold], Fold]) -> Run:
    """Return the pass with each fold of an affine map changed."""

    def changed(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
        return tuple(change(fold) if isinstance(fold, AffineFold) else fold for fold in folds)

    return with_folds(run, changed)


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """The fold of an affine map, with weights changed before and after it."""

    fold: AffineFold
    before: Spoil
    after: Spoil

    def apply(self, weights: dict[str, Array]) -> None:
        """Change the weights, fold, and change the weights."""
        self.before(self.fold, weights)
        self.fold.apply(weights)
        self.after(self.fold, weights)


def unchanged(fold: AffineFold, weights: dict[str, Array]) -> None:
    """Leave the weights as they are."""


def spoiled(run: Run, before: Spoil = unchanged, after: Spoil = unchanged) -> Run:
    """Return a pass that folds affine maps, with weights changed before and after each fold."""
    return with_each(run, lambda fold: _Spoiled(fold, before, after))


def without_epsilon(fold: AffineFold) -> Fold:
    """Return the fold of a norm whose epsilon is 0."""
    return replace(fold, map=replace(fold.map, op=fold.map.op.model_copy(update={"epsilon": 0.0})))


def other_way_round(fold: AffineFold) -> Fold:
    """Return the fold of a difference of the same values, the other way round."""
    return replace(fold, map=replace(fold.map, reversed=not fold.map.reversed))


def lose_bias(fold: AffineFold, weights: dict[str, Array]) -> None:
    """Drop the bias of the layer."""
    weights.pop(f"{fold.layer}.bias", None)


def lose_shift(fold: AffineFold, weights: dict[str, Array]) -> None:
    """Set the bias of the layer to zero."""
    weights[f"{fold.layer}.bias"] = np.zeros_like(weights[f"{fold.layer}.bias"])


def lose_mean(fold: AffineFold, weights: dict[str, Array]) -> None:
    """Set the running mean to zero."""
    weights[f"{fold.map.node}.running_mean"] = np.zeros_like(weights[f"{fold.map.node}.running_mean"])


def take_variance_for_deviation(fold: AffineFold, weights: dict[str, Array]) -> None:
    """Square the variance, so that the fold divides by the variance instead of the deviation."""
    weights[f"{fold.map.node}.running_variance"] = weights[f"{fold.map.node}.running_variance"] ** 2


def unscale_bias(fold: AffineFold, weights: dict[str, Array]) -> None:
    """Divide the bias of the layer by the factor, so that the fold leaves it unscaled."""
    name = f"{fold.layer}.bias"
    if name in weights:
        weights[name] = weights[name] / fold.map.coefficients(weights)[0]


def transpose_square(fold: AffineFold, weights: dict[str, Array]) -> None:
    """Swap filters and channels of a kernel, if it has as many of each."""
    kernel = weights[f"{fold.layer}.weight"]
    if kernel.shape[0] == kernel.shape[1]:
        weights[f"{fold.layer}.weight"] = kernel.swapaxes(0, 1)


@dataclass(frozen=True, slots=True)
class _ScaleBias:
    layer: str
    factor: float

    def apply(self, weights: dict[str, Array]) -> None:
        """Multiply the bias by the factor of the weight."""
        weights[f"{self.layer}.bias"] = weights[f"{self.layer}.bias"] * self.factor


def and_biases(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    """Add a fold of the bias to each fold of a dropout scale."""
    return (*folds, *(_ScaleBias(fold.layer, fold.factor) for fold in folds if isinstance(fold, FoldScale)))


def padding_on_one_side(graph: Graph) -> Rewrite | None:
    """Fold padding, but move all of it to the top and the left."""
    rewrite = fold_padding(graph)
    if rewrite is None:
        return None
    nodes = []
    for node in rewrite.graph.nodes:
        op = node.op
        if isinstance(op, Conv2d):
            p = op.explicit_padding
            op = op.model_copy(update={"padding": padding_of((p.top + p.bottom, p.left + p.right, 0, 0))})
        nodes.append(replace(node, op=op))
    return replace(rewrite, graph=replace(rewrite.graph, nodes=tuple(nodes)))


def without_relus(graph: Graph) -> Rewrite | None:
    """Remove every ReLU."""
    return remove_nodes(graph, (node for node in graph.nodes if isinstance(node.op, Relu)))


def every_relu_in_place(graph: Graph) -> Rewrite:
    """Let each ReLU overwrite its input, even if other nodes read it."""
    relus = {node.name for node in graph.nodes if isinstance(node.op, Relu)}
    nodes = (replace(n, hints=n.hints | {Hint.IN_PLACE}) if n.name in relus else n for n in graph.nodes)
    return Rewrite(replace(graph, nodes=tuple(nodes)), tuple(relus))


def channels_moved(graph: Graph) -> Rewrite:
    """Permute the input to channels last instead of only hinting its memory layout. The shape must have equal sizes."""
    (image,) = graph.inputs
    moved = make_node("moved", Permute(axes=(2, 3, 1)), [image])
    nodes = (
        replace(node, inputs=tuple("moved" if name == image.name else name for name in node.inputs))
        for node in graph.nodes
    )
    return Rewrite(replace(graph, nodes=(moved, *nodes)), (image.name,), meaning={"moved": None})


def trunk_without_a_layer(graph: Graph) -> Rewrite | None:
    """Remove the heads, and the ReLUs of the trunk too."""
    rewrite = remove_heads(graph)
    trunk = None if rewrite is None else without_relus(rewrite.graph)
    return None if rewrite is None or trunk is None else replace(rewrite, graph=trunk.graph)


@dataclass(frozen=True, slots=True)
class _Transposed:
    """The fold of constants, each with its last two axes swapped if they have the same size."""

    fold: FoldConstants

    def apply(self, weights: dict[str, Array]) -> None:
        """Fold, and transpose the values."""
        self.fold.apply(weights)
        for name in self.fold.values:
            value = weights[f"{name}.weight"]
            if value.ndim > 1 and value.shape[-1] == value.shape[-2]:
                weights[f"{name}.weight"] = value.swapaxes(-1, -2)


def transposed(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    """Transpose each constant that is folded."""
    return tuple(_Transposed(fold) if isinstance(fold, FoldConstants) else fold for fold in folds)


def without_element_wise_ops(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    """Leave the element-wise functions of constants out."""
    return tuple(
        replace(fold, nodes=tuple(_as_identity(node) for node in fold.nodes))
        if isinstance(fold, FoldConstants)
        else fold
        for fold in folds
    )


def _as_identity(node: Node) -> Node:
    return replace(node, op=Identity()) if isinstance(node.op, Elementwise) else node
