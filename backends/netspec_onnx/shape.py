"""Ops that move elements, in ONNX."""

from netspec.graph import Node
from netspec.ops import Flatten, Identity, Pad2d, Permute, Reshape
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Identity)
def identity(op: Identity, node: Node, out: GraphWriter) -> None:
    """`Identity`: runtimes remove it, and the value keeps its name."""
    del op
    out.assign(node, "Identity", *out.inputs(node))


@lowers(Flatten)
def flatten(op: Flatten, node: Node, out: GraphWriter) -> None:
    """`Flatten`, in the order C, H, W."""
    del op
    out.assign(node, "Flatten", *out.inputs(node), axis=1)


@lowers(Reshape)
def reshape(op: Reshape, node: Node, out: GraphWriter) -> None:
    """`Reshape`, the batch kept."""
    out.assign(node, "Reshape", *out.inputs(node), out.target(node, "shape", node.type.shape))


@lowers(Permute)
def permute(op: Permute, node: Node, out: GraphWriter) -> None:
    """`Transpose`, the batch kept."""
    out.assign(node, "Transpose", *out.inputs(node), perm=(0, *op.axes))


@lowers(Pad2d)
def pad2d(op: Pad2d, node: Node, out: GraphWriter) -> None:
    """`Pad`, whose pads are the starts of all axes and then their ends."""
    (x,) = out.inputs(node)
    p = op.padding
    pads = out.constant(node, "pads", (0, 0, p.top, p.left, 0, 0, p.bottom, p.right))
    value = out.constant(node, "value", op.value) if op.mode == "constant" else None
    out.assign(node, "Pad", x, pads, value, mode=op.mode)
