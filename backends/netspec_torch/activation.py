"""Activations in torch: functions, since only PReLU has weights."""

from netspec.graph import Hint, Node
from netspec.lowering.python.source import Binary, Literal, LiteralValue, call
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
from netspec.ops.base import Op
from netspec_torch.geometry import dim
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter

FUNCTIONS: dict[type[Op], str] = {
    HardSwish: "F.hardswish",
    Mish: "F.mish",
    Sigmoid: "torch.sigmoid",
    Silu: "F.silu",
    Tanh: "torch.tanh",
}


@lowers(Relu, Relu6)
def relu(op: Elementwise, node: Node, out: ModuleWriter) -> None:
    """`F.relu` or `F.relu6`, in place where the node's hint allows it. The gradient at 0 is 0."""
    optional: dict[str, LiteralValue] = {"inplace": True} if Hint.IN_PLACE in node.hints else {}
    out.assign(node, call(f"F.{op.kind}", *out.inputs(node), **optional))


@lowers(*FUNCTIONS)
def elementwise(op: Op, node: Node, out: ModuleWriter) -> None:
    """The function of the same name."""
    out.assign(node, call(FUNCTIONS[type(op)], *out.inputs(node)))


@lowers(HardSigmoid)
def hard_sigmoid(op: HardSigmoid, node: Node, out: ModuleWriter) -> None:
    """`F.relu6(x + 3) / 6`: on a CPU, the float64 derivative of `F.hardsigmoid` is 1/6 in float32, an error of 3e-8."""
    (x,) = out.inputs(node)
    out.assign(node, Binary("/", call("F.relu6", Binary("+", x, Literal(3))), Literal(6)))


@lowers(LeakyRelu)
def leaky_relu(op: LeakyRelu, node: Node, out: ModuleWriter) -> None:
    """`F.leaky_relu`, whose slope is 0.01 by default."""
    optional: dict[str, LiteralValue] = {} if op.negative_slope == 0.01 else {"negative_slope": op.negative_slope}
    out.assign(node, call("F.leaky_relu", *out.inputs(node), **optional))


@lowers(PRelu)
def prelu(op: PRelu, node: Node, out: ModuleWriter) -> None:
    """`nn.PReLU` with one slope, or one for each channel, initially 0.25."""
    slopes = node.weights["weight"].size
    layer = out.declare(node, "nn.PReLU", *(() if op.shared else (slopes,)))
    out.bind(node, weight="weight")
    out.assign(node, call(layer, *out.inputs(node)))


@lowers(Elu)
def elu(op: Elu, node: Node, out: ModuleWriter) -> None:
    """`F.elu`, whose alpha is 1 by default."""
    optional: dict[str, LiteralValue] = {} if op.alpha == 1.0 else {"alpha": op.alpha}
    out.assign(node, call("F.elu", *out.inputs(node), **optional))


@lowers(Softplus)
def softplus(op: Softplus, node: Node, out: ModuleWriter) -> None:
    """`F.softplus` that returns x above 40 instead of 20: from there on, the two are equal in float64."""
    out.assign(node, call("F.softplus", *out.inputs(node), threshold=40.0))


@lowers(Gelu)
def gelu(op: Gelu, node: Node, out: ModuleWriter) -> None:
    """`F.gelu`, which is exact by default."""
    optional: dict[str, LiteralValue] = {} if op.form == "erf" else {"approximate": "tanh"}
    out.assign(node, call("F.gelu", *out.inputs(node), **optional))


@lowers(Softmax)
def softmax(op: Softmax, node: Node, out: ModuleWriter) -> None:
    """`F.softmax` along the axis."""
    out.assign(node, call("F.softmax", *out.inputs(node), dim=dim(op.axis, node)))
