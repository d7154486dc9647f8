"""Learned and constant tensors in torch."""

from netspec.graph import Node
from netspec.lowering.python.source import call, method
from netspec.ops import ConstantTensor, Parameter
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Parameter)
def parameter(op: Parameter, node: Node, out: ModuleWriter) -> None:
    """An `nn.Parameter` for one sample, used directly if all its readers broadcast it, else expanded to the batch."""
    value = out.parameter(node, (1, *op.shape))
    if out.broadcasts(node):
        out.alias(node, value)
        return
    out.assign(node, method(value, "expand", out.batch(node), *(-1 for _ in op.shape)))


@lowers(ConstantTensor)
def constant(op: ConstantTensor, node: Node, out: ModuleWriter) -> None:
    """An `nn.Buffer` for one sample, used as a parameter is."""
    value = out.parameter(node, (1, *node.type.features))
    if out.broadcasts(node):
        out.alias(node, value)
        return
    out.support("repeated")
    out.assign(node, call("repeated", value, out.first_input(node)))
