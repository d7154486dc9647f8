"""Values that are learned, in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Parameter
from netspec_keras.initial import initial
from netspec_keras.layout import native_features, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Parameter)
def parameter(op: Parameter, node: Node, out: ModelWriter) -> None:
    """A layer of our own, which reads an input for its batch alone."""
    start = initial(node.weights["weight"].initializer)
    out.bind(node, "weight", "value", axes=tuple(axis - 1 for axis in native_order(node.type.rank)[1:]))
    stated = {} if start is None else {"initializer": start}
    out.apply(node, call("Parameter", native_features(node.type), **stated), out.first_input(node))
