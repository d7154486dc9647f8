"""Transposed convolution in Keras: kernels (kh, kw, filters/groups, C); the graph has (C, filters/groups, kh, kw)."""

from netspec.graph import Node
from netspec.lowering.python.source import Call, LiteralValue, call
from netspec.ops import ConvTranspose2d
from netspec.ops.attributes import Padding, both, padding_of
from netspec_keras.geometry import pair, sides
from netspec_keras.layout import native_features
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(ConvTranspose2d)
def conv_transpose2d(op: ConvTranspose2d, node: Node, out: ModelWriter) -> None:
    """`layers.Conv2DTranspose` with padding `same`, or `valid` and a crop; our `CroppedConv2DTranspose` for the rest.

    The rest are groups, dilation, and an `output_padding` beyond the result of `valid`.
    """
    (x,) = out.inputs(node)
    out.bind(node, "weight", "kernel", axes=(2, 3, 1, 0))
    out.bind(node, "bias", "bias")
    optional: dict[str, LiteralValue] = {} if op.stride == both(1) else {"strides": pair(op.stride)}
    bias: dict[str, LiteralValue] = {} if op.bias else {"use_bias": False}
    crop = _crop_of_valid(op) if op.groups == 1 and op.dilation == both(1) else None
    if crop is None:
        out.apply(node, _cropped_layer(op, optional | bias), x)
    elif not crop or crop == _crop_of_same(op):
        optional |= {"padding": "same"} if crop else {}
        out.apply(node, call("layers.Conv2DTranspose", op.filters, pair(op.kernel_size), **optional, **bias), x)
    else:
        filters, height, width = node.type.features
        larger = (height + crop.top + crop.bottom, width + crop.left + crop.right, filters)
        layer = call("layers.Conv2DTranspose", op.filters, pair(op.kernel_size), **optional, **bias)
        x = out.apply(node, layer, x, features=larger)
        out.apply(node, call("layers.Cropping2D", sides(crop)), x, role="crop", features=native_features(node.type))


def _crop_of_valid(op: ConvTranspose2d) -> Padding | None:
    """The crop of each side that turns the result of `valid` into that of the op; None if `valid` gives less.

    `valid` gives (H - 1) * stride + max(k, stride) rows.
    """
    k, s, p, extra = op.kernel_size, op.stride, op.padding, op.output_padding
    bottom = p.bottom - extra.height + max(0, s.height - k.height)
    right = p.right - extra.width + max(0, s.width - k.width)
    return padding_of((p.top, p.left, bottom, right)) if bottom >= 0 and right >= 0 else None


def _crop_of_same(op: ConvTranspose2d) -> Padding:
    """The crop that turns the result of `valid` into that of `same`, H * stride rows; an odd row goes from the end."""
    k, s = op.kernel_size, op.stride
    rows, columns = max(0, k.height - s.height), max(0, k.width - s.width)
    return padding_of((rows // 2, columns // 2, rows - rows // 2, columns - columns // 2))


def _cropped_layer(op: ConvTranspose2d, optional: dict[str, LiteralValue]) -> Call:
    """Our `CroppedConv2DTranspose`, which supports all arguments of the op."""
    p, extra = op.padding, op.output_padding
    if p:
        optional["crop"] = ((p.top, p.bottom), (p.left, p.right))
    if extra.height or extra.width:
        optional["output_padding"] = (extra.height, extra.width)
    if op.dilation != both(1):
        optional["dilation_rate"] = pair(op.dilation)
    if op.groups != 1:
        optional["groups"] = op.groups
    return call("CroppedConv2DTranspose", op.filters, pair(op.kernel_size), **optional)
