"""Linear maps in torch; weights are (units, features), as in the graph."""

from netspec.graph import Node
from netspec.lowering.python.source import Attribute, Binary, LiteralValue, call
from netspec.ops import Dense, LayerScale, MatMul
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Dense)
def dense(op: Dense, node: Node, out: ModuleWriter) -> None:
    """`nn.Linear`, or our `GroupedLinear` for groups."""
    features = node.input_types[0].features[-1]
    optional: dict[str, LiteralValue] = {} if op.bias else {"bias": False}
    if op.groups == 1:
        layer = out.declare(node, "nn.Linear", features, op.units, **optional)
    else:
        out.support("grouped_linear")
        layer = out.declare(node, "GroupedLinear", features, op.units, groups=op.groups, **optional)
    out.bind(node, weight="weight", bias="bias")
    out.assign(node, call(layer, *out.inputs(node)))


@lowers(LayerScale)
def layer_scale(op: LayerScale, node: Node, out: ModuleWriter) -> None:
    """`x * gain`, a parameter in a shape that broadcasts against a sample."""
    (x,) = out.inputs(node)
    count = node.weights["weight"].size
    gain = out.parameter(node, (count, *(1,) * (node.type.rank - 1 - op.axis)))
    out.assign(node, Binary("*", x, gain))


@lowers(MatMul)
def matmul(op: MatMul, node: Node, out: ModuleWriter) -> None:
    """`a @ b`, with `.mT` on transposed operands."""
    a, b = out.inputs(node)
    out.assign(
        node, Binary("@", Attribute(a, "mT") if op.transpose_a else a, Attribute(b, "mT") if op.transpose_b else b)
    )
