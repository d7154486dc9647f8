"""Elementwise arithmetic in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Abs, Clip, Cos, Exp, Log, Power, Rescale, Sin
from netspec.ops.activation import Elementwise
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter

NAMED_POWERS = {0.5: "ops.sqrt", -0.5: "ops.rsqrt", 2.0: "ops.square"}


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: ModelWriter) -> None:
    """Our `PreciseRescaling`; Keras takes the result of `0.1 * x`, and what is computed from it, to be sparse."""
    optional = {"offset": op.offset} if op.offset else {}
    out.apply(node, call("PreciseRescaling", op.scale, **optional), *out.inputs(node))


@lowers(Exp, Log, Sin, Cos, Abs)
def function(op: Elementwise, node: Node, out: ModelWriter) -> None:
    """`ops.exp` and so on; the gradient of `ops.abs` at 0 is 0."""
    out.assign(node, call(f"ops.{op.kind}", *out.inputs(node)))


@lowers(Power)
def power(op: Power, node: Node, out: ModelWriter) -> None:
    """`ops.sqrt` and the other powers that have a function, else `ops.power`."""
    (x,) = out.inputs(node)
    function = NAMED_POWERS.get(op.exponent)
    out.assign(node, call(function, x) if function else call("ops.power", x, op.exponent))


@lowers(Clip)
def clip(op: Clip, node: Node, out: ModelWriter) -> None:
    """`ops.clip`, or `ops.maximum` or `ops.minimum` for a single bound; the gradient at a bound is 1."""
    (x,) = out.inputs(node)
    if op.max is None:
        clipped = call("ops.maximum", x, op.min)
    elif op.min is None:
        clipped = call("ops.minimum", x, op.max)
    else:
        clipped = call("ops.clip", x, op.min, op.max)
    out.assign(node, clipped)
