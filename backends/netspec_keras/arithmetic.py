"""Arithmetic on each element in Keras."""

from netspec.graph import Node
from netspec.lowering.source import call
from netspec.ops import Abs, Exp, Rescale
from netspec.ops.activation import Elementwise
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: ModelWriter) -> None:
    """A layer of ours: `0.1 * x` is sparse to Keras and its readers, since a number may have been a sparse tensor."""
    optional = {"offset": op.offset} if op.offset else {}
    out.apply(node, call("PreciseRescaling", op.scale, **optional), *out.inputs(node))


@lowers(Exp, Abs)
def function(op: Elementwise, node: Node, out: ModelWriter) -> None:
    """`ops.exp`, `ops.abs`, whose gradient at 0 is 0."""
    out.assign(node, call(f"ops.{op.kind}", *out.inputs(node)))
