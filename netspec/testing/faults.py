"""Planted faults: backends with one bug each, which prove that the conformance suite catches it.

A fault changes the input of a correct backend (a different op, different nodes, reordered weights) and returns the
result as if nothing had been changed. So the same faults apply to every backend.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from netspec.errors import VerificationError
from netspec.graph import Graph, Input, Node, make_node
from netspec.lowering import Artifact, Backend, Model
from netspec.ops import (
    Abs,
    AvgPool2d,
    BatchNorm,
    ChannelShuffle,
    Clip,
    Conv2d,
    ConvTranspose2d,
    Cos,
    Dense,
    Divide,
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
    Log,
    MatMul,
    Maximum,
    MaxPool2d,
    Minimum,
    Mish,
    MultiHeadAttention,
    Op,
    Pad,
    Power,
    PRelu,
    ReduceL2,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceSum,
    RegionMask,
    RelativePositionBias,
    Relu,
    Relu6,
    Rescale,
    Reshape,
    Resize,
    RmsNorm,
    Roll,
    ScaledDotProductAttention,
    Sigmoid,
    Silu,
    Sin,
    Slice,
    Softmax,
    Softplus,
    StochasticDepth,
    Subtract,
)
from netspec.ops.base import Weights
from netspec.testing.cases import sample_cases
from netspec.testing.changes import (
    OpFault,
    WeightFault,
    changed,
    columns_first,
    cut_off_the_other_side,
    each,
    first_part,
    flipped,
    floor_for_ceil,
    halves_up,
    heads_in_turn,
    interleaved_groups,
    keys_first,
    keys_less_queries,
    mean_taken_off,
    mirrored_padding,
    not_transposed,
    one_group,
    reduced_by,
    shuffled_back,
    square_transposed,
    swapped_flatten,
    swapped_reshape,
    without_upper_bound,
    zero_padded_max,
)
from netspec.testing.checks import check_forward, check_training


@dataclass(frozen=True)
class Fault:
    """A bug to plant.

    Attributes:
        name: a short name of the bug.
        op: the op that it affects; at least one of the op's samples must expose it.
        ops: returns the ops that replace a node, or None to leave the node unchanged.
        weights: returns the weights to load instead of the given ones.
    """

    name: str
    op: type[Op]
    ops: OpFault = lambda node: None
    weights: WeightFault = lambda graph, weights: weights


class FaultyBackend(Backend):
    """A correct backend with a planted fault. It is not registered."""

    def __init__(self, backend: Backend, fault: Fault) -> None:
        self._backend, self._fault = backend, fault
        self.name = f"{backend.name} with {fault.name}"
        self.requires, self.dtypes, self.trains = backend.requires, backend.dtypes, backend.trains
        self.lowerings = backend.lowerings

    def lower(self, graph: Graph) -> Artifact:
        """Lower the graph with the fault planted in it."""
        return self._backend.lower(plant(graph, self._fault))

    def load(self, artifact: Artifact, weights: Weights, *, donated: bool = False) -> Model:
        """Load the faulty model."""
        del donated  # the changed weights may share memory with the caller's
        return self._backend.load(artifact, dict(self._fault.weights(artifact.graph, weights)))

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        """Write the files of the correct backend."""
        return self._backend.write(artifact, weights, folder)


def plant(graph: Graph, fault: Fault) -> Graph:
    """Replace every node of the fault's op. The names of nodes, and so of weights, do not change."""
    values: dict[str, Input | Node] = {value.name: value for value in graph.inputs}
    nodes: list[Node] = []
    for node in graph.nodes:
        ops = (fault.ops(node) if isinstance(node.op, fault.op) else None) or [node.op]
        inputs = [values[name] for name in node.inputs]
        for index, op in enumerate(ops):
            last = index == len(ops) - 1
            nodes.append(make_node(node.name if last else f"{node.name}_fault{index}", op, inputs))
            inputs = [nodes[-1]]
        values[node.name] = nodes[-1]
    return replace(graph, nodes=tuple(nodes))


