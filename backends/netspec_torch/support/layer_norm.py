"""Layer normalization over any axes."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNormOverAxes(nn.Module):
    """`nn.LayerNorm` over any axes, which are moved to the end and back.

    Shapes: x to the same; weight and bias have the sizes of `axes`, in their order.
    Source: Ba, Kiros & Hinton 2016.
    """

    def __init__(
        self,
        normalized_shape: tuple[int, ...],
        axes: tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
    ) -> None:
        super().__init__()
        self.normalized_shape = normalized_shape
        self.axes = axes
        self.last = tuple(range(-len(axes), 0))
        self.eps = eps
        self.weight = self.bias = None
        if elementwise_affine:
            self.weight = nn.Parameter(torch.ones(normalized_shape))
            self.bias = nn.Parameter(torch.zeros(normalized_shape))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each sample over `axes`."""
        moved = x.movedim(self.axes, self.last)
        shape = self.normalized_shape
        y = F.layer_norm(moved, shape, self.weight, self.bias, self.eps)
        return y.movedim(self.last, self.axes)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        affine = self.weight is not None
        return f"{self.normalized_shape}, {self.axes}, eps={self.eps}, affine={affine}"
