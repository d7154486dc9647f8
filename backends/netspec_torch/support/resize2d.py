"""Resizing by rules that PyTorch lacks."""

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
        return self.along(self.along(x, 2, self.size[0]), 3, self.size[1])

    def along(self, x: Tensor, axis: int, count: int) -> Tensor:
        """An axis of another length; positions are fractions, and so exact."""
        last = x.shape[axis] - 1
        exact = [self.coordinate(i, last + 1, count) for i in range(count)]
        if self.mode == "nearest":
            nearest = [min(max(self.rounded(c, of), 0), last) for c, of in exact]
            return x.index_select(axis, torch.tensor(nearest, device=x.device))
        inside = [(min(max(c, 0), last * of), of) for c, of in exact]
        low = torch.tensor([c // of for c, of in inside], device=x.device)
        after = [(c % of) / of for c, of in inside]
        share = torch.tensor(after, dtype=x.dtype, device=x.device)
        share = share.view(-1, 1) if axis == 2 else share
        here = x.index_select(axis, low)
        next_ = x.index_select(axis, (low + 1).clamp(max=last))
        return here + (next_ - here) * share

    def coordinate(self, i: int, length: int, count: int) -> tuple[int, int]:
        """The position that is read, as a fraction."""
        if self.coordinates == "half_pixel":
            return (2 * i + 1) * length - count, 2 * count
        if self.coordinates == "asymmetric":
            return i * length, count
        return i * (length - 1), max(1, count - 1)

    def rounded(self, c: int, of: int) -> int:
        """The element that is nearest to a fraction, by the rounding."""
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
