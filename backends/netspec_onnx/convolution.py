"""Convolution in ONNX: NCHW, with weights (filters, C/groups, kh, kw) as in the graph."""

from netspec.graph import Node
from netspec.ops import Conv2d
from netspec_onnx.geometry import pair
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Conv2d)
def conv2d(op: Conv2d, node: Node, out: GraphWriter) -> None:
    """`Conv`, whose pads are (top, left, bottom, right)."""
    (x,) = out.inputs(node)
    out.assign(
        node,
        "Conv",
        x,
        out.weight(node, "weight"),
        out.weight(node, "bias"),
        kernel_shape=pair(op.kernel_size),
        strides=pair(op.stride),
        pads=op.explicit_padding.sides,
        dilations=pair(op.dilation),
        group=op.groups,
    )
