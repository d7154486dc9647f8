"""Attention in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import MultiHeadAttention, ScaledDotProductAttention
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(ScaledDotProductAttention)
def scaled_dot_product_attention(op: ScaledDotProductAttention, node: Node, out: ModelWriter) -> None:
    """Our `ScaledDotProductAttention`: the softmax of `ops.dot_product_attention` is in float32 even for float64."""
    settings: dict[str, LiteralValue] = {"causal": True} if op.causal else {}
    out.apply(node, call("ScaledDotProductAttention", **settings), *out.inputs(node))


@lowers(MultiHeadAttention)
def multi_head_attention(op: MultiHeadAttention, node: Node, out: ModelWriter) -> None:
    """Our `MultiHeadSelfAttention`, which has one kernel for queries, keys and values, like the graph."""
    for name in ("in", "out"):
        out.bind(node, f"{name}_weight", f"{name}_kernel", axes=(1, 0))
        out.bind(node, f"{name}_bias", f"{name}_bias")
    optional: dict[str, LiteralValue] = {} if op.bias else {"use_bias": False}
    out.apply(node, call("MultiHeadSelfAttention", op.heads, **optional), *out.inputs(node))
