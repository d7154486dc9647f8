"""Attention in ONNX, from the operators that every operator set has: `Attention` is recent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from netspec.graph import Node
from netspec.ops import MultiHeadAttention, ScaledDotProductAttention
from netspec.types import BATCH, Dim
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter

if TYPE_CHECKING:
    import onnx_ir as ir


@lowers(ScaledDotProductAttention)
def scaled_dot_product_attention(op: ScaledDotProductAttention, node: Node, out: GraphWriter) -> None:
    """`MatMul`, `Softmax`, `MatMul`; what is not seen gets minus infinity."""
    q, k, v, *biases = out.inputs(node)
    of_q, of_k = (x.shape for x in node.input_types[:2])
    swapped = (*range(len(of_k) - 2), len(of_k) - 1, len(of_k) - 2)
    k = out.step(node, "keys", "Transpose", k, perm=swapped, shape=[of_k[axis] for axis in swapped])
    weights = weigh(
        node, out, q, k, scores=(*of_q[:-1], of_k[-2]), width=node.input_types[0].features[-1], op=op, biases=biases
    )
    out.assign(node, "MatMul", weights, v)


def weigh(
    node: Node,
    out: GraphWriter,
    q: ir.Value,
    k: ir.Value,
    *,
    scores: Sequence[Dim],
    width: int,
    op: ScaledDotProductAttention | None = None,
    biases: Sequence[ir.Value] = (),
) -> ir.Value:
    """softmax(q k / √width + bias), of keys that are transposed already; `scores` is the shape."""
    scale = out.constant(node, "scale", 1.0 / math.sqrt(width))
    product = out.step(node, "product", "MatMul", q, k, shape=scores)
    scaled = out.step(node, "scaled", "Mul", product, scale, shape=scores)
    for bias in biases:
        scaled = out.step(node, "biased", "Add", scaled, bias, shape=scores)
    if op is not None and op.causal:
        length = node.type.features[-2]
        later = np.where(np.tri(length, dtype=bool), 0.0, -np.inf)
        scaled = out.step(node, "seen", "Add", scaled, out.constant(node, "later", later), shape=scores)
    return out.step(node, "weights", "Softmax", scaled, axis=-1, shape=scores)


@lowers(MultiHeadAttention)
def multi_head_attention(op: MultiHeadAttention, node: Node, out: GraphWriter) -> None:
    """`MatMul` by both weights transposed; queries, keys and values as three `Gather` of one value."""
    (x,) = out.inputs(node)
    length, width = node.type.features
    each = width // op.heads
    x = _affine(node, out, x, "in", (BATCH, length, 3 * width))
    split: tuple[Dim, ...] = (BATCH, length, 3, op.heads, each)
    x = out.step(node, "split", "Reshape", x, out.target(node, "split_shape", split), shape=split)
    three: tuple[Dim, ...] = (3, BATCH, op.heads, length, each)
    x = out.step(node, "heads_first", "Transpose", x, perm=(2, 0, 3, 1, 4), shape=three)
    q, k, v = (
        out.step(node, name, "Gather", x, out.constant(node, f"{name}_index", index), axis=0, shape=three[1:])
        for index, name in enumerate(("queries", "keys", "values"))
    )
    turned: tuple[Dim, ...] = (BATCH, op.heads, each, length)
    k = out.step(node, "keys_turned", "Transpose", k, perm=(0, 1, 3, 2), shape=turned)
    weights = weigh(node, out, q, k, scores=(BATCH, op.heads, length, length), width=each)
    x = out.step(node, "attended", "MatMul", weights, v, shape=three[1:])
    back: tuple[Dim, ...] = (BATCH, length, op.heads, each)
    x = out.step(node, "heads_back", "Transpose", x, perm=(0, 2, 1, 3), shape=back)
    x = out.step(node, "joined", "Reshape", x, out.target(node, "joined_shape", node.type.shape))
    if op.bias:
        x = out.step(node, "out", "MatMul", x, out.weight(node, "out_weight", axes=(1, 0)))
        out.assign(node, "Add", x, out.weight(node, "out_bias"))
    else:
        out.assign(node, "MatMul", x, out.weight(node, "out_weight", axes=(1, 0)))


def _affine(node: Node, out: GraphWriter, x: ir.Value, name: str, shape: tuple[Dim, ...]) -> ir.Value:
    """X times a weight transposed, plus its bias if there is one."""
    x = out.step(node, name, "MatMul", x, out.weight(node, f"{name}_weight", axes=(1, 0)), shape=shape)
    bias = out.weight(node, f"{name}_bias")
    return x if bias is None else out.step(node, f"{name}_shifted", "Add", x, bias, shape=shape)
