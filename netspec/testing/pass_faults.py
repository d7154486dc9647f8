"""Planted faults in passes: optimizations with one bug each, which prove that `verify` catches it.

A fault replaces a correct pass. It runs that pass and spoils its result, or ignores a part of its precondition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from netspec.graph import Graph
from netspec.lowering import Backend
from netspec.lowering.optimized import OptimizedBackend
from netspec.ops import (
    AvgPool2d,
    Conv2d,
    Dropout,
    Identity,
    LayerScale,
    Multiply,
    Pad2d,
    Permute,
    Relu,
    Reshape,
    Sigmoid,
    Tanh,
)
from netspec.passes import PASSES, Level, Optimized, optimize
from netspec.passes.fold_affine import FoldAffine, fold_affine
from netspec.passes.fold_affine_ahead import fold_affine_ahead
from netspec.passes.fold_constants import fold_constants
from netspec.passes.fold_dropout_scale import fold_dropout_scale
from netspec.passes.fold_padding import fold_padding
from netspec.passes.in_place import in_place
from netspec.passes.relu_after_max_pool import relu_after_max_pool
from netspec.passes.remove_dropout import remove_dropout
from netspec.passes.remove_identities import remove_identities
from netspec.testing.networks import auxiliary_heads
from netspec.testing.pass_changes import (
    Run,
    and_biases,
    as_max_pool,
    as_unpadded,
    channels_moved,
    disguised,
    every_relu_in_place,
    lose_bias,
    lose_mean,
    lose_shift,
    other_way_round,
    padding_on_one_side,
    spoiled,
    take_variance_for_deviation,
    transpose_square,
    transposed,
    trunk_without_a_layer,
    unscale_bias,
    with_each,
    with_folds,
    without_element_wise_ops,
    without_epsilon,
    without_relus,
)
from netspec.testing.pass_networks import (
    dropped,
    enlarged,
    gated,
    normalized,
    padded,
    pooled,
    positioned,
    prenormalized,
    scaled,
    shared,
    subtracted,
    turned,
)
from netspec.verify import verify


@dataclass(frozen=True)
class PassFault:
    """A bug to plant.

    Attributes:
        name: a short name of the bug.
        of: the name of the pass to replace.
        run: the faulty pass.
        graph: builds a network that exposes the bug.
        level: the level of optimization.
    """

    name: str
    of: str
    run: Run
    graph: Callable[[], Graph]
    level: Level = "inference"


class FaultyOptimization(OptimizedBackend):
    """A correct backend that runs a faulty pass. It is not registered."""

    def __init__(self, backend: Backend, fault: PassFault) -> None:
        super().__init__(backend, fault.level)
        self.name = f"{backend.name} with {fault.name}"
        self._passes = tuple(replace(each, run=fault.run) if each.name == fault.of else each for each in PASSES)

    def optimize(self, graph: Graph, *without: str) -> Optimized:
        """Run the passes, including the faulty one."""
        return optimize(graph, self.level, {*self.costly_passes, *without}, self._passes)


def catches_pass(backend: Backend, fault: PassFault) -> bool:
    """Whether `verify` detects the fault, by the outputs or, if the backend trains, by the gradients.

    It also counts if the framework refuses to compute a gradient because a value that it needs was overwritten.
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


