"""Resizing in ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from netspec.graph import Node
from netspec.ops import Resize
from netspec.ops.base import Array
from netspec.ops.resize import Between
from netspec.types import BATCH, Dim
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter

SIZES_OPSET = 18  # the first whose Resize takes the sizes of only some axes, which keeps the batch free


@lowers(Resize)
def resize(op: Resize, node: Node, out: GraphWriter) -> None:
    """`Resize` for nearest resizing by integer factors, else precomputed indices or weights.

    Runtimes compute positions in float32, so that `Resize` can pick a neighbor of the nearest element, and bilinear
    weights lose digits. Constants are exact: for nearest, a `Gather` of rows and one of columns; for bilinear,
    R (H', H) @ x @ C (W, W').
    """
    (x,) = out.inputs(node)
    (channels, height, width), (rows, columns) = node.input_types[0].features, op.positions(node.input_types[0])
    between: tuple[Dim, ...] = (BATCH, channels, len(rows), width)
    integer_factors = len(rows) % height == 0 and len(columns) % width == 0
    if op.mode == "nearest" and integer_factors and out.opset >= SIZES_OPSET:
        sizes = out.constant(node, "sizes", [len(rows), len(columns)])
        rules = {"coordinate_transformation_mode": op.coordinates, "nearest_mode": op.rounding}
        out.assign(node, "Resize", x, None, None, sizes, axes=[2, 3], mode="nearest", **rules)
    elif op.mode == "nearest":
        row_index, column_index = ([position.low for position in axis] for axis in (rows, columns))
        x = out.step(node, "rows", "Gather", x, out.constant(node, "row_index", row_index), axis=2, shape=between)
        out.assign(node, "Gather", x, out.constant(node, "column_index", column_index), axis=3)
    else:
        weights = out.constant(node, "row_shares", interpolation_matrix(rows, height))
        x = out.step(node, "rows", "MatMul", weights, x, shape=between)
        out.assign(node, "MatMul", x, out.constant(node, "column_shares", interpolation_matrix(columns, width).T))


def interpolation_matrix(positions: Sequence[Between], length: int) -> Array:
    """The matrix (positions, length) whose product with a vector is the interpolated value at each position."""
    matrix = np.zeros((len(positions), length))
    for row, (low, high, share) in zip(matrix, positions, strict=True):
        row[low] += 1.0 - share
        row[high] += share
    return matrix
