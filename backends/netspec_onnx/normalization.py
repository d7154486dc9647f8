"""Normalization in ONNX."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from netspec.graph import Node
from netspec.ops import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RmsNorm
from netspec.ops.base import Array
from netspec.types import BATCH, Dim
from netspec_onnx.reduction import mean_over, reduced_shape
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter

if TYPE_CHECKING:
    import onnx_ir as ir

LAYER_NORM_OPSET = 17  # the first with a LayerNormalization operator
# The channels per group from which onnxruntime pools along them faster than it convolves, at batch sizes 1 to 32.
# Pooling takes 0.3 to 0.5 times as long for 192 channels of 27x27, about as long for 128, 2 to 5 times for 96 of 55x55.
WIDE = 192


@lowers(LocalResponseNorm)
def local_response_norm(op: LocalResponseNorm, node: Node, out: GraphWriter) -> None:
    """`Div` of x by (k + a Σ x²)^beta, where the sum is a convolution of the squares, or a pooling along the channels.

    The operator `LRN` supports only odd sizes over channels, without groups, and is the slowest form in onnxruntime.
    """
    (x,) = out.inputs(node)
    squares = out.step(node, "squares", "Mul", x, x)
    wide = op.region == "channels" and node.type.features[0] // op.groups >= WIDE
    scale = (pooled if wide else convolved)(op, node, out, squares)
    if op.beta == 0.75:  # s^¾ = √s · √√s: square roots are faster than a power, and as exact
        root = out.step(node, "root", "Sqrt", scale)
        power = out.step(node, "power", "Mul", root, out.step(node, "fourth_root", "Sqrt", root))
    else:
        power = out.step(node, "power", "Pow", scale, out.constant(node, "beta", op.beta))
    out.assign(node, "Div", x, power)


def convolved(op: LocalResponseNorm, node: Node, out: GraphWriter, squares: ir.Value) -> ir.Value:
    """`k + a Σ x²` as one `Conv` with weight a and bias k: for 48 channels, in a third of the time of a pool."""
    channels = node.type.features[0]
    kernel, groups, pads = neighborhood(op, channels)
    return out.step(
        node,
        "scale",
        "Conv",
        squares,
        out.constant(node, "alpha", kernel),
        out.constant(node, "k", np.full(channels, op.k)),
        kernel_shape=kernel.shape[2:],
        pads=pads,
        group=groups,
    )


def pooled(op: LocalResponseNorm, node: Node, out: GraphWriter, squares: ir.Value) -> ir.Value:
    """`k + a Σ x²` by an `AveragePool` along the channels of a group; a `Conv` would read all for each one."""
    channels, height, width = node.type.features
    before, after = op.reach
    rows: tuple[Dim, ...] = (BATCH, op.groups, channels // op.groups, height * width)
    x = out.step(node, "rows", "Reshape", squares, out.target(node, "rows_shape", rows), shape=rows)
    x = out.step(
        *(node, "means", "AveragePool", x),
        shape=rows,
        kernel_shape=(op.size, 1),
        pads=(before, 0, after, 0),
        count_include_pad=1,
    )
    x = out.step(node, "maps", "Reshape", x, out.target(node, "maps_shape", node.type.shape))
    weighted = out.step(node, "weighted", "Mul", x, out.constant(node, "alpha", op.alpha_per_element * op.size))
    return out.step(node, "scale", "Add", weighted, out.constant(node, "k", op.k))


def neighborhood(op: LocalResponseNorm, channels: int) -> tuple[Array, int, tuple[int, int, int, int]]:
    """The weight, groups and pads of the convolution that computes a Σ x² from x².

    Over channels, the weight is a band matrix of 1x1 kernels, not 0 where the input channel is a neighbor of the output
    channel. Over a spatial window, it is a constant kernel for each channel.
    """
    before, after = op.reach
    if op.region == "map":
        kernel: Array = np.full((channels, 1, op.size, op.size), op.alpha_per_element)
        return kernel, channels, (before, before, after, after)
    width = channels // op.groups
    distance = np.arange(width) - np.arange(width)[:, None]  # from the output channel to the input channel
    band = (distance >= -before) & (distance <= after)
    kernel = np.tile(band, (op.groups, 1))[:, :, None, None] * op.alpha_per_element
    return kernel, op.groups, (0, 0, 0, 0)


@lowers(BatchNorm)
def batch_norm(op: BatchNorm, node: Node, out: GraphWriter) -> None:
    """`BatchNormalization` by the running statistics; scale and bias are required inputs."""
    (x,) = out.inputs(node)
    channels = node.type.features[0]
    out.assign(
        node,
        "BatchNormalization",
        x,
        out.weight(node, "weight") or out.constant(node, "weight", np.ones(channels)),
        out.weight(node, "bias") or out.constant(node, "bias", np.zeros(channels)),
        out.weight(node, "running_mean"),
        out.weight(node, "running_variance"),
        epsilon=op.epsilon,
    )


@lowers(LayerNorm)
def layer_norm(op: LayerNorm, node: Node, out: GraphWriter) -> None:
    """`LayerNormalization` for the last axes from opset 17, else mean and variance by `ReduceMean`."""
    (x,) = out.inputs(node)
    rank = node.type.rank
    if out.opset >= LAYER_NORM_OPSET and op.axes == tuple(range(op.axes[0], rank)):
        ones = np.ones([node.type.features[axis - 1] for axis in op.axes])
        scale = out.weight(node, "weight") or out.constant(node, "weight", ones)
        bias = out.weight(node, "bias")
        out.assign(node, "LayerNormalization", x, scale, bias, axis=op.axes[0], epsilon=op.epsilon)
        return
    centered = out.step(node, "centered", "Sub", x, mean_over(op.axes, node, out, x, "mean"))
    squares = out.step(node, "squares", "Mul", centered, centered)
    variance = mean_over(op.axes, node, out, squares, "variance")
    reduced = reduced_shape(op.axes, node)
    stable = out.step(node, "stable", "Add", variance, out.constant(node, "epsilon", op.epsilon), shape=reduced)
    deviation = out.step(node, "deviation", "Sqrt", stable, shape=reduced)
    if not op.affine:
        out.assign(node, "Div", centered, deviation)
        return
    normalized = out.step(node, "normalized", "Div", centered, deviation)
    aligned = tuple(node.type.features[axis - 1] if axis in op.axes else 1 for axis in range(1, rank))
    scale_and_shift(node, out, normalized, aligned)


@lowers(RmsNorm)
def rms_norm(op: RmsNorm, node: Node, out: GraphWriter) -> None:
    """`Div` of x by its root mean square: `RMSNormalization` is recent, and limited to the last axes."""
    (x,) = out.inputs(node)
    reduced = reduced_shape(op.axes, node)
    squares = mean_over(op.axes, node, out, out.step(node, "squares", "Mul", x, x), "mean_square")
    stable = out.step(node, "stable", "Add", squares, out.constant(node, "epsilon", op.epsilon), shape=reduced)
    root = out.step(node, "root", "Sqrt", stable, shape=reduced)
    if not op.affine:
        out.assign(node, "Div", x, root)
        return
    aligned = tuple(node.type.features[axis - 1] if axis in op.axes else 1 for axis in range(1, node.type.rank))
    normalized = out.step(node, "normalized", "Div", x, root)
    out.assign(node, "Mul", normalized, out.weight(node, "weight", native_shape=aligned))


@lowers(GroupNorm)
def group_norm(op: GroupNorm, node: Node, out: GraphWriter) -> None:
    """`InstanceNormalization` of (N, groups, elements of a group), then scale and shift of each channel.

    `GroupNormalization` is not portable: its scale is for each group in opset 18 and for each channel from 21, and the
    operator was deprecated in between.
    """
    (x,) = out.inputs(node)
    channels, *positions = node.type.features
    grouped: tuple[Dim, ...] = (BATCH, op.groups, channels // op.groups * math.prod(positions))
    x = out.step(node, "grouped", "Reshape", x, out.target(node, "grouped_shape", grouped), shape=grouped)
    ones, zeros = out.constant(node, "ones", np.ones(op.groups)), out.constant(node, "zeros", np.zeros(op.groups))
    x = out.step(node, "normalized", "InstanceNormalization", x, ones, zeros, epsilon=op.epsilon, shape=grouped)
    shape = out.target(node, "shape", node.type.shape)
    if not op.affine:
        out.assign(node, "Reshape", x, shape)
        return
    x = out.step(node, "joined", "Reshape", x, shape)
    scale_and_shift(node, out, x, (channels, *(1,) * len(positions)))


@lowers(InstanceNorm)
def instance_norm(op: InstanceNorm, node: Node, out: GraphWriter) -> None:
    """`InstanceNormalization`; scale and bias are required inputs."""
    (x,) = out.inputs(node)
    channels = node.type.features[0]
    scale = out.weight(node, "weight") or out.constant(node, "weight", np.ones(channels))
    bias = out.weight(node, "bias") or out.constant(node, "bias", np.zeros(channels))
    out.assign(node, "InstanceNormalization", x, scale, bias, epsilon=op.epsilon)


def scale_and_shift(node: Node, out: GraphWriter, x: ir.Value, aligned: tuple[int, ...]) -> None:
    """`Mul` by the node's weight and `Add` of its bias, both in a shape that broadcasts against a sample."""
    scaled = out.step(node, "scaled", "Mul", x, out.weight(node, "weight", native_shape=aligned))
    out.assign(node, "Add", scaled, out.weight(node, "bias", native_shape=aligned))
