"""Ops with several inputs in torch, which broadcasts like the graph."""

import functools

from netspec.graph import Hint, Node
from netspec.lowering.python.source import Binary, Expression, ListOf, call, method
from netspec.ops import Add, Concat, Divide, Maximum, Minimum, Multiply, Subtract
from netspec.ops.base import Op
from netspec_torch.geometry import dim
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Add, Multiply)
def arithmetic(op: Op, node: Node, out: ModuleWriter) -> None:
    """`a + b + c` and `a * b * c`; an in-place sum is `a.add_(b).add_(c)`."""
    sign = "+" if isinstance(op, Add) else "*"
    operands: list[Expression] = [*out.inputs(node)]

    def combine(left: Expression, right: Expression) -> Expression:
        return method(left, "add_", right) if Hint.IN_PLACE in node.hints else Binary(sign, left, right)

    out.assign(node, functools.reduce(combine, operands))


@lowers(Subtract, Divide)
def binary(op: Op, node: Node, out: ModuleWriter) -> None:
    """`a - b` and `a / b`."""
    out.assign(node, Binary("-" if isinstance(op, Subtract) else "/", *out.inputs(node)))


@lowers(Maximum, Minimum)
def extremum(op: Op, node: Node, out: ModuleWriter) -> None:
    """`torch.maximum(torch.maximum(a, b), c)`."""
    operands: list[Expression] = [*out.inputs(node)]
    out.assign(node, functools.reduce(functools.partial(call, f"torch.{op.kind}"), operands))


@lowers(Concat)
def concat(op: Concat, node: Node, out: ModuleWriter) -> None:
    """`torch.cat` along the axis."""
    out.assign(node, call("torch.cat", ListOf(out.inputs(node)), dim=dim(op.axis, node)))
