"""Learned tensors in ONNX."""

from netspec.graph import Node
from netspec.ops import Parameter
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Parameter)
def parameter(op: Parameter, node: Node, out: GraphWriter) -> None:
    """The weight itself if all its readers broadcast it, else an `Expand` to the batch size of the first input."""
    if out.broadcasts(node):
        out.alias(node, "weight")
        return
    bounds = (out.constant(node, name, [value]) for name, value in (("start", 0), ("stop", 1)))
    shape = out.integers(node, "input_shape", "Shape", out.first_input(), length=out.first_input_rank)
    batch = out.integers(node, "batch", "Slice", shape, *bounds, length=1)
    features = out.constant(node, "features", op.shape)
    target = out.integers(node, "shape", "Concat", batch, features, length=1 + len(op.shape), axis=0)
    out.assign(node, "Expand", out.weight(node, "weight"), target)
