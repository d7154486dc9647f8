"""Ops of several values in Keras."""

from itertools import pairwise

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Add, Concat, Divide, Multiply, Subtract
from netspec.types import TensorType
from netspec_keras.layout import native_axis, native_features
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Add)
def add(op: Add, node: Node, out: ModelWriter) -> None:
    """`layers.Add`, which broadcasts; ours where it may take a value for a bias that is none."""
    layer = "layers.Add" if all(map(_adds_right, pairwise(node.input_types))) else "BroadcastingAdd"
    out.apply(node, call(layer), *out.inputs(node))


def _adds_right(pair: tuple[TensorType, TensorType]) -> bool:
    """Whether Keras adds the second of two values to the first as the graph does, whatever the batch.

    Its `ops.add` on TensorFlow (keras-team/keras#20386) adds what has one axis above 1, the batch among them, along
    the channels of the other value if these are as many. That is right of equal shapes, and of a bias of channels.
    """
    first, second = (native_features(each) for each in pair)
    return first == second or (second[-1] == first[-1] > 1 and set(second[:-1]) <= {1})


@lowers(Subtract)
def subtract(op: Subtract, node: Node, out: ModelWriter) -> None:
    """`layers.Subtract`, which broadcasts."""
    out.apply(node, call("layers.Subtract"), *out.inputs(node))


@lowers(Multiply)
def multiply(op: Multiply, node: Node, out: ModelWriter) -> None:
    """`layers.Multiply`, which broadcasts."""
    out.apply(node, call("layers.Multiply"), *out.inputs(node))


@lowers(Divide)
def divide(op: Divide, node: Node, out: ModelWriter) -> None:
    """`ops.divide`, which broadcasts."""
    out.assign(node, call("ops.divide", *out.inputs(node)))


@lowers(Concat)
def concat(op: Concat, node: Node, out: ModelWriter) -> None:
    """`layers.Concatenate`; the channels of maps are its default axis."""
    axis = native_axis(op.axis, node.type.rank)
    out.apply(node, call("layers.Concatenate", **({} if axis == -1 else {"axis": axis})), *out.inputs(node))
