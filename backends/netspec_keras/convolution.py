"""Convolution in Keras: NHWC, with kernels (kh, kw, C/groups, filters); the graph has (filters, C/groups, kh, kw)."""

from netspec.graph import Node
from netspec.lowering.python.source import Call, LiteralValue, call
from netspec.ops import Conv2d
from netspec.ops.attributes import Same, both, resolve_padding
from netspec_keras.geometry import is_same, padded, pair, sides
from netspec_keras.layout import native_features
from netspec_keras.table import lowers
from netspec_keras.writer import PAD, ModelWriter


@lowers(Conv2d)
def conv2d(op: Conv2d, node: Node, out: ModelWriter) -> None:
    """`layers.Conv2D`, or for groups `layers.DepthwiseConv2D` or our `GroupedConv2D`.

    Keras has only `same` padding, so other padding is a `layers.ZeroPadding2D` before the layer. Its layers refuse a
    stride together with a dilation: our `DilatedConv2D` and `DilatedDepthwiseConv2D` take both. Our `PointwiseConv2D`
    avoids a bug in TensorFlow's gradient of strided 1x1 convolutions.
    """
    (x,) = out.inputs(node)
    optional: dict[str, LiteralValue] = {}
    if op.stride != both(1):
        optional["strides"] = pair(op.stride)
    if out.all_instances(node, _is_known) and _uses_same(op, node, out):
        optional["padding"] = "same"
    elif op.explicit_padding:
        layer = call("layers.ZeroPadding2D", sides(op.explicit_padding))
        x = out.apply(node, layer, x, role=PAD, features=padded(node.input_types[0], op.explicit_padding))
    if op.dilation != both(1):
        optional["dilation_rate"] = pair(op.dilation)
    if not op.bias:
        optional["use_bias"] = False
    out.apply(node, _layer(op, node, out, optional), x, features=native_features(node.type))


def _uses_same(op: Conv2d, node: Node, out: ModelWriter) -> bool:
    """Whether `padding="same"` is used; also without any padding, if other instances of the block have some."""
    if op.explicit_padding:
        return out.all_instances(node, _is_same_or_unpadded)
    return out.all_instances(node, _equals_same) and not out.all_instances(node, _is_unpadded)


def _equals_same(node: Node) -> bool:
    """Whether `padding="same"` gives this padding, which may be none."""
    op = node.op
    if not isinstance(op, Conv2d):
        return False
    _, height, width = node.input_types[0].features
    return op.explicit_padding == resolve_padding(
        Same(same="tf"), (height, width), op.kernel_size, op.stride, op.dilation
    )


def _is_unpadded(node: Node) -> bool:
    return isinstance(node.op, Conv2d) and not node.op.explicit_padding


def _is_same_or_unpadded(node: Node) -> bool:
    """Whether there is no padding, or `padding="same"` gives it."""
    op, x = node.op, node.input_types[0]
    return isinstance(op, Conv2d) and (
        not op.explicit_padding or is_same(x, op.explicit_padding, op.kernel_size, op.stride, op.dilation)
    )


def _layer(op: Conv2d, node: Node, out: ModelWriter, optional: dict[str, LiteralValue]) -> Call:
    """The layer of a convolution; binds its weights."""
    channels, kernel = node.input_types[0].features[0], op.kernel_size
    if _is_depthwise(node):
        multiplier = op.filters // channels
        if multiplier != 1:
            optional["depth_multiplier"] = multiplier
        # Filter c·m + j of the graph is kernel[:, :, c, j], where m is the multiplier.
        view = (channels, multiplier, 1, kernel.height, kernel.width)
        shape = (kernel.height, kernel.width, channels, multiplier)
        out.bind(node, "weight", "kernel", axes=(3, 4, 2, 0, 1), view=view, native_shape=shape)
        out.bind(node, "bias", "bias")
        known = out.all_instances(node, _is_known)
        return call("layers.DepthwiseConv2D" if known else "DilatedDepthwiseConv2D", pair(kernel), **optional)
    out.bind(node, "weight", "kernel", axes=(2, 3, 1, 0))
    out.bind(node, "bias", "bias")
    if out.all_instances(node, _is_pointwise) and not out.all_instances(node, _is_safe):
        settings = {name: value for name, value in optional.items() if name != "padding"}  # `same` is none for 1x1
        return call("PointwiseConv2D", op.filters, 1, **settings, **({"groups": op.groups} if op.groups > 1 else {}))
    if not out.all_instances(node, _is_known):
        groups: dict[str, LiteralValue] = {"groups": op.groups} if op.groups > 1 else {}
        return call("DilatedConv2D", op.filters, pair(kernel), **groups, **optional)
    if out.all_instances(node, _has_no_groups):
        return call("layers.Conv2D", op.filters, pair(kernel), **optional)
    return call("GroupedConv2D", op.filters, pair(kernel), groups=op.groups, **optional)


def _is_known(node: Node) -> bool:
    """Whether the layers of Keras take the stride and the dilation: both together they refuse."""
    return isinstance(node.op, Conv2d) and both(1) in (node.op.stride, node.op.dilation)


def _is_depthwise(node: Node) -> bool:
    """Whether `layers.DepthwiseConv2D` does it: TensorFlow's requires equal strides."""
    op, channels = node.op, node.input_types[0].features[0]
    return isinstance(op, Conv2d) and 1 < op.groups == channels and op.stride.height == op.stride.width


def _has_no_groups(node: Node) -> bool:
    """Whether there is one group, or as many as channels, for which there is another layer."""
    return isinstance(node.op, Conv2d) and (node.op.groups == 1 or _is_depthwise(node))


def _is_pointwise(node: Node) -> bool:
    return isinstance(node.op, Conv2d) and node.op.kernel_size == node.op.dilation == both(1)


def _is_safe(node: Node) -> bool:
    """Whether TensorFlow's gradient of a 1x1 convolution is safe: no strides, or a multiple of 16 channels."""
    op, channels = node.op, node.input_types[0].features[0]
    return isinstance(op, Conv2d) and (op.stride == both(1) or channels // op.groups % 16 == 0)
