"""The model of a spec: parts checked one by one, names resolved, shapes not yet checked."""

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
from netspec.spec.text.document import Entry, MappingNode, Position

if TYPE_CHECKING:
    from netspec.recipe import Recipe

MAX_ELEMENTS = 2**31  # of a tensor, for one sample
MAX_AXES = 8  # with the batch; beyond it, TensorFlow lacks many ops or their gradients


class MeanFile(Attribute):
    """A mean image in a .npy file: float32, of the input's shape [C, H, W]. The path is relative to this file."""

    image: str


class PreprocessingSpec(PreprocessingFigures):
    """How an image with values from 0 to 255 becomes the input, in the order of the fields.

    The image is resized (bilinear, antialiased) and center-cropped to the size of the input, its channels are put in
    order, and each becomes (value - mean) * scale / std.
    """

    mean: Annotated[Numbers | MeanOfTrainingSet | Annotated[MeanFile, Tag("pixels")], FORMS_OF_MEAN] = (0.0,)


class InputSpec(Attribute):
    """An input: its shape without the batch, [C, H, W] for a feature map, and its preprocessing."""

    shape: tuple[PositiveInt, ...] = Field(strict=False, min_length=1)
    preprocessing: PreprocessingSpec | None = None


class Published(Attribute):
    """Figures from the network's source, which are shown beside netspec's own.

    `trained` counts the weights without running statistics.
    """

    trained: PositiveInt | None = None
    weights: PositiveInt | None = None
    neurons: PositiveInt | None = None
    macs: PositiveInt | None = None


class PlacementSpec(Attribute):
    """The number of devices that the network is placed on. Each tower keeps a part of the channels and weights."""

    towers: int = Field(ge=2, le=64)


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A layer that is an op.

    Attributes:
        inputs: names of the values that it reads.
        at: position of the layer's name.
        attributes: its attributes in the document, with defaults.
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
    """A layer that is a block, or a stack of instances of a block.

    Attributes:
        block: name of the block.
        instances: arguments of each instance.
        stacked: whether it is a stack, even of one instance.
        inputs: names of the values that it reads.
        at: position of the layer's name.
        attributes: its arguments and other keys in the document.
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
    """A network and its recipe, as a spec file and the files that it extends describe them.

    Attributes:
        layers: layers in the order of the file. Each may read any other: `conv1`, or `stem.skip`, an output of a block.
        outputs: names of the output values.
        auxiliary: names of further outputs, which exist only in training.
        source: where the network comes from.
        parameters: values of the parameters.
        training: the recipe, or None.
        published: figures from the network's source, or None.
        blocks: blocks by name.
        defaults: attributes by op, for the layers of blocks; other layers have them already.
        placement: placement on several devices, or None for one device.
        placed_at: position of the placement.
        layers_at: position of `layers:`.
        training_at: position of `training:`.
        overrides_at: positions of the patterns of the recipe's `overrides` that stand in the spec's own file.
        loss_at: the recipe's `loss:` in the document, if it has one.
        discriminator: the spec that an adversarial loss names, once it is read.
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
    training_at: Position | None = field(default=None, compare=False, repr=False)
    overrides_at: Mapping[str, Position] = field(default_factory=dict, compare=False, repr=False)
    loss_at: Entry | None = field(default=None, compare=False, repr=False)
    discriminator: "ModelSpec | None" = None

    def require_placement(self) -> PlacementSpec:
        """The placement.

        Raises:
            NetspecError: the spec has none.
        """
        if self.placement is None:
            raise NetspecError(f"{self.name} has no placement", "add `placement: {towers: 2}` at the top of the spec")
        return self.placement


def layer_of(value: str) -> str:
    """The name of the layer or input that gives a value: `stem` for `stem.skip`, an output of a block."""
    return value.partition(".")[0]


class Checked(NamedTuple):
    """The parts of a spec without problems. `failed` names the layers with problems, which were reported."""

    spec: ModelSpec
    failed: frozenset[str]
