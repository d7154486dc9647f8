"""Arithmetic on each element in torch: expressions and functions of the same name."""

from netspec.graph import Node
from netspec.lowering.python.source import Binary, Expression, Literal, LiteralValue, Negative, call
from netspec.ops import Abs, Clip, Cos, Exp, Log, Power, Rescale, Sin
from netspec.ops.activation import Elementwise
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter

ROOTS = {0.5: "torch.sqrt", -0.5: "torch.rsqrt", -1.0: "torch.reciprocal", 2.0: "torch.square"}


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: ModuleWriter) -> None:
    """`x * 0.1`, `1 - x`."""
    (x,) = out.inputs(node)
    out.assign(node, _rescaled(x, op))


def _rescaled(x: Expression, op: Rescale) -> Expression:
    """`scale * x + offset` without what does nothing."""
    if op.scale == -1:
        return Binary("-", _number(op.offset), x) if op.offset else Negative(x)
    scaled = x if op.scale == 1 and op.offset else Binary("*", x, _number(op.scale))
    if op.offset < 0:
        return Binary("-", scaled, _number(-op.offset))
    return Binary("+", scaled, _number(op.offset)) if op.offset else scaled


def _number(value: float) -> Literal:
    """Whole numbers without a point, as in `1 - x`."""
    return Literal(int(value) if value.is_integer() and abs(value) < 1e6 else value)


@lowers(Exp, Log, Sin, Cos, Abs)
def function(op: Elementwise, node: Node, out: ModuleWriter) -> None:
    """`torch.exp` and its like; the gradient of `torch.abs` at 0 is 0."""
    out.assign(node, call(f"torch.{op.kind}", *out.inputs(node)))


@lowers(Power)
def power(op: Power, node: Node, out: ModuleWriter) -> None:
    """`torch.sqrt` and its like by their names, other powers by `torch.pow`."""
    (x,) = out.inputs(node)
    named = ROOTS.get(op.exponent)
    out.assign(node, call(named, x) if named else call("torch.pow", x, op.exponent))


@lowers(Clip)
def clip(op: Clip, node: Node, out: ModuleWriter) -> None:
    """`torch.clamp`, whose gradient at a bound is 1."""
    bounds: dict[str, LiteralValue] = {"min": op.min, "max": op.max}
    out.assign(node, call("torch.clamp", *out.inputs(node), **{k: v for k, v in bounds.items() if v is not None}))
