"""Resizing by rules that PyTorch has not."""

import math
from fractions import Fraction

import torch
from torch import Tensor, nn


class Resize2d(nn.Module):
    """A map of another size, nearest or bilinear, by a coordinate rule of ONNX Resize.

    Position i of n reads position c of a length of L, beyond the ends the last element:
    half_pixel, c = (i + 1/2) L/n - 1/2; asymmetric, c = i L/n; align_corners,
    c = i (L - 1)/(n - 1).

    Shapes: x (N, C, H, W) to (N, C, *size).
    """

    def __init__(
        self,
        size: int | tuple[int, int],
        mode: str,
        coordinates: str,
        rounding: str = "floor",
    ) -> None:
        super().__init__()
        self.size = (size, size) if isinstance(size, int) else size
        self.mode = mode
        self.coordinates = coordinates
        self.rounding = rounding

    def forward(self, x: Tensor) -> Tensor:
        """One axis after the other."""
        for axis, count in zip((2, 3), self.size, strict=True):
            last = x.shape[axis] - 1
            exact = [self.coordinate(i, last + 1, count) for i in range(count)]
            if self.mode == "nearest":
                nearest = [min(max(self.rounded(c), 0), last) for c in exact]
                x = x.index_select(axis, torch.tensor(nearest, device=x.device))
                continue
            inside = [min(max(c, Fraction(0)), Fraction(last)) for c in exact]
            low = torch.tensor([math.floor(c) for c in inside], device=x.device)
            share = x.new_tensor([float(c % 1) for c in inside])
            share = share.view(-1, 1) if axis == 2 else share
            before = x.index_select(axis, low)
            after = x.index_select(axis, (low + 1).clamp(max=last))
            x = before + (after - before) * share
        return x

    def coordinate(self, i: int, length: int, count: int) -> Fraction:
        """The position that is read, exactly."""
        if self.coordinates == "half_pixel":
            return Fraction((2 * i + 1) * length, 2 * count) - Fraction(1, 2)
        if self.coordinates == "asymmetric":
            return Fraction(i * length, count)
        return Fraction(i * (length - 1), max(1, count - 1))

    def rounded(self, position: Fraction) -> int:
        """The element that is nearest, by the rounding."""
        half = Fraction(1, 2)
        if self.rounding == "floor":
            return math.floor(position)
        if self.rounding == "ceil":
            return math.ceil(position)
        if self.rounding == "round_prefer_floor":
            return math.ceil(position - half)
        return math.floor(position + half)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        return f"{self.size}, {self.mode}, {self.coordinates}, {self.rounding}"
