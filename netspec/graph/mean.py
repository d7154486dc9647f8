"""Mean images: how a graph stores one, and how it is read from and written to a .npy file."""

import base64
import hashlib
import io
import math
from tokenize import TokenError
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from netspec.arrays import np
from netspec.errors import NetspecError
from netspec.ops.attributes import Attribute, PositiveInt

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIX = ".npy"
MAX_HEADER = 2**16  # largest header of a .npy, in bytes; NumPy writes 128 for an array of float32
FLOAT32 = 4  # bytes
SAVE = "`numpy.save(path, mean.astype('float32'))` writes one"
# The exceptions of NumPy for a damaged header, which it evaluates as a Python literal.
DAMAGED = (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError)


class MeanImage(Attribute):
    """The mean of each pixel, channels in the network's order. Units: pixel values, 0 to 255.

    `str` gives a hash of the numbers, which is short enough for the text of a graph.

    Attributes:
        shape: the (C, H, W) of the input.
        data: base64 of the float32 numbers, little-endian, in row-major order.
    """

    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(strict=False)
    data: str = Field(repr=False)

    @classmethod
    def of(cls, array: "NDArray[np.floating]") -> Self:
        """Make a mean image from an array. Shape: (C, H, W)."""
        numbers = np.ascontiguousarray(array, "<f4")
        return cls(shape=numbers.shape, data=base64.b64encode(numbers.tobytes()).decode())

    @property
    def array(self) -> "NDArray[np.float32]":
        """The numbers. Shape: (C, H, W)."""
        return np.frombuffer(base64.b64decode(self.data), "<f4").reshape(self.shape).astype(np.float32)

    @model_validator(mode="after")
    def _has_a_number_a_pixel(self) -> Self:
        size = len(base64.b64decode(self.data, validate=True))
        if size != FLOAT32 * math.prod(self.shape):
            raise ValueError(f"expected {math.prod(self.shape)} numbers in float32, received {size} bytes")
        if not np.isfinite(self.array).all():
            raise ValueError("expected finite numbers, received NaN or infinite ones")
        return self

    def __str__(self) -> str:
        return f"sha256:{hashlib.sha256(base64.b64decode(self.data)).hexdigest()[:16]}"


def read_npy(content: bytes, shape: tuple[int, ...]) -> MeanImage:
    """Read a mean image from the bytes of a .npy file. Bytes after the numbers are ignored, as by NumPy.

    Args:
        content: the file, or as much of it as `MAX_HEADER` bytes and all numbers of the shape take.
        shape: the (C, H, W) of the input, which the array must have.

    Raises:
        NetspecError: the file is not a .npy, is truncated, has pickled objects (which are never read), another shape
            or type, or numbers that are not finite.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        received, fortran_order, dtype = read_header(file)
    except DAMAGED as error:
        raise NetspecError("not a .npy file, or damaged", SAVE) from error
    if dtype.hasobject:
        raise NetspecError("holds pickled Python objects, which could run code: they are not read", SAVE)
    if received != shape:
        hint = "it is the mean of the cropped images: cut the center out of a larger one"
        raise NetspecError(f"expected the input's shape {shape}, received {received}", hint)
    if (dtype.kind, dtype.itemsize) != ("f", FLOAT32):
        raise NetspecError(f"expected float32, received {dtype}", SAVE)
    size = FLOAT32 * math.prod(shape)
    numbers = content[file.tell() : file.tell() + size]
    if len(numbers) != size:
        raise NetspecError(f"cut short: expected {size:,} bytes of numbers, found {len(numbers):,}")
    array = np.frombuffer(numbers, dtype).reshape(shape, order="F" if fortran_order else "C")
    if not np.isfinite(array).all():
        raise NetspecError("holds NaN or infinite values")
    return MeanImage.of(array)


def write_npy(image: MeanImage) -> bytes:
    """Return the image as the bytes of a .npy file, which are the same for equal images."""
    file = io.BytesIO()
    np.lib.format.write_array(file, image.array.astype("<f4"), version=(1, 0), allow_pickle=False)
    return file.getvalue()
