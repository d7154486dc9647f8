"""A mean image, whole: what a graph holds of it, and the .npy that it is read from and written to."""

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
MAX_HEADER = 2**16  # bytes before the numbers of a .npy; NumPy writes 128 for an array of float32
FLOAT32 = 4  # bytes
SAVE = "`numpy.save(path, mean.astype('float32'))` writes one"
# What NumPy raises for a header that is none; it is evaluated as a Python literal.
DAMAGED = (ValueError, TypeError, SyntaxError, TokenError, RecursionError, MemoryError)


class MeanImage(Attribute):
    """The mean of each pixel, channels in the network's order. Units: pixel values, 0 to 255.

    As text it is a digest of its numbers: a line has no room for them.

    Attributes:
        shape: (C, H, W), the input's.
        data: base64 of the float32 numbers, little-endian, W fastest.
    """

    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(strict=False)
    data: str = Field(repr=False)

    @classmethod
    def of(cls, array: "NDArray[np.floating]") -> Self:
        """The image that an array of (C, H, W) holds."""
        numbers = np.ascontiguousarray(array, "<f4")
        return cls(shape=numbers.shape, data=base64.b64encode(numbers.tobytes()).decode())

    @property
    def array(self) -> "NDArray[np.float32]":
        """Its numbers. Shape: (C, H, W)."""
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
    """The mean image in the bytes of a .npy. The file may go on after the numbers, as NumPy allows.

    Args:
        content: the file, or at least its first `MAX_HEADER` bytes with all numbers of the shape.
        shape: the input's (C, H, W), which the array has to have.

    Raises:
        NetspecError: not a .npy, cut short, of Python objects (nothing is unpickled), of another shape or type, or
            not finite.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        received, by_column, dtype = read_header(file)
    except DAMAGED as error:
        raise NetspecError("not a .npy file, or damaged", SAVE) from error
    if dtype.hasobject:
        raise NetspecError("holds pickled Python objects, which could run code: they are not read", SAVE)
    if received != shape:
        hint = "it is the mean of what the network sees: cut the centre out of a larger one"
        raise NetspecError(f"expected the input's shape {shape}, received {received}", hint)
    if (dtype.kind, dtype.itemsize) != ("f", FLOAT32):
        raise NetspecError(f"expected float32, received {dtype}", SAVE)
    size = FLOAT32 * math.prod(shape)
    numbers = content[file.tell() : file.tell() + size]
    if len(numbers) != size:
        raise NetspecError(f"cut short: expected {size:,} bytes of numbers, found {len(numbers):,}")
    array = np.frombuffer(numbers, dtype).reshape(shape, order="F" if by_column else "C")
    if not np.isfinite(array).all():
        raise NetspecError("holds NaN or infinite values")
    return MeanImage.of(array)


def write_npy(image: MeanImage) -> bytes:
    """The bytes of a .npy from which `read_npy` gives the image again, always the same."""
    file = io.BytesIO()
    np.lib.format.write_array(file, image.array.astype("<f4"), version=(1, 0), allow_pickle=False)
    return file.getvalue()
