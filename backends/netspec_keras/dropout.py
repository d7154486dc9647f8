"""Dropout in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import call
from netspec.ops import Dropout, StochasticDepth
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Dropout)
def dropout(op: Dropout, node: Node, out: ModelWriter) -> None:
    """`layers.Dropout` for mode `inverted`; our `StandardDropout` for `standard`, which scales at inference."""
    layer = "layers.Dropout" if op.mode == "inverted" else "StandardDropout"
    out.apply(node, call(layer, op.rate), *out.inputs(node))


@lowers(StochasticDepth)
def stochastic_depth(op: StochasticDepth, node: Node, out: ModelWriter) -> None:
    """`layers.Dropout` with one mask value for each sample, or one for the whole batch."""
    shape = (1 if op.whole_batch else None, *op.mask_features(node.type))
    out.apply(node, call("layers.Dropout", op.rate, noise_shape=shape), *out.inputs(node))
