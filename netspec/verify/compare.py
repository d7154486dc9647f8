"""Measures of the difference between two arrays, and the tolerances that they are compared with."""

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

# Outputs are compared as shares of the largest element. In float64, torch and TensorFlow differ by 6e-15 for AlexNet,
# so 1e-12 leaves room for deeper networks and none for a bug. In float32, rounding in sums of 10^4 terms stays below
# 1e-6. Gradients are compared in float64 by relative L2: 1.6e-14 was measured.
FORWARD_TOLERANCE = {DType.FLOAT64: 1e-12, DType.FLOAT32: 1e-5}
GRADIENT_TOLERANCE = 1e-10
# A derivative that is mathematically zero (of a bias before a normalization) is rounding noise in each framework.
# Gradients below this share of the largest are therefore divided by that share, which makes their tolerance 1e-12 of
# the largest.
NEGLIGIBLE_GRADIENT = 1e-2
# Tolerances for twenty optimizer steps. In float64, AlexNet's weights and velocities stay within 2e-10 of one another,
# and its losses within 5e-12. In float32, where rounding accumulates over steps, its losses stay within 1e-5.
STATE_TOLERANCE = 1e-9
LOSS_TOLERANCE = {DType.FLOAT64: 1e-10, DType.FLOAT32: 1e-4}
# Likewise, a velocity that is mathematically zero is divided by this share of the largest velocity.
NEGLIGIBLE_STATE = 1e-3
BLOCK = 1 << 16  # elements: few enough that a block and its intermediate results fit into a processor's cache


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a backend's results with expected ones.

    Attributes:
        level: the kind of results.
        backend, against: the backend, and the backend or reference that it was compared with.
        dtype: the dtype in which the results were computed.
        case: batch and size of the input, `2 × 3x224x224`; for training, also the number of steps and the optimizer.
        subject: the output, weight or input with the largest error.
        error: the difference, measured as `measure` says.
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
        """How the error is measured, in words."""
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
    """‖actual − expected‖ / ‖expected‖, in float64; `scale` is the least value of the divisor.

    Raises:
        VerificationError: the shapes differ, or either holds NaN or infinity.
    """
    _require_comparable(actual, expected)
    norm = max(float(np.linalg.norm(expected)), scale)
    difference = float(np.linalg.norm(actual.astype(np.float64) - expected))
    return difference / norm if norm else difference


@dataclass(slots=True)
class Gap:
    """The difference between two arrays, accumulated block by block; infinite if it is not a number.

    Attributes:
        difference: the largest |actual − expected| so far.
        largest: the largest |expected| so far.
    """

    difference: float = 0.0
    largest: float = 0.0

    def widen(self, actual: Array, expected: Array) -> None:
        """Take a block of each array into account."""
        if expected.size:
            # NaN propagates through the max of an array, but not through Python's max().
            difference = float(np.abs(actual - expected).max())
            self.difference = max(self.difference, difference if math.isfinite(difference) else math.inf)
            self.largest = max(self.largest, float(np.abs(expected).max()))

    def share(self, scale: float = 0.0) -> float:
        """The difference as a share of the largest expected element; `scale` is the least value of the divisor."""
        divisor = max(self.largest, scale)
        return self.difference / divisor if 0 < divisor < math.inf else self.difference


def blocks(size: int, elements: int = 1) -> Iterator[slice]:
    """The slices that divide an array of `size` rows of so many elements each into blocks of whole rows."""
    step = max(1, BLOCK // max(1, elements))
    return (slice(start, start + step) for start in range(0, size, step))


def worst_of(
    actual: Mapping[str, Array],
    expected: Mapping[str, Array],
    dtype: DType,
    measure: Callable[[Array, Array], float],
    limit_of: Callable[[str, DType, float], float],
) -> tuple[str, float, float]:
    """The array whose error is the largest multiple of its limit: its name, its error and its limit.

    The error of an array that is missing, not finite, or of another shape or dtype is infinite.
    """
    rows: list[tuple[str, float, float]] = []
    for name, value in expected.items():
        try:
            if actual[name].dtype != dtype.numpy:
                raise VerificationError(f"expected {dtype}, received {actual[name].dtype}")
            error = measure(actual[name], value)
        except (KeyError, VerificationError):
            error = math.inf
        rows.append((name, error, limit_of(name, dtype, error)))
    return max(rows, key=lambda row: row[1] / row[2])


def require_close(actual: Array, expected: Array, tolerance: float, what: str, dtype: DType) -> None:
    """Raise VerificationError unless an array has the dtype, the shape and, within a tolerance, the expected values.

    Args:
        actual: the array that a backend returned.
        expected: the expected array; the comparison is in float64.
        tolerance: the largest difference that passes, as a share of the largest expected element.
        what: the name of the array, for the message.
        dtype: the expected dtype.
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
    for role, array in (("what was received", actual), ("what was expected", expected)):
        if not np.isfinite(array).all():
            raise VerificationError(f"{role} holds NaN or infinity")
