"""Pooling in ONNX.

`ceil_mode` is not used, since opsets and runtimes disagree on the windows it drops and on its divisor. The overhang of
the last window is added to the padding at the end instead, which is unambiguous.
"""

import numpy as np

from netspec.graph import Node
from netspec.ops import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from netspec.ops.attributes import NO_PADDING
from netspec.ops.base import Array
from netspec.types import BATCH, Dim
from netspec_onnx.geometry import overhang, pair
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(MaxPool2d)
def max_pool2d(op: MaxPool2d, node: Node, out: GraphWriter) -> None:
    """`MaxPool`, whose padding is minus infinity."""
    (x,) = out.inputs(node)
    out.assign(
        node,
        "MaxPool",
        x,
        kernel_shape=pair(op.kernel_size),
        strides=pair(op.effective_stride),
        pads=(op.explicit_padding + overhang(op, node)).sides,
    )


@lowers(AvgPool2d)
def avg_pool2d(op: AvgPool2d, node: Node, out: GraphWriter) -> None:
    """`AveragePool`, which counts all of its padding or none.

    To count the padding but not the overhang, an explicit `Pad` comes first.
    """
    (x,) = out.inputs(node)
    padding, beyond = op.explicit_padding, overhang(op, node)
    if op.divisor == "window_in_padded" and beyond:
        channels, height, width = node.input_types[0].features
        padded: tuple[Dim, ...] = (
            BATCH,
            channels,
            height + padding.top + padding.bottom,
            width + padding.left + padding.right,
        )
        sides = (0, 0, padding.top, padding.left, 0, 0, padding.bottom, padding.right)
        x = out.step(node, "pad", "Pad", x, out.constant(node, "pads", sides), shape=padded)
        padding, counts_padding = NO_PADDING, False
    else:
        counts_padding = op.divisor != "valid_only"
    out.assign(
        node,
        "AveragePool",
        x,
        kernel_shape=pair(op.kernel_size),
        strides=pair(op.effective_stride),
        pads=(padding + beyond).sides,
        count_include_pad=int(counts_padding),
    )


@lowers(GlobalAvgPool2d)
def global_avg_pool2d(op: GlobalAvgPool2d, node: Node, out: GraphWriter) -> None:
    """`GlobalAveragePool`, which keeps the axes; `Flatten` drops them."""
    (x,) = out.inputs(node)
    if op.keepdims:
        out.assign(node, "GlobalAveragePool", x)
    else:
        pooled = out.step(node, "mean", "GlobalAveragePool", x, shape=(*node.type.shape, 1, 1))
        out.assign(node, "Flatten", pooled, axis=1)


@lowers(AdaptiveAvgPool2d)
def adaptive_avg_pool2d(op: AdaptiveAvgPool2d, node: Node, out: GraphWriter) -> None:
    """`AveragePool` if all windows have one size, else R (H', H) @ x @ C (W, W') with matrices that average."""
    (x,) = out.inputs(node)
    channels, height, width = node.input_types[0].features
    rows, columns = pair(op.output_size)
    if height % rows == 0 and width % columns == 0:
        size = (height // rows, width // columns)
        out.assign(node, "AveragePool", x, kernel_shape=size, strides=size)
        return
    row_windows, column_windows = op.parts(node.input_types[0])
    row_means = out.constant(node, "row_means", averaging_matrix(row_windows, height))
    column_means = out.constant(node, "column_means", averaging_matrix(column_windows, width).T)
    averaged = out.step(node, "rows", "MatMul", row_means, x, shape=(BATCH, channels, rows, width))
    out.assign(node, "MatMul", averaged, column_means)


def averaging_matrix(windows: list[tuple[int, int]], length: int) -> Array:
    """The matrix (windows, length) whose product with a vector is the mean of each window [start, end)."""
    matrix = np.zeros((len(windows), length))
    for row, (start, end) in zip(matrix, windows, strict=True):
        row[start:end] = 1 / (end - start)
    return matrix
