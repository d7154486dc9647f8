"""The preprocessing of photographs, which is part of a graph and of the metadata of ONNX models."""

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
# The third form is an image, tagged "pixels". A graph has the image itself, a spec the name of its file.
FORMS_OF_MEAN = Field(
    discriminator=Discriminator(_form),
    description="A list of one number, or of one for each channel; an image with a number for each channel and pixel "
    "of the input; or `per_channel` or `per_pixel` for the mean of the training set, which `netspec train` computes "
    "once and writes into the run's spec",
)


class PreprocessingFigures(Attribute):
    """The steps from an image with values 0 to 255 to the input tensor, in the order of the fields.

    The image is resized (bilinear, antialiased) until its shorter side is `resize_shorter_side`. The center of the
    input's height and width is cut out, and the channels are put in order. The result is (value - mean) * scale / std
    for each channel.

    A mean image is that of the center crops. It is subtracted unchanged from every crop, wherever the crop was cut out
    and whether or not it was mirrored, as in the code of 2012. Caffe instead subtracts the part of a larger mean image
    at the position of the crop.
    """

    resize_shorter_side: PositiveInt | None = None
    channel_order: Literal["rgb", "bgr", "gray"] = "rgb"
    mean: object = (0.0,)  # sets the order of the fields; each subclass narrows the type
    scale: PositiveFloat = 1.0
    std: tuple[PositiveFloat, ...] = Field((1.0,), strict=False)

    @property
    def channels(self) -> int:
        """The number of channels of the image."""
        return 1 if self.channel_order == "gray" else 3


class Preprocessing(PreprocessingFigures):
    """The preprocessing of a photograph, with the mean image itself if it has one."""

    mean: Annotated[Numbers | MeanOfTrainingSet | Annotated[MeanImage, Tag("pixels")], FORMS_OF_MEAN] = (0.0,)


class Normalization(NamedTuple):
    """The normalization (pixels + shift − mean) · factor, computed in this order and in the graph's dtype.

    The shift is that of `color_noise`, in training only.

    Attributes:
        mean: the mean of the training set, or as published. Shape: (C, 1, 1) or (C, H, W). Units: pixel values, 0 to
            255.
        factor: scale / std. Shape: (C, 1, 1).
    """

    mean: "NDArray[np.float32]"
    factor: "NDArray[np.float32]"
