"""Reductions in ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netspec.graph import Node
from netspec.ops import L2Normalize, ReduceL2, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from netspec.ops.reduction import Reduction
from netspec.types import Dim
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter

if TYPE_CHECKING:
    import onnx_ir as ir

REDUCE_AXES_INPUT_OPSET = 18  # the first in which the axes of reductions are an input
SUM_AXES_INPUT_OPSET = 13  # the first in which those of `ReduceSum` are


@lowers(ReduceMean, ReduceSum, ReduceMax, ReduceMin, ReduceL2)
def reduce(op: Reduction, node: Node, out: GraphWriter) -> None:
    """The operator of the same name."""
    since = SUM_AXES_INPUT_OPSET if isinstance(op, ReduceSum) else REDUCE_AXES_INPUT_OPSET
    inputs, attributes = axes_argument(op.axes, node, out, "axes", since)
    out.assign(node, type(op).__name__, *out.inputs(node), *inputs, keepdims=int(op.keepdims), **attributes)


@lowers(L2Normalize)
def l2_normalize(op: L2Normalize, node: Node, out: GraphWriter) -> None:
    """`Div` by `Max` of `ReduceL2` and epsilon: `LpNormalization` has no epsilon, and only one axis."""
    (x,) = out.inputs(node)
    reduced = reduced_shape(op.axes, node)
    inputs, attributes = axes_argument(op.axes, node, out, "axes")
    norm = out.step(node, "norm", "ReduceL2", x, *inputs, shape=reduced, **attributes)
    bounded = out.step(node, "bounded", "Max", norm, out.constant(node, "epsilon", op.epsilon), shape=reduced)
    out.assign(node, "Div", x, bounded)


def mean_over(axes: tuple[int, ...], node: Node, out: GraphWriter, x: ir.Value, step: str) -> ir.Value:
    """`ReduceMean` over the axes, which become 1."""
    inputs, attributes = axes_argument(axes, node, out, f"{step}_axes")
    return out.step(node, step, "ReduceMean", x, *inputs, shape=reduced_shape(axes, node), **attributes)


def axes_argument(
    axes: tuple[int, ...], node: Node, out: GraphWriter, step: str, since: int = REDUCE_AXES_INPUT_OPSET
) -> tuple[list[ir.Value], dict[str, Any]]:
    """The axes of a reduction as an input, or in opsets before `since` as an attribute."""
    if out.opset >= since:
        return [out.constant(node, step, axes)], {}
    return [], {"axes": axes}


def reduced_shape(axes: tuple[int, ...], node: Node) -> tuple[Dim, ...]:
    """The shape of the node's input, with 1 for these axes."""
    return tuple(1 if axis in axes else dim for axis, dim in enumerate(node.input_types[0].shape))