FAULTS: tuple[Fault, ...] = (
    Fault("alpha off by size", LocalResponseNorm, changed(alpha=lambda op: op.alpha / op.size)),
    Fault("k of 1", LocalResponseNorm, changed(k=1.0)),
    Fault("LRN across towers", LocalResponseNorm, changed(groups=1)),
    Fault("sum for mean", LocalResponseNorm, changed(convention="sum")),
    Fault("LRN window one smaller", LocalResponseNorm, changed(size=lambda op: max(1, op.size - 1))),
    Fault("floor for ceil in max pooling", MaxPool2d, floor_for_ceil),
    Fault("floor for ceil in average pooling", AvgPool2d, floor_for_ceil),
    Fault("zero for minus infinity", MaxPool2d, zero_padded_max),
    Fault("counted padding", AvgPool2d, changed(divisor="window_in_padded")),
    Fault("uncounted padding", AvgPool2d, changed(divisor="valid_only")),
    Fault("overhang counted", AvgPool2d, changed(divisor="window")),
    Fault("padding on the other side", Conv2d, mirrored_padding),
    Fault("pooling padded on the other side", MaxPool2d, mirrored_padding),
    Fault("flatten as H, W, C", Flatten, swapped_flatten),
    Fault("reshape as H, W, C", Reshape, swapped_reshape),
    Fault("convolution groups interleaved", Conv2d, weights=interleaved_groups),
    Fault("dense groups interleaved", Dense, weights=interleaved_groups),
    Fault("transposed kernel flipped", ConvTranspose2d, weights=each(flipped, "weight", ConvTranspose2d)),
    Fault("cut off the other side", ConvTranspose2d, cut_off_the_other_side),
    Fault("kernel not transposed", Conv2d, weights=each(square_transposed, "weight", Conv2d)),
    Fault("kernel flipped", Conv2d, weights=each(flipped, "weight", Conv2d)),
    Fault("missing convolution bias", Conv2d, weights=each(np.zeros_like, "bias", Conv2d)),
    Fault("missing dense bias", Dense, weights=each(np.zeros_like, "bias", Dense)),
    Fault("erf for tanh", Gelu, changed(form="erf")),
    Fault("tanh for erf", Gelu, changed(form="tanh")),
    Fault("ReLU6 without its bound", Relu6, lambda node: [Relu()]),
    Fault("slopes of other channels", PRelu, weights=each(lambda a: a[::-1], "weight", PRelu)),
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
    Fault("the mean taken off in RMS norm", RmsNorm, mean_taken_off),
    Fault("the dtype's epsilon in RMS norm", RmsNorm, changed(epsilon=2.0**-52)),
    Fault("epsilon squared, as outside of the root", RmsNorm, changed(epsilon=lambda op: op.epsilon**2)),
    Fault("gains left out of RMS norm", RmsNorm, weights=each(np.ones_like, "weight", RmsNorm)),
    Fault("one group in group norm", GroupNorm, changed(groups=1)),
    Fault("all channels in instance norm", InstanceNorm, one_group),
    Fault("Keras's epsilon in instance norm", InstanceNorm, changed(epsilon=1e-3)),
    Fault("gains left out", LayerScale, weights=each(np.ones_like, "weight", LayerScale)),
    Fault("an operand not transposed", MatMul, not_transposed),
    Fault("half pixels for another rule", Resize, changed(coordinates="half_pixel")),
    Fault("corners aligned", Resize, changed(coordinates="align_corners")),
    Fault("nearest for bilinear", Resize, changed(mode="nearest")),
    Fault("halves rounded up", Resize, halves_up),
    Fault("later keys seen", ScaledDotProductAttention, changed(causal=False)),
    Fault("keys less queries", RelativePositionBias, keys_less_queries),
    Fault("regions counted from the end", RegionMask, changed(regions=lambda op: tuple(r[::-1] for r in op.regions))),
    Fault("windows column by column", RegionMask, columns_first),
    Fault("rolled the other way", Roll, changed(shifts=lambda op: tuple(-by for by in op.shifts))),
    Fault("rolled along another axis", Roll, changed(axes=lambda op: tuple(max(1, axis - 1) for axis in op.axes))),
    Fault("heads dealt in turn", MultiHeadAttention, weights=heads_in_turn),
    Fault("keys for queries", MultiHeadAttention, weights=each(keys_first, "in_weight", MultiHeadAttention)),
    Fault("standard dropout for inverted", Dropout, changed(mode="standard")),
    Fault("inverted dropout for standard", Dropout, changed(mode="inverted")),
    Fault("axes dropped that are kept", ReduceMean, changed(keepdims=False)),
    Fault("mean for sum", ReduceSum, lambda node: [reduced_by(ReduceMean, node)]),
    Fault("mean for maximum", ReduceMax, lambda node: [reduced_by(ReduceMean, node)]),
    Fault("the maximum for the minimum", ReduceMin, lambda node: [reduced_by(ReduceMax, node)]),
    Fault("magnitudes summed for a norm", ReduceL2, lambda node: [Abs(), reduced_by(ReduceSum, node)]),
    Fault("squares without their root", ReduceL2, lambda node: [node.op, Power(exponent=2.0)]),
    Fault("epsilon as the bound of the square", L2Normalize, changed(epsilon=lambda op: op.epsilon**0.5)),
    Fault("normalized along another axis", L2Normalize, changed(axes=(1,))),
    Fault("the first part for another", Slice, first_part),
    Fault("shuffled the other way", ChannelShuffle, shuffled_back),
    Fault("elements dropped one by one", StochasticDepth, lambda node: [Dropout(rate=node.op.model_dump()["rate"])]),
    Fault("the second less the first", Subtract, lambda node: [node.op, Rescale(scale=-1.0)]),
    Fault("the second over the first", Divide, lambda node: [node.op, Power(exponent=-1.0)]),
    Fault("the smaller for the larger", Maximum, lambda node: [Minimum()]),
    Fault("the larger for the smaller", Minimum, lambda node: [Maximum()]),
    Fault("the offset added before the scale", Rescale, changed(offset=lambda op: op.scale * op.offset)),
    Fault("the logarithm of one more", Log, lambda node: [Rescale(offset=1.0), node.op]),
    Fault("the cosine for the sine", Sin, lambda node: [Cos()]),
    Fault("the sine for the cosine", Cos, lambda node: [Sin()]),
    Fault("the sign kept", Abs, lambda node: [Relu()]),
    Fault("the sign lost", Power, lambda node: [Abs(), node.op]),
    Fault("the reciprocal left out", Power, changed(exponent=lambda op: abs(op.exponent))),
    Fault("a bound left out", Clip, without_upper_bound),
    Fault("padded at the other end", Pad, changed(start=lambda op: op.end, end=lambda op: op.start)),
    Fault("softmax over channels", Softmax, changed(axis=1)),
)
"""The faults. `catches` must be true for each of them."""


def catches(backend: Backend, fault: Fault) -> bool:
    """Whether a check of the conformance suite fails on at least one sample of the fault's op."""
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
