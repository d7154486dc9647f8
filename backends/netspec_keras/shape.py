"""Ops that move elements in Keras; maps are permuted to C, H, W where the order of elements matters."""

from netspec.graph import Node
from netspec.lowering.python.slices import bounds_of
from netspec.lowering.python.source import LiteralValue, Name, call
from netspec.lowering.python.subscripts import bounds, part
from netspec.ops import ChannelShuffle, Flatten, Identity, Op, Pad, Pad2d, Permute, Reshape, Roll, Slice
from netspec_keras.geometry import sides
from netspec_keras.layout import (
    TO_CHANNELS_FIRST,
    TO_CHANNELS_LAST,
    mixes_order,
    native_axis,
    native_features,
)
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Identity)
def identity(op: Identity, node: Node, out: ModelWriter) -> None:
    """`layers.Identity`."""
    out.apply(node, call("layers.Identity"), *out.inputs(node))


@lowers(Flatten)
def flatten(op: Flatten, node: Node, out: ModelWriter) -> None:
    """`layers.Flatten`, after a permutation unless the order H, W, C is allowed (`flattened_channels_last`)."""
    (x,) = out.inputs(node)
    x = x if out.is_channels_last(node.name) else _channels_first(node, out, x)
    out.apply(node, call("layers.Flatten"), x)


@lowers(Reshape, Permute)
def rearrange(op: Op, node: Node, out: ModelWriter) -> None:
    """`layers.Reshape` and `layers.Permute`: for all reshapes and permutations in a row as few as will do."""
    if not (row := out.row_to(node)):
        return
    (x,) = out.inputs(row[0])
    if (steps := out.steps_to(node)) is None:
        _reshape(node, out, x)
        return
    if not steps:
        out.assign(node, x)
    for step in steps:
        role = "" if step is steps[-1] else step.role
        x = out.apply(node, step.layer, x, role=role, features=step.features)


@lowers(Slice)
def slice_(op: Slice, node: Node, out: ModelWriter) -> None:
    """`x[:, :, :, start:stop]`, one expression for consecutive slices, or `ops.split(x, of, axis=axis)`."""
    rank = node.type.rank
    if op.part is not None and op.of is not None:
        (x,) = out.inputs(node)
        out.assign_part(node, call("ops.split", x, op.of, axis=native_axis(op.axis, rank)), op.part)
    elif slices := out.slices_to(node):
        ranges = {native_axis(axis, rank) % rank: bounds(*along) for axis, along in bounds_of(slices)}
        features = () if node.type in slices[0].input_types else native_features(node.type)
        out.assign(node, part(out.inputs(node)[0], ranges), features)


@lowers(ChannelShuffle)
def channel_shuffle(op: ChannelShuffle, node: Node, out: ModelWriter) -> None:
    """Our `ChannelShuffle`, which Keras lacks."""
    axis = native_axis(1, node.type.rank)
    settings: dict[str, LiteralValue] = {} if axis == -1 else {"axis": axis}
    out.apply(node, call("ChannelShuffle", op.groups, **settings), *out.inputs(node))


@lowers(Roll)
def roll(op: Roll, node: Node, out: ModelWriter) -> None:
    """`ops.roll`, along the native positions of the axes."""
    (x,), rank = out.inputs(node), node.type.rank
    axes = tuple(native_axis(axis, rank) % rank for axis in op.axes)
    out.assign(node, call("ops.roll", x, op.shifts, axes))


@lowers(Pad)
def pad(op: Pad, node: Node, out: ModelWriter) -> None:
    """`ops.pad`, which takes (start, end) of every axis."""
    (x,) = out.inputs(node)
    rank = node.type.rank
    padded = native_axis(op.axis, rank) % rank
    widths = tuple((op.start, op.end) if axis == padded else (0, 0) for axis in range(rank))
    optional: dict[str, LiteralValue] = {"constant_values": op.value} if op.value else {}
    out.assign(node, call("ops.pad", x, widths, **optional))


@lowers(Pad2d)
def pad2d(op: Pad2d, node: Node, out: ModelWriter) -> None:
    """`layers.ZeroPadding2D`, our `ConstantPadding2D` for other values, or our `ReflectionPadding2D`."""
    if op.mode == "reflect":
        layer = call("ReflectionPadding2D", sides(op.padding))
    elif op.value:
        layer = call("ConstantPadding2D", sides(op.padding), value=op.value)
    else:
        layer = call("layers.ZeroPadding2D", sides(op.padding))
    out.apply(node, layer, *out.inputs(node))


def _reshape(node: Node, out: ModelWriter, x: Name) -> None:
    """A reshape by way of the canonical order of elements."""
    x = _channels_first(node, out, x)
    if not mixes_order(node.type):
        out.apply(node, call("layers.Reshape", native_features(node.type)), x)
        return
    features = node.type.features
    x = out.apply(node, call("layers.Reshape", features), x, role="channels_first", features=features)
    out.apply(node, call("layers.Permute", TO_CHANNELS_LAST), x)


def _channels_first(node: Node, out: ModelWriter, x: Name) -> Name:
    """Permute a map to C, H, W; a value whose elements have that order already stays as it is."""
    value = node.input_types[0]
    if not mixes_order(value):
        return x
    role = "channels_first" if node.type.rank != 4 else "from_channels_last"
    return out.apply(node, call("layers.Permute", TO_CHANNELS_FIRST), x, role=role, features=value.features)
