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

SIZES_OPSET = 18  # the first whose Resize takes the sizes of some axes, so that the batch stays free


@lowers(Resize)
def resize(op: Resize, node: Node, out: GraphWriter) -> None:
    """`Resize` where nearest elements become a whole number of them, else constants.

    Runtimes compute positions in float32. Those of another nearest element can come out one element off, and between
    two elements the shares lose the digits that the positions have before the point. Constants are exact: nearest as a
    `Gather` of rows and one of columns; bilinear as two `MatMul`: R (H', H), x, C (W, W').
    """
    (x,) = out.inputs(node)
    (channels, height, width), (rows, columns) = node.input_types[0].features, op.positions(node.input_types[0])
    between: tuple[Dim, ...] = (BATCH, channels, len(rows), width)
    whole = len(rows) % height == 0 and len(columns) % width == 0
    if op.mode == "nearest" and whole and out.opset >= SIZES_OPSET:
        sizes = out.constant(node, "sizes", [len(rows), len(columns)])
        rules = {"coordinate_transformation_mode": op.coordinates, "nearest_mode": op.rounding}
        out.assign(node, "Resize", x, None, None, sizes, axes=[2, 3], mode="nearest", **rules)
    elif op.mode == "nearest":
        down, across = ([position.low for position in along] for along in (rows, columns))
        x = out.step(node, "rows", "Gather", x, out.constant(node, "row_index", down), axis=2, shape=between)
        out.assign(node, "Gather", x, out.constant(node, "column_index", across), axis=3)
    else:
        shares = out.constant(node, "row_shares", interpolating(rows, height))
        x = out.step(node, "rows", "MatMul", shares, x, shape=between)
        out.assign(node, "MatMul", x, out.constant(node, "column_shares", interpolating(columns, width).T))


def interpolating(along: Sequence[Between], length: int) -> Array:
    """The matrix (positions, length) whose product with a vector lies between its elements."""
    matrix = np.zeros((len(along), length))
    for row, (low, high, share) in zip(matrix, along, strict=True):
        row[low] += 1.0 - share
        row[high] += share
    return matrix
