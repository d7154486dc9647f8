"""Arithmetic on each element in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Abs, Clip, Cos, Exp, Log, Power, Rescale, Sin
from netspec.ops.activation import Elementwise
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter

ROOTS = {0.5: "ops.sqrt", -0.5: "ops.rsqrt", 2.0: "ops.square"}


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: ModelWriter) -> None:
    """A layer of ours: `0.1 * x` is sparse to Keras and its readers, since a number may have been a sparse tensor."""
    optional = {"offset": op.offset} if op.offset else {}
    out.apply(node, call("PreciseRescaling", op.scale, **optional), *out.inputs(node))


@lowers(Exp, Log, Sin, Cos, Abs)
def function(op: Elementwise, node: Node, out: ModelWriter) -> None:
    """`ops.exp` and its like; the gradient of `ops.abs` at 0 is 0."""
    out.assign(node, call(f"ops.{op.kind}", *out.inputs(node)))


@lowers(Power)
def power(op: Power, node: Node, out: ModelWriter) -> None:
    """`ops.sqrt` and its like by their names, other powers by `ops.power`."""
    (x,) = out.inputs(node)
    named = ROOTS.get(op.exponent)
    out.assign(node, call(named, x) if named else call("ops.power", x, op.exponent))


@lowers(Clip)
def clip(op: Clip, node: Node, out: ModelWriter) -> None:
    """`ops.clip`, or `ops.maximum` or `ops.minimum` for one bound; the gradient at a bound is 1."""
    (x,) = out.inputs(node)
    if op.max is None:
        clipped = call("ops.maximum", x, op.min)
    elif op.min is None:
        clipped = call("ops.minimum", x, op.max)
    else:
        clipped = call("ops.clip", x, op.min, op.max)
    out.assign(node, clipped)
