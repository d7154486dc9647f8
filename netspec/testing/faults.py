"""Planted faults: backends that are wrong in one way each, to prove that the checks catch it.

A fault changes what a sound backend is given (another op, other nodes, weights in another order) and passes the result
off as the original's. So the same faults test the checks of every backend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from netspec.errors import VerificationError
from netspec.graph import Graph, Input, Node, make_node
from netspec.lowering import Artifact, Backend, Model
from netspec.ops import (
    AvgPool2d,
    BatchNorm,
    ChannelShuffle,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Elu,
    Flatten,
    Gelu,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    InstanceNorm,
    L2Normalize,
    LayerNorm,
    LayerScale,
    LeakyRelu,
    LocalResponseNorm,
    MatMul,
    MaxPool2d,
    Mish,
    Op,
    Pad2d,
    Permute,
    PRelu,
    ReduceMax,
    ReduceMean,
    Relu,
    Relu6,
    Reshape,
    Sigmoid,
    Silu,
    Slice,
    Softmax,
    Softplus,
)
from netspec.ops.attributes import NO_PADDING, Extra2d, padding_of
from netspec.ops.base import Array, Weights
from netspec.testing.cases import sample_cases
from netspec.testing.checks import check_forward, check_training
from netspec.types import TensorType

OpFault = Callable[[Node], list[Op] | None]
WeightFault = Callable[[Graph, Weights], Weights]


@dataclass(frozen=True)
class Fault:
    """One way of being wrong.

    Attributes:
        name: what a person would call the bug.
        op: the op in whose samples it must show.
        ops: the ops that take a node's place, or None to leave the node alone.
        weights: the weights that are loaded in place of the given ones.
    """

    name: str
    op: type[Op]
    ops: OpFault = lambda node: None  # a default, not a definition
    weights: WeightFault = lambda graph, weights: weights  # likewise


class FaultyBackend(Backend):
    """A sound backend behind a fault. Not registered anywhere."""

    def __init__(self, backend: Backend, fault: Fault) -> None:
        self._backend, self._fault = backend, fault
        self.name = f"{backend.name} with {fault.name}"
        self.requires, self.dtypes, self.trains = backend.requires, backend.dtypes, backend.trains
        self.lowerings = backend.lowerings

    def lower(self, graph: Graph) -> Artifact:
        """The artifact of the graph with the fault in it."""
        return self._backend.lower(plant(graph, self._fault))

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """The faulty model."""
        del donated  # a fault may share the arrays with the caller
        return self._backend.load(artifact, dict(self._fault.weights(artifact.graph, weights)))

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """What the sound backend writes of it."""
        return self._backend.write(artifact, weights, folder)


def plant(graph: Graph, fault: Fault) -> Graph:
    """The graph with every node of the fault's op replaced; names, and so weights, stay."""
    values: dict[str, Input | Node] = {value.name: value for value in graph.inputs}
    nodes: list[Node] = []
    for node in graph.nodes:
        ops = (fault.ops(node) if isinstance(node.op, fault.op) else None) or [node.op]
        reads = [values[name] for name in node.inputs]
        for index, op in enumerate(ops):
            last = index == len(ops) - 1
            made = make_node(node.name if last else f"{node.name}_fault{index}", op, reads)
            nodes.append(made)
            reads = [made]
        values[node.name] = nodes[-1]
    return replace(graph, nodes=tuple(nodes))


def changed(**attributes: Any) -> OpFault:
    """Replace the op by itself with other attributes; a function gets the op."""

    def change(node: Node) -> list[Op] | None:
        values = {k: v(node.op) if callable(v) else v for k, v in attributes.items()}
        other = node.op.model_copy(update=values)
        return None if other == node.op else [other]

    return change


def _fits(op: Op, x: TensorType, expected: TensorType) -> bool:
    return op.infer(x) == expected


def _mirrored_padding(node: Node) -> list[Op] | None:
    p = node.op.sides  # type: ignore[attr-defined] # of a convolution or pool
    other = node.op.model_copy(update={"padding": padding_of((p.bottom, p.right, p.top, p.left))})
    return [other]


def _cut_off_the_other_side(node: Node) -> list[Op] | None:
    """Keras' `same` for an odd kernel and a stride of two: what is one row too many goes from the end."""
    op = node.op
    assert isinstance(op, ConvTranspose2d)  # noqa: S101 # the fault is planted on this op alone
    p, extra = op.padding, op.output_padding
    if not (extra.height and extra.width and p.top and p.left):
        return None
    moved = padding_of((p.top - 1, p.left - 1, p.bottom, p.right))
    fewer = Extra2d(height=extra.height - 1, width=extra.width - 1)
    return [op.model_copy(update={"padding": moved, "output_padding": fewer})]


