"""What a layer sees of the spec, and of the block that it stands in: names, shapes, defaults and blocks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from netspec.spec.expressions.expression import UNKNOWN, Names, Value
from netspec.spec.expressions.hints import SIZES
from netspec.spec.layers.blocks import BlockSpec
from netspec.spec.parameters.values import Substitution
from netspec.spec.text.document import MappingNode, Position, Problems
from netspec.types import TensorType


class Surroundings(NamedTuple):
    """What layers see of the spec, and of the block that they stand in.

    Attributes:
        names: what expressions see.
        defaults: attributes by op.
        blocks: the blocks that can be used.
        inputs: what comes from outside, and where it is stated.
        beside: the layers of the same block, whose shapes are not seen.
    """

    names: Names
    defaults: Mapping[str, MappingNode]
    blocks: Mapping[str, BlockSpec]
    inputs: Mapping[str, Position]
    beside: Collection[str] = ()

    def substitution(self, problems: Problems) -> Substitution:
        """What evaluates the expressions of a layer."""
        return Substitution(self.names, problems, beside=self.beside)


def incoming(inputs: Mapping[str, TensorType]) -> dict[str, Value]:
    """The shape that arrives, as expressions see it: `channels` of the first input, `skip.channels` of any.

    >>> incoming({"input": TensorType.of(3, 9, 7)})["height"], incoming({"x": TensorType.of(5)})
    (9, {'shape': (5,), 'x': {'shape': (5,)}})
    """
    found: dict[str, Value] = {}
    for name, type in inputs.items():
        own = shape_of(type)
        found = {**(found or own), name: own}
    return found


def shape_of(type: TensorType) -> dict[str, Value]:
    """The parts of a shape by name, as expressions see them."""
    own: dict[str, Value] = {"shape": type.features}
    return own | dict(zip(SIZES, type.features, strict=True)) if type.rank == 4 else own


def seen(values: Mapping[str, Value], inputs: Mapping[str, TensorType]) -> dict[str, Value]:
    """The parameters of a spec, then the shape that arrives: what is given a name hides what is there by itself."""
    return dict(values) | {name: value for name, value in incoming(inputs).items() if name not in values}


def not_yet_known(block: BlockSpec, values: Names) -> Names:
    """What the expressions of a block see while nothing is given to it."""
    own = dict.fromkeys(block.parameters, UNKNOWN)
    return {**own, **without_shape(values, block.inputs), **own}


def without_shape(values: Names, inputs: Collection[str]) -> Names:
    """The same, where it is not known what arrives."""
    return {**values, **{name: UNKNOWN for name in (*SIZES, "shape", *inputs) if name not in values}}
