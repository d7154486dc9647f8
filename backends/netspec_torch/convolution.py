"""Convolution in torch: NCHW, weights (filters, C/groups, kh, kw) as in the graph."""

from netspec.graph import Node
from netspec.lowering.source import Expression, LiteralValue, Name, call
from netspec.ops import Conv2d
from netspec.ops.attributes import Padding, Size2d, both
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Conv2d)
def conv2d(op: Conv2d, node: Node, out: ModuleWriter) -> None:
    """`nn.Conv2d`; padding that differs from side to side is an `F.pad` before it."""
    p = op.sides
    optional: dict[str, LiteralValue] = {}
    if op.stride != both(1):
        optional["stride"] = pair(op.stride)
    if p.symmetric and p:
        optional["padding"] = p.top if p.top == p.left else (p.top, p.left)
    if op.dilation != both(1):
        optional["dilation"] = pair(op.dilation)
    if op.groups != 1:
        optional["groups"] = op.groups
    if not op.bias:
        optional["bias"] = False
    channels = node.input_types[0].features[0]
    layer = out.declare(node, "nn.Conv2d", channels, op.filters, kernel_size=pair(op.kernel_size), **optional)
    out.bind(node, weight="weight", bias="bias")
    (x,) = out.inputs(node)
    out.assign(node, call(layer, x if p.symmetric else pad(node, out, x, p)))


def pair(size: Size2d) -> LiteralValue:
    """A size as torch takes it: one integer when it is square, else (height, width)."""
    return size.height if size.height == size.width else (size.height, size.width)


def pad(
    node: Node, out: ModuleWriter, x: Name, p: Padding, more: tuple[int, int] = (0, 0), **value: Expression
) -> Name:
    """The padded map as a step of its own. `F.pad` takes (left, right, top, bottom).

    Args:
        node: the node that reads the padded map.
        out: the writer.
        x: the map.
        p: the padding.
        more: rows at the bottom and columns at the right beyond it.
        value: `value=...` where it is not zeros.
    """
    bottom, right = p.bottom + more[0], p.right + more[1]
    channels, height, width = node.input_types[0].features
    padded = node.input_types[0].with_features(channels, height + p.top + bottom, width + p.left + right)
    return out.step(node, call("F.pad", x, (p.left, right, p.top, bottom), **value), str(padded))
