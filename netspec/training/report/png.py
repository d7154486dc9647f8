"""Pixels as PNG, with Pillow, and PNG as an element of the page."""

from __future__ import annotations

import base64
import io
from typing import Final

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError
from netspec.markup import Element, element

WIDEST: Final = 720  # CSS pixels of a sheet of samples


def png(pixels: NDArray[np.uint8]) -> bytes:
    """An image file of pixels. Shape: (H, W) in gray, or (H, W, 3 or 4).

    Raises:
        NetspecError: Pillow is not installed.
    """
    try:
        from PIL import Image  # noqa: PLC0415 # an optional dependency, for training only
    except ImportError as error:
        raise NetspecError("the report needs pillow, not installed here", "pip install 'netspec[train]'") from error
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def picture(content: bytes, alt: str, size: tuple[int, int], scale: int) -> Element:
    """An image file in the page itself, of a size in pixels (height, width), each shown `scale` CSS pixels wide."""
    source = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    return element("img", src=source, alt=alt, width=scale * size[1], height=scale * size[0])


def samples_section(content: bytes) -> Element:
    """The section that shows the PNG of a generator's samples."""
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))  # in a PNG's first chunk
    lead = "What the generator makes of noise that stayed the same during the run, after the last epoch, at inference."
    shown = picture(content, "samples of the generator", (height, width), max(1, WIDEST // width))
    return element(
        "section",
        element("h2", "Samples"),
        element("p", lead, class_="lead"),
        element("figure", shown, class_="kernels"),
    )
