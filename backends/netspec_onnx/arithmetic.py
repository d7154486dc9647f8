"""Elementwise arithmetic in ONNX."""

from netspec.graph import Node
from netspec.ops import Abs, Clip, Cos, Exp, Log, Power, Rescale, Sin
from netspec.ops.activation import Elementwise
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: GraphWriter) -> None:
    """`Mul` and `Add`, without a scale of 1 or an offset of 0; `Neg`, or `Sub` from the offset, for a scale of −1."""
    (x,) = out.inputs(node)
    if op.scale == -1 and op.offset == 0:
        out.assign(node, "Neg", x)
    elif op.scale == -1:
        out.assign(node, "Sub", out.constant(node, "offset", op.offset), x)
    elif op.offset == 0:
        out.assign(node, "Mul", x, out.constant(node, "scale", op.scale))
    else:
        scaled = x if op.scale == 1 else out.step(node, "scaled", "Mul", x, out.constant(node, "scale", op.scale))
        out.assign(node, "Add", scaled, out.constant(node, "offset", op.offset))


@lowers(Exp, Log, Sin, Cos, Abs)
def function(op: Elementwise, node: Node, out: GraphWriter) -> None:
    """The operator of the same name."""
    out.assign(node, op.kind.capitalize(), *out.inputs(node))


@lowers(Power)
def power(op: Power, node: Node, out: GraphWriter) -> None:
    """`Sqrt`, `Reciprocal` or `Mul` of x by itself for the powers that they compute, else `Pow`."""
    (x,) = out.inputs(node)
    match op.exponent:
        case 0.5:
            out.assign(node, "Sqrt", x)
        case -1.0:
            out.assign(node, "Reciprocal", x)
        case 2.0:
            out.assign(node, "Mul", x, x)
        case exponent:
            out.assign(node, "Pow", x, out.constant(node, "exponent", exponent))


@lowers(Clip)
def clip(op: Clip, node: Node, out: GraphWriter) -> None:
    """`Clip`, whose bounds are optional."""
    bounds = {"min": op.min, "max": op.max}
    inputs = (None if bound is None else out.constant(node, name, bound) for name, bound in bounds.items())
    out.assign(node, "Clip", *out.inputs(node), *inputs)
