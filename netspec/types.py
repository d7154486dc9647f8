"""The type of a tensor: its dtype, and its shape with a free batch axis."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from netspec.arrays import np


class DType(StrEnum):
    """Element types. Graphs are in float32; their equality is verified in float64 as well."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def numpy(self) -> np.dtype[np.floating]:
        """The NumPy dtype."""
        return np.dtype(self.value)

    @property
    def bytes(self) -> int:
        """The size of an element. Units: bytes."""
        return {DType.FLOAT32: 4, DType.FLOAT64: 8}[self]


BATCH: Final = "N"
Dim = int | Literal["N"]


class TensorType(NamedTuple):
    """A shape, whose first axis is the free batch axis, and a dtype. Maps are (N, C, H, W).

    >>> t = TensorType.of(3, 224, 224)
    >>> str(t), t.size
    ('(N, 3, 224, 224)', 150528)
    """

    shape: tuple[Dim, ...]
    dtype: DType = DType.FLOAT32

    @classmethod
    def of(cls, *features: int, dtype: DType = DType.FLOAT32) -> TensorType:
        """The type with these axes after the batch axis."""
        return cls((BATCH, *features), dtype)

    @property
    def features(self) -> tuple[int, ...]:
        """The shape without the batch axis."""
        return tuple(d for d in self.shape if d != BATCH)

    @property
    def rank(self) -> int:
        """The number of axes, including the batch axis."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements per sample."""
        return math.prod(self.features)

    def concrete(self, batch: int) -> tuple[int, ...]:
        """Return the shape for a batch size."""
        return (batch, *self.features)

    def with_features(self, *features: int) -> TensorType:
        """Return the type with other axes after the batch axis."""
        return TensorType((BATCH, *features), self.dtype)

    def astype(self, dtype: DType) -> TensorType:
        """Return the type with another dtype."""
        return self._replace(dtype=dtype)

    def __str__(self) -> str:
        return f"({', '.join(str(d) for d in self.shape)}{',' if self.rank == 1 else ''})"