def _zero_padded_max(node: Node) -> list[Op] | None:
    op = node.op
    assert isinstance(op, MaxPool2d)  # noqa: S101 # the fault is planted on this op alone
    return [Pad2d(padding=op.sides), op.model_copy(update={"padding": NO_PADDING})] if op.sides else None


def _floor_for_ceil(node: Node) -> list[Op] | None:
    """Where floor gives fewer positions, the last window is gone: the edge is repeated so that the shape survives."""
    op = node.op
    assert isinstance(op, MaxPool2d | AvgPool2d)  # noqa: S101 # the fault is planted on these ops alone
    x = node.input_types[0]
    floor = op.model_copy(update={"round": "floor"})
    if op.round == "floor" or _fits(floor, x, node.type):
        return None
    missing = [a - b for a, b in zip(node.type.features, floor.infer(x).features, strict=True)]
    return [floor, Pad2d(padding=padding_of((0, 0, missing[1], missing[2])))]


def _swapped_flatten(node: Node) -> list[Op] | None:
    return [Permute(axes=(2, 3, 1)), Flatten()] if node.input_types[0].rank == 4 else None


def _swapped_reshape(node: Node) -> list[Op] | None:
    return [Permute(axes=(2, 3, 1)), node.op] if node.input_types[0].rank == 4 else None


def _first_part(node: Node) -> list[Op] | None:
    op = node.op
    assert isinstance(op, Slice)  # noqa: S101 # the fault is planted on this op alone
    stop = None if op.stop is None else op.stop - op.start
    return [op.model_copy(update={"start": 0, "stop": stop})] if op.start else None


