"""Arithmetic on each element in Keras: expressions and functions, which are operations of the model."""

from netspec.graph import Node
from netspec.lowering.arithmetic import rescaled
from netspec.lowering.source import call
from netspec.ops import Abs, Exp, Rescale
from netspec.ops.activation import Elementwise
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: ModelWriter) -> None:
    """`x * 0.1`, `1 - x`. The constants of `layers.Rescaling` have not the precision of float64."""
    (x,) = out.inputs(node)
    out.assign(node, rescaled(x, op))


@lowers(Exp, Abs)
def function(op: Elementwise, node: Node, out: ModelWriter) -> None:
    """`ops.exp`, `ops.abs`, whose gradient at 0 is 0."""
    out.assign(node, call(f"ops.{op.kind}", *out.inputs(node)))
