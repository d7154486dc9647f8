"""Arithmetic on each element: with constants, and by functions that are no activations."""

from typing import ClassVar

from netspec.arrays import np
from netspec.ops.activation import Elementwise
from netspec.ops.base import Array, Sample, Weights


class Rescale(Elementwise, kind="rescale"):
    """scale · x + offset, both constants: a residual made smaller, 1 − x of a gate."""

    trap: ClassVar[str] = "the offset added before the scale"

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


class Abs(Elementwise, kind="abs"):
    """x without its sign; its gradient at 0 is 0."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.abs(x)
