"""Convolution of maps."""

import math
from collections.abc import Sequence
from typing import Self

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import (
    NO_PADDING,
    AnyPadding,
    Padding,
    PositiveInt,
    Rounding,
    Same,
    Size2d,
    both,
    extent,
    padding_of,
    resolve_padding,
    slide,
)
from netspec.ops.base import (
    Array,
    Curvature,
    FilterOp,
    Sample,
    Weight,
    Weights,
    Window,
    require_groups,
    require_map,
)
from netspec.ops.curvature import kernel_sums, spread
from netspec.ops.initializers import constant, he
from netspec.types import TensorType

BLOCK = 1 << 20  # window elements that are copied at a time


class Conv2d(FilterOp, kind="conv2d"):
    """Cross-correlation of a map with `filters` kernels, in `groups` of channels that are independent of one another.

    Filter o reads input channels [i·C/g, (i+1)·C/g) of its group i = o // (filters/g). Padding is with zeros. With
    `round: ceil` a last window may extend past the bottom and right edges, where it reads zeros, as in the 2012 code.
    The graph stores this, and `same` padding, as explicit padding.

    Shapes:
        x (N, C, H, W) → (N, filters, H', W'), H' = floor((H + top + bottom − dilation·(k−1) − 1) / stride) + 1.
        weight (filters, C/groups, kernel height, kernel width); bias (filters,).

    Source: Krizhevsky et al. 2012, section 3.5 (groups); PyTorch Conv2d and ONNX Conv agree.
    """

    trap = "padding on the wrong side, groups in another order, or a kernel whose axes are not transposed"

    filters: PositiveInt
    kernel_size: Size2d
    stride: Size2d = both(1)
    padding: AnyPadding = NO_PADDING
    dilation: Size2d = both(1)
    groups: PositiveInt = 1
    bias: bool = True
    round: Rounding = "floor"

    @property
    def explicit_padding(self) -> Padding:
        """The explicit padding, which only a resolved op has."""
        if isinstance(self.padding, Same):
            raise ShapeError(f"conv2d: {self.padding} is not resolved yet", attribute="padding")
        return self.padding

    def resolve(self, x: TensorType) -> Self:
        _, height, width = require_map(self.kind, x)
        padding = resolve_padding(self.padding, (height, width), self.kernel_size, self.stride, self.dilation)
        if self.round == "ceil":
            rows, columns = self._positions(height, width, padding, "ceil")
            k, s, d = self.kernel_size, self.stride, self.dilation
            down = _span(rows, s.height, k.height, d.height) - height - padding.top - padding.bottom
            across = _span(columns, s.width, k.width, d.width) - width - padding.left - padding.right
            padding += padding_of((0, 0, max(0, down), max(0, across)))
        return self.model_copy(update={"padding": padding, "round": "floor"})

    def _positions(self, height: int, width: int, p: Padding, round: Rounding) -> tuple[int, int]:
        k, s, d = self.kernel_size, self.stride, self.dilation
        return (
            slide(height, k.height, s.height, p.top, p.bottom, round, d.height),
            slide(width, k.width, s.width, p.left, p.right, round, d.width),
        )

    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = require_map(self.kind, x)
        require_groups(self.kind, self.groups, input_channels=channels, filters=self.filters)
        rows, columns = self._positions(height, width, self.explicit_padding, self.round)
        if not rows or not columns:
            raise window_does_not_fit(
                self.kind, self.kernel_size, self.explicit_padding, (height, width), self.dilation
            )
        return x.with_features(self.filters, rows, columns)

    def separates(self, parts: int, axis: int) -> bool:
        return self.groups % parts == 0

    def share(self, parts: int) -> Self:
        return self.model_copy(update={"filters": self.filters // parts, "groups": max(1, self.groups // parts)})

    def weights(self, x: TensorType) -> dict[str, Weight]:
        kernel = (self.kernel_size.height, self.kernel_size.width)
        shape = (self.filters, x.features[0] // self.groups, *kernel)
        fans = (math.prod(shape[1:]), self.filters * math.prod(kernel))
        weights = {"weight": Weight(shape, he(), *fans)}
        return weights | {"bias": Weight((self.filters,), constant(0.0), *fans)} if self.bias else weights

    def reference(self, weights: Weights, x: Array) -> Array:
        p, k, s, d, g = self.explicit_padding, self.kernel_size, self.stride, self.dilation, self.groups
        kernels = weights["weight"].reshape(g, self.filters // g, -1)
        padded = np.pad(x, ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right)))
        reach = (extent(k.height, d.height), extent(k.width, d.width))
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=(2, 3))
        windows = windows[:, :, :: s.height, :: s.width, :: d.height, :: d.width]
        n, channels, rows, columns = windows.shape[:4]
        y: Array = np.empty((n, self.filters, rows, columns), np.result_type(kernels, x))
        # The patches hold each element once for every kernel position, so only as many rows are copied at a time as
        # fit into a cache.
        step = max(1, BLOCK // (channels * k.height * k.width * columns))
        for sample, first in np.ndindex(n, -(-rows // step)):
            block = sample, slice(None), slice(first * step, (first + 1) * step)
            patches = windows[block].transpose(0, 3, 4, 1, 2)
            products = kernels @ patches.reshape(g, kernels.shape[2], -1)
            y[block] = products.reshape(self.filters, -1, columns)
        if self.bias:
            y += weights["bias"][:, None, None]
        return y

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        p, geometry = self.explicit_padding, (self.kernel_size, self.stride, self.dilation)
        padded = np.pad(x, ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right))) ** 2
        grouped, h_grouped = (a.reshape(len(a), self.groups, -1, *a.shape[2:]) for a in (padded, h))
        of_padded = spread(h_grouped, weights["weight"] ** 2, padded.shape[2:], self.stride, self.dilation)
        of_x = of_padded[:, :, p.top : p.top + x.shape[2], p.left : p.left + x.shape[3]]
        found = {"weight": kernel_sums(grouped, h_grouped, *geometry)}
        return Curvature((of_x,), found | ({"bias": h.sum(axis=(0, 2, 3))} if self.bias else {}))

    def padded(self, x: TensorType) -> tuple[int, ...]:
        channels, height, width = require_map(self.kind, x)
        p = self.explicit_padding
        return (channels, height + p.top + p.bottom, width + p.left + p.right)

    def macs(self, x: TensorType) -> int:
        return self.infer(x).size * math.prod(self.weights(x)["weight"].shape[1:])

    def window(self) -> Window:
        k, s, d = self.kernel_size, self.stride, self.dilation
        return Window((extent(k.height, d.height), extent(k.width, d.width)), (s.height, s.width))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        wide = Size2d(height=3, width=2)
        return (
            Sample(cls(filters=4, kernel_size=both(3)), ((3, 7, 9),)),
            Sample(cls(filters=4, kernel_size=wide, stride=Size2d(height=2, width=3)), ((2, 8, 11),)),
            Sample(cls(filters=6, kernel_size=both(3), groups=2, padding=padding_of((1, 1, 1, 1))), ((4, 6, 5),)),
            Sample(cls(filters=6, kernel_size=both(3), groups=3, padding=padding_of((0, 1, 2, 3))), ((6, 5, 6),)),
            Sample(cls(filters=10, kernel_size=both(3), groups=5), ((5, 6, 7),)),  # two filters per channel
            Sample(cls(filters=3, kernel_size=both(7), stride=both(2), padding=Same(same="tf")), ((2, 14, 16),)),
            Sample(cls(filters=3, kernel_size=both(2), padding=Same(same="lower")), ((2, 5, 6),)),
            Sample(cls(filters=3, kernel_size=both(4), padding=Same(same="torch")), ((2, 7, 6),)),
            Sample(cls(filters=2, kernel_size=both(3), dilation=wide, bias=False), ((2, 11, 9),)),
            Sample(
                cls(filters=2, kernel_size=both(3), dilation=both(2), stride=both(2), groups=2),
                ((4, 11, 12),),
            ),
            Sample(cls(filters=3, kernel_size=both(3), stride=both(4), round="ceil"), ((2, 10, 12),)),
            Sample(cls(filters=5, kernel_size=both(1), bias=False), ((3, 4, 5),), scale=60.0),
            Sample(cls(filters=4, kernel_size=both(1), stride=Size2d(height=2, width=3), groups=2), ((6, 5, 7),)),
            Sample(
                cls(filters=3, kernel_size=both(5), padding=padding_of((2, 2, 2, 2))), ((2, 2, 3),)
            ),  # larger than the map
            Sample(cls(filters=4, kernel_size=both(3), padding=Same(same="tf"), groups=4), ((4, 1, 1),)),
        )


def _span(count: int, stride: int, kernel: int, dilation: int) -> int:
    """The number of elements from the start of the first of `count` windows to the end of the last."""
    return (count - 1) * stride + extent(kernel, dilation) if count else 0


def window_does_not_fit(
    kind: str, kernel: Size2d, padding: Padding, size: tuple[int, int], dilation: Size2d | None = None
) -> ShapeError:
    """Return the error for a window larger than the padded map of `size`, (height, width)."""
    d = dilation or both(1)
    dilated = Size2d(height=extent(kernel.height, d.height), width=extent(kernel.width, d.width))
    padded = (size[0] + padding.top + padding.bottom, size[1] + padding.left + padding.right)
    with_dilation = f", {dilated} with its dilation," if dilated != kernel else ""
    return ShapeError(
        f"{kind}: a kernel of {kernel}{with_dilation} does not fit its input of {size[0]}x{size[1]}"
        + (f", {padded[0]}x{padded[1]} with padding" if padding else ""),
        "use a smaller kernel, more padding, or less stride and pooling before it",
        "kernel_size",
    )
