"""The changes that planted faults make to passes: disguise ops, spoil the result, or ignore the precondition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netspec.graph import Graph, Hint, make_node
from netspec.ops import Conv2d, MaxPool2d, Op, Permute, Relu
from netspec.ops.attributes import padding_of
from netspec.passes import Fold, Rewrite
from netspec.passes.fold_batch_norm import FoldNorm, fold_batch_norm
from netspec.passes.fold_dropout_scale import FoldScale
from netspec.passes.fold_padding import fold_padding
from netspec.passes.remove_heads import remove_heads
from netspec.passes.rewrite import remove_nodes

if TYPE_CHECKING:
    from netspec.ops.base import Array

Run = Callable[[Graph], Rewrite | None]
Spoil = Callable[[FoldNorm, dict[str, "Array"]], None]


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


def with_folds(run: Run, change: Callable[[tuple[Fold, ...]], tuple[Fold, ...]]) -> Run:
    """Return the pass with its folds changed."""

    def faulty(graph: Graph) -> Rewrite | None:
        rewrite = run(graph)
        return None if rewrite is None else replace(rewrite, folds=change(rewrite.folds))

    return faulty


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """The fold of a norm, with weights changed before and after it."""

    fold: FoldNorm
    before: Spoil
    after: Spoil

    def apply(self, weights: dict[str, Array]) -> None:
        """Change the weights, fold, and change the weights."""
        self.before(self.fold, weights)
        self.fold.apply(weights)
        self.after(self.fold, weights)


def spoiled(before: Spoil, after: Spoil = lambda fold, weights: None) -> Run:
    """Return the pass that folds batch norms, with weights changed before and after each fold."""

    def spoil(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
        return tuple(_Spoiled(fold, before, after) for fold in folds if isinstance(fold, FoldNorm))

    return with_folds(fold_batch_norm, spoil)


def lose_bias(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Drop the bias of the layer."""
    weights.pop(f"{fold.layer}.bias", None)


def lose_mean(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Set the running mean to zero."""
    weights[f"{fold.norm}.running_mean"] = np.zeros_like(weights[f"{fold.norm}.running_mean"])


def take_variance_for_deviation(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Square the variance, so that the fold divides by the variance instead of the deviation."""
    weights[f"{fold.norm}.running_variance"] = weights[f"{fold.norm}.running_variance"] ** 2


def unscale_bias(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Rescale the bias of the layer so that the fold leaves it unscaled."""
    name = f"{fold.layer}.bias"
    if name in weights:
        deviation = np.sqrt(weights[f"{fold.norm}.running_variance"] + fold.epsilon)
        weights[name] = weights[name] * deviation / weights[f"{fold.norm}.weight"]


def transpose_square(fold: FoldNorm, weights: dict[str, Array]) -> None:
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
