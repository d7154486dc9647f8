"""Exchanges between towers in PyTorch: netspec's own layers, so that each can be given its process group.

PyTorch's own were tried (2.13, gloo). `torch.distributed.nn.functional.all_gather` and the functional collectives'
`all_gather_tensor_autograd` differentiate to a reduce-scatter; neither has a form for a gradient that is already whole
in each rank, which is what the loss gives. DTensor divides `linear` by columns with the same exchanges, and keeps
towers apart through pooling; but of a convolution whose weight is divided by filters it takes the local filters for
the whole output, and it refuses one in groups. Using it only for dense layers would give a network weights of two
kinds, and fused updates accept no mixture of tensors and DTensors.
"""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops.collective import COLLECTIVES, Collective, Halo
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(*COLLECTIVES.values())
def exchange(op: Collective, node: Node, out: ModuleWriter) -> None:
    """A layer with the name of the op's class."""
    out.support("halo" if isinstance(op, Halo) else "exchange")
    more = {name: getattr(op, name) for name in ("groups", "before", "after") if name in type(op).model_fields}
    out.assign(node, call(out.declare(node, type(op).__name__, dim=op.axis, **more), *out.inputs(node)))
