"""Ops with several inputs in ONNX."""

from netspec.graph import Node
from netspec.ops import Add, Concat, Divide, Maximum, Minimum, Multiply, Subtract
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Add)
def add(op: Add, node: Node, out: GraphWriter) -> None:
    """`Add`."""
    accumulate(op, "Add", node, out)


@lowers(Subtract)
def subtract(op: Subtract, node: Node, out: GraphWriter) -> None:
    """`Sub`."""
    out.assign(node, "Sub", *out.inputs(node))


@lowers(Multiply)
def multiply(op: Multiply, node: Node, out: GraphWriter) -> None:
    """`Mul`."""
    accumulate(op, "Mul", node, out)


def accumulate(op: Add | Multiply, operator: str, node: Node, out: GraphWriter) -> None:
    """Apply a binary operator from left to right, with broadcasting."""
    total, *between, last = out.inputs(node)
    for count, value in enumerate(between, start=2):
        shape = op.infer(*node.input_types[:count]).shape
        total = out.step(node, f"first_{count}", operator, total, value, shape=shape)
    out.assign(node, operator, total, last)


@lowers(Divide)
def divide(op: Divide, node: Node, out: GraphWriter) -> None:
    """`Div`."""
    out.assign(node, "Div", *out.inputs(node))


@lowers(Maximum)
def maximum(op: Maximum, node: Node, out: GraphWriter) -> None:
    """`Max`, of any number of inputs."""
    out.assign(node, "Max", *out.inputs(node))


@lowers(Minimum)
def minimum(op: Minimum, node: Node, out: GraphWriter) -> None:
    """`Min`, of any number of inputs."""
    out.assign(node, "Min", *out.inputs(node))


@lowers(Concat)
def concat(op: Concat, node: Node, out: GraphWriter) -> None:
    """`Concat`."""
    out.assign(node, "Concat", *out.inputs(node), axis=op.axis)