def _shuffled_back(node: Node) -> list[Op] | None:
    op = node.op
    assert isinstance(op, ChannelShuffle)  # noqa: S101 # the fault is planted on this op alone
    return [ChannelShuffle(groups=node.type.features[0] // op.groups)]


def _one_group(node: Node) -> list[Op] | None:
    op = node.op
    assert isinstance(op, InstanceNorm)  # noqa: S101 # the fault is planted on this op alone
    return [GroupNorm(groups=1, epsilon=op.epsilon, affine=op.affine)]


def _not_transposed(node: Node) -> list[Op] | None:
    """Where a square operand is: elsewhere the shapes do not fit."""
    square = {shape[-1] == shape[-2] for shape in (x.features for x in node.input_types)}
    return [MatMul()] if square == {True} and node.op != MatMul() else None


def _interleaved_groups(graph: Graph, weights: Weights) -> Weights:
    """Filters dealt out to groups in turn, instead of in runs."""
    found = dict(weights)
    for node in graph.nodes:
        groups = getattr(node.op, "groups", 1)
        if isinstance(node.op, Conv2d | Dense) and groups > 1:
            name = f"{node.name}.weight"
            kernel = weights[name]
            dealt = kernel.reshape(groups, -1, *kernel.shape[1:]).swapaxes(0, 1)
            found[name] = np.ascontiguousarray(dealt.reshape(kernel.shape))
    return found


def _each(change: Callable[[Array], Array], weight: str, op: type[Op]) -> WeightFault:
    def apply(graph: Graph, weights: Weights) -> Weights:
        names = {f"{node.name}.{weight}" for node in graph.nodes if isinstance(node.op, op)}
        return {n: np.ascontiguousarray(change(a)) if n in names else a for n, a in weights.items()}

    return apply


def _square_transposed(kernel: Array) -> Array:
    return kernel.swapaxes(2, 3) if kernel.shape[2] == kernel.shape[3] else kernel


def _flipped(kernel: Array) -> Array:
    return kernel[:, :, ::-1, ::-1]


FAULTS: tuple[Fault, ...] = (
    Fault("alpha off by size", LocalResponseNorm, changed(alpha=lambda op: op.alpha / op.size)),
    Fault("k of 1", LocalResponseNorm, changed(k=1.0)),
    Fault("LRN across towers", LocalResponseNorm, changed(groups=1)),
    Fault("sum for mean", LocalResponseNorm, changed(convention="sum")),
    Fault("LRN window one smaller", LocalResponseNorm, changed(size=lambda op: max(1, op.size - 1))),
    Fault("floor for ceil in max pooling", MaxPool2d, _floor_for_ceil),
    Fault("floor for ceil in average pooling", AvgPool2d, _floor_for_ceil),
    Fault("zero for minus infinity", MaxPool2d, _zero_padded_max),
    Fault("counted padding", AvgPool2d, changed(divisor="window_in_padded")),
    Fault("uncounted padding", AvgPool2d, changed(divisor="valid_only")),
    Fault("overhang counted", AvgPool2d, changed(divisor="window")),
    Fault("padding on the other side", Conv2d, _mirrored_padding),
    Fault("pooling padded on the other side", MaxPool2d, _mirrored_padding),
    Fault("flatten as H, W, C", Flatten, _swapped_flatten),
    Fault("reshape as H, W, C", Reshape, _swapped_reshape),
    Fault("convolution groups interleaved", Conv2d, weights=_interleaved_groups),
    Fault("dense groups interleaved", Dense, weights=_interleaved_groups),
    Fault("transposed kernel flipped", ConvTranspose2d, weights=_each(_flipped, "weight", ConvTranspose2d)),
    Fault("cut off the other side", ConvTranspose2d, _cut_off_the_other_side),
    Fault("kernel not transposed", Conv2d, weights=_each(_square_transposed, "weight", Conv2d)),
    Fault("kernel flipped", Conv2d, weights=_each(_flipped, "weight", Conv2d)),
    Fault("missing convolution bias", Conv2d, weights=_each(np.zeros_like, "bias", Conv2d)),
    Fault("missing dense bias", Dense, weights=_each(np.zeros_like, "bias", Dense)),
    Fault("erf for tanh", Gelu, changed(form="erf")),
    Fault("tanh for erf", Gelu, changed(form="tanh")),
    Fault("ReLU6 without its bound", Relu6, lambda node: [Relu()]),
    Fault("slopes of other channels", PRelu, weights=_each(lambda a: a[::-1], "weight", PRelu)),
    Fault("ELU with an alpha of 1", Elu, changed(alpha=1.0)),
    Fault("sigmoid for hard sigmoid", HardSigmoid, lambda node: [Sigmoid()]),
    Fault("SiLU for hard swish", HardSwish, lambda node: [Silu()]),
    Fault("ReLU for softplus", Softplus, lambda node: [Relu()]),
    Fault("SiLU for mish", Mish, lambda node: [Silu()]),
    Fault("Keras's leaky slope", LeakyRelu, changed(negative_slope=0.3)),
    Fault("biased for unbiased", BatchNorm, changed(running_variance="biased")),
    Fault("unbiased for biased", BatchNorm, changed(running_variance="unbiased")),
    Fault("momentum the other way", BatchNorm, changed(update_rate=lambda op: 1 - op.update_rate)),
    Fault("Keras's epsilon in batch norm", BatchNorm, changed(epsilon=1e-3)),
    Fault("Keras's epsilon in layer norm", LayerNorm, changed(epsilon=1e-3)),
    Fault("one group in group norm", GroupNorm, changed(groups=1)),
    Fault("all channels in instance norm", InstanceNorm, _one_group),
    Fault("Keras's epsilon in instance norm", InstanceNorm, changed(epsilon=1e-3)),
    Fault("gains left out", LayerScale, weights=_each(np.ones_like, "weight", LayerScale)),
    Fault("an operand not transposed", MatMul, _not_transposed),
    Fault("standard dropout for inverted", Dropout, changed(mode="standard")),
    Fault("inverted dropout for standard", Dropout, changed(mode="inverted")),
    Fault("axes dropped that are kept", ReduceMean, changed(keepdims=False)),
    Fault("mean for maximum", ReduceMax, lambda node: [ReduceMean.model_validate(node.op.model_dump())]),
    Fault("epsilon as the bound of the square", L2Normalize, changed(epsilon=lambda op: op.epsilon**0.5)),
    Fault("normalized along another axis", L2Normalize, changed(axes=(1,))),
    Fault("the first part for another", Slice, _first_part),
    Fault("shuffled the other way", ChannelShuffle, _shuffled_back),
    Fault("softmax over channels", Softmax, changed(axis=1)),
)
"""Each must be caught in at least one sample of its op by `catches`."""


def catches(backend: Backend, fault: Fault) -> bool:
    """Whether some check of the conformance suite fails on some sample of the fault's op."""
    faulty = FaultyBackend(backend, fault)
    for case in sample_cases(fault.op):
        try:
            for dtype in sorted(backend.dtypes):
                check_forward(faulty, case, dtype)
            if backend.trains:
                check_training(faulty, case)
        except VerificationError:
            return True
    return False
