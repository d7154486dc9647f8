"""How far two arrays are apart, by measures that respect what a float is; and the comparison as a value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from netspec.errors import VerificationError
from netspec.ops.base import Array
from netspec.types import DType

Level = Literal["forward", "gradient", "training"]

# Shares of the largest element. float64: torch and TensorFlow differ by 6e-15 for AlexNet, so 1e-12 leaves room for
# depth and none for a bug. float32: rounding in sums of 10^4 terms stays below 1e-6. Gradients are compared in float64
# by relative L2: 1.6e-14 was measured.
FORWARD_TOLERANCE = {DType.FLOAT64: 1e-12, DType.FLOAT32: 1e-5}
GRADIENT_TOLERANCE = 1e-10
# A derivative that is zero on paper (a bias before a normalization) is rounding noise in each framework: gradients
# below this share of the largest are measured on its scale, so that their tolerance is 1e-12 of the largest.
NEGLIGIBLE_GRADIENT = 1e-2
# Of twenty optimizer steps. float64: AlexNet's weights and velocities stay within 2e-10 of one another, its losses
# within 5e-12. float32: rounding is carried from step to step, its losses within 1e-5.
STATE_TOLERANCE = 1e-9
LOSS_TOLERANCE = {DType.FLOAT64: 1e-10, DType.FLOAT32: 1e-4}
# As for gradients: a velocity that is zero on paper is measured on this share of the largest velocity.
NEGLIGIBLE_STATE = 1e-3
BLOCK = 1 << 16  # elements: all that is made of them on the way fits into a processor's cache


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a proof.

    Attributes:
        level: what was compared.
        backend, against: whose result, and whose it had to be.
        dtype: in which it was computed.
        case: batch and size of the input, `2 × 3x224x224`; of training its length and rule too.
        subject: the output, weight or input compared; of several, the worst.
        error: the difference, as `measure` names it.
        tolerance: the largest error that passes.
    """

    level: Level
    backend: str
    against: str
    dtype: DType
    case: str
    subject: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.error <= self.tolerance

    @property
    def measure(self) -> str:
        """What the error is a share of."""
        return "relative L2" if self.level == "gradient" else "of the largest"


def difference_of_largest(actual: Array, expected: Array) -> float:
    """The largest |actual − expected| as a share of the largest |expected|, computed in float64.

    Raises:
        VerificationError: the shapes differ, or either holds NaN or infinity.
    """
    _require_comparable(actual, expected)
    if not expected.size:
        return 0.0
    largest = float(np.abs(expected).max())
    difference = float(np.abs(actual.astype(np.float64) - expected).max())
    return difference / largest if largest else difference


def relative_l2(actual: Array, expected: Array, scale: float = 0.0) -> float:
    """‖actual − expected‖ / ‖expected‖, in float64; `scale` is the least that is divided by.

    Raises:
        VerificationError: the shapes differ, or either holds NaN or infinity.
    """
    _require_comparable(actual, expected)
    norm = max(float(np.linalg.norm(expected)), scale)
    difference = float(np.linalg.norm(actual.astype(np.float64) - expected))
    return difference / norm if norm else difference


@dataclass(slots=True)
class Gap:
    """How far arrays are apart, and how large they had to be, block by block; infinitely far where that has no answer.

    Attributes:
        difference: the largest |actual − expected| so far.
        largest: the largest |expected| so far.
    """

    difference: float = 0.0
    largest: float = 0.0

    def widen(self, actual: Array, expected: Array) -> None:
        """Take a block of both into account."""
        if expected.size:
            # NaN passes through max() of an array, and not through that of Python.
            difference = float(np.abs(actual - expected).max())
            self.difference = max(self.difference, difference if math.isfinite(difference) else math.inf)
            self.largest = max(self.largest, float(np.abs(expected).max()))

    def share(self, scale: float = 0.0) -> float:
        """The difference as a share of the largest; `scale` is the least that is divided by."""
        divisor = max(self.largest, scale)
        return self.difference / divisor if 0 < divisor < math.inf else self.difference


def blocks(size: int) -> Iterator[slice]:
    """Slices of a flat array, a block each."""
    return (slice(start, start + BLOCK) for start in range(0, size, BLOCK))


def worst_of(
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    dtype: DType,
    measure: Callable[[Array, Array], float],
    limit_of: Callable[[str, DType, float], float],
) -> tuple[str, float, float]:
    """The subject that differs most by its limit, its error and that limit; what cannot be measured is infinite."""
    found: list[tuple[str, float, float]] = []
    for name, value in expected.items():
        try:
            if actual[name].dtype != dtype.numpy:
                raise VerificationError(f"expected {dtype}, received {actual[name].dtype}")
            error = measure(actual[name], value)
        except (KeyError, VerificationError):
            error = math.inf
        found.append((name, error, limit_of(name, dtype, error)))
    return max(found, key=lambda row: row[1] / row[2])


def require_close(actual: Array, expected: Array, tolerance: float, what: str, dtype: DType) -> None:
    """VerificationError unless the dtype is as said, the shapes agree, and the difference is within tolerance.

    Args:
        actual: what a backend gave.
        expected: what it had to be; compared in float64.
        tolerance: as a share of the largest expected element.
        what: the subject, for the message.
        dtype: what `actual` must be.
    """
    if actual.dtype != dtype.numpy:
        raise VerificationError(f"{what}: expected {dtype}, received {actual.dtype}")
    try:
        error = difference_of_largest(actual, expected)
    except VerificationError as failure:
        raise VerificationError(f"{what}: {failure.message}") from failure
    if not error <= tolerance:
        raise VerificationError(f"{what}: differs by {error:.1e} of the largest, expected at most {tolerance:.0e}")


def _require_comparable(actual: Array, expected: Array) -> None:
    if actual.shape != expected.shape:
        raise VerificationError(f"expected shape {expected.shape}, received {actual.shape}")
    for who, array in (("what was received", actual), ("what was expected", expected)):
        if not np.isfinite(array).all():
            raise VerificationError(f"{who} holds NaN or infinity")
