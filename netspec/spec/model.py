"""A spec that was read: each part legal alone, names resolved, shapes not yet looked at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field, Tag

from netspec.errors import NetspecError
from netspec.graph import Input
from netspec.graph.preprocessing import FORMS_OF_MEAN, MeanOfTrainingSet, Numbers, PreprocessingFigures
from netspec.ops import Op
from netspec.ops.attributes import Attribute, PositiveInt
from netspec.spec.expressions.expression import Value
from netspec.spec.layers.blocks import BlockSpec
from netspec.spec.layers.uses import Arguments
from netspec.spec.text.document import MappingNode, Position

if TYPE_CHECKING:
    from netspec.recipe import Recipe

MAX_ELEMENTS = 2**31
MAX_AXES = 8  # the batch among them: of more, many ops of TensorFlow are not there, or their gradients are not


class MeanFile(Attribute):
    """A mean image in a .npy: float32 of the input's [C, H, W], its path relative to this file."""

    image: str


class PreprocessingSpec(PreprocessingFigures):
    """From an image with values 0 to 255 to the input, in the order of the fields.

    It is resized (bilinear, antialiased), the centre of the input's size is cut out, channels are put in
    order, then (value - mean) * scale / std for each channel.
    """

    mean: Annotated[Numbers | MeanOfTrainingSet | Annotated[MeanFile, Tag("pixels")], FORMS_OF_MEAN] = (0.0,)


class InputSpec(Attribute):
    """An input: its axes after the batch, [C, H, W] for a map, and how a photograph becomes it."""

    shape: tuple[PositiveInt, ...] = Field(strict=False, min_length=1)
    preprocessing: PreprocessingSpec | None = None


class Published(Attribute):
    """Figures that the network's source states, to be shown beside netspec's own; `trained` are weights without
    running statistics.
    """

    trained: PositiveInt | None = None
    weights: PositiveInt | None = None
    neurons: PositiveInt | None = None
    macs: PositiveInt | None = None


class PlacementSpec(Attribute):
    """On how many devices the network lies: each of the `towers` keeps a share of the channels and of the weights."""

    towers: int = Field(ge=2, le=64)


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer: its op, and the values that it reads.

    Attributes:
        at: where the layer's name stands.
        attributes: what the spec says of it, defaults included, with places.
        default_initializers: weights whose initializer comes from `defaults`, not from the layer.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    at: Position = field(compare=False, repr=False)
    attributes: MappingNode = field(compare=False, repr=False)
    default_initializers: frozenset[str] = field(default=frozenset(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class UseSpec:
    """One layer that is a block, or a stack of it, and the values that it reads.

    Attributes:
        block: the block's name.
        instances: the arguments of each instance.
        stacked: whether it is a stack, be it of one.
        at: where the layer's name stands.
        attributes: what the spec says of it, with places.
    """

    name: str
    block: str
    instances: tuple[Arguments, ...]
    stacked: bool
    inputs: tuple[str, ...]
    at: Position = field(compare=False, repr=False)
    attributes: MappingNode = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network and its recipe, as one spec file (and those that it extends) says it.

    Attributes:
        layers: in the order of the file, each able to read any other: `conv1`, or `stem.skip` of a block's outputs.
        auxiliary: outputs that are there in training alone, beside `outputs`.
        parameters: the values that `${…}` saw.
        published: what the source states of it, or None.
        blocks: the blocks by name.
        defaults: attributes by op, which the layers of blocks have not got yet.
        placement: on how many devices it lies, or None for one.
        placed_at: where the spec says so.
        layers_at: where its layers stand.
        overrides_at: where the patterns of its recipe's `overrides` stand, of those that are its own.
    """

    name: str
    inputs: tuple[Input, ...]
    layers: tuple[LayerSpec | UseSpec, ...]
    outputs: tuple[str, ...]
    auxiliary: tuple[str, ...] = ()
    source: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    training: "Recipe | None" = None
    published: Published | None = None
    blocks: Mapping[str, BlockSpec] = field(default_factory=dict)
    defaults: Mapping[str, MappingNode] = field(default_factory=dict, compare=False, repr=False)
    placement: PlacementSpec | None = None
    placed_at: Position | None = field(default=None, compare=False, repr=False)
    layers_at: Position | None = field(default=None, compare=False, repr=False)
    overrides_at: Mapping[str, Position] = field(default_factory=dict, compare=False, repr=False)

    def require_placement(self) -> PlacementSpec:
        """The placement.

        Raises:
            NetspecError: the spec asks for none.
        """
        if self.placement is None:
            raise NetspecError(f"{self.name} has no placement", "add `placement: {towers: 2}` at the top of the spec")
        return self.placement


def layer_of(value: str) -> str:
    """The layer, or input, that gives a value: of `stem.skip`, an output of a block, `stem`."""
    return value.partition(".")[0]


class Checked(NamedTuple):
    """What of a spec is whole: `failed` are the layers and inputs that are not, each reported."""

    spec: ModelSpec
    failed: frozenset[str]
