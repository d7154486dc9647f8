"""Dropout in ONNX: inference only, so a factor is all that is left of it."""

from netspec.graph import Node
from netspec.ops import Dropout
from netspec_onnx.table import lowers
from netspec_onnx.writer import GraphWriter


@lowers(Dropout)
def dropout(op: Dropout, node: Node, out: GraphWriter) -> None:
    """`Mul` by 1 − rate in mode `standard`; `Identity` in mode `inverted`, which scales in training."""
    (x,) = out.inputs(node)
    if op.inference_scale == 1.0:
        out.assign(node, "Identity", x)
    else:
        out.assign(node, "Mul", x, out.constant(node, "scale", op.inference_scale))
