"""Arithmetic on each element in torch: expressions and functions of the same name."""

from netspec.graph import Node
from netspec.lowering.arithmetic import rescaled
from netspec.lowering.source import call
from netspec.ops import Abs, Exp, Rescale
from netspec.ops.activation import Elementwise
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: ModuleWriter) -> None:
    """`x * 0.1`, `1 - x`."""
    (x,) = out.inputs(node)
    out.assign(node, rescaled(x, op))


@lowers(Exp, Abs)
def function(op: Elementwise, node: Node, out: ModuleWriter) -> None:
    """`torch.exp`, `torch.abs`, whose gradient at 0 is 0."""
    out.assign(node, call(f"torch.{op.kind}", *out.inputs(node)))
