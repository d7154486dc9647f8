"""Learned and constant tensors in ONNX."""

from netspec.graph import Node
from netspec.ops import ConstantTensor, Op, Parameter
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Parameter, ConstantTensor)
def parameter(op: Op, node: Node, out: GraphWriter) -> None:
    """The weight itself if all its readers broadcast it, else an `Expand` to the batch size of the first input."""
    (weight,) = node.weights
    if out.broadcasts(node):
        out.alias(node, weight)
        return
    bounds = (out.constant(node, name, [value]) for name, value in (("start", 0), ("stop", 1)))
    shape = out.integers(node, "input_shape", "Shape", out.first_input(), length=out.first_input_rank)
    batch = out.integers(node, "batch", "Slice", shape, *bounds, length=1)
    features = out.constant(node, "features", node.type.features)
    target = out.integers(node, "shape", "Concat", batch, features, length=node.type.rank, axis=0)
    out.assign(node, "Expand", out.weight(node, weight), target)
