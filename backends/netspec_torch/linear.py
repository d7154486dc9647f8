"""Dense layers in torch: weights (units, features) as in the graph."""

from netspec.graph import Node
from netspec.lowering.source import LiteralValue, call
from netspec.ops import Dense
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Dense)
def dense(op: Dense, node: Node, out: ModuleWriter) -> None:
    """`nn.Linear`, and a layer of our own for groups."""
    features = node.input_types[0].features[-1]
    optional: dict[str, LiteralValue] = {} if op.bias else {"bias": False}
    if op.groups == 1:
        layer = out.declare(node, "nn.Linear", features, op.units, **optional)
    else:
        out.support("grouped_linear")
        layer = out.declare(node, "GroupedLinear", features, op.units, groups=op.groups, **optional)
    out.bind(node, weight="weight", bias="bias")
    out.assign(node, call(layer, *out.inputs(node)))
