"""Ops with several inputs in Keras."""

from itertools import pairwise

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Add, Concat, Divide, Maximum, Minimum, Multiply, Subtract
from netspec.types import TensorType
from netspec_keras.layout import native_axis, native_features
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Add)
def add(op: Add, node: Node, out: ModelWriter) -> None:
    """`layers.Add`, which broadcasts, or our `BroadcastingAdd` for shapes that `layers.Add` gets wrong."""
    layer = "layers.Add" if all(map(_is_safe, pairwise(node.input_types))) else "BroadcastingAdd"
    out.apply(node, call(layer), *out.inputs(node))


def _is_safe(pair: tuple[TensorType, TensorType]) -> bool:
    """Whether Keras adds the second value of a pair to the first correctly, for any batch size.

    On TensorFlow, `ops.add` takes a value with a single axis longer than 1, which may be the batch, for a bias if its
    length is the number of channels (keras-team/keras#20386). Equal shapes and biases of the channels are correct.
    """
    first, second = (native_features(value) for value in pair)
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


@lowers(Maximum)
def maximum(op: Maximum, node: Node, out: ModelWriter) -> None:
    """Our `EvenMaximum`: of equal values, TensorFlow's gradient is that of the first."""
    out.apply(node, call("EvenMaximum"), *out.inputs(node))


@lowers(Minimum)
def minimum(op: Minimum, node: Node, out: ModelWriter) -> None:
    """Our `EvenMinimum`: of equal values, TensorFlow's gradient is that of the first."""
    out.apply(node, call("EvenMinimum"), *out.inputs(node))


@lowers(Concat)
def concat(op: Concat, node: Node, out: ModelWriter) -> None:
    """`layers.Concatenate`, whose default axis is that of the channels."""
    axis = native_axis(op.axis, node.type.rank)
    out.apply(node, call("layers.Concatenate", **({} if axis == -1 else {"axis": axis})), *out.inputs(node))
