"""The changes that planted faults make: functions that replace an op by other ops, or weights by other weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netspec.graph import Graph, Node
from netspec.ops import (
    AvgPool2d,
    ChannelShuffle,
    Clip,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    MatMul,
    MaxPool2d,
    MultiHeadAttention,
    Op,
    Pad2d,
    Permute,
    RegionMask,
    Resize,
    RmsNorm,
    Slice,
)
from netspec.ops.attributes import NO_PADDING, Extra2d, padding_of
from netspec.ops.base import Array, Weights
from netspec.ops.reduction import Reduction
from netspec.types import TensorType

OpFault = Callable[[Node], list[Op] | None]
WeightFault = Callable[[Graph, Weights], Weights]


def changed(**attributes: Any) -> OpFault:
    """Change attributes of the op. A value may be a function of the op."""

    def change(node: Node) -> list[Op] | None:
        values = {k: v(node.op) if callable(v) else v for k, v in attributes.items()}
        other = node.op.model_copy(update=values)
        return None if other == node.op else [other]

    return change


def _fits(op: Op, x: TensorType, expected: TensorType) -> bool:
    return op.infer(x) == expected


def mirrored_padding(node: Node) -> list[Op] | None:
    """Swap the padding of opposite sides."""
    p = node.op.explicit_padding  # type: ignore[attr-defined] # a convolution or pool
    other = node.op.model_copy(update={"padding": padding_of((p.bottom, p.right, p.top, p.left))})
    return [other]


def cut_off_the_other_side(node: Node) -> list[Op] | None:
    """Crop the extra row and column at the end, as Keras' `same` does for an odd kernel and a stride of two."""
    op = node.op
    assert isinstance(op, ConvTranspose2d)  # noqa: S101 # the fault is only planted on this op
    p, extra = op.padding, op.output_padding
    if not (extra.height and extra.width and p.top and p.left):
        return None
    moved = padding_of((p.top - 1, p.left - 1, p.bottom, p.right))
    fewer = Extra2d(height=extra.height - 1, width=extra.width - 1)
    return [op.model_copy(update={"padding": moved, "output_padding": fewer})]


def zero_padded_max(node: Node) -> list[Op] | None:
    """Pad with zeros, instead of minus infinity, before a maximum is taken."""
    op = node.op
    assert isinstance(op, MaxPool2d)  # noqa: S101 # the fault is only planted on this op
    return (
        [Pad2d(padding=op.explicit_padding), op.model_copy(update={"padding": NO_PADDING})]
        if op.explicit_padding
        else None
    )


def floor_for_ceil(node: Node) -> list[Op] | None:
    """Round the output size down, so that the last window is lost. Zero padding restores the shape."""
    op = node.op
    assert isinstance(op, MaxPool2d | AvgPool2d)  # noqa: S101 # the fault is only planted on these ops
    x = node.input_types[0]
    floor = op.model_copy(update={"round": "floor"})
    if op.round == "floor" or _fits(floor, x, node.type):
        return None
    missing = [a - b for a, b in zip(node.type.features, floor.infer(x).features, strict=True)]
    return [floor, Pad2d(padding=padding_of((0, 0, missing[1], missing[2])))]


def swapped_flatten(node: Node) -> list[Op] | None:
    """Flatten a map in the order H, W, C."""
    return [Permute(axes=(2, 3, 1)), Flatten()] if node.input_types[0].rank == 4 else None


def swapped_reshape(node: Node) -> list[Op] | None:
    """Reshape a map in the order H, W, C."""
    return [Permute(axes=(2, 3, 1)), node.op] if node.input_types[0].rank == 4 else None


def first_part(node: Node) -> list[Op] | None:
    """Take a slice of the same length from the start of the axis."""
    op = node.op
    assert isinstance(op, Slice)  # noqa: S101 # the fault is only planted on this op
    start, stop, step = op.bounds(node.input_types[0])
    return [Slice(axis=op.axis, start=0, stop=stop - start, step=step)] if start else None


