"""Elementwise arithmetic in torch."""

from netspec.graph import Node
from netspec.lowering.python.source import Binary, Expression, Literal, LiteralValue, Negative, call
from netspec.ops import Abs, Clip, Cos, Exp, Log, Power, Rescale, Sin
from netspec.ops.activation import Elementwise
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter

NAMED_POWERS = {0.5: "torch.sqrt", -0.5: "torch.rsqrt", -1.0: "torch.reciprocal", 2.0: "torch.square"}


@lowers(Rescale)
def rescale(op: Rescale, node: Node, out: ModuleWriter) -> None:
    """An expression such as `x * 0.1` or `1 - x`."""
    (x,) = out.inputs(node)
    out.assign(node, _rescaled(x, op))


def _rescaled(x: Expression, op: Rescale) -> Expression:
    """The expression `x * scale + offset` without a scale of 1 or an offset of 0."""
    if op.scale == -1:
        return Binary("-", _number(op.offset), x) if op.offset else Negative(x)
    scaled = x if op.scale == 1 and op.offset else Binary("*", x, _number(op.scale))
    if op.offset < 0:
        return Binary("-", scaled, _number(-op.offset))
    return Binary("+", scaled, _number(op.offset)) if op.offset else scaled


def _number(value: float) -> Literal:
    """A literal; whole numbers are integers, as in `1 - x`."""
    return Literal(int(value) if value.is_integer() and abs(value) < 1e6 else value)


@lowers(Exp, Log, Sin, Cos, Abs)
def function(op: Elementwise, node: Node, out: ModuleWriter) -> None:
    """`torch.exp` and so on; the gradient of `torch.abs` at 0 is 0."""
    out.assign(node, call(f"torch.{op.kind}", *out.inputs(node)))


@lowers(Power)
def power(op: Power, node: Node, out: ModuleWriter) -> None:
    """`torch.sqrt` and the other powers that have a function, else `torch.pow`."""
    (x,) = out.inputs(node)
    function = NAMED_POWERS.get(op.exponent)
    out.assign(node, call(function, x) if function else call("torch.pow", x, op.exponent))


@lowers(Clip)
def clip(op: Clip, node: Node, out: ModuleWriter) -> None:
    """`torch.clamp`, whose gradient at a bound is 1."""
    bounds: dict[str, LiteralValue] = {"min": op.min, "max": op.max}
    out.assign(node, call("torch.clamp", *out.inputs(node), **{k: v for k, v in bounds.items() if v is not None}))
