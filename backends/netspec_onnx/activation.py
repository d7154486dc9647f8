"""Activations in ONNX."""

import math

from netspec.graph import Node
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
from netspec.ops.base import Op
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter

# The first opsets that have these operators.
GELU_OPSET = 20
HARD_SWISH_OPSET = 14
MISH_OPSET = 18
OPERATORS: dict[type[Op], str] = {Relu: "Relu", Sigmoid: "Sigmoid", Softplus: "Softplus", Tanh: "Tanh"}


@lowers(*OPERATORS)
def elementwise(op: Op, node: Node, out: GraphWriter) -> None:
    """The operator of the same name."""
    out.assign(node, OPERATORS[type(op)], *out.inputs(node))


@lowers(Relu6)
def relu6(op: Relu6, node: Node, out: GraphWriter) -> None:
    """`Clip` to [0, 6], which runtimes fuse with a preceding convolution."""
    out.assign(node, "Clip", *out.inputs(node), out.constant(node, "least", 0.0), out.constant(node, "most", 6.0))


@lowers(LeakyRelu)
def leaky_relu(op: LeakyRelu, node: Node, out: GraphWriter) -> None:
    """`LeakyRelu`."""
    out.assign(node, "LeakyRelu", *out.inputs(node), alpha=op.negative_slope)


@lowers(PRelu)
def prelu(op: PRelu, node: Node, out: GraphWriter) -> None:
    """`PRelu`, with slopes in a shape that broadcasts against a sample."""
    slopes = node.weights["weight"].size
    slope = out.weight(node, "weight", native_shape=(slopes, *(1,) * (node.type.rank - 2)))
    out.assign(node, "PRelu", *out.inputs(node), slope)


@lowers(Elu)
def elu(op: Elu, node: Node, out: GraphWriter) -> None:
    """`Elu`."""
    out.assign(node, "Elu", *out.inputs(node), alpha=op.alpha)


@lowers(Silu)
def silu(op: Silu, node: Node, out: GraphWriter) -> None:
    """`Mul` of x by its `Sigmoid`, since `Swish` is recent."""
    (x,) = out.inputs(node)
    out.assign(node, "Mul", x, out.step(node, "sigmoid", "Sigmoid", x))


@lowers(HardSigmoid)
def hard_sigmoid(op: HardSigmoid, node: Node, out: GraphWriter) -> None:
    """`HardSigmoid` with a slope of 1/6 instead of its default, 0.2."""
    out.assign(node, "HardSigmoid", *out.inputs(node), alpha=1 / 6, beta=0.5)


@lowers(HardSwish)
def hard_swish(op: HardSwish, node: Node, out: GraphWriter) -> None:
    """`HardSwish` from opset 14, before that x times `HardSigmoid`."""
    (x,) = out.inputs(node)
    if out.opset >= HARD_SWISH_OPSET:
        out.assign(node, "HardSwish", x)
    else:
        out.assign(node, "Mul", x, out.step(node, "hard_sigmoid", "HardSigmoid", x, alpha=1 / 6, beta=0.5))


@lowers(Mish)
def mish(op: Mish, node: Node, out: GraphWriter) -> None:
    """`Mish` from opset 18, before that x times `Tanh` of `Softplus`."""
    (x,) = out.inputs(node)
    if out.opset >= MISH_OPSET:
        out.assign(node, "Mish", x)
    else:
        out.assign(node, "Mul", x, out.step(node, "tanh", "Tanh", out.step(node, "softplus", "Softplus", x)))


@lowers(Gelu)
def gelu(op: Gelu, node: Node, out: GraphWriter) -> None:
    """`Gelu` from opset 20, before that x / 2 times 1 plus `Erf` or `Tanh`."""
    (x,) = out.inputs(node)
    if out.opset >= GELU_OPSET:
        out.assign(node, "Gelu", x, approximate="none" if op.form == "erf" else "tanh")
        return
    one = out.constant(node, "one", 1.0)
    if op.form == "erf":
        argument = out.step(node, "argument", "Div", x, out.constant(node, "sqrt_2", math.sqrt(2.0)))
        signed = out.step(node, "erf", "Erf", argument)
    else:
        # √(2/π) · (x + 0.044715 x³) as x · (1 + 0.044715 x²) · √(2/π)
        square = out.step(node, "square", "Mul", x, x)
        cubic = out.step(node, "cubic", "Mul", square, out.constant(node, "cubic_factor", 0.044715))
        polynomial = out.step(node, "bent", "Mul", x, out.step(node, "factor", "Add", cubic, one))
        scale = out.constant(node, "sqrt_2_over_pi", math.sqrt(2 / math.pi))
        argument = out.step(node, "argument", "Mul", polynomial, scale)
        signed = out.step(node, "tanh", "Tanh", argument)
    half = out.step(node, "half_x", "Mul", x, out.constant(node, "half", 0.5))
    out.assign(node, "Mul", half, out.step(node, "gate", "Add", signed, one))


@lowers(Softmax)
def softmax(op: Softmax, node: Node, out: GraphWriter) -> None:
    """`Softmax` along one axis."""
    out.assign(node, "Softmax", *out.inputs(node), axis=op.axis)
