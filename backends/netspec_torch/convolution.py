"""Convolution in torch: NCHW, weights (filters, C/groups, kh, kw) as in the graph."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import Conv2d
from netspec.ops.attributes import both
from netspec_torch.geometry import height_and_width, pad, pair, sides
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Conv2d)
def conv2d(op: Conv2d, node: Node, out: ModuleWriter) -> None:
    """`nn.Conv2d`, after an `F.pad` where the padding is asymmetric.

    If it is asymmetric in only some instances of a block, all of them use `PaddedConv2d` and share a class.
    """
    p = op.explicit_padding
    symmetric = out.all_instances(node, _is_symmetric)
    mixed = not symmetric and not out.all_instances(node, _is_asymmetric)
    optional: dict[str, LiteralValue] = {}
    if op.stride != both(1):
        optional["stride"] = pair(op.stride)
    if p and (symmetric or mixed):
        optional["padding"] = height_and_width(p) if symmetric else sides(p)
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
    out.assign(node, call(layer, x if symmetric or mixed else pad(node, out, x, p)))


def _is_symmetric(node: Node) -> bool:
    return isinstance(node.op, Conv2d) and node.op.explicit_padding.symmetric


def _is_asymmetric(node: Node) -> bool:
    return not _is_symmetric(node)
