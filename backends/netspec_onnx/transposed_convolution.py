"""Transposed convolution in ONNX: NCHW, with weights (C, filters/groups, kh, kw) as in the graph."""

from netspec.graph import Node
from netspec.ops import ConvTranspose2d
from netspec_onnx.geometry import pair
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(ConvTranspose2d)
def conv_transpose2d(op: ConvTranspose2d, node: Node, out: GraphWriter) -> None:
    """`ConvTranspose`, whose pads are (top, left, bottom, right)."""
    (x,) = out.inputs(node)
    out.assign(
        node,
        "ConvTranspose",
        x,
        out.weight(node, "weight"),
        out.weight(node, "bias"),
        kernel_shape=pair(op.kernel_size),
        strides=pair(op.stride),
        pads=op.padding.sides,
        output_padding=(op.output_padding.height, op.output_padding.width),
        dilations=pair(op.dilation),
        group=op.groups,
    )
