"""Values that are learned, in torch."""

from netspec.graph import Node
from netspec.lowering.python.source import method
from netspec.ops import Parameter
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Parameter)
def parameter(op: Parameter, node: Node, out: ModuleWriter) -> None:
    """An `nn.Parameter` of one sample: as it is where a sum or a product broadcasts it, else expanded: a view."""
    value = out.parameter(node, "weight", (1, *op.shape))
    if out.broadcasts(node):
        out.stand_for(node, value)
        return
    out.assign(node, method(value, "expand", out.batch(node), *(-1 for _ in op.shape)))
