"""Pooling of maps: maximum, average, adaptive average and global average."""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Self

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import (
    NO_PADDING,
    AnyPadding,
    Padding,
    Rounding,
    Same,
    Size2d,
    both,
    padding_of,
    resolve_padding,
    slide,
)
from netspec.ops.base import Array, Curvature, Op, Sample, Weights, Window, require_map
from netspec.ops.convolution import window_does_not_fit
from netspec.types import TensorType


class Pool2d(Op):
    """Base class of max and average pooling, whose windows slide over a padded map.

    A last window that `round: ceil` admits may extend past the bottom or right edge, but not begin in the padding there
    or beyond (PyTorch Pool.h, ONNX; Caffe with padding).
    """

    trap = "floor in place of ceil, or padding that counts: as zeros in a maximum, or in the divisor of a mean"

    kernel_size: Size2d
    stride: Size2d | None = None
    padding: AnyPadding = NO_PADDING
    round: Rounding = "floor"

    @property
    def explicit_padding(self) -> Padding:
        """The explicit padding, which only a resolved op has."""
        if isinstance(self.padding, Same):
            raise ShapeError(f"{self.kind}: {self.padding} is not resolved yet", attribute="padding")
        return self.padding

    @property
    def effective_stride(self) -> Size2d:
        """The stride, which defaults to the size of the kernel."""
        return self.stride or self.kernel_size

    def resolve(self, x: TensorType) -> Self:
        _, height, width = require_map(self.kind, x)
        padding = resolve_padding(self.padding, (height, width), self.kernel_size, self.effective_stride, both(1))
        return self.model_copy(update={"padding": padding, "stride": self.effective_stride})

    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = require_map(self.kind, x)
        p, k = self.explicit_padding, self.kernel_size
        if max(p.top, p.bottom) >= k.height or max(p.left, p.right) >= k.width:
            raise ShapeError(
                f"{self.kind}: padding {p} must be smaller than the kernel {k} on every side: "
                "a window of padding alone has no value",
                attribute="padding",
            )
        rows = slide(height, k.height, self.effective_stride.height, p.top, p.bottom, self.round)
        columns = slide(width, k.width, self.effective_stride.width, p.left, p.right, self.round)
        if not rows or not columns:
            raise window_does_not_fit(self.kind, k, p, (height, width))
        return x.with_features(channels, rows, columns)

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def overhang(self, x: TensorType) -> tuple[int, int]:
        """The rows and columns by which the last window extends past the padded map; (0, 0) unless `ceil`."""
        _, height, width = require_map(self.kind, x)
        _, rows, columns = self.infer(x).features
        p, k, s = self.explicit_padding, self.kernel_size, self.effective_stride
        return (
            max(0, (rows - 1) * s.height + k.height - height - p.top - p.bottom),
            max(0, (columns - 1) * s.width + k.width - width - p.left - p.right),
        )

    def padded(self, x: TensorType) -> tuple[int, ...]:
        channels, height, width = require_map(self.kind, x)
        p, (down, right) = self.explicit_padding, self.overhang(x)
        return (channels, height + p.top + p.bottom + down, width + p.left + p.right + right)

    def elements(self, x: Array, fill: float, outside: float) -> Iterator[Array]:
        """Yield the first element of every window, then the second, and so on. Shape of each: (N, C, H', W').

        Padding has the value `fill`, and elements past the padded map have the value `outside`.
        """
        p, k, s = self.explicit_padding, self.kernel_size, self.effective_stride
        down, right = self.overhang(TensorType.of(*x.shape[1:]))
        padded = np.pad(x, ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right)), constant_values=fill)
        padded = np.pad(padded, ((0, 0), (0, 0), (0, down), (0, right)), constant_values=outside)
        _, rows, columns = self.infer(TensorType.of(*x.shape[1:])).features
        for i, j in np.ndindex(k.height, k.width):
            yield padded[:, :, i :: s.height, j :: s.width][:, :, :rows, :columns]

    def summed(self, x: Array, values: Iterable[Array]) -> Array:
        """Add up values for the elements of every window, in the order of `elements`, at their places in the map x."""
        p, k, s = self.explicit_padding, self.kernel_size, self.effective_stride
        of_one = TensorType.of(*x.shape[1:])
        _, rows, columns = self.infer(of_one).features
        whole = np.zeros((len(x), *self.padded(of_one)))
        for (i, j), value in zip(np.ndindex(k.height, k.width), values, strict=True):
            whole[:, :, i :: s.height, j :: s.width][:, :, :rows, :columns] += value
        return whole[:, :, p.top : p.top + x.shape[2], p.left : p.left + x.shape[3]]

    def window(self) -> Window:
        k, s = self.kernel_size, self.effective_stride
        return Window((k.height, k.width), (s.height, s.width))


