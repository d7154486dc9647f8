"""Activation functions: element-wise functions, and softmax."""

import math
from collections.abc import Sequence
from typing import Literal

from netspec.arrays import np
from netspec.ops.attributes import PositiveFloat
from netspec.ops.base import (
    Array,
    Curvature,
    Op,
    Sample,
    Weight,
    WeightedOp,
    Weights,
    Window,
    require_channels,
    resolve_axis,
)
from netspec.ops.initializers import constant
from netspec.types import TensorType

# Of a central difference, as a share of x, at least this: its square, and rounding divided by it, are about 1e-10.
STEP = 2.0**-17


class Elementwise(Op):
    """Base class of functions applied to each element. Shapes: x → the same."""

    def infer(self, x: TensorType) -> TensorType:
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def slope(self, x: Array) -> Array:
        """Compute the derivative at each element: a central difference, unless the op has a corner and defines it."""
        step = STEP * np.maximum(np.abs(x), 1.0)
        y: Array = (self.reference({}, x + step) - self.reference({}, x - step)) / (2 * step)
        return y

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        return Curvature((self.slope(inputs[0]) ** 2 * h,))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), ((3, 5, 4),)), Sample(cls(), ((7,),), scale=8.0))


class Relu(Elementwise, kind="relu"):
    """max(x, 0); its gradient at 0 is 0. Source: Nair & Hinton 2010."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.maximum(x, 0.0)

    def slope(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, 0.0)


class Relu6(Elementwise, kind="relu6"):
    """min(max(x, 0), 6); its gradient at 0 and at 6 is 0. Source: Krizhevsky 2010 (convolutional belief networks)."""

    trap = "no upper bound"

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.clip(x, 0.0, 6.0)

    def slope(self, x: Array) -> Array:
        return np.where((x > 0) & (x < 6), 1.0, 0.0)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (*super().samples(), Sample(cls(), ((3, 4, 5),), scale=8.0))


class LeakyRelu(Elementwise, kind="leaky_relu"):
    """x where positive, else negative_slope · x; its gradient at 0 is the slope.

    Source: Maas et al. 2013, with the default slope of 0.01.
    """

    trap = "another default slope: 0.01 in torch, 0.3 in Keras"

    negative_slope: float = 0.01

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = np.where(x > 0, x, self.negative_slope * x)
        return y

    def slope(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, self.negative_slope)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (*super().samples(), *(Sample(cls(negative_slope=slope), ((3, 4),)) for slope in (0.3, -0.5)))


class PRelu(WeightedOp, kind="prelu"):
    """x where positive, else slope · x, with a learned slope for each channel, or one for all channels (`shared`).

    Its gradient at 0 is the slope. The initial slope is 0.25.

    Shapes:
        x (N, C) or (N, C, …) → the same; weight (C,), or (1,) when `shared`.

    Source: He et al. 2015 (rectifiers), section 2.1, with the same initial slope.
    """

    trap = "a slope for each element, the default in Keras, whose PReLU also has a gradient of 0 at 0"

    shared: bool = False

    def infer(self, x: TensorType) -> TensorType:
        require_channels(self.kind, x)
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis == 1

    def weights(self, x: TensorType) -> dict[str, Weight]:
        return {"weight": Weight((1 if self.shared else x.features[0],), constant(0.25))}

    def reference(self, weights: Weights, x: Array) -> Array:
        slopes = weights["weight"].reshape(-1, *(1,) * (x.ndim - 2))
        y: Array = np.where(x > 0, x, slopes * x)
        return y

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        slopes = weights["weight"].reshape(-1, *(1,) * (x.ndim - 2))
        of_channels = (np.minimum(x, 0.0) ** 2 * h).sum(axis=(0, *range(2, x.ndim)))
        of_weight = of_channels.sum(keepdims=True) if self.shared else of_channels
        return Curvature((np.where(x > 0, 1.0, slopes) ** 2 * h,), {"weight": of_weight})

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 5, 4),)),
            Sample(cls(shared=True), ((3, 4, 5),)),
            Sample(cls(), ((6,),)),
            Sample(cls(), ((4, 5),)),
            Sample(cls(shared=True), ((5, 4),)),
            Sample(cls(), ((2, 3, 4, 2),)),
        )


class Elu(Elementwise, kind="elu"):
    """x where positive, else alpha · (exp(x) − 1). Source: Clevert et al. 2015, with the default alpha of 1."""

    trap = "another alpha"

    alpha: PositiveFloat = 1.0

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0.0)))
        return y

    def slope(self, x: Array) -> Array:
        return np.where(x > 0, 1.0, self.alpha * np.exp(np.minimum(x, 0.0)))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (*super().samples(), Sample(cls(alpha=0.3), ((3, 4),)))


class Tanh(Elementwise, kind="tanh"):
    """The hyperbolic tangent."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.tanh(x)


