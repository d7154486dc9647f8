"""How a photograph becomes the input of a network: facts that travel with the graph, and into ONNX metadata."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from netspec.ops.attributes import Attribute, PositiveFloat, PositiveInt


class Preprocessing(Attribute):
    """From an image with values 0 to 255 to the input tensor, in the order of the fields.

    The image is resized (bilinear, antialiased) until its shorter side is `resize_shorter_side`, the
    centre of the input's height and width is cut out, channels are put in order, then
    (value - mean) * scale / std for each channel.
    """

    resize_shorter_side: PositiveInt | None = None
    channel_order: Literal["rgb", "bgr", "gray"] = "rgb"
    mean: tuple[float, ...] = Field((0.0,), strict=False)
    scale: PositiveFloat = 1.0
    std: tuple[PositiveFloat, ...] = Field((1.0,), strict=False)

    @property
    def channels(self) -> int:
        """Channels that the image has after it is read."""
        return 1 if self.channel_order == "gray" else 3
