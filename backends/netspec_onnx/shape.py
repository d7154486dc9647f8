"""Ops that move elements, in ONNX."""

from netspec.graph import Node
from netspec.ops import ChannelShuffle, Flatten, Identity, Pad, Pad2d, Permute, Reshape, Roll, Slice
from netspec.types import BATCH, Dim
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Identity)
def identity(op: Identity, node: Node, out: GraphWriter) -> None:
    """`Identity`: runtimes remove it, and the value keeps its name."""
    out.assign(node, "Identity", *out.inputs(node))


@lowers(Flatten)
def flatten(op: Flatten, node: Node, out: GraphWriter) -> None:
    """`Flatten`, in the order C, H, W."""
    out.assign(node, "Flatten", *out.inputs(node), axis=1)


@lowers(Reshape)
def reshape(op: Reshape, node: Node, out: GraphWriter) -> None:
    """`Reshape`, the batch kept."""
    out.assign(node, "Reshape", *out.inputs(node), out.target(node, "shape", node.type.shape))


@lowers(Permute)
def permute(op: Permute, node: Node, out: GraphWriter) -> None:
    """`Transpose`, the batch kept."""
    out.assign(node, "Transpose", *out.inputs(node), perm=(0, *op.axes))


@lowers(Slice)
def slice_(op: Slice, node: Node, out: GraphWriter) -> None:
    """`Slice` of one axis."""
    (x,) = out.inputs(node)
    start, stop, step = op.bounds(node.input_types[0])
    bounds = {"start": start, "stop": stop, "axis": op.axis, "step": step}
    out.assign(node, "Slice", x, *(out.constant(node, name, [value]) for name, value in bounds.items()))


@lowers(ChannelShuffle)
def channel_shuffle(op: ChannelShuffle, node: Node, out: GraphWriter) -> None:
    """`Transpose` of groups and the channels of a group, between two `Reshape`."""
    (x,) = out.inputs(node)
    channels, *positions = node.type.features
    split: tuple[Dim, ...] = (BATCH, op.groups, channels // op.groups, *positions)
    dealt: tuple[Dim, ...] = (BATCH, channels // op.groups, op.groups, *positions)
    x = out.step(node, "groups", "Reshape", x, out.target(node, "groups_shape", split), shape=split)
    x = out.step(node, "dealt", "Transpose", x, perm=(0, 2, 1, *range(3, len(split))), shape=dealt)
    out.assign(node, "Reshape", x, out.target(node, "shape", node.type.shape))


@lowers(Roll)
def roll(op: Roll, node: Node, out: GraphWriter) -> None:
    """`Concat` of two `Slice` for each axis: what comes in at the start, then the rest."""
    (x,) = out.inputs(node)
    sizes = node.type.features
    turned = [(axis, by % sizes[axis - 1]) for axis, by in zip(op.axes, op.shifts, strict=True)]
    turned = [(axis, by) for axis, by in turned if by]
    if not turned:
        out.assign(node, "Identity", x)
    for index, (axis, by) in enumerate(turned, start=1):
        size = sizes[axis - 1]
        halves = []
        for name, start, stop in (("end", size - by, size), ("start", 0, size - by)):
            bounds = (out.constant(node, f"{name}_{axis}_{i}", [v]) for i, v in enumerate((start, stop, axis)))
            shape = [stop - start if a == axis else dim for a, dim in enumerate(node.type.shape)]
            halves.append(out.step(node, f"{name}_{axis}", "Slice", x, *bounds, shape=shape))
        if index == len(turned):
            out.assign(node, "Concat", *halves, axis=axis)
        else:
            x = out.step(node, f"rolled_{axis}", "Concat", *halves, axis=axis)


@lowers(Pad)
def pad(op: Pad, node: Node, out: GraphWriter) -> None:
    """`Pad`, whose pads are the starts of all axes and then their ends."""
    (x,) = out.inputs(node)
    starts, ends = ([side if axis == op.axis else 0 for axis in range(node.type.rank)] for side in (op.start, op.end))
    out.assign(node, "Pad", x, out.constant(node, "pads", (*starts, *ends)), out.constant(node, "value", op.value))


@lowers(Pad2d)
def pad2d(op: Pad2d, node: Node, out: GraphWriter) -> None:
    """`Pad`, whose pads are the starts of all axes and then their ends."""
    (x,) = out.inputs(node)
    p = op.padding
    pads = out.constant(node, "pads", (0, 0, p.top, p.left, 0, 0, p.bottom, p.right))
    value = out.constant(node, "value", op.value) if op.mode == "constant" else None
    out.assign(node, "Pad", x, pads, value, mode=op.mode)
