"""Resizing in Keras."""

from netspec.graph import Node
from netspec.lowering.python.source import LiteralValue, call
from netspec.ops import Resize
from netspec_keras.geometry import pair
from netspec_keras.table import lowers
from netspec_keras.writer import ModelWriter


@lowers(Resize)
def resize(op: Resize, node: Node, out: ModelWriter) -> None:
    """`layers.UpSampling2D` if elements are only repeated, else our `Resize2D`.

    The resizing of Keras has only half-pixel coordinates, rounds differently on each engine, and computes in float32 on
    TensorFlow.
    """
    factors = _repeats(op, node)
    if factors is not None:
        repeats = factors[0] if factors[0] == factors[1] else factors
        out.apply(node, call("layers.UpSampling2D", repeats), *out.inputs(node))
        return
    rounding: dict[str, LiteralValue] = {"rounding": op.rounding} if op.mode == "nearest" else {}
    alike = out.all_equal(node, _output_size)
    size = pair(op.target) if alike else (op.target.height, op.target.width)
    layer = call("Resize2D", size, mode=op.mode, coordinates=op.coordinates, **rounding)
    out.apply(node, layer, *out.inputs(node))


def _output_size(node: Node) -> tuple[int, ...]:
    return node.type.features[1:]


def _repeats(op: Resize, node: Node) -> tuple[int, int] | None:
    """The number of times that each row and each column is repeated; None if the op does anything else."""
    if op.mode != "nearest":
        return None
    factors = []
    for along, length in zip(op.positions(node.input_types[0]), node.input_types[0].features[1:], strict=True):
        factor = len(along) // length
        if [position.low for position in along] != [i for i in range(length) for _ in range(factor)]:
            return None
        factors.append(factor)
    return factors[0], factors[1]
