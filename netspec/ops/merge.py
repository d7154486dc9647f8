"""Ops that combine several values."""

import functools
from collections.abc import Sequence

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.base import Array, Curvature, Op, Sample, Weights, resolve_axis
from netspec.ops.curvature import Moving, product_of_others, summed_to
from netspec.types import TensorType


class Broadcasting(Op):
    """Base class of element-wise ops of several values of the same rank, whose axes are equal or 1."""

    def infer(self, *inputs: TensorType) -> TensorType:
        if len({x.rank for x in inputs}) > 1:
            raise ShapeError(
                f"{self.kind} expects inputs of the same rank, received {_list(inputs)}",
                "make their ranks equal with `reshape`",
                "inputs",
            )
        features = []
        for dims in zip(*(x.features for x in inputs), strict=True):
            if len(set(dims) - {1}) > 1:
                raise ShapeError(
                    f"{self.kind} expects equal shapes, or axes of 1 that broadcast; received {_list(inputs)}",
                    attribute="inputs",
                )
            features.append(max(dims))
        return inputs[0].with_features(*features)

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def slopes(self, inputs: Sequence[Array], output: Array) -> Sequence[Array]:
        """Compute the derivative of each element of the output in each input. Shapes: broadcast to the output's."""
        raise NotImplementedError(self.kind)

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        slopes = self.slopes(inputs, output)
        return Curvature(tuple(summed_to(slope**2 * h, x) for slope, x in zip(slopes, inputs, strict=True)))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 4, 5), (3, 4, 5))),
            Sample(cls(), ((6,), (6,), (6,))),
            Sample(cls(), ((), ())),
            Sample(cls(), ((3, 4, 5), (3, 1, 1))),  # a gate for each channel
            Sample(cls(), ((1, 4, 1), (3, 1, 5))),
            Sample(cls(), ((7,), (1,))),  # one number per sample; in a batch of 7, as many samples as features
            Sample(cls(), ((4, 4, 4), (1, 4, 1))),  # one number per row, and as many rows as channels
            Sample(cls(), ((3, 4, 5), (3, 1, 1), (1, 4, 5))),
            Sample(cls(), ((1, 5), (5, 1))),
            Sample(cls(), ((2, 3, 1, 2), (1, 3, 4, 2))),
        )


class Add(Broadcasting, kind="add"):
    """The sum. Shapes: two or more of the same rank, axes equal or 1 → the larger of each axis."""

    inputs = (2, None)

    def reference(self, weights: Weights, *inputs: Array) -> Array:
        return functools.reduce(np.add, inputs)

    def slopes(self, inputs: Sequence[Array], output: Array) -> Sequence[Array]:
        return [np.ones(())] * len(inputs)


class Subtract(Broadcasting, kind="subtract"):
    """The first minus the second. Shapes: two of the same rank, axes equal or 1 → the larger of each axis."""

    inputs = (2, 2)
    trap = "the second minus the first"

    def reference(self, weights: Weights, *inputs: Array) -> Array:
        first, second = inputs
        return first - second

    def slopes(self, inputs: Sequence[Array], output: Array) -> Sequence[Array]:
        return np.ones(()), -np.ones(())

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return tuple(sample for sample in super().samples() if len(sample.inputs) == 2)


class Multiply(Broadcasting, kind="multiply"):
    """The product. Shapes: two or more of the same rank, axes equal or 1 → the larger of each axis."""

    inputs = (2, None)

    def reference(self, weights: Weights, *inputs: Array) -> Array:
        return functools.reduce(np.multiply, inputs)

    def slopes(self, inputs: Sequence[Array], output: Array) -> Sequence[Array]:
        return [product_of_others(inputs, position) for position in range(len(inputs))]


class Divide(Broadcasting, kind="divide"):
    """The first divided by the second; division by 0 gives infinity or NaN, as in all frameworks.

    Shapes: two of the same rank, axes equal or 1 → the larger of each axis.
    """

    inputs = (2, 2)
    trap = "the second divided by the first"

    def reference(self, weights: Weights, *inputs: Array) -> Array:
        first, second = inputs
        with np.errstate(invalid="ignore", divide="ignore"):
            return first / second

    def slopes(self, inputs: Sequence[Array], output: Array) -> Sequence[Array]:
        _, second = inputs
        with np.errstate(invalid="ignore", divide="ignore"):
            return 1.0 / second, -output / second

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return tuple(s._replace(domains=("any", "not_zero")) for s in super().samples() if len(s.inputs) == 2)


class Maximum(Broadcasting, kind="maximum"):
    """The largest of the values, element by element. Of two that are equal, each gets half of the gradient.

    Shapes: two or more of the same rank, axes equal or 1 → the larger of each axis.
    """

    inputs = (2, None)

    def reference(self, weights: Weights, *inputs: Array) -> Array:
        return functools.reduce(np.maximum, inputs)

    def slopes(self, inputs: Sequence[Array], output: Array) -> Sequence[Array]:
        return _shared(inputs, output)


class Minimum(Broadcasting, kind="minimum"):
    """The smallest of the values, element by element. Of two that are equal, each gets half of the gradient.

    Shapes: two or more of the same rank, axes equal or 1 → the larger of each axis.
    """

    inputs = (2, None)

    def reference(self, weights: Weights, *inputs: Array) -> Array:
        return functools.reduce(np.minimum, inputs)

    def slopes(self, inputs: Sequence[Array], output: Array) -> Sequence[Array]:
        return _shared(inputs, output)


def _shared(inputs: Sequence[Array], output: Array) -> Sequence[Array]:
    """1 for the inputs that are the output, divided among those that are equal to it; 0 for the others."""
    chosen = [x == output for x in inputs]
    count = sum(each.astype(np.float64) for each in chosen)
    return [each / count for each in chosen]


class Concat(Moving, kind="concat"):
    """The concatenation along an axis, by default the channels. Shapes: equal except for that axis."""

    inputs = (2, None)
    trap = "another axis: channels are last in Keras"

    axis: int = 1

    def resolve(self, *inputs: TensorType) -> "Concat":
        return Concat(axis=resolve_axis(self.kind, self.axis, inputs[0]))

    def infer(self, *inputs: TensorType) -> TensorType:
        axis = resolve_axis(self.kind, self.axis, inputs[0]) - 1
        other_axes = {(x.rank, x.features[:axis], x.features[axis + 1 :]) for x in inputs}
        if len(other_axes) > 1:
            raise ShapeError(
                f"concat along axis {self.axis} expects inputs equal except for that axis, received {_list(inputs)}",
                attribute="inputs",
            )
        features = list(inputs[0].features)
        features[axis] = sum(x.features[axis] for x in inputs)
        return inputs[0].with_features(*features)

    def separates(self, parts: int, axis: int) -> bool:
        return axis != self.axis

    def reference(self, weights: Weights, *inputs: Array) -> Array:
        return np.concatenate(inputs, axis=self.axis)

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((2, 4, 5), (3, 4, 5), (1, 4, 5))),
            Sample(cls(axis=2), ((2, 4, 5), (2, 1, 5))),
            Sample(cls(axis=-1), ((2, 4, 5), (2, 4, 2))),
            Sample(cls(), ((3,), (4,))),
            Sample(cls(axis=2), ((3, 2), (3, 5))),
            Sample(cls(axis=-2), ((2, 3, 4, 2), (2, 3, 1, 2))),
        )


def _list(inputs: tuple[TensorType, ...]) -> str:
    return " and ".join(map(str, inputs))
