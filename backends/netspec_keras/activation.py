"""Activations in Keras."""

import math
from typing import Final

from netspec.graph import Node
from netspec.lowering.python.source import Call, LiteralValue, call
from netspec.ops import (
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Mish,
    PRelu,
    Relu,
    Relu6,
    Sigmoid,
    Silu,
    Softmax,
    Softplus,
    Tanh,
)
from netspec.ops.activation import Elementwise
from netspec_keras.layout import native_axis, native_features
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter

MOST_AXES_OF_SOFTMAX: Final = 5  # that TensorFlow supports


@lowers(Relu)
def relu(op: Relu, node: Node, out: ModelWriter) -> None:
    """`layers.ReLU`, whose gradient at 0 is 0."""
    out.apply(node, call("layers.ReLU"), *out.inputs(node))


@lowers(Relu6)
def relu6(op: Relu6, node: Node, out: ModelWriter) -> None:
    """`layers.ReLU` with a maximum of 6, as in keras.applications."""
    out.apply(node, call("layers.ReLU", 6.0), *out.inputs(node))


@lowers(LeakyRelu)
def leaky_relu(op: LeakyRelu, node: Node, out: ModelWriter) -> None:
    """Our `PreciseLeakyReLU`: `layers.LeakyReLU` takes no negative slope, and on TensorFlow rounds it to float32."""
    out.apply(node, call("PreciseLeakyReLU", negative_slope=op.negative_slope), *out.inputs(node))


@lowers(Tanh, Sigmoid, Silu, HardSigmoid, HardSwish, Softplus, Mish)
def activation(op: Elementwise, node: Node, out: ModelWriter) -> None:
    """`layers.Activation`, which has these functions under the names of the ops."""
    out.apply(node, call("layers.Activation", op.kind), *out.inputs(node))


@lowers(PRelu)
def prelu(op: PRelu, node: Node, out: ModelWriter) -> None:
    """Our `SlopedPReLU`, since the gradient of `layers.PReLU` at 0 is 0; slopes are shared along some or all axes."""
    rank = node.type.rank
    channels = native_axis(1, rank) % rank
    shared = tuple(axis for axis in range(1, rank) if op.shared or axis != channels)
    shape = tuple(1 if axis in shared else size for axis, size in enumerate(native_features(node.type), 1))
    out.bind(node, "weight", "alpha", native_shape=shape)
    settings: dict[str, LiteralValue] = {"shared_axes": shared} if shared else {}
    out.apply(
        node,
        call("SlopedPReLU", alpha_initializer=call("keras.initializers.Constant", 0.25), **settings),
        *out.inputs(node),
    )


@lowers(Elu)
def elu(op: Elu, node: Node, out: ModelWriter) -> None:
    """`layers.ELU`."""
    out.apply(node, call("layers.ELU", **({} if op.alpha == 1.0 else {"alpha": op.alpha})), *out.inputs(node))


@lowers(Gelu)
def gelu(op: Gelu, node: Node, out: ModelWriter) -> None:
    """Our `GELU`: on TensorFlow, `keras.activations.gelu` rounds its constants to float32."""
    out.apply(node, call("GELU", **({"approximate": True} if op.form == "tanh" else {})), *out.inputs(node))


@lowers(Softmax)
def softmax(op: Softmax, node: Node, out: ModelWriter) -> None:
    """`layers.Softmax`, between two reshapes if there are more axes than TensorFlow supports."""
    (x,) = out.inputs(node)
    axis = native_axis(op.axis, node.type.rank)
    if node.type.rank <= MOST_AXES_OF_SOFTMAX:
        out.apply(node, _softmax(axis), x)
        return
    features = node.type.features
    before, size, after = features[: op.axis - 1], features[op.axis - 1], features[op.axis :]
    folded = (math.prod(before), size, math.prod(after)) if after else (math.prod(before), size)
    x = out.apply(node, call("layers.Reshape", folded), x, role="folded", features=folded)
    x = out.apply(node, _softmax(2 if after else -1), x, role="softmax", features=folded)
    out.apply(node, call("layers.Reshape", features), x)


def _softmax(axis: int) -> Call:
    return call("layers.Softmax", **({} if axis == -1 else {"axis": axis}))
