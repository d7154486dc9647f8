"""Ops of several values in Keras."""

from netspec.graph import Node
from netspec.lowering.source import call
from netspec.ops import Add, Concat, Multiply
from netspec_keras.layout import native_axis
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Add)
def add(op: Add, node: Node, out: ModelWriter) -> None:
    """`layers.Add`, which broadcasts."""
    out.apply(node, call("layers.Add"), *out.inputs(node))


@lowers(Multiply)
def multiply(op: Multiply, node: Node, out: ModelWriter) -> None:
    """`layers.Multiply`, which broadcasts."""
    out.apply(node, call("layers.Multiply"), *out.inputs(node))


@lowers(Concat)
def concat(op: Concat, node: Node, out: ModelWriter) -> None:
    """`layers.Concatenate`; the channels of maps are its default axis."""
    axis = native_axis(op.axis, node.type.rank)
    out.apply(node, call("layers.Concatenate", **({} if axis == -1 else {"axis": axis})), *out.inputs(node))
