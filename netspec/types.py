"""The type of a tensor: its element type, and its shape with a free batch."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final, Literal, NamedTuple

from netspec.arrays import np


class DType(StrEnum):
    """Element types. A graph is float32; equality is proved on the same graph in float64."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def numpy(self) -> np.dtype[np.floating]:
        """The NumPy dtype."""
        return np.dtype(self.value)

    @property
    def bytes(self) -> int:
        """Bytes an element."""
        return {DType.FLOAT32: 4, DType.FLOAT64: 8}[self]


BATCH: Final = "N"
Dim = int | Literal["N"]


class TensorType(NamedTuple):
    """A shape whose first axis is the free batch, and a dtype. Maps are (N, C, H, W).

    >>> t = TensorType.of(3, 224, 224)
    >>> str(t), t.size
    ('(N, 3, 224, 224)', 150528)
    """

    shape: tuple[Dim, ...]
    dtype: DType = DType.FLOAT32

    @classmethod
    def of(cls, *features: int, dtype: DType = DType.FLOAT32) -> TensorType:
        """The type with these axes after the batch."""
        return cls((BATCH, *features), dtype)

    @property
    def features(self) -> tuple[int, ...]:
        """The axes after the batch."""
        return tuple(d for d in self.shape if d != BATCH)

    @property
    def rank(self) -> int:
        """Number of axes, the batch counted."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Elements per sample."""
        return math.prod(self.features)

    def concrete(self, batch: int) -> tuple[int, ...]:
        """The shape at a given batch."""
        return (batch, *self.features)

    def with_features(self, *features: int) -> TensorType:
        """The same dtype with other axes after the batch."""
        return TensorType((BATCH, *features), self.dtype)

    def astype(self, dtype: DType) -> TensorType:
        """The same shape with another dtype."""
        return self._replace(dtype=dtype)

    def __str__(self) -> str:
        return f"({', '.join(str(d) for d in self.shape)}{',' if self.rank == 1 else ''})"
