"""What planted faults do to passes: they mistake ops, spoil what a pass makes, or disregard its precondition."""

from __future__ import annotations

from collections.abc import Callable
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
    """The pass, which takes nodes of these ops for others."""

    def faulty(graph: Graph) -> Rewrite | None:
        masks = {node.name: disguise(node.op) for node in graph.nodes if isinstance(node.op, ops)}
        nodes = (replace(node, op=masks.get(node.name, node.op)) for node in graph.nodes)
        rewrite = run(replace(graph, nodes=tuple(nodes)))
        if rewrite is None:
            return None
        own = {name: graph.values[name].op for name in masks}  # type: ignore[union-attr] # of nodes
        shown = (replace(node, op=own.get(node.name, node.op)) for node in rewrite.graph.nodes)
        return replace(rewrite, graph=replace(rewrite.graph, nodes=tuple(shown)))

    return faulty


def as_max_pool(op: Op) -> Op:
    """The pool with the same window, of maxima."""
    return MaxPool2d(**{name: getattr(op, name) for name in MaxPool2d.model_fields})


def with_folds(run: Run, change: Callable[[tuple[Fold, ...]], tuple[Fold, ...]]) -> Run:
    """The pass, its folds replaced."""

    def faulty(graph: Graph) -> Rewrite | None:
        rewrite = run(graph)
        return None if rewrite is None else replace(rewrite, folds=change(rewrite.folds))

    return faulty


@dataclass(frozen=True, slots=True)
class _Spoiled:
    """The fold of a norm, of weights that are changed before it, and back after it."""

    fold: FoldNorm
    before: Spoil
    after: Spoil

    def apply(self, weights: dict[str, Array]) -> None:
        """Spoil, fold, and spoil."""
        self.before(self.fold, weights)
        self.fold.apply(weights)
        self.after(self.fold, weights)


def spoiled(before: Spoil, after: Spoil = lambda fold, weights: None) -> Run:
    """The folding of norms, of weights that are changed before each, and after it."""

    def spoil(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
        return tuple(_Spoiled(fold, before, after) for fold in folds if isinstance(fold, FoldNorm))

    return with_folds(fold_batch_norm, spoil)


def lose_bias(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Leave out the layer's bias."""
    weights.pop(f"{fold.layer}.bias", None)


def lose_mean(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Take the running mean for zero."""
    weights[f"{fold.norm}.running_mean"] = np.zeros_like(weights[f"{fold.norm}.running_mean"])


def take_variance_for_deviation(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Divide by the variance."""
    weights[f"{fold.norm}.running_variance"] = weights[f"{fold.norm}.running_variance"] ** 2


def unscale_bias(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Leave the layer's bias as it is."""
    name = f"{fold.layer}.bias"
    if name in weights:
        deviation = np.sqrt(weights[f"{fold.norm}.running_variance"] + fold.epsilon)
        weights[name] = weights[name] * deviation / weights[f"{fold.norm}.weight"]


def transpose_square(fold: FoldNorm, weights: dict[str, Array]) -> None:
    """Exchange a kernel's filters and channels, where they are as many."""
    kernel = weights[f"{fold.layer}.weight"]
    if kernel.shape[0] == kernel.shape[1]:
        weights[f"{fold.layer}.weight"] = kernel.swapaxes(0, 1)


@dataclass(frozen=True, slots=True)
class _ScaleBias:
    layer: str
    factor: float

    def apply(self, weights: dict[str, Array]) -> None:
        """Scale the bias as the weight is."""
        weights[f"{self.layer}.bias"] = weights[f"{self.layer}.bias"] * self.factor


def and_biases(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    """The folds of scales, and the same of biases."""
    return (*folds, *(_ScaleBias(fold.layer, fold.factor) for fold in folds if isinstance(fold, FoldScale)))


def padding_on_one_side(graph: Graph) -> Rewrite | None:
    """All that convolutions pad with at the top and on the left."""
    rewrite = fold_padding(graph)
    if rewrite is None:
        return None
    nodes = []
    for node in rewrite.graph.nodes:
        op = node.op
        if isinstance(op, Conv2d):
            p = op.sides
            op = op.model_copy(update={"padding": padding_of((p.top + p.bottom, p.left + p.right, 0, 0))})
        nodes.append(replace(node, op=op))
    return replace(rewrite, graph=replace(rewrite.graph, nodes=tuple(nodes)))


def without_relus(graph: Graph) -> Rewrite | None:
    """No ReLU is left."""
    return remove_nodes(graph, (node for node in graph.nodes if isinstance(node.op, Relu)))


def every_relu_in_place(graph: Graph) -> Rewrite:
    """Each ReLU overwrites what it reads, whoever else reads that."""
    relus = {node.name for node in graph.nodes if isinstance(node.op, Relu)}
    nodes = (replace(n, hints=n.hints | {Hint.IN_PLACE}) if n.name in relus else n for n in graph.nodes)
    return Rewrite(replace(graph, nodes=tuple(nodes)), tuple(relus))


def channels_moved(graph: Graph) -> Rewrite:
    """What is to be laid out with channels last is given so instead; its shape is the same where all sizes are."""
    (image,) = graph.inputs
    moved = make_node("moved", Permute(axes=(2, 3, 1)), [image])
    nodes = (
        replace(node, inputs=tuple("moved" if name == image.name else name for name in node.inputs))
        for node in graph.nodes
    )
    return Rewrite(replace(graph, nodes=(moved, *nodes)), (image.name,), meaning={"moved": None})


def trunk_without_a_layer(graph: Graph) -> Rewrite | None:
    """What stays of a network with heads loses its ReLUs too."""
    rewrite = remove_heads(graph)
    trunk = None if rewrite is None else without_relus(rewrite.graph)
    return None if rewrite is None or trunk is None else replace(rewrite, graph=trunk.graph)