def _geometries() -> Iterator[tuple[Size2d, Size2d | None, Padding | Same, Rounding, tuple[int, int, int]]]:
    """Kernel, stride, padding, rounding and input (C, H, W) for the samples of both kinds of pooling."""
    three, two = both(3), both(2)
    yield three, two, NO_PADDING, "floor", (3, 7, 9)
    yield two, None, NO_PADDING, "floor", (3, 7, 6)
    yield three, two, padding_of((1, 1, 1, 1)), "floor", (2, 8, 7)
    yield three, two, padding_of((0, 1, 2, 0)), "floor", (2, 6, 8)
    yield three, two, NO_PADDING, "ceil", (2, 6, 8)  # the last window extends past the edge by one
    yield three, three, NO_PADDING, "ceil", (2, 7, 10)  # and by two
    yield three, two, padding_of((1, 1, 1, 1)), "ceil", (2, 6, 9)
    yield two, two, padding_of((1, 1, 1, 1)), "ceil", (2, 5, 6)  # a last window that begins in the padding is dropped
    yield two, both(3), NO_PADDING, "ceil", (2, 7, 6)  # a stride larger than the kernel
    yield three, two, Same(same="tf"), "floor", (2, 8, 7)
    yield two, both(1), Same(same="lower"), "floor", (2, 5, 4)
    yield Size2d(height=3, width=2), Size2d(height=1, width=2), padding_of((1, 0, 1, 1)), "ceil", (2, 5, 8)
    yield both(4), two, padding_of((3, 2, 3, 3)), "floor", (2, 5, 6)  # more padding than half a kernel
    yield three, both(1), padding_of((1, 1, 1, 1)), "floor", (2, 1, 2)  # a kernel larger than the map


class MaxPool2d(Pool2d, kind="max_pool2d"):
    """The maximum of each window; padding counts as minus infinity.

    `stride` defaults to the size of the kernel. `round: ceil` admits a last window that extends past the bottom or
    right edge.

    Shapes:
        x (N, C, H, W) → (N, C, H', W'), H' = floor((H + top + bottom − kernel height) / stride) + 1, or ceil.

    Source: Krizhevsky et al. 2012, section 3.4 (overlapping: kernel 3, stride 2).
    """

    def reference(self, weights: Weights, x: Array) -> Array:
        return functools.reduce(np.maximum, self.elements(x, -np.inf, -np.inf))

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        """All goes to the maximum; of several that are equal, to the first."""

        def of_each() -> Iterator[Array]:
            left = h
            for element in self.elements(inputs[0], -np.inf, -np.inf):
                here = np.where(element == output, left, 0.0)
                left = left - here
                yield here

        return Curvature((self.summed(inputs[0], of_each()),))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return tuple(Sample(cls(kernel_size=k, stride=s, padding=p, round=r), (x,)) for k, s, p, r, x in _geometries())


Divisor = Literal["window", "window_in_padded", "valid_only"]


class AvgPool2d(Pool2d, kind="avg_pool2d"):
    """The mean of each window; padding counts as zero, and `divisor` defines the number of elements to divide by.

    `window`: the kernel's height times its width.
    `window_in_padded`: the elements of the window inside the padded map (PyTorch count_include_pad=True, Caffe).
    `valid_only`: the elements of the window inside the map itself (the default of Keras, ONNX and cuda-convnet).
    `stride` defaults to the size of the kernel. `round: ceil` admits a last window that extends past the bottom or
    right edge.

    Shapes:
        x (N, C, H, W) → (N, C, H', W'), H' = floor((H + top + bottom − kernel height) / stride) + 1, or ceil.
    """

    divisor: Divisor = "valid_only"

    def reference(self, weights: Weights, x: Array) -> Array:
        total = functools.reduce(np.add, self.elements(x, 0.0, 0.0))
        return total / self.counts(TensorType.of(*x.shape[1:]))

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        share = h / self.counts(TensorType.of(*inputs[0].shape[1:])) ** 2
        k = self.kernel_size
        return Curvature((self.summed(inputs[0], [share] * (k.height * k.width)),))

    def counts(self, x: TensorType) -> Array:
        """The divisor of each output position. Shape: (H', W')."""
        _, height, width = require_map(self.kind, x)
        ones = np.ones((1, 1, height, width))
        in_padding, outside = {"window": (1, 1), "window_in_padded": (1, 0), "valid_only": (0, 0)}[self.divisor]
        counts: Array = functools.reduce(np.add, self.elements(ones, in_padding, outside))[0, 0]
        return counts

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        divisors: tuple[Divisor, ...] = ("window", "window_in_padded", "valid_only")
        return tuple(
            Sample(cls(kernel_size=k, stride=s, padding=p, round=r, divisor=divisor), (x,))
            for divisor in divisors
            for k, s, p, r, x in _geometries()
        )


