"""Linear maps: the affine map of the last axis, a scale for each channel, the product of two matrices."""

import math
from collections.abc import Sequence
from typing import Self

from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveInt
from netspec.ops.base import (
    Array,
    Curvature,
    FilterOp,
    Op,
    Sample,
    Weight,
    WeightedOp,
    Weights,
    Window,
    require_groups,
    resolve_axis,
)
from netspec.ops.curvature import summed_to
from netspec.ops.initializers import Values, constant, he
from netspec.types import TensorType


class Dense(FilterOp, kind="dense"):
    """Affine map of the last axis, in `groups` of features that are independent of one another.

    With groups, unit u reads features [i·F/g, (i+1)·F/g) of its group i = u // (units/g), as in the towers of a
    network without connections between them.

    Shapes:
        x (N, F) or (N, L, F) → (N, units) or (N, L, units); weight (units, F/groups); bias (units,).

    Source: Krizhevsky et al. 2012, section 3.5; PyTorch Linear and ONNX Gemm(transB=1) for one group.
    """

    trap = "features flattened as H, W, C instead of C, H, W, a transposed weight, or no bias"

    units: PositiveInt
    groups: PositiveInt = 1
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        if x.rank not in (2, 3):
            raise ShapeError(
                f"dense expects features (N, F) or (N, L, F), received {x}",
                _hint_for_dense(x),
            )
        require_groups(self.kind, self.groups, features=x.features[-1], units=self.units)
        return x.with_features(*x.features[:-1], self.units)

    def separates(self, parts: int, axis: int) -> bool:
        return self.groups % parts == 0

    def share(self, parts: int) -> Self:
        return self.model_copy(update={"units": self.units // parts, "groups": max(1, self.groups // parts)})

    def weights(self, x: TensorType) -> dict[str, Weight]:
        shape = (self.units, x.features[-1] // self.groups)
        fans = (shape[1], self.units)
        weights = {"weight": Weight(shape, he(), *fans)}
        return weights | {"bias": Weight((self.units,), constant(0.0), *fans)} if self.bias else weights

    def reference(self, weights: Weights, x: Array) -> Array:
        g = self.groups
        kernels = weights["weight"].reshape(g, self.units // g, -1)
        grouped = x.reshape(-1, g, kernels.shape[2]).swapaxes(0, 1)
        y: Array = (grouped @ kernels.swapaxes(1, 2)).swapaxes(0, 1).reshape(*x.shape[:-1], self.units)
        return y + weights["bias"] if self.bias else y

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        squares = weights["weight"].reshape(self.groups, self.units // self.groups, -1) ** 2
        by_group = [a.reshape(-1, self.groups, a.shape[-1] // self.groups).swapaxes(0, 1) for a in (x, h)]
        of_x = (by_group[1] @ squares).swapaxes(0, 1).reshape(x.shape)
        of_weight = (by_group[1].swapaxes(1, 2) @ by_group[0] ** 2).reshape(weights["weight"].shape)
        of_bias = {"bias": h.sum(axis=tuple(range(h.ndim - 1)))} if self.bias else {}
        return Curvature((of_x,), {"weight": of_weight} | of_bias)

    def macs(self, x: TensorType) -> int:
        return math.prod(self.weights(x)["weight"].shape) * math.prod(x.features[:-1])

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(units=5), ((7,),)),
            Sample(cls(units=4, bias=False), ((6,),), scale=60.0),
            Sample(cls(units=6, groups=2), ((8,),)),
            Sample(cls(units=6, groups=3, bias=False), ((6,),)),
            Sample(cls(units=4), ((3, 5),)),
            Sample(cls(units=4, groups=2), ((3, 6),)),
        )


def _hint_for_dense(x: TensorType) -> str:
    if x.rank < 4:
        return ""
    of_last_axis = f"`reshape` to `[-1, {x.features[-1]}]` for a map of the last axis, and its result back"
    if x.rank > 4:
        return of_last_axis
    return (
        "add a `flatten` or `global_avg_pool2d` before it; or use a `conv2d` with `kernel_size: 1` for a map of the "
        f"channels at each position; or {of_last_axis}"
    )


class LayerScale(WeightedOp, kind="layer_scale"):
    """x times a learned scale for each channel, or for each feature of tokens with `axis: -1`.

    The default initial scale is 1e-6, so that a residual branch initially adds almost nothing.

    Shapes:
        x (N, C, …) → the same; weight (C,), the size of `axis`.

    Source: Touvron et al. 2021 (CaiT), section 2; Liu et al. 2022 (ConvNeXt) on maps.
    """

    trap = "another axis: channels are last in Keras"

    axis: int = 1

    def resolve(self, x: TensorType) -> Self:
        return self.model_copy(update={"axis": resolve_axis(self.kind, self.axis, x)})

    def infer(self, x: TensorType) -> TensorType:
        resolve_axis(self.kind, self.axis, x)
        return x

    def separates(self, parts: int, axis: int) -> bool:
        return axis == self.axis

    def weights(self, x: TensorType) -> dict[str, Weight]:
        return {"weight": Weight((x.features[self.axis - 1],), constant(1e-6))}

    def reference(self, weights: Weights, x: Array) -> Array:
        return x * weights["weight"].reshape(-1, *(1,) * (x.ndim - 1 - self.axis))

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        scale = weights["weight"].reshape(-1, *(1,) * (x.ndim - 1 - self.axis))
        of_weight = (x**2 * h).sum(axis=tuple(axis for axis in range(x.ndim) if axis != self.axis))
        return Curvature((scale**2 * h,), {"weight": of_weight})

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 4, 5),)),
            Sample(cls(axis=3), ((3, 4, 4),)),
            Sample(cls(axis=-1), ((4, 5),)),
            Sample(cls(), ((5, 5),)),
            Sample(cls(), ((6,),)),
            Sample(cls(initialize={"weight": Values(values=(0.5, 1.0, -2.0))}), ((3, 4, 5),)),
            Sample(cls(axis=2), ((2, 3, 4, 2),)),
        )


class MatMul(Op, kind="matmul"):
    """The matrix product over the last two axes, of which either operand may be transposed first.

    Shapes:
        a (N, …, n, k), b (N, …, k, m) → (N, …, n, m). With `transpose_a` a is (N, …, k, n), with `transpose_b` b is
        (N, …, m, k). The axes before the last two are equal, or 1 in one operand, which is then used for each
        position of the other's axis.

    Source: NumPy, PyTorch and ONNX matmul.
    """

    inputs = (2, 2)
    trap = "an operand wrongly transposed; in Keras, the channels of a map in place of its columns"

    transpose_a: bool = False
    transpose_b: bool = False

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.rank != b.rank or a.rank < 3 or any(x != y and 1 not in (x, y) for x, y in self._leading(a, b)):
            raise ShapeError(
                f"matmul expects matrices (N, …, n, k) and (N, …, k, m) whose axes before the last two are equal, or 1 "
                f"to broadcast; received {a} and {b}",
                "make their ranks equal with `reshape`" if a.rank != b.rank else "",
                "inputs",
            )
        rows, inner = self._oriented(a, self.transpose_a)
        inner_of_b, columns = self._oriented(b, self.transpose_b)
        if inner != inner_of_b:
            raise ShapeError(
                f"matmul cannot multiply ({rows}, {inner}) by ({inner_of_b}, {columns}), of {a} and {b}",
                "transpose one of them: `transpose_a` or `transpose_b`" if inner_of_b != columns else "",
                "inputs",
            )
        return a.with_features(*map(max, self._leading(a, b)), rows, columns)

    @staticmethod
    def _leading(a: TensorType, b: TensorType) -> list[tuple[int, int]]:
        """The sizes of each axis between the batch and the matrices, in both operands."""
        return list(zip(a.features[:-2], b.features[:-2], strict=False))

    @staticmethod
    def _oriented(x: TensorType, transposed: bool) -> tuple[int, int]:
        """The rows and columns of a matrix, after it is transposed if it is."""
        rows, columns = x.features[-2:]
        return (columns, rows) if transposed else (rows, columns)

    def reference(self, weights: Weights, a: Array, b: Array) -> Array:
        a = a.swapaxes(-1, -2) if self.transpose_a else a
        b = b.swapaxes(-1, -2) if self.transpose_b else b
        y: Array = a @ b
        return y

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        a, b = inputs
        # Each operand as it is multiplied by the other's transpose: a is (n, k), b is (k, m), h is (n, m).
        of_a = h @ (b if self.transpose_b else b.swapaxes(-1, -2)) ** 2
        of_b = (a if self.transpose_a else a.swapaxes(-1, -2)) ** 2 @ h
        of_a = of_a.swapaxes(-1, -2) if self.transpose_a else of_a
        of_b = of_b.swapaxes(-1, -2) if self.transpose_b else of_b
        return Curvature((summed_to(of_a, a), summed_to(of_b, b)))

    def macs(self, a: TensorType, b: TensorType) -> int:
        return self.infer(a, b).size * self._oriented(a, self.transpose_a)[1]

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((3, 4), (4, 5))),
            Sample(cls(transpose_b=True), ((3, 4), (5, 4))),
            Sample(cls(transpose_a=True), ((4, 3), (4, 5))),
            Sample(cls(transpose_a=True, transpose_b=True), ((4, 3), (5, 4))),
            Sample(cls(), ((2, 3, 4), (2, 4, 5))),
            Sample(cls(transpose_b=True), ((3, 4, 4), (3, 4, 4))),
            Sample(cls(transpose_a=True), ((2, 4, 4), (2, 4, 4))),
            Sample(cls(), ((1, 3, 4), (2, 4, 5))),  # one matrix, multiplied by several
            Sample(cls(transpose_a=True, transpose_b=True), ((2, 4, 3), (1, 5, 4))),
            Sample(cls(), ((1, 3, 4), (1, 4, 5))),
            Sample(cls(), ((2, 1, 3, 4), (1, 3, 4, 2))),
        )