def _logistic(x: Array) -> Array:
    """1 / (1 + exp(−x)) without overflow, since exp is taken of −|x|."""
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, decay) / (1.0 + decay)


class Sigmoid(Elementwise, kind="sigmoid"):
    """1 / (1 + exp(−x))."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return _logistic(x)


class Silu(Elementwise, kind="silu"):
    """x · sigmoid(x), also called swish. Source: Elfwing et al. 2017."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return x * _logistic(x)


class HardSigmoid(Elementwise, kind="hard_sigmoid"):
    """min(max(x + 3, 0), 6) / 6. Source: Howard et al. 2019 (MobileNetV3), section 5.2."""

    trap = "another slope: 0.2 x + 0.5 in ONNX's defaults and in Keras 2"

    def reference(self, weights: Weights, x: Array) -> Array:
        return _hard_logistic(x)

    def slope(self, x: Array) -> Array:
        return np.where(np.abs(x) < 3, 1 / 6, 0.0)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (*super().samples(), Sample(cls(), ((3, 4, 5),), scale=3.0))


class HardSwish(Elementwise, kind="hard_swish"):
    """x · min(max(x + 3, 0), 6) / 6. Source: Howard et al. 2019 (MobileNetV3), section 5.2."""

    trap = "SiLU, which it approximates"

    def reference(self, weights: Weights, x: Array) -> Array:
        return x * _hard_logistic(x)

    def slope(self, x: Array) -> Array:
        return np.where(np.abs(x) < 3, x / 3 + 0.5, np.where(x > 0, 1.0, 0.0))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (*super().samples(), Sample(cls(), ((3, 4, 5),), scale=3.0))


def _hard_logistic(x: Array) -> Array:
    y: Array = np.clip(x + 3.0, 0.0, 6.0) / 6.0
    return y


class Softplus(Elementwise, kind="softplus"):
    """log(1 + exp(x)). Source: Dugas et al. 2000."""

    trap = "x itself above 20, the default in torch, which is less by 2e-9"

    def reference(self, weights: Weights, x: Array) -> Array:
        return np.logaddexp(x, 0.0)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (*super().samples(), Sample(cls(), ((3, 4, 5),), scale=20.0))


class Mish(Elementwise, kind="mish"):
    """x · tanh(softplus(x)). Source: Misra 2019."""

    def reference(self, weights: Weights, x: Array) -> Array:
        return x * np.tanh(np.logaddexp(x, 0.0))


class Gelu(Elementwise, kind="gelu"):
    """x · Φ(x), where Φ is the normal distribution function: exact (`form: erf`) or approximate (`form: tanh`).

    `tanh` is 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 x³))). The two forms differ by up to 4.7e-4.

    Source: Hendrycks & Gimpel 2016, section 2.
    """

    trap = "the tanh approximation in place of the exact form, or the reverse"

    form: Literal["erf", "tanh"] = "erf"

    def reference(self, weights: Weights, x: Array) -> Array:
        if self.form == "tanh":
            return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
        scaled = x / math.sqrt(2.0)
        erf = np.fromiter(map(math.erf, scaled.ravel().tolist()), np.float64, x.size).reshape(x.shape)
        exact: Array = 0.5 * x * (1.0 + erf)
        return exact

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (*super().samples(), Sample(cls(form="tanh"), ((3, 5, 4),)))


class Softmax(Op, kind="softmax"):
    """exp(x) / Σ exp(x) along one axis, computed from x minus its maximum. Shapes: x → the same."""

    trap = "another axis: channels are last in Keras"

    axis: int = -1

    def resolve(self, x: TensorType) -> "Softmax":
        return Softmax(axis=resolve_axis(self.kind, self.axis, x))

    def infer(self, x: TensorType) -> TensorType:
        resolve_axis(self.kind, self.axis, x)
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis != self.axis

    def reference(self, weights: Weights, x: Array) -> Array:
        exp = np.exp(x - x.max(axis=self.axis, keepdims=True))
        result: Array = exp / exp.sum(axis=self.axis, keepdims=True)
        return result

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((10,),), scale=8.0),
            Sample(cls(axis=1), ((5, 3, 4),)),
            Sample(cls(axis=2), ((5, 3, 4),)),
            Sample(cls(), ((3, 6),)),
            Sample(cls(), ((2, 3, 2, 2, 4),)),  # more axes than TensorFlow's kernel accepts
            Sample(cls(axis=2), ((2, 3, 2, 2, 4),)),
        )
