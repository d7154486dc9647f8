"""Planted faults in passes: optimizations that are wrong in one way each, to prove that `verify` catches them.

A fault stands in the place of a sound pass: it runs that pass and spoils what comes of it, or it disregards a clause of
the precondition. `OptimizedBackend` takes it as its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from netspec.graph import Graph, Hint, make_node
from netspec.lowering import Backend
from netspec.lowering.optimized import OptimizedBackend
from netspec.ops import (
    AvgPool2d,
    Conv2d,
    Dropout,
    Identity,
    MaxPool2d,
    Multiply,
    Op,
    Pad2d,
    Permute,
    Relu,
    Reshape,
    Sigmoid,
    Tanh,
)
from netspec.ops.attributes import padding_of
from netspec.passes import PASSES, Fold, Level, Optimized, Rewrite, optimize
from netspec.passes.fold_batch_norm import FoldNorm, fold_batch_norm
from netspec.passes.fold_dropout_scale import FoldScale, fold_dropout_scale
from netspec.passes.fold_padding import fold_padding
from netspec.passes.in_place import in_place
from netspec.passes.relu_after_max_pool import relu_after_max_pool
from netspec.passes.remove_dropout import remove_dropout
from netspec.passes.remove_heads import remove_heads
from netspec.passes.remove_identities import remove_identities
from netspec.passes.rewrite import remove_nodes
from netspec.testing.networks import auxiliary_heads
from netspec.testing.pass_networks import dropped, enlarged, gated, normalized, padded, pooled, shared, turned
from netspec.verify import verify

if TYPE_CHECKING:
    from netspec.ops.base import Array

Run = Callable[[Graph], Rewrite | None]


@dataclass(frozen=True)
class PassFault:
    """One way of being wrong.

    Attributes:
        name: what a person would call the bug.
        of: the name of the pass in whose place it stands.
        run: the faulty pass.
        graph: a network in which it must show.
        level: of optimization.
    """

    name: str
    of: str
    run: Run
    graph: Callable[[], Graph]
    level: Level = "inference"


class FaultyOptimization(OptimizedBackend):
    """A sound backend, given what a faulty pass makes of a graph. Not registered anywhere."""

    def __init__(self, backend: Backend, fault: PassFault) -> None:
        super().__init__(backend, fault.level)
        self.name = f"{backend.name} with {fault.name}"
        self._passes = tuple(replace(each, run=fault.run) if each.name == fault.of else each for each in PASSES)

    def optimize(self, graph: Graph, *without: str) -> Optimized:
        """The graph after the passes, the faulty one among them."""
        return optimize(graph, self.level, {*self.costly_passes, *without}, self._passes)


def catches_pass(backend: Backend, fault: PassFault) -> bool:
    """Whether `verify` finds the backend at fault: by its outputs, or where it trains by gradients beside plain ones.

    A gradient that the framework refuses to compute, because what it needs was overwritten, is found too.
    """
    faulty, graph = FaultyOptimization(backend, fault), fault.graph()
    if not verify(graph, [faulty], "forward").passed:
        return True
    if not faulty.trains:
        return False
    try:
        return not verify(graph, [backend, faulty], "gradient").passed
    except RuntimeError:
        return True


def _disguised(run: Run, *ops: type[Op], disguise: Callable[[Op], Op]) -> Run:
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


def _as_max_pool(op: Op) -> Op:
    return MaxPool2d(**{name: getattr(op, name) for name in MaxPool2d.model_fields})


def _with_folds(run: Run, change: Callable[[tuple[Fold, ...]], tuple[Fold, ...]]) -> Run:
    """The pass, its folds replaced."""

    def faulty(graph: Graph) -> Rewrite | None:
        rewrite = run(graph)
        return None if rewrite is None else replace(rewrite, folds=change(rewrite.folds))

    return faulty


Spoil = Callable[[FoldNorm, dict[str, "Array"]], None]


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


def _spoiled(before: Spoil, after: Spoil = lambda fold, weights: None) -> Run:
    def spoil(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
        return tuple(_Spoiled(fold, before, after) for fold in folds if isinstance(fold, FoldNorm))

    return _with_folds(fold_batch_norm, spoil)


def _lose_bias(fold: FoldNorm, weights: dict[str, Array]) -> None:
    weights.pop(f"{fold.layer}.bias", None)


def _lose_mean(fold: FoldNorm, weights: dict[str, Array]) -> None:
    weights[f"{fold.norm}.running_mean"] = np.zeros_like(weights[f"{fold.norm}.running_mean"])


def _take_variance_for_deviation(fold: FoldNorm, weights: dict[str, Array]) -> None:
    weights[f"{fold.norm}.running_variance"] = weights[f"{fold.norm}.running_variance"] ** 2


def _unscale_bias(fold: FoldNorm, weights: dict[str, Array]) -> None:
    name = f"{fold.layer}.bias"
    if name in weights:
        deviation = np.sqrt(weights[f"{fold.norm}.running_variance"] + fold.epsilon)
        weights[name] = weights[name] * deviation / weights[f"{fold.norm}.weight"]


def _transpose_square(fold: FoldNorm, weights: dict[str, Array]) -> None:
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


def _and_biases(folds: tuple[Fold, ...]) -> tuple[Fold, ...]:
    return (*folds, *(_ScaleBias(fold.layer, fold.factor) for fold in folds if isinstance(fold, FoldScale)))


def _padding_on_one_side(graph: Graph) -> Rewrite | None:
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


def _without_relus(graph: Graph) -> Rewrite | None:
    return remove_nodes(graph, (node for node in graph.nodes if isinstance(node.op, Relu)))


def _every_relu_in_place(graph: Graph) -> Rewrite:
    relus = {node.name for node in graph.nodes if isinstance(node.op, Relu)}
    nodes = (replace(n, hints=n.hints | {Hint.IN_PLACE}) if n.name in relus else n for n in graph.nodes)
    return Rewrite(replace(graph, nodes=tuple(nodes)), tuple(relus))


def _channels_moved(graph: Graph) -> Rewrite:
    """What is to be laid out with channels last is given so instead; its shape is the same where all sizes are."""
    (image,) = graph.inputs
    moved = make_node("moved", Permute(axes=(2, 3, 1)), [image])
    nodes = (
        replace(node, inputs=tuple("moved" if name == image.name else name for name in node.inputs))
        for node in graph.nodes
    )
    return Rewrite(replace(graph, nodes=(moved, *nodes)), (image.name,), meaning={"moved": None})


def _trunk_with_heads(graph: Graph) -> Rewrite | None:
    rewrite = remove_heads(graph)
    trunk = None if rewrite is None else _without_relus(rewrite.graph)
    return None if rewrite is None or trunk is None else replace(rewrite, graph=trunk.graph)


PASS_FAULTS: tuple[PassFault, ...] = (
    PassFault(
        "a permutation taken for an identity",
        "remove-identities",
        _disguised(remove_identities, Permute, disguise=lambda _: Identity()),
        turned,
        "training",
    ),
    PassFault(
        "standard dropout taken for inverted",
        "remove-dropout",
        _disguised(remove_dropout, Dropout, disguise=lambda op: op.model_copy(update={"mode": "inverted"})),
        dropped,
    ),
    PassFault("a layer of the trunk gone with its heads", "remove-heads", _trunk_with_heads, auxiliary_heads),
    PassFault("a needed layer removed", "remove-unused", _without_relus, shared),
    PassFault("padding on one side", "fold-padding", _padding_on_one_side, padded, "training"),
    PassFault(
        "padding by ones taken for zeros",
        "fold-padding",
        _disguised(fold_padding, Pad2d, disguise=lambda op: op.model_copy(update={"value": 0.0})),
        padded,
        "training",
    ),
    PassFault(
        "a reflection taken for zeros",
        "fold-padding",
        _disguised(fold_padding, Pad2d, disguise=lambda op: op.model_copy(update={"mode": "constant"})),
        padded,
        "training",
    ),
    PassFault(
        "epsilon left out",
        "fold-batch-norm",
        _with_folds(fold_batch_norm, lambda folds: tuple(replace(f, epsilon=0.0) for f in folds)),  # type: ignore[type-var] # a dataclass each
        normalized,
    ),
    PassFault(
        "a transposed kernel scaled by its inputs",
        "fold-batch-norm",
        _with_folds(fold_batch_norm, lambda folds: tuple(replace(f, transposed=0) for f in folds)),  # type: ignore[type-var] # a dataclass each
        enlarged,
    ),
    PassFault("shift not scaled", "fold-batch-norm", _spoiled(_unscale_bias), normalized),
    PassFault("bias lost", "fold-batch-norm", _spoiled(_lose_bias), normalized),
    PassFault("mean lost", "fold-batch-norm", _spoiled(_lose_mean), normalized),
    PassFault("variance for deviation", "fold-batch-norm", _spoiled(_take_variance_for_deviation), normalized),
    PassFault(
        "inputs scaled for outputs", "fold-batch-norm", _spoiled(_transpose_square, _transpose_square), normalized
    ),
    PassFault(
        "dropout's factor twice", "fold-dropout-scale", _with_folds(fold_dropout_scale, lambda f: f + f), dropped
    ),
    PassFault("no factor", "fold-dropout-scale", _with_folds(fold_dropout_scale, lambda _: ()), dropped),
    PassFault("bias scaled too", "fold-dropout-scale", _with_folds(fold_dropout_scale, _and_biases), dropped),
    PassFault(
        "a factor past a tanh",
        "fold-dropout-scale",
        _disguised(fold_dropout_scale, Tanh, disguise=lambda _: Relu()),
        dropped,
    ),
    PassFault(
        "ReLU past an average pool",
        "relu-after-max-pool",
        _disguised(relu_after_max_pool, AvgPool2d, disguise=_as_max_pool),
        pooled,
        "training",
    ),
    PassFault("ReLU lost", "relu-after-max-pool", _without_relus, pooled, "training"),
    PassFault("channels moved, not laid out", "channels-last", _channels_moved, turned, "training"),
    PassFault("written over what is read later", "in-place", _every_relu_in_place, shared, "training"),
    PassFault(
        "written over another's memory",
        "in-place",
        _disguised(in_place, Reshape, disguise=lambda _: Multiply()),
        shared,
        "training",
    ),
    PassFault(
        "written over what a gradient needs",
        "in-place",
        _disguised(in_place, Sigmoid, disguise=lambda _: Multiply()),
        gated,
        "training",
    ),
)
"""Each must be caught by `catches_pass`, in PyTorch."""
