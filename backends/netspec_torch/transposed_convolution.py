"""Transposed convolution in torch: NCHW, weights (C, filters/groups, kh, kw) as in the graph."""

from typing import NamedTuple

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, Range, Subscript, call, range_of
from netspec.ops import ConvTranspose2d
from netspec.ops.attributes import both
from netspec_torch.geometry import pair
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


class Cut(NamedTuple):
    """What torch is told for one axis, and what is left to cut off: torch cuts the same off both ends."""

    padding: int
    output_padding: int
    start: int
    end: int


def cut(before: int, after: int, extra: int, step: int) -> Cut:
    """The cut of `before` at the start and `after` at the end, with `extra` added there; torch allows less than `step`.

    >>> cut(1, 0, 0, 2), cut(0, 2, 0, 2)
    (Cut(padding=1, output_padding=1, start=0, end=0), Cut(padding=0, output_padding=0, start=0, end=2))
    """
    padding = min(before, after - extra + step - 1)
    added = extra - after + padding
    return Cut(padding, max(0, added), before - padding, max(0, -added))


@lowers(ConvTranspose2d)
def conv_transpose2d(op: ConvTranspose2d, node: Node, out: ModuleWriter) -> None:
    """`nn.ConvTranspose2d`; what its padding and output_padding cannot say is cut off afterwards."""
    p, s, d, extra = op.padding, op.stride, op.dilation, op.output_padding
    rows = cut(p.top, p.bottom, extra.height, max(s.height, d.height))
    columns = cut(p.left, p.right, extra.width, max(s.width, d.width))
    optional: dict[str, LiteralValue] = {}
    if s != both(1):
        optional["stride"] = pair(s)
    if rows.padding or columns.padding:
        optional["padding"] = _pair(rows.padding, columns.padding)
    if rows.output_padding or columns.output_padding:
        optional["output_padding"] = _pair(rows.output_padding, columns.output_padding)
    if op.groups != 1:
        optional["groups"] = op.groups
    if not op.bias:
        optional["bias"] = False
    if d != both(1):
        optional["dilation"] = pair(d)
    channels = node.input_types[0].features[0]
    layer = out.declare(node, "nn.ConvTranspose2d", channels, op.filters, kernel_size=pair(op.kernel_size), **optional)
    out.bind(node, weight="weight", bias="bias")
    y = call(layer, *out.inputs(node))
    if any((rows.start, rows.end, columns.start, columns.end)):
        _, height, width = node.type.features
        larger = (op.filters, height + rows.start + rows.end, width + columns.start + columns.end)
        x = out.step(node, y, str(node.type.with_features(*larger)))
        out.assign(node, Subscript(x, (Range(), Range(), _range(rows), _range(columns))))
    else:
        out.assign(node, y)


def _pair(height: int, width: int) -> LiteralValue:
    return height if height == width else (height, width)


def _range(of: Cut) -> Range:
    return range_of(of.start or None, -of.end or None)
