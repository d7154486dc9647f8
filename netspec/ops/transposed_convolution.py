"""Transposed convolution of maps."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Self

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import (
    NO_PADDING,
    Extra2d,
    Padding,
    PositiveInt,
    Size2d,
    both,
    extent,
    padding_of,
)
from netspec.ops.base import Array, Curvature, FilterOp, Sample, Weight, Weights, Window, require_groups, require_map
from netspec.ops.convolution import Conv2d
from netspec.ops.curvature import kernel_sums, spread
from netspec.ops.initializers import constant, he
from netspec.types import TensorType

NO_EXTRA = Extra2d(height=0, width=0)


class ConvTranspose2d(FilterOp, kind="conv_transpose2d"):
    """The gradient of a convolution as a layer: each input element adds the kernel, scaled by it, to the output.

    Element (y, x) contributes to rows y·stride − top + dilation·i. `padding` is cut off each side of the result, and
    `output_padding` adds rows and columns at its end, to which kernels contribute as well. Channel c of group
    i = c // (C/groups) contributes to filters [i·filters/groups, (i+1)·filters/groups).

    Shapes:
        x (N, C, H, W) → (N, filters, H', W'),
        H' = (H − 1)·stride − top − bottom + dilation·(k − 1) + 1 + output_padding.
        weight (C, filters/groups, kernel height, kernel width); bias (filters,).

    Source: Zeiler et al. 2010; Dumoulin & Visin 2016, chapter 4; PyTorch ConvTranspose2d and ONNX ConvTranspose agree.
    """

    trap = "rows cut off the wrong side (`same` in Keras), or input and output axes of the kernel swapped"

    filters: PositiveInt
    kernel_size: Size2d
    stride: Size2d = both(1)
    padding: Padding = NO_PADDING
    output_padding: Extra2d = NO_EXTRA
    dilation: Size2d = both(1)
    groups: PositiveInt = 1
    bias: bool = True

    @property
    def reach(self) -> tuple[int, int]:
        """The size of the dilated kernel, (rows, columns)."""
        k, d = self.kernel_size, self.dilation
        return extent(k.height, d.height), extent(k.width, d.width)

    def infer(self, x: TensorType) -> TensorType:
        channels, height, width = require_map(self.kind, x)
        require_groups(self.kind, self.groups, input_channels=channels, filters=self.filters)
        s, extra = self.stride, self.output_padding
        if extra.height >= s.height or extra.width >= s.width:
            raise ShapeError(
                f"conv_transpose2d: output_padding must be less than the stride {s}, received "
                f"{extra.height} rows and {extra.width} columns",
                "it chooses among the sizes that a convolution with this stride reduces to the input's size",
                "output_padding",
            )
        p = self.padding
        rows = (height - 1) * s.height + self.reach[0] + extra.height - p.top - p.bottom
        columns = (width - 1) * s.width + self.reach[1] + extra.width - p.left - p.right
        if rows <= 0 or columns <= 0:
            raise ShapeError(f"conv_transpose2d: padding {p} cuts off all of the result", attribute="padding")
        return x.with_features(self.filters, rows, columns)

    def separates(self, parts: int, axis: int) -> bool:
        return self.groups % parts == 0

    def share(self, parts: int) -> Self:
        return self.model_copy(update={"filters": self.filters // parts, "groups": max(1, self.groups // parts)})

    def weights(self, x: TensorType) -> dict[str, Weight]:
        kernel = (self.kernel_size.height, self.kernel_size.width)
        channels = x.features[0]
        fans = (channels // self.groups * math.prod(kernel), self.filters * math.prod(kernel))
        weights = {"weight": Weight((channels, self.filters // self.groups, *kernel), he(), *fans)}
        return weights | {"bias": Weight((self.filters,), constant(0.0), *fans)} if self.bias else weights

    def reference(self, weights: Weights, x: Array) -> Array:
        _, rows, columns = self.infer(TensorType.of(*x.shape[1:])).features
        p, size = self.padding, self._uncut(rows, columns)
        grouped = x.reshape(len(x), self.groups, -1, *x.shape[2:])
        full = spread(grouped, weights["weight"], size, self.stride, self.dilation)
        y: Array = full[:, :, p.top : p.top + rows, p.left : p.left + columns]
        return y + weights["bias"][:, None, None] if self.bias else y

    def _uncut(self, rows: int, columns: int) -> tuple[int, int]:
        """The size of the output before padding is cut off its sides."""
        p = self.padding
        return p.top + rows + p.bottom, p.left + columns + p.right

    def curvature(self, weights: Weights, inputs: Sequence[Array], output: Array, h: Array) -> Curvature:
        (x,) = inputs
        p, geometry = self.padding, (self.kernel_size, self.stride, self.dilation)
        whole = np.pad(h, ((0, 0), (0, 0), (p.top, p.bottom), (p.left, p.right)))
        grouped, h_grouped = (a.reshape(len(a), self.groups, -1, *a.shape[2:]) for a in (x**2, whole))
        # The convolution whose gradient the layer is, with squared kernels.
        read = Conv2d(
            filters=x.shape[1],
            kernel_size=self.kernel_size,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
            bias=False,
        )
        of_x = read.reference({"weight": weights["weight"] ** 2}, whole)
        found = {"weight": kernel_sums(h_grouped, grouped, *geometry)}
        return Curvature((of_x,), found | ({"bias": h.sum(axis=(0, 2, 3))} if self.bias else {}))

    def macs(self, x: TensorType) -> int:
        _, height, width = x.features
        return height * width * self.weights(x)["weight"].size

    def window(self) -> Window:
        s = self.stride
        kernel = (-(-self.reach[0] // s.height), -(-self.reach[1] // s.width))
        return Window(kernel, (Fraction(1, s.height), Fraction(1, s.width)))

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        two, three, one = both(2), both(3), padding_of((1, 1, 1, 1))
        wide = Size2d(height=3, width=2)
        end = Extra2d(height=1, width=1)
        return (
            Sample(cls(filters=3, kernel_size=both(4), stride=two, padding=one), ((2, 4, 5),)),  # DCGAN: twice the size
            Sample(cls(filters=3, kernel_size=two, stride=two), ((2, 4, 3),)),  # U-Net
            Sample(cls(filters=3, kernel_size=three, stride=two, padding=one, output_padding=end), ((2, 4, 5),)),
            Sample(cls(filters=3, kernel_size=three, stride=two, padding=one), ((4, 3, 5),)),
            Sample(cls(filters=2, kernel_size=three, stride=two, output_padding=end), ((2, 3, 4),)),
            Sample(cls(filters=2, kernel_size=wide, stride=Size2d(height=1, width=3)), ((3, 4, 3),)),
            Sample(cls(filters=2, kernel_size=three, padding=padding_of((0, 1, 2, 0)), bias=False), ((3, 5, 4),)),
            Sample(cls(filters=2, kernel_size=three, stride=two, padding=padding_of((2, 0, 0, 3))), ((3, 5, 4),)),
            Sample(cls(filters=6, kernel_size=three, stride=two, groups=2, padding=one), ((4, 4, 5),)),
            Sample(cls(filters=6, kernel_size=both(4), stride=two, groups=3, padding=one, bias=False), ((3, 4, 5),)),
            Sample(cls(filters=2, kernel_size=three, dilation=wide, padding=one), ((3, 4, 5),)),
            Sample(
                cls(filters=4, kernel_size=two, stride=two, dilation=three, groups=2, output_padding=end),
                ((4, 3, 4),),
            ),
            Sample(cls(filters=2, kernel_size=three, stride=two, padding=padding_of((0, 1, 1, 1))), ((3, 4, 5),)),
            Sample(cls(filters=3, kernel_size=both(1), stride=three, padding=padding_of((0, 0, 0, 0))), ((2, 3, 4),)),
            Sample(cls(filters=4, kernel_size=three, stride=two, padding=one, groups=4), ((4, 1, 1),)),
        )
