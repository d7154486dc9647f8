"""Dropout in torch."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import Dropout, StochasticDepth
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter


@lowers(Dropout)
def dropout(op: Dropout, node: Node, out: ModuleWriter) -> None:
    """`nn.Dropout` for mode `inverted`; our `StandardDropout` for `standard`, which scales at inference."""
    if op.mode == "inverted":
        layer = out.declare(node, "nn.Dropout", p=op.rate)
    else:
        out.support("dropout")
        layer = out.declare(node, "StandardDropout", p=op.rate)
    out.assign(node, call(layer, *out.inputs(node)))


@lowers(StochasticDepth)
def stochastic_depth(op: StochasticDepth, node: Node, out: ModuleWriter) -> None:
    """Our `StochasticDepth`, which torch lacks."""
    out.support("stochastic_depth")
    optional: dict[str, LiteralValue] = {} if op.mode == "row" else {"mode": op.mode}
    out.assign(node, call(out.declare(node, "StochasticDepth", p=op.rate, **optional), *out.inputs(node)))
