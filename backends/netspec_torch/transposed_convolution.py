"""Transposed convolution in torch: NCHW, with weights (C, filters/groups, kh, kw) as in the graph."""

from typing import NamedTuple

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, Range, Subscript, call
from netspec.lowering.python.subscripts import range_of
from netspec.ops import ConvTranspose2d
from netspec.ops.attributes import both
from netspec_torch.geometry import pair
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


class Crop(NamedTuple):
    """The cropping of one axis.

    Attributes:
        padding: torch's argument, which crops as much at both ends.
        output_padding: torch's argument, which extends the end.
        start, end: the number of elements still to crop by a slice.
    """

    padding: int
    output_padding: int
    start: int
    end: int


def crop(before: int, after: int, extra: int, limit: int) -> Crop:
    """Crop `before` elements at the start and `after` at the end of an axis that is extended by `extra` at the end.

    The `output_padding` of torch must be less than `limit`.

    >>> crop(1, 0, 0, 2), crop(0, 2, 0, 2)
    (Crop(padding=1, output_padding=1, start=0, end=0), Crop(padding=0, output_padding=0, start=0, end=2))
    """
    padding = min(before, after - extra + limit - 1)
    added = extra - after + padding
    return Crop(padding, max(0, added), before - padding, max(0, -added))


@lowers(ConvTranspose2d)
def conv_transpose2d(op: ConvTranspose2d, node: Node, out: ModuleWriter) -> None:
    """`nn.ConvTranspose2d`, and a slice for the part of an asymmetric crop that its arguments cannot express."""
    p, s, d, extra = op.padding, op.stride, op.dilation, op.output_padding
    rows = crop(p.top, p.bottom, extra.height, max(s.height, d.height))
    columns = crop(p.left, p.right, extra.width, max(s.width, d.width))
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


def _range(axis: Crop) -> Range:
    return range_of(axis.start or None, -axis.end or None)
