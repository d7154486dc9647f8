"""Exchanges between towers in torch: layers of our own, so that each can be given the group that it exchanges in.

PyTorch's own were tried (2.13, gloo). `torch.distributed.nn.functional.all_gather` and the functional collectives'
`all_gather_tensor_autograd` do differentiate by a reduce-scatter, but have no form whose gradient is whole in each rank
already, and that is what the loss gives. DTensor keeps towers apart through pooling, and divides `linear` by columns
with the same exchanges; of a convolution whose weight is divided by filters it computes the local filters and takes
them for the whole output, and one in groups it refuses. Dense layers alone would leave weights of two kinds in one
network, and fused updates take no mixture of tensors and DTensors.
"""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops.collective import Collect, Collective, Gather, Share, Spread
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Gather, Collect, Spread, Share)
def exchange(op: Collective, node: Node, out: ModuleWriter) -> None:
    """A layer of the op's name."""
    out.support("exchange")
    layer = out.declare(node, type(op).__name__, dim=op.axis)
    out.assign(node, call(layer, *out.inputs(node)))
