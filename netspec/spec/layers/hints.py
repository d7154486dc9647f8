"""Hints at what the writer of a layer probably meant: an op by its name in another library, a misplaced key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from netspec.ops import OPS
from netspec.spec.expressions.expression import names_in
from netspec.spec.expressions.hints import SIZES, hidden_by_a_parameter
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, ScalarNode, scalars_in
from netspec.spec.text.hints import did_you_mean, foreign_letter, nearest

OPS_HINT: Final = "`netspec ops` lists them"

# Names of the ops in papers and other libraries, where they are not similar enough to be found by `nearest`.
_OTHER_NAMES: Final = {
    "linear": "dense",
    "fc": "dense",
    "fully_connected": "dense",
    "inner_product": "dense",
    "convolution": "conv2d",
    "conv": "conv2d",
    "depthwise_conv2d": "conv2d",
    "deconv": "conv_transpose2d",
    "deconv2d": "conv_transpose2d",
    "pool": "max_pool2d",
    "lrn": "local_response_norm",
    "bn": "batch_norm",
    "gap": "global_avg_pool2d",
    "global_average_pooling2d": "global_avg_pool2d",
    "zero_padding2d": "pad2d",
    "upsample": "resize",
    "upsampling2d": "resize",
    "interpolate": "resize",
    "swish": "silu",
    "logistic": "sigmoid",
    "eltwise": "add",
    "sum": "add",
    "residual": "add",
    "mul": "multiply",
    "div": "divide",
    "max": "maximum",
    "min": "minimum",
    "amax": "reduce_max",
    "amin": "reduce_min",
    "pow": "power",
    "sqrt": "power",
    "rsqrt": "power",
    "square": "power",
    "reciprocal": "power",
    "clamp": "clip",
    "hardtanh": "clip",
    "norm": "reduce_l2",
    "cat": "concat",
    "concatenate": "concat",
    "split": "slice",
    "chunk": "slice",
    "view": "reshape",
    "bmm": "matmul",
    "einsum": "matmul",
    "dot": "matmul",
    "transpose": "permute",
    "drop_path": "stochastic_depth",
    "buffer": "constant",
    "self_attention": "multi_head_attention",
    "mha": "multi_head_attention",
    "attention": "scaled_dot_product_attention",
    "cross_attention": "scaled_dot_product_attention",
}


def op_hint(name: str, blocks: Collection[str]) -> str:
    """A hint at the op or block that an unknown name may have meant."""
    if name in blocks:
        return f"`block: {name}` uses the block"
    bare = name.rpartition(".")[2].lower()
    op = next((op for other, op in _OTHER_NAMES.items() if bare in (other, other.replace("_", ""))), "")
    if hint := f"did you mean {op!r}?" if op else did_you_mean(name, OPS):
        return hint
    block = nearest(name, blocks)
    return f"did you mean `block: {block}`?" if block else OPS_HINT


def missing_op_hint(name: str, node: MappingNode, blocks: Mapping[str, object]) -> str:
    """A hint for a layer without `op`, from a key that may state the op, or from the layer's name."""
    for key, entry in node.entries.items():
        if hint := _op_key_hint(key, entry, blocks):
            return hint
    near, block = (nearest(name.rstrip("0123456789_"), known) for known in (OPS, blocks))
    return f"perhaps `op: {near}`" if near else f"perhaps `block: {block}`" if block else OPS_HINT


def hidden_size_hint(node: DocumentNode, parameters: Mapping[str, Collection[str]]) -> str:
    """A hint that an expression uses a parameter where a size of the arriving map may have been meant, or empty.

    Args:
        node: the value with the expression.
        parameters: the parameters that it sees, and the names that the default of each uses, if it has that.
    """
    used = {name for scalar in scalars_in(node) if scalar.expression for name in names_in(scalar.expression)}
    pending = [*used]
    while pending:
        new = {*parameters.get(pending.pop(), ())} - used
        used |= new
        pending += new
    return next((hidden_by_a_parameter(name) for name in SIZES if name in used and name in parameters), "")


def _op_key_hint(key: str, entry: Entry, blocks: Mapping[str, object]) -> str:
    """A hint for a key that was probably meant to state the op or the block; empty if it was not."""
    value = entry.value.value if isinstance(entry.value, ScalarNode) else None
    if foreign := foreign_letter(key):
        return f"{foreign}: is the key `op`?"
    for sign in (":", "="):
        before, separator, after = key.partition(sign)
        if separator and before in ("op", "block"):
            return f"a key is followed by a colon and a space: `{before}: {after.strip()}`"
    if key in OPS:
        return f"the op is a value: `{{op: {key}, …}}`"
    if not isinstance(value, str):
        return ""
    meant = "op" if value in OPS else "block" if value in blocks and nearest(key, ("block",)) else ""
    return f"write `{meant}: {value}`, not `{key}: {value}`" if meant else ""
