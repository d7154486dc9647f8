"""How a photograph becomes the input of a network: facts that travel with the graph, and into ONNX metadata."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Discriminator, Field, Tag

from netspec.graph.mean import MeanImage
from netspec.ops.attributes import Attribute, PositiveFloat, PositiveInt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def _form(value: Any) -> str:
    if isinstance(value, str):
        return "word"
    return "pixels" if isinstance(value, dict | Attribute) else "numbers"


Numbers = Annotated[tuple[float, ...], Field(strict=False), Tag("numbers")]
MeanOfTrainingSet = Annotated[Literal["per_channel", "per_pixel"], Tag("word")]
# The third form is an image, tagged "pixels": whole in a graph, named by its file in a spec.
FORMS_OF_MEAN = Field(
    discriminator=Discriminator(_form),
    description="A list of one number, or of one a channel; an image, a number for each channel and pixel of the "
    "input; or `per_channel` or `per_pixel`: that of the training set, computed once by `netspec train`, which writes "
    "what it found into the run's spec",
)


class PreprocessingFigures(Attribute):
    """From an image with values 0 to 255 to the input tensor, in the order of the fields.

    The image is resized (bilinear, antialiased) until its shorter side is `resize_shorter_side`, the
    centre of the input's height and width is cut out, channels are put in order, then
    (value - mean) * scale / std for each channel.

    A mean image is subtracted as it stands, wherever in the image a crop was cut out and whether or not it
    was mirrored: it is the mean of what the centre shows, as in the code of 2012. Caffe takes the part of a
    larger mean image that the crop was cut out of.
    """

    resize_shorter_side: PositiveInt | None = None
    channel_order: Literal["rgb", "bgr", "gray"] = "rgb"
    mean: object = (0.0,)  # its place among the fields; each subclass says which image it may be
    scale: PositiveFloat = 1.0
    std: tuple[PositiveFloat, ...] = Field((1.0,), strict=False)

    @property
    def channels(self) -> int:
        """Channels that the image has after it is read."""
        return 1 if self.channel_order == "gray" else 3


class Preprocessing(PreprocessingFigures):
    """How a photograph becomes an input, whole: a mean image is part of it."""

    mean: Annotated[Numbers | MeanOfTrainingSet | Annotated[MeanImage, Tag("pixels")], FORMS_OF_MEAN] = (0.0,)


class Normalization(NamedTuple):
    """From pixels to the input of a network: (pixels + shift − mean) · factor, in the graph's dtype, in this order.

    Attributes:
        mean: of the training set, or as published. Shape: (C, 1, 1) or (C, H, W). Units: pixel values, 0 to 255.
        factor: scale / std. Shape: (C, 1, 1).
    """

    mean: "NDArray[np.float32]"
    factor: "NDArray[np.float32]"
