"""Dropout in torch."""

from netspec.graph import Node
from netspec.lowering.source import call
from netspec.ops import Dropout
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Dropout)
def dropout(op: Dropout, node: Node, out: ModuleWriter) -> None:
    """`nn.Dropout` is `inverted`; the scaling of 2012 is a layer of our own."""
    if op.mode == "inverted":
        layer = out.declare(node, "nn.Dropout", p=op.rate)
    else:
        out.support("dropout")
        layer = out.declare(node, "StandardDropout", p=op.rate)
    out.assign(node, call(layer, *out.inputs(node)))
