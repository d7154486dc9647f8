"""Ops that move elements in ONNX, which has the same layout and axes as the graph."""

from netspec.graph import Node
from netspec.ops import ChannelShuffle, Flatten, Identity, Pad, Pad2d, Permute, Reshape, Roll, Slice
from netspec.types import BATCH, Dim
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Identity)
def identity(op: Identity, node: Node, out: GraphWriter) -> None:
    """`Identity`, which keeps the name of the value; runtimes remove it."""
    out.assign(node, "Identity", *out.inputs(node))


@lowers(Flatten)
def flatten(op: Flatten, node: Node, out: GraphWriter) -> None:
    """`Flatten`."""
    out.assign(node, "Flatten", *out.inputs(node), axis=1)


@lowers(Reshape)
def reshape(op: Reshape, node: Node, out: GraphWriter) -> None:
    """`Reshape` that keeps the batch."""
    out.assign(node, "Reshape", *out.inputs(node), out.target(node, "shape", node.type.shape))


@lowers(Permute)
def permute(op: Permute, node: Node, out: GraphWriter) -> None:
    """`Transpose` that keeps the batch first."""
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
    """`Reshape` to (groups, channels per group), `Transpose` of the two, and `Reshape` back."""
    (x,) = out.inputs(node)
    channels, *positions = node.type.features
    split: tuple[Dim, ...] = (BATCH, op.groups, channels // op.groups, *positions)
    interleaved: tuple[Dim, ...] = (BATCH, channels // op.groups, op.groups, *positions)
    x = out.step(node, "groups", "Reshape", x, out.target(node, "groups_shape", split), shape=split)
    x = out.step(node, "dealt", "Transpose", x, perm=(0, 2, 1, *range(3, len(split))), shape=interleaved)
    out.assign(node, "Reshape", x, out.target(node, "shape", node.type.shape))


@lowers(Roll)
def roll(op: Roll, node: Node, out: GraphWriter) -> None:
    """For each axis, `Concat` of two `Slice`: the end, which moves to the start, and the rest."""
    (x,) = out.inputs(node)
    sizes = node.type.features
    shifts = [(axis, shift % sizes[axis - 1]) for axis, shift in zip(op.axes, op.shifts, strict=True)]
    shifts = [(axis, shift) for axis, shift in shifts if shift]
    if not shifts:
        out.assign(node, "Identity", x)
    for index, (axis, shift) in enumerate(shifts, start=1):
        size = sizes[axis - 1]
        halves = []
        for name, start, stop in (("end", size - shift, size), ("start", 0, size - shift)):
            bounds = (out.constant(node, f"{name}_{axis}_{i}", [v]) for i, v in enumerate((start, stop, axis)))
            shape = [stop - start if a == axis else dim for a, dim in enumerate(node.type.shape)]
            halves.append(out.step(node, f"{name}_{axis}", "Slice", x, *bounds, shape=shape))
        if index == len(shifts):
            out.assign(node, "Concat", *halves, axis=axis)
        else:
            x = out.step(node, f"rolled_{axis}", "Concat", *halves, axis=axis)


@lowers(Pad)
def pad(op: Pad, node: Node, out: GraphWriter) -> None:
    """`Pad`, whose pads are the starts of all axes, then their ends."""
    (x,) = out.inputs(node)
    starts, ends = ([side if axis == op.axis else 0 for axis in range(node.type.rank)] for side in (op.start, op.end))
    out.assign(node, "Pad", x, out.constant(node, "pads", (*starts, *ends)), out.constant(node, "value", op.value))


@lowers(Pad2d)
def pad2d(op: Pad2d, node: Node, out: GraphWriter) -> None:
    """`Pad`, whose pads are the starts of all axes, then their ends."""
    (x,) = out.inputs(node)
    p = op.padding
    pads = out.constant(node, "pads", (0, 0, p.top, p.left, 0, 0, p.bottom, p.right))
    value = out.constant(node, "value", op.value) if op.mode == "constant" else None
    out.assign(node, "Pad", x, pads, value, mode=op.mode)
