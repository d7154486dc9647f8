"""Resizing with coordinate and rounding rules that `F.interpolate` lacks."""

import torch
from torch import Tensor, nn


class Resize2d(nn.Module):
    """Nearest or bilinear resizing with the coordinate rules of ONNX Resize.

    Along an axis resized from L to n, output i reads coordinate c, clamped to the map:
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
        """Resize the rows, then the columns."""
        return self.resize(self.resize(x, 2, self.size[0]), 3, self.size[1])

    def resize(self, x: Tensor, axis: int, count: int) -> Tensor:
        """Resize one axis to `count`; coordinates are integer fractions, thus exact."""
        last = x.shape[axis] - 1
        exact = [self.coordinate(i, last + 1, count) for i in range(count)]
        if self.mode == "nearest":
            nearest = [min(max(self.round(c, of), 0), last) for c, of in exact]
            return x.index_select(axis, torch.tensor(nearest, device=x.device))
        clamped = [(min(max(c, 0), last * of), of) for c, of in exact]
        low = torch.tensor([c // of for c, of in clamped], device=x.device)
        fractions = [(c % of) / of for c, of in clamped]
        weight = torch.tensor(fractions, dtype=x.dtype, device=x.device)
        weight = weight.view(-1, 1) if axis == 2 else weight
        before = x.index_select(axis, low)
        after = x.index_select(axis, (low + 1).clamp(max=last))
        return before + (after - before) * weight

    def coordinate(self, i: int, length: int, count: int) -> tuple[int, int]:
        """Return the input coordinate of output `i`: (numerator, denominator)."""
        if self.coordinates == "half_pixel":
            return (2 * i + 1) * length - count, 2 * count
        if self.coordinates == "asymmetric":
            return i * length, count
        return i * (length - 1), max(1, count - 1)

    def round(self, c: int, of: int) -> int:
        """Round the fraction `c / of` to an index."""
        if self.rounding == "floor":
            return c // of
        if self.rounding == "ceil":
            return -(-c // of)
        if self.rounding == "round_prefer_floor":
            return -((of - 2 * c) // (2 * of))
        return (2 * c + of) // (2 * of)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        return f"{self.size}, {self.mode}, {self.coordinates}, {self.rounding}"
