"""Learned tensors in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Parameter
from netspec_keras.initial import initial
from netspec_keras.layout import native_features, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Parameter)
def parameter(op: Parameter, node: Node, out: ModelWriter) -> None:
    """Our `Parameter` layer, which reads an input only for its batch size."""
    axes = tuple(axis - 1 for axis in native_order(node.type.rank)[1:])
    initializer = initial(node.weights["weight"].initializer, axes)
    out.bind(node, "weight", "value", axes=axes)
    optional = {} if initializer is None else {"initializer": initializer}
    out.apply(node, call("Parameter", native_features(node.type), **optional), out.first_input(node))
