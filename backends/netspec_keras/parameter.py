"""Values that are learned, in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Parameter
from netspec.ops.initializers import Constant
from netspec_keras.layout import native_features, native_order
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Parameter)
def parameter(op: Parameter, node: Node, out: ModelWriter) -> None:
    """A layer of our own, which reads an input for its batch alone."""
    start = node.weights["weight"].initializer
    out.bind(node, "weight", "value", axes=tuple(axis - 1 for axis in native_order(node.type.rank)[1:]))
    initial = {"initial": start.constant} if isinstance(start, Constant) and start.constant else {}
    out.apply(node, call("Parameter", native_features(node.type), **initial), out.first_input(node))
