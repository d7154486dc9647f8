"""Attention in ONNX, composed of older operators, since `Attention` is recent."""

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
    """`MatMul`, `Softmax`, `MatMul`; a causal mask adds minus infinity."""
    q, k, v, *biases = out.inputs(node)
    q_shape, k_shape = (x.shape for x in node.input_types[:2])
    swapped = (*range(len(k_shape) - 2), len(k_shape) - 1, len(k_shape) - 2)
    k = out.step(node, "keys", "Transpose", k, perm=swapped, shape=[k_shape[axis] for axis in swapped])
    scores = (*q_shape[:-1], k_shape[-2])
    width = node.input_types[0].features[-1]
    weights = attention_weights(node, out, q, k, scores=scores, width=width, op=op, biases=biases)
    out.assign(node, "MatMul", weights, v)


def attention_weights(
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
    """The weights softmax(q k / √width + bias), with the shape `scores`; the keys are already transposed."""
    scale = out.constant(node, "scale", 1.0 / math.sqrt(width))
    product = out.step(node, "product", "MatMul", q, k, shape=scores)
    scaled = out.step(node, "scaled", "Mul", product, scale, shape=scores)
    for bias in biases:
        scaled = out.step(node, "biased", "Add", scaled, bias, shape=scores)
    if op is not None and op.causal:
        length = node.type.features[-2]
        mask = np.where(np.tri(length, dtype=bool), 0.0, -np.inf)
        scaled = out.step(node, "seen", "Add", scaled, out.constant(node, "later", mask), shape=scores)
    return out.step(node, "weights", "Softmax", scaled, axis=-1, shape=scores)


@lowers(MultiHeadAttention)
def multi_head_attention(op: MultiHeadAttention, node: Node, out: GraphWriter) -> None:
    """`MatMul` by the transposed weights; three `Gather` split its result into queries, keys and values."""
    (x,) = out.inputs(node)
    length, width = node.type.features
    head_width = width // op.heads
    x = _affine(node, out, x, "in", (BATCH, length, 3 * width))
    split: tuple[Dim, ...] = (BATCH, length, 3, op.heads, head_width)
    x = out.step(node, "split", "Reshape", x, out.target(node, "split_shape", split), shape=split)
    heads_first: tuple[Dim, ...] = (3, BATCH, op.heads, length, head_width)
    x = out.step(node, "heads_first", "Transpose", x, perm=(2, 0, 3, 1, 4), shape=heads_first)
    q, k, v = (
        out.step(node, name, "Gather", x, out.constant(node, f"{name}_index", index), axis=0, shape=heads_first[1:])
        for index, name in enumerate(("queries", "keys", "values"))
    )
    transposed: tuple[Dim, ...] = (BATCH, op.heads, head_width, length)
    k = out.step(node, "keys_turned", "Transpose", k, perm=(0, 1, 3, 2), shape=transposed)
    weights = attention_weights(node, out, q, k, scores=(BATCH, op.heads, length, length), width=head_width)
    x = out.step(node, "attended", "MatMul", weights, v, shape=heads_first[1:])
    heads_back: tuple[Dim, ...] = (BATCH, length, op.heads, head_width)
    x = out.step(node, "heads_back", "Transpose", x, perm=(0, 2, 1, 3), shape=heads_back)
    x = out.step(node, "joined", "Reshape", x, out.target(node, "joined_shape", node.type.shape))
    if op.bias:
        x = out.step(node, "out", "MatMul", x, out.weight(node, "out_weight", axes=(1, 0)))
        out.assign(node, "Add", x, out.weight(node, "out_bias"))
    else:
        out.assign(node, "MatMul", x, out.weight(node, "out_weight", axes=(1, 0)))


def _affine(node: Node, out: GraphWriter, x: ir.Value, name: str, shape: tuple[Dim, ...]) -> ir.Value:
    """`MatMul` by a transposed weight, and `Add` of its bias if there is one."""
    x = out.step(node, name, "MatMul", x, out.weight(node, f"{name}_weight", axes=(1, 0)), shape=shape)
    bias = out.weight(node, f"{name}_bias")
    return x if bias is None else out.step(node, f"{name}_shifted", "Add", x, bias, shape=shape)
