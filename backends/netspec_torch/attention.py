"""Attention in torch, whose own function and layer have the layout of the graph's weights."""

from netspec.graph import Node
from netspec.lowering.python.source import Expression, LiteralValue, Subscript, call
from netspec.ops import MultiHeadAttention, ScaledDotProductAttention
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(ScaledDotProductAttention)
def scaled_dot_product_attention(op: ScaledDotProductAttention, node: Node, out: ModuleWriter) -> None:
    """`F.scaled_dot_product_attention`, whose default scale is 1/√d. It takes `is_causal` or a mask, but not both."""
    q, k, v, *bias = out.inputs(node)
    optional: dict[str, Expression | LiteralValue] = {"is_causal": True} if op.causal else {}
    if bias:
        optional = {"attn_mask": bias[0]}
        if op.causal:
            out.support("causal_bias")
            optional = {"attn_mask": call("causal_bias", bias[0], q)}
    out.assign(node, call("F.scaled_dot_product_attention", q, k, v, **optional))


@lowers(MultiHeadAttention)
def multi_head_attention(op: MultiHeadAttention, node: Node, out: ModuleWriter) -> None:
    """`nn.MultiheadAttention` as self-attention, batch first; the output is the first of its two results."""
    (x,), width = out.inputs(node), node.type.features[-1]
    optional: dict[str, LiteralValue] = {} if op.bias else {"bias": False}
    layer = out.declare(node, "nn.MultiheadAttention", width, op.heads, **optional, batch_first=True)
    out.bind(
        node,
        in_weight="in_proj_weight",
        in_bias="in_proj_bias",
        out_weight="out_proj.weight",
        out_bias="out_proj.bias",
    )
    out.assign(node, Subscript(call(layer, x, x, x, need_weights=False), (0,)))
