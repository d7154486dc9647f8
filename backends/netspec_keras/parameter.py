"""Learned and constant tensors in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import Expression, LiteralValue, call
from netspec.ops import ConstantTensor, Op, Parameter
from netspec_keras.initial import initial
from netspec_keras.layout import native_features, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Parameter, ConstantTensor)
def parameter(op: Op, node: Node, out: ModelWriter) -> None:
    """Our `Parameter` layer, which reads an input only for its batch size."""
    axes = tuple(axis - 1 for axis in native_order(node.type.rank)[1:])
    ((name, weight),) = node.weights.items()
    initializer = initial(weight.initializer, axes)
    out.bind(node, name, "value", axes=axes)
    optional: dict[str, Expression | LiteralValue] = {} if initializer is None else {"initializer": initializer}
    optional |= {} if weight.trainable else {"trainable": False}
    out.apply(node, call("Parameter", native_features(node.type), **optional), out.first_input(node))
