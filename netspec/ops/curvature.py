"""The parts of the rules for curvature that ops share: moved elements, broadcasting, convolutions.

A rule takes the second derivatives h of a loss in an op's outputs to those in its inputs and weights, by the diagonal
of the Gauss-Newton matrix alone: h_x[j] = Σ_i (∂y_i/∂x_j)² h_i, and for a weight the same, summed over samples too.

Source: Becker & LeCun 1988; LeCun et al. 1998, appendix C, equations 22 to 25.
"""

import functools
import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING

from netspec.arrays import np
from netspec.ops.base import Curvature, Op

if TYPE_CHECKING:
    from netspec.ops.attributes import Size2d
    from netspec.ops.base import Array, Weights


class Moving(Op):
    """Base class of ops whose output elements are elements of the inputs, or constants."""

    def curvature(self, weights: "Weights", inputs: "Sequence[Array]", output: "Array", h: "Array") -> Curvature:
        """Each element of an input gets what its copies in the output have.

        The op itself tells where elements go: it is applied to their numbers. A constant is not larger where they are.
        """
        sizes = [x[0].size for x in inputs]
        total = sum(sizes)
        starts = np.cumsum([0, *sizes])
        shapes = [(1, *x.shape[1:]) for x in inputs]
        numbers = [np.arange(start, start + size, dtype=np.float64) for start, size in zip(starts, sizes, strict=False)]
        read, later = (
            self.reference(weights, *((n + shift).reshape(s) for n, s in zip(numbers, shapes, strict=True))).ravel()
            for shift in (0.0, total)
        )
        moved = later != read
        sources, flat = read[moved].astype(np.int64), h.reshape(len(h), -1)[:, moved]
        found = np.stack([np.bincount(sources, row, total) for row in flat])
        parts: list[Array] = np.split(found, starts[1:-1], axis=1)
        return Curvature(tuple(part.reshape(x.shape) for part, x in zip(parts, inputs, strict=True)))


def summed_to(h: "Array", x: "Array") -> "Array":
    """A sum over the axes along which an input was broadcast. Shapes: h → that of x."""
    axes = tuple(axis for axis, (own, whole) in enumerate(zip(x.shape, h.shape, strict=True)) if own != whole)
    summed: Array = h.sum(axis=axes, keepdims=True)
    return summed


def product_of_others(inputs: "Sequence[Array]", position: int) -> "Array":
    """The product of all inputs but one, 1 if there is no other."""
    return functools.reduce(operator.mul, (x for other, x in enumerate(inputs) if other != position), np.ones(()))


def kernel_sums(windowed: "Array", at: "Array", kernel: "Size2d", stride: "Size2d", dilation: "Size2d") -> "Array":
    """For each position in a kernel, the products of what it reads of `windowed` with `at`, summed over all windows.

    Shapes: windowed (N, g, W, rows, columns), padded; at (N, g, A, H, W), a position for each window →
    (g · A, W, kernel height, kernel width).
    """
    _, groups, channels, *_ = windowed.shape
    n, _, filters, rows, columns = at.shape
    sums = np.empty((groups, filters, channels, kernel.height, kernel.width))
    flat = np.ascontiguousarray(at.transpose(1, 2, 0, 3, 4)).reshape(groups, filters, -1)
    for i, j in np.ndindex(kernel.height, kernel.width):
        top, left = i * dilation.height, j * dilation.width
        down, across = top + (rows - 1) * stride.height + 1, left + (columns - 1) * stride.width + 1
        read = windowed[:, :, :, top : down : stride.height, left : across : stride.width]
        read = read.transpose(1, 0, 3, 4, 2).reshape(groups, n * rows * columns, channels)
        sums[..., i, j] = flat @ read
    return sums.reshape(groups * filters, channels, kernel.height, kernel.width)


def spread(x: "Array", kernels: "Array", size: "Sequence[int]", stride: "Size2d", dilation: "Size2d") -> "Array":
    """Each element times the kernels of its channel, added up where a convolution would read: its transpose.

    Shapes: x (N, g, C/g, H, W); kernels (C, F/g, kernel height, kernel width) → (N, F, *size).
    """
    n, groups, channels, height, width = x.shape
    down, across = (height - 1) * stride.height, (width - 1) * stride.width
    kernels = kernels.reshape(groups, channels, *kernels.shape[1:])
    full = np.zeros((n, groups * kernels.shape[2], *size))
    flat = x.reshape(n, groups, channels, height * width)
    for i, j in np.ndindex(*kernels.shape[3:]):
        products = (kernels[..., i, j].swapaxes(1, 2) @ flat).reshape(n, -1, height, width)
        top, left = i * dilation.height, j * dilation.width
        full[:, :, top : top + down + 1 : stride.height, left : left + across + 1 : stride.width] += products
    return full
