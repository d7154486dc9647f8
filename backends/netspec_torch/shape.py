"""Ops that move elements in torch, which has the same layout and axes as the graph."""

from netspec.graph import Node
from netspec.lowering.python.slices import bounds_of
from netspec.lowering.python.source import LiteralValue, call, method
from netspec.lowering.python.subscripts import bounds, part
from netspec.ops import ChannelShuffle, Flatten, Identity, Pad, Pad2d, Permute, Reshape, Roll, Slice
from netspec_torch.geometry import dim
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Identity)
def identity(op: Identity, node: Node, out: ModuleWriter) -> None:
    """The input itself; no statement if input and output share a variable."""
    (x,) = out.inputs(node)
    out.assign(node, x)


@lowers(Flatten)
def flatten(op: Flatten, node: Node, out: ModuleWriter) -> None:
    """`x.flatten(1)`, or x itself if it is flat; a value without features, (N,), is unsqueezed to (N, 1)."""
    (x,) = out.inputs(node)
    if node.input_types[0].rank == 1:
        out.assign(node, method(x, "unsqueeze", 1))
    else:
        out.assign(node, x if node.type in node.input_types else method(x, "flatten", 1))


@lowers(Reshape)
def reshape(op: Reshape, node: Node, out: ModuleWriter) -> None:
    """`x.flatten(axis)` if that is what it does, else `x.reshape(-1, …)`, where -1 is the batch."""
    (x,) = out.inputs(node)
    if out.all_instances(node, _joins_last_axes):
        out.assign(node, method(x, "flatten", node.type.rank - 1))
    else:
        out.assign(node, method(x, "reshape", -1, *node.type.features))


@lowers(Permute)
def permute(op: Permute, node: Node, out: ModuleWriter) -> None:
    """`x.permute(0, …)`."""
    (x,) = out.inputs(node)
    out.assign(node, method(x, "permute", 0, *op.axes))


@lowers(Slice)
def slice_(op: Slice, node: Node, out: ModuleWriter) -> None:
    """`x[:, start:stop]`, one expression for consecutive slices, or `x.chunk(of, dim=axis)`."""
    if op.part is not None and op.of is not None:
        (x,) = out.inputs(node)
        out.assign_part(node, method(x, "chunk", op.of, dim=dim(op.axis, node)), op.part)
    elif slices := out.slices_to(node):
        ranges = {axis: bounds(*along) for axis, along in bounds_of(slices)}
        comment = "" if node.type in slices[0].input_types else str(node.type)
        out.step(node, part(out.inputs(node)[0], ranges), comment)


@lowers(ChannelShuffle)
def channel_shuffle(op: ChannelShuffle, node: Node, out: ModuleWriter) -> None:
    """`F.channel_shuffle`."""
    out.assign(node, call("F.channel_shuffle", *out.inputs(node), op.groups))


@lowers(Roll)
def roll(op: Roll, node: Node, out: ModuleWriter) -> None:
    """`x.roll(shifts, dims)`."""
    (x,) = out.inputs(node)
    out.assign(node, method(x, "roll", op.shifts, op.axes))


@lowers(Pad)
def pad(op: Pad, node: Node, out: ModuleWriter) -> None:
    """`F.pad`, which takes (start, end) of the last axis first."""
    (x,) = out.inputs(node)
    if not op.start and not op.end:
        out.assign(node, x)
        return
    optional: dict[str, LiteralValue] = {"value": op.value} if op.value else {}
    out.assign(node, call("F.pad", x, (*(0, 0) * (node.type.rank - 1 - op.axis), op.start, op.end), **optional))


@lowers(Pad2d)
def pad2d(op: Pad2d, node: Node, out: ModuleWriter) -> None:
    """`F.pad`, which takes (left, right, top, bottom)."""
    (x,) = out.inputs(node)
    p = op.padding
    optional: dict[str, LiteralValue] = {}
    if op.mode == "reflect":
        optional["mode"] = "reflect"
    elif op.value:
        optional["value"] = op.value
    out.assign(node, call("F.pad", x, (p.left, p.right, p.top, p.bottom), **optional) if p else x)


def _joins_last_axes(node: Node) -> bool:
    """Whether a reshape joins all axes from its last one on, and leaves those before as they are."""
    (x,), kept = node.input_types, node.type.rank - 1
    return x.rank > node.type.rank and x.shape[:kept] == node.type.shape[:kept]
