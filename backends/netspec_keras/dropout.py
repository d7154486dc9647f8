"""Dropout in Keras."""

from netspec.graph import Node
from netspec.lowering.source import call
from netspec.ops import Dropout
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Dropout)
def dropout(op: Dropout, node: Node, out: ModelWriter) -> None:
    """`layers.Dropout` scales in training (`inverted`); `standard` scales at inference."""
    layer = "layers.Dropout" if op.mode == "inverted" else "StandardDropout"
    out.apply(node, call(layer, op.rate), *out.inputs(node))
