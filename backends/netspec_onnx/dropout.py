"""Dropout in ONNX, which only infers: at most a constant factor remains."""

from netspec.graph import Node
from netspec.ops import Dropout, StochasticDepth
from netspec.ops.dropout import Dropping
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Dropout, StochasticDepth)
def dropout(op: Dropping, node: Node, out: GraphWriter) -> None:
    """`Mul` by 1 − rate in mode `standard`; `Identity` in modes that scale in training."""
    (x,) = out.inputs(node)
    if op.inference_scale == 1.0:
        out.assign(node, "Identity", x)
    else:
        out.assign(node, "Mul", x, out.constant(node, "scale", op.inference_scale))
