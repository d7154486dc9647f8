"""The environment of layers: what their expressions see, the defaults of ops, and the blocks they can use."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeVar

from netspec.spec.expressions.expression import UNKNOWN, Names, Value
from netspec.spec.expressions.hints import SIZES
from netspec.spec.layers.blocks import BlockSpec
from netspec.spec.parameters.values import Substitution
from netspec.spec.text.document import MappingNode, Position, Problems
from netspec.types import TensorType

T = TypeVar("T")


class Environment(NamedTuple):
    """What the layers of a network, or of an instance of a block, are read with.

    Attributes:
        names: values that expressions see.
        defaults: attributes by op.
        blocks: blocks that layers can use.
        inputs: names of the inputs of the network or block, with their positions.
        beside: names of the layers of the same block, whose shapes expressions do not see.
    """

    names: Names
    defaults: Mapping[str, MappingNode]
    blocks: Mapping[str, BlockSpec]
    inputs: Mapping[str, Position]
    beside: Collection[str] = ()

    def substitution(self, problems: Problems) -> Substitution:
        """The substitution that evaluates the expressions of a layer."""
        return Substitution(self.names, problems, beside=self.beside)


def arriving_shapes(inputs: Mapping[str, TensorType]) -> dict[str, Value]:
    """The shapes that arrive, as expressions see them: `channels` of the first input, `skip.channels` of any.

    >>> arriving_shapes({"input": TensorType.of(3, 9, 7)})["height"], arriving_shapes({"x": TensorType.of(5)})
    (9, {'shape': (5,), 'x': {'shape': (5,)}})
    """
    shapes = {name: shape_of(type) for name, type in inputs.items()}
    first = next(iter(shapes.values()), {})
    return {**first, **shapes}


def shape_of(type: TensorType) -> dict[str, Value]:
    """A shape as expressions see it: `shape`, and the sizes of a feature map (N, C, H, W) by name."""
    shape: dict[str, Value] = {"shape": type.features}
    return shape | dict(zip(SIZES, type.features, strict=True)) if type.rank == 4 else shape


# Parameters come first in the mappings below, as messages list them, and hide shapes of the same name.


def names_with_shapes(parameters: Mapping[str, T], inputs: Mapping[str, TensorType]) -> dict[str, T | Value]:
    """The values of parameters, and the shapes that arrive."""
    return {**parameters, **arriving_shapes(inputs), **parameters}


def names_without_shapes(parameters: Names, inputs: Collection[str]) -> Names:
    """The values of parameters, and unknown shapes."""
    return {**parameters, **dict.fromkeys((*SIZES, "shape", *inputs), UNKNOWN), **parameters}


def names_in_unused_block(block: BlockSpec, values: Names) -> Names:
    """What the expressions of a block see before a layer uses it: its parameters and the shapes are unknown."""
    parameters = dict.fromkeys(block.parameters, UNKNOWN)
    return {**parameters, **names_without_shapes(values, block.inputs), **parameters}