class GlobalAvgPool2d(Op, kind="global_avg_pool2d"):
    """The mean of each channel over all positions of the map.

    Shapes:
        x (N, C, H, W) → (N, C), or (N, C, 1, 1) with `keepdims`.
    """

    trap = "the reduced axes kept or dropped"

    keepdims: bool = False

    def infer(self, x: TensorType) -> TensorType:
        channels, _, _ = require_map(self.kind, x)
        return x.with_features(channels, 1, 1) if self.keepdims else x.with_features(channels)

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def reference(self, weights: Weights, x: Array) -> Array:
        y: Array = x.mean(axis=(2, 3), keepdims=self.keepdims)
        return y

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        _, _, height, width = inputs[0].shape
        share = h.reshape(*h.shape[:2], 1, 1) / (height * width) ** 2
        return Curvature((np.broadcast_to(share, inputs[0].shape),))

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (Sample(cls(), ((3, 5, 4),)), Sample(cls(keepdims=True), ((3, 4, 7),)))


class AdaptiveAvgPool2d(Op, kind="adaptive_avg_pool2d"):
    """The means of `output_size` windows that cover the map; their sizes differ if it does not divide evenly.

    Window i of n along an axis of length L covers [floor(i·L/n), ceil((i+1)·L/n)); neighbors may overlap by one.

    Shapes:
        x (N, C, H, W) → (N, C, output height, output width).

    Source: PyTorch AdaptiveAvgPool2d.
    """

    trap = "the sizes of windows where the map does not divide evenly"

    output_size: Size2d

    def infer(self, x: TensorType) -> TensorType:
        channels, _, _ = require_map(self.kind, x)
        return x.with_features(channels, self.output_size.height, self.output_size.width)

    def separates(self, parts: int, axis: int) -> bool:
        return True

    def parts(self, x: TensorType) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The [start, end) of each window along the rows, and along the columns."""
        _, height, width = require_map(self.kind, x)
        return _parts(height, self.output_size.height), _parts(width, self.output_size.width)

    def reference(self, weights: Weights, x: Array) -> Array:
        down, across = self.parts(TensorType.of(*x.shape[1:]))
        rows = [[x[:, :, a:b, c:d].mean(axis=(2, 3)) for c, d in across] for a, b in down]
        return np.stack([np.stack(row, axis=-1) for row in rows], axis=2)

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        down, across = self.parts(TensorType.of(*inputs[0].shape[1:]))
        of_x = np.zeros(inputs[0].shape)
        for (i, (a, b)), (j, (c, d)) in itertools.product(enumerate(down), enumerate(across)):
            of_x[:, :, a:b, c:d] += h[:, :, i : i + 1, j : j + 1] / ((b - a) * (d - c)) ** 2
        return Curvature((of_x,))

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(output_size=both(6)), ((2, 6, 6),)),
            Sample(cls(output_size=Size2d(height=2, width=3)), ((2, 4, 9),)),
            Sample(cls(output_size=Size2d(height=3, width=4)), ((2, 7, 9),)),
            Sample(cls(output_size=both(3)), ((2, 7, 9),)),  # only the width divides
            Sample(cls(output_size=both(3)), ((2, 6, 7),)),  # only the height does
            Sample(cls(output_size=both(5)), ((2, 3, 4),)),  # more windows than elements
            Sample(cls(output_size=both(1)), ((3, 5, 4),)),
        )


def _parts(length: int, count: int) -> list[tuple[int, int]]:
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
