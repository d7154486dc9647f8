"""Activations in torch: functions, for they keep nothing."""

from netspec.graph import Node
from netspec.lowering.source import LiteralValue, call
from netspec.ops import Gelu, LeakyRelu, Relu, Relu6, Sigmoid, Silu, Softmax, Tanh
from netspec.ops.base import Op
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter

FUNCTIONS: dict[type[Op], str] = {
    Relu: "F.relu",  # its gradient at 0 is 0
    Relu6: "F.relu6",
    Sigmoid: "torch.sigmoid",
    Silu: "F.silu",
    Tanh: "torch.tanh",
}


@lowers(*FUNCTIONS)
def elementwise(op: Op, node: Node, out: ModuleWriter) -> None:
    """The function of the same name."""
    out.assign(node, call(FUNCTIONS[type(op)], *out.inputs(node)))


@lowers(LeakyRelu)
def leaky_relu(op: LeakyRelu, node: Node, out: ModuleWriter) -> None:
    """`F.leaky_relu`, whose slope is 0.01 by default."""
    optional: dict[str, LiteralValue] = {} if op.negative_slope == 0.01 else {"negative_slope": op.negative_slope}
    out.assign(node, call("F.leaky_relu", *out.inputs(node), **optional))


@lowers(Gelu)
def gelu(op: Gelu, node: Node, out: ModuleWriter) -> None:
    """`F.gelu`, which is exact by default."""
    optional: dict[str, LiteralValue] = {} if op.form == "erf" else {"approximate": "tanh"}
    out.assign(node, call("F.gelu", *out.inputs(node), **optional))


@lowers(Softmax)
def softmax(op: Softmax, node: Node, out: ModuleWriter) -> None:
    """`F.softmax` along the axis."""
    out.assign(node, call("F.softmax", *out.inputs(node), dim=op.axis))
