"""Arithmetic on each element: with constants, and by functions that are no activations."""

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array, Sample, Weights
from netspec.types import TensorType


class Rescale(Elementwise, kind="rescale"):
    """scale · x + offset, both constants: a residual made smaller, 1 − x of a gate."""

    trap = "the offset added before the scale"

    scale: float = 1.0
    offset: float = 0.0

    def reference(self, weights: Weights, x: Array) -> Array:
        return self.scale * x + self.offset

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(scale=0.17), ((3, 5, 4),)),
            Sample(cls(scale=-1.0), ((3, 4),)),
            Sample(cls(offset=0.3), ((7,),)),
            Sample(cls(scale=-1.0, offset=1.0), ((3, 4, 5),)),
            Sample(cls(scale=2.0, offset=-0.1), ((3, 4, 5),)),
            Sample(cls(scale=0.0), ((3, 4),)),
            Sample(cls(), ((5,),)),
        )


class Exp(Elementwise, kind="exp"):
    """e to the power of x."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.exp(x)


class Log(Elementwise, kind="log"):
    """The natural logarithm of x, a number where x is positive: an offset (`rescale`) or a bound (`clip`) keeps it so.

    Elsewhere it is NaN or minus infinity, as in all frameworks.
    """

    trap = "of 1 + x, or to another base"

    def reference(self, weights: Weights, x: Array) -> Array:
        # What is no number is told where values are compared, and not by NumPy on the way.
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 5, 4),), domains=("positive",)),
            Sample(cls(), ((7,),), scale=60.0, domains=("positive",)),
        )


class Sin(Elementwise, kind="sin"):
    """The sine of x in radians. Source: Sitzmann et al. 2020 and Mildenhall et al. 2020, for what it is used for."""

    trap = "the cosine"

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.sin(x)


class Cos(Elementwise, kind="cos"):
    """The cosine of x in radians."""

    trap = "the sine"

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.cos(x)


class Abs(Elementwise, kind="abs"):
    """x without its sign; its gradient at 0 is 0."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.abs(x)


class Power(Elementwise, kind="power"):
    """x to the power of a constant `exponent`: 2 is the square, 0.5 the square root, −1 the reciprocal.

    It is a number where powers of real numbers are: of a negative x for a whole exponent alone, of 0 for a positive
    one. Elsewhere it is NaN or infinite, as in all frameworks; so is the slope at 0 of an exponent below 1, a square
    root's too. An offset (`rescale`) or a bound (`clip`) before it keeps x away from there.
    """

    trap = "as exp(exponent · log x), which is not defined for a negative x"

    exponent: float

    def infer(self, x: TensorType) -> TensorType:
        if self.exponent == 0:
            raise ShapeError(
                "power of 0 is 1 whatever x is: expected another exponent",
                "`{op: rescale, scale: 0, offset: 1}` is a one for each element",
                "exponent",
            )
        return x

    def reference(self, weights: Weights, x: Array) -> Array:
        # NaN is reported where values are compared, not by NumPy on the way.
        with np.errstate(invalid="ignore", divide="ignore"):
            return x**self.exponent

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(exponent=2.0), ((3, 5, 4),)),
            Sample(cls(exponent=3.0), ((3, 4),)),
            Sample(cls(exponent=1.0), ((5,),)),
            Sample(cls(exponent=0.5), ((3, 5, 4),), domains=("not_negative",)),
            Sample(cls(exponent=1.5), ((3, 4),), domains=("not_negative",)),
            Sample(cls(exponent=0.3), ((7,),), scale=60.0, domains=("not_negative",)),
            Sample(cls(exponent=-0.5), ((3, 4, 5),), domains=("positive",)),
            Sample(cls(exponent=-0.75), ((3, 4),), domains=("positive",)),
            Sample(cls(exponent=-1.0), ((3, 4, 5),), domains=("not_zero",)),
            Sample(cls(exponent=-2.0), ((4,),), domains=("not_zero",)),
        )


class Clip(Elementwise, kind="clip"):
    """min(max(x, `min`), `max`), either bound left out where there is none; its gradient at a bound is 1."""

    trap = "a bound left out, or a gradient of 0 at a bound"

    min: float | None = None
    max: float | None = None

    def infer(self, x: TensorType) -> TensorType:
        if self.min is None and self.max is None:
            raise ShapeError("clip expects `min`, `max` or both, received neither")
        if self.min is not None and self.max is not None and self.min >= self.max:
            raise ShapeError(f"clip expects `min` below `max`, received {self.min} and {self.max}", attribute="min")
        return x

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.clip(x, self.min, self.max)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(min=-1.0, max=1.0), ((3, 5, 4),)),
            Sample(cls(min=0.1, max=0.7), ((7,),)),
            Sample(cls(min=0.01), ((3, 4),)),
            Sample(cls(max=-0.3), ((3, 4, 5),)),
            Sample(cls(max=100.0), ((5,),), scale=100.0),
        )
