"""Convolution in torch: NCHW, weights (filters, C/groups, kh, kw) as in the graph."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import Conv2d
from netspec.ops.attributes import both
from netspec_torch.geometry import pad, pair
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