PASS_FAULTS: tuple[PassFault, ...] = (
    PassFault(
        "a permutation taken for an identity",
        "remove-identities",
        disguised(remove_identities, Permute, disguise=lambda _: Identity()),
        turned,
        "training",
    ),
    PassFault(
        "standard dropout taken for inverted",
        "remove-dropout",
        disguised(remove_dropout, Dropout, disguise=lambda op: op.model_copy(update={"mode": "inverted"})),
        dropped,
    ),
    PassFault("a layer of the trunk gone with its heads", "remove-heads", trunk_without_a_layer, auxiliary_heads),
    PassFault("a needed layer removed", "remove-unused", without_relus, shared),
    PassFault("padding on one side", "fold-padding", padding_on_one_side, padded, "training"),
    PassFault(
        "padding by ones taken for zeros",
        "fold-padding",
        disguised(fold_padding, Pad2d, disguise=lambda op: op.model_copy(update={"value": 0.0})),
        padded,
        "training",
    ),
    PassFault(
        "a reflection taken for zeros",
        "fold-padding",
        disguised(fold_padding, Pad2d, disguise=lambda op: op.model_copy(update={"mode": "constant"})),
        padded,
        "training",
    ),
    PassFault("epsilon left out", "fold-affine", with_each(fold_affine, without_epsilon), normalized),
    PassFault(
        "a transposed kernel scaled by its inputs",
        "fold-affine",
        with_each(fold_affine, lambda fold: replace(fold, transposed=0) if isinstance(fold, FoldAffine) else fold),
        enlarged,
    ),
    PassFault("shift not scaled", "fold-affine", spoiled(fold_affine, unscale_bias), normalized),
    PassFault("bias lost", "fold-affine", spoiled(fold_affine, lose_bias), normalized),
    PassFault("mean lost", "fold-affine", spoiled(fold_affine, lose_mean), normalized),
    PassFault("variance for deviation", "fold-affine", spoiled(fold_affine, take_variance_for_deviation), normalized),
    PassFault(
        "inputs scaled for outputs", "fold-affine", spoiled(fold_affine, transpose_square, transpose_square), normalized
    ),
    PassFault("a difference the other way round", "fold-affine", with_each(fold_affine, other_way_round), subtracted),
    PassFault(
        "positions scaled for features",
        "fold-affine",
        disguised(fold_affine, LayerScale, disguise=lambda op: op.model_copy(update={"axis": 2})),
        scaled,
    ),
    PassFault("shift lost ahead", "fold-affine-ahead", spoiled(fold_affine_ahead, after=lose_shift), prenormalized),
    PassFault(
        "outputs scaled for inputs",
        "fold-affine-ahead",
        spoiled(fold_affine_ahead, transpose_square, transpose_square),
        prenormalized,
    ),
    PassFault(
        "zeros of the padding not shifted",
        "fold-affine-ahead",
        disguised(fold_affine_ahead, Conv2d, disguise=as_unpadded),
        prenormalized,
    ),
    PassFault("constants transposed", "fold-constants", with_folds(fold_constants, transposed), positioned),
    PassFault(
        "functions of constants left out",
        "fold-constants",
        with_folds(fold_constants, without_element_wise_ops),
        positioned,
    ),
    PassFault("dropout's factor twice", "fold-dropout-scale", with_folds(fold_dropout_scale, lambda f: f + f), dropped),
    PassFault("no factor", "fold-dropout-scale", with_folds(fold_dropout_scale, lambda _: ()), dropped),
    PassFault("bias scaled too", "fold-dropout-scale", with_folds(fold_dropout_scale, and_biases), dropped),
    PassFault(
        "a factor past a tanh",
        "fold-dropout-scale",
        disguised(fold_dropout_scale, Tanh, disguise=lambda _: Relu()),
        dropped,
    ),
    PassFault(
        "ReLU past an average pool",
        "relu-after-max-pool",
        disguised(relu_after_max_pool, AvgPool2d, disguise=as_max_pool),
        pooled,
        "training",
    ),
    PassFault("ReLU lost", "relu-after-max-pool", without_relus, pooled, "training"),
    PassFault("channels moved, not laid out", "channels-last", channels_moved, turned, "training"),
    PassFault("written over what is read later", "in-place", every_relu_in_place, shared, "training"),
    PassFault(
        "written over another's memory",
        "in-place",
        disguised(in_place, Reshape, disguise=lambda _: Multiply()),
        shared,
        "training",
    ),
    PassFault(
        "written over what a gradient needs",
        "in-place",
        disguised(in_place, Sigmoid, disguise=lambda _: Multiply()),
        gated,
        "training",
    ),
)
"""The faults. `catches_pass` must be true for each of them, in PyTorch."""
