"""Convolution in torch: NCHW, weights (filters, C/groups, kh, kw) as in the graph."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import Conv2d
from netspec.ops.attributes import both
from netspec_torch.geometry import pad, pair, sides, symmetric
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Conv2d)
def conv2d(op: Conv2d, node: Node, out: ModuleWriter) -> None:
    """`nn.Conv2d`; padding that differs from side to side is an `F.pad` before it.

    Where it does in some instances of a block alone, each of them is a `PaddedConv2d`.
    """
    p = op.sides
    even = out.all_alike(node, _is_even)
    mixed = not even and not out.all_alike(node, _is_uneven)
    optional: dict[str, LiteralValue] = {}
    if op.stride != both(1):
        optional["stride"] = pair(op.stride)
    if p and (even or mixed):
        optional["padding"] = symmetric(p) if even else sides(p)
    if op.dilation != both(1):
        optional["dilation"] = pair(op.dilation)
    if op.groups != 1:
        optional["groups"] = op.groups
    if not op.bias:
        optional["bias"] = False
    channels = node.input_types[0].features[0]
    if mixed:
        out.support("conv2d")
    layer = out.declare(
        node,
        "PaddedConv2d" if mixed else "nn.Conv2d",
        channels,
        op.filters,
        kernel_size=pair(op.kernel_size),
        **optional,
    )
    out.bind(node, weight="weight", bias="bias")
    (x,) = out.inputs(node)
    out.assign(node, call(layer, x if even or mixed else pad(node, out, x, p)))


def _is_even(node: Node) -> bool:
    """Whether both sides of each axis are padded alike."""
    return isinstance(node.op, Conv2d) and node.op.sides.symmetric


def _is_uneven(node: Node) -> bool:
    return not _is_even(node)