def shuffled_back(node: Node) -> list[Op] | None:
    """Apply the inverse shuffle."""
    op = node.op
    assert isinstance(op, ChannelShuffle)  # noqa: S101 # the fault is only planted on this op
    return [ChannelShuffle(groups=node.type.features[0] // op.groups)]


def one_group(node: Node) -> list[Op] | None:
    """Normalize all channels together."""
    op = node.op
    assert isinstance(op, InstanceNorm)  # noqa: S101 # the fault is only planted on this op
    return [GroupNorm(groups=1, epsilon=op.epsilon, affine=op.affine)]


def reduced_by(other: type[Reduction], node: Node) -> Op:
    """Return another reduction over the same axes."""
    return other.model_validate(node.op.model_dump())


def mean_taken_off(node: Node) -> list[Op] | None:
    """Replace RMS normalization by layer normalization, if neither has weights."""
    op = node.op
    assert isinstance(op, RmsNorm)  # noqa: S101 # the fault is only planted on this op
    return None if op.affine else [LayerNorm.model_validate(op.model_dump())]


def without_upper_bound(node: Node) -> list[Op] | None:
    """Keep only the lower bound."""
    op = node.op
    assert isinstance(op, Clip)  # noqa: S101 # the fault is only planted on this op
    return None if op.min is None else [Clip(min=op.min)]


def not_transposed(node: Node) -> list[Op] | None:
    """Drop the transposition, if all operands are square: otherwise the shapes would not fit."""
    square = {shape[-1] == shape[-2] for shape in (x.features for x in node.input_types)}
    return [MatMul()] if square == {True} and node.op != MatMul() else None


def keys_less_queries(node: Node) -> list[Op] | None:
    """Take the difference of positions with the opposite sign."""
    rank = node.type.rank
    return [node.op, Permute(axes=(*range(1, rank - 2), rank - 1, rank - 2))]


def columns_first(node: Node) -> list[Op] | None:
    """Swap the axes of the grid."""
    op = node.op
    assert isinstance(op, RegionMask)  # noqa: S101 # the fault is only planted on this op
    return [op.model_copy(update={"regions": op.regions[::-1], "window_size": op.window_size and op.window_size[::-1]})]


def halves_up(node: Node) -> list[Op] | None:
    """Round halves up, as torch's `nearest-exact` does, where ONNX's default rounds them down."""
    op = node.op
    assert isinstance(op, Resize)  # noqa: S101 # the fault is only planted on this op
    other = op.model_copy(update={"rounding": "round_prefer_ceil"})
    return [other] if op.rounding == "round_prefer_floor" else None


def interleaved_groups(graph: Graph, weights: Weights) -> Weights:
    """Assign filters to groups in turn instead of in contiguous runs."""
    changed_weights = dict(weights)
    for node in graph.nodes:
        groups = getattr(node.op, "groups", 1)
        if isinstance(node.op, Conv2d | Dense) and groups > 1:
            name = f"{node.name}.weight"
            kernel = weights[name]
            interleaved = kernel.reshape(groups, -1, *kernel.shape[1:]).swapaxes(0, 1)
            changed_weights[name] = np.ascontiguousarray(interleaved.reshape(kernel.shape))
    return changed_weights


def each(change: Callable[[Array], Array], weight: str, op: type[Op]) -> WeightFault:
    """Change the weight of this name in every node of an op."""

    def apply(graph: Graph, weights: Weights) -> Weights:
        names = {f"{node.name}.{weight}" for node in graph.nodes if isinstance(node.op, op)}
        return {n: np.ascontiguousarray(change(a)) if n in names else a for n, a in weights.items()}

    return apply


def square_transposed(kernel: Array) -> Array:
    """Transpose the rows and columns of a square kernel."""
    return kernel.swapaxes(2, 3) if kernel.shape[2] == kernel.shape[3] else kernel


def flipped(kernel: Array) -> Array:
    """Flip a kernel along both spatial axes."""
    return kernel[:, :, ::-1, ::-1]


def keys_first(weight: Array) -> Array:
    """Swap the weights of queries and keys."""
    q, k, v = np.split(weight, 3)
    return np.concatenate([k, q, v]) if len(q) else weight


def heads_in_turn(graph: Graph, weights: Weights) -> Weights:
    """Assign features to heads in turn instead of in contiguous runs."""
    changed_weights = dict(weights)
    for node in graph.nodes:
        if isinstance(node.op, MultiHeadAttention):
            name, width = f"{node.name}.in_weight", node.type.features[-1]
            interleaved = weights[name].reshape(3, node.op.heads, -1, width).swapaxes(1, 2)
            changed_weights[name] = np.ascontiguousarray(interleaved.reshape(3 * width, width))
    return changed_weights
