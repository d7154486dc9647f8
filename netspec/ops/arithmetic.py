"""Element-wise arithmetic: operations with constants, and functions other than activations."""

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array, Sample, Weights
from netspec.types import TensorType


class Rescale(Elementwise, kind="rescale"):
    """scale · x + offset with constants, for example to scale down a residual branch, or for the 1 − x of a gate."""

    trap = "the offset added before the scale"

    scale: float = 1.0
    offset: float = 0.0

    def reference(self, weights: Weights, x: Array) -> Array:
        return self.scale * x + self.offset

    def slope(self, x: Array) -> Array:
        return np.full(x.shape, self.scale)

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
    """The exponential, e to the power of x."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.exp(x)


class Log(Elementwise, kind="log"):
    """The natural logarithm of x, defined where x is positive.

    Elsewhere it is NaN or minus infinity, as in all frameworks. An offset (`rescale`) or a bound (`clip`) before it
    keeps x positive.
    """

    trap = "the logarithm of 1 + x, or to another base"

    def reference(self, weights: Weights, x: Array) -> Array:
        # NaN and infinity are reported when values are compared, so NumPy need not warn.
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(x)

    def slope(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return 1.0 / x

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 5, 4),), domains=("positive",)),
            Sample(cls(), ((7,),), scale=60.0, domains=("positive",)),
        )


class Sin(Elementwise, kind="sin"):
    """The sine of x in radians, for example for positional encodings.

    Source: Sitzmann et al. 2020 and Mildenhall et al. 2020 for its use.
    """

    trap = "the cosine"

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.sin(x)


class Cos(Elementwise, kind="cos"):
    """The cosine of x in radians."""

    trap = "the sine"

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.cos(x)


class Abs(Elementwise, kind="abs"):
    """The absolute value of x; its gradient at 0 is 0."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.abs(x)

    def slope(self, x: Array) -> Array:
        return np.sign(x)


class Power(Elementwise, kind="power"):
    """x to the power of a constant `exponent`: 2 is the square, 0.5 the square root, −1 the reciprocal.

    It is defined for a negative x only if the exponent is an integer, and for 0 only if the exponent is positive.
    Elsewhere it is NaN or infinite, as in all frameworks. So is its gradient at 0 for an exponent below 1, such as that
    of a square root. An offset (`rescale`) or a bound (`clip`) before it keeps x in the domain.
    """

    trap = "computed as exp(exponent · log x), which is not defined for a negative x"

    exponent: float

    def infer(self, x: TensorType) -> TensorType:
        if self.exponent == 0:
            raise ShapeError(
                "power with exponent 0 is 1 for every x: expected another exponent",
                "`{op: rescale, scale: 0, offset: 1}` has the value 1 for each element",
                "exponent",
            )
        return x

    def reference(self, weights: Weights, x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):  # as for `log`
            return x**self.exponent

    def slope(self, x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.exponent * x ** (self.exponent - 1)

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
    """min(max(x, `min`), `max`), where either bound may be omitted; its gradient at a bound is 1."""

    trap = "a missing bound, or a gradient of 0 at a bound"

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

    def slope(self, x: Array) -> Array:
        return np.where(x == self.reference({}, x), 1.0, 0.0)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(min=-1.0, max=1.0), ((3, 5, 4),)),
            Sample(cls(min=0.1, max=0.7), ((7,),)),
            Sample(cls(min=0.01), ((3, 4),)),
            Sample(cls(max=-0.3), ((3, 4, 5),)),
            Sample(cls(max=100.0), ((5,),), scale=100.0),
        )
