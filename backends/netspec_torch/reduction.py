"""Reductions in torch, over the same axes as in the graph."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call, method
from netspec.ops import L2Normalize, ReduceL2, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from netspec.ops.reduction import Reduction
from netspec_torch.geometry import dim
from netspec_torch.table import lowers
from netspec_torch.writer import ModuleWriter

METHODS: dict[type[Reduction], str] = {ReduceMean: "mean", ReduceSum: "sum", ReduceMax: "amax", ReduceMin: "amin"}


@lowers(*METHODS)
def reduce(op: Reduction, node: Node, out: ModuleWriter) -> None:
    """`x.mean(axes)`, `x.sum(axes)`, `x.amax(axes)` or `x.amin(axes)`.

    Like other frameworks, the last two split a gradient among equals.
    """
    (x,) = out.inputs(node)
    optional: dict[str, LiteralValue] = {"keepdim": True} if op.keepdims else {}
    out.assign(node, method(x, METHODS[type(op)], dims(op.axes, node), **optional))


@lowers(ReduceL2)
def reduce_l2(op: ReduceL2, node: Node, out: ModuleWriter) -> None:
    """`torch.linalg.vector_norm`, whose gradient is 0 where all elements are 0."""
    optional: dict[str, LiteralValue] = {"keepdim": True} if op.keepdims else {}
    out.assign(node, call("torch.linalg.vector_norm", *out.inputs(node), dim=dims(op.axes, node), **optional))


@lowers(L2Normalize)
def l2_normalize(op: L2Normalize, node: Node, out: ModuleWriter) -> None:
    """`F.normalize`, whose epsilon is a lower bound of the norm, by default 1e-12."""
    optional: dict[str, LiteralValue] = {} if op.epsilon == 1e-12 else {"eps": op.epsilon}
    out.assign(node, call("F.normalize", *out.inputs(node), dim=dims(op.axes, node), **optional))


def dims(axes: tuple[int, ...], node: Node) -> LiteralValue:
    """One axis of a node's first input as a number, several as a tuple."""
    return dim(axes[0], node) if len(axes) == 1 else axes
