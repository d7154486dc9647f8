# mypy: disable-error-code="attr-defined,no-untyped-call,untyped-decorator"
"""Local response normalization over channels, with its gradient written out."""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class LocalResponseNormFunction(torch.autograd.Function):
    """x / scale^beta, scale = k + alpha * (sum of x² over a window of axis 2).

    Autograd would keep and revisit every slice of the sum. Written out, the gradient
    needs x alone, for scale is quickly computed again:

        dx = g * scale^-beta - 2 * alpha * beta * x * (mirrored sum of g * y / scale)
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float
    ) -> Tensor:
        """Shapes: x (N, groups, channels of a group, H, W) to the same."""
        ctx.save_for_backward(x)
        ctx.arguments = size, alpha, beta, k
        y = torch.empty_like(x)
        for piece, out in pieces(x, y):
            _, factor = scale_and_factor(piece, size, alpha, beta, k)
            torch.mul(piece, factor, out=out)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of x; the other arguments have none."""
        (x,) = ctx.saved_tensors
        size, alpha, beta, k = ctx.arguments
        dx = torch.empty_like(x)
        for piece, slope, out in pieces(x, g, dx):
            scale, factor = scale_and_factor(piece, size, alpha, beta, k)
            torch.mul(slope, factor, out=out)
            ratio = (out * piece).div_(scale)
            total = ratio.clone()
            for there, here in neighbors(x.shape[2], size):
                total[:, :, here].add_(ratio[:, :, there])
            out.addcmul_(piece, total, value=-2 * alpha * beta)
        return dx, None, None, None, None


def pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Some samples of each at a time: on a CPU as many as stay in its caches.

    A compiler gets them whole: it fuses what follows, for any number of samples.
    """
    samples, *features = tensors[0].shape
    if torch.compiler.is_compiling():
        return iter([tensors])
    if tensors[0].device.type == "cpu":
        samples = 2**20 // math.prod(features)
    return zip(*(t.split(max(1, samples)) for t in tensors), strict=True)


def scale_and_factor(
    x: Tensor, size: int, alpha: float, beta: float, k: float
) -> tuple[Tensor, Tensor]:
    """K + alpha * (sum of x²), and that to the power -beta."""
    squares = x * x
    scale = squares.clone()
    for here, there in neighbors(x.shape[2], size):
        scale[:, :, here].add_(squares[:, :, there])
    scale.mul_(alpha).add_(k)
    if beta == 0.75:  # two square roots take a fraction of the time of a power
        root = scale.rsqrt()
        return scale, root.sqrt().mul_(root)
    return scale, scale.pow(-beta)


def neighbors(length: int, size: int) -> list[tuple[slice, slice]]:
    """Where channels stand, and where their neighbors do, for each shift in a window.

    Channel c reads [c - size // 2, c + (size - 1) // 2], cut at the edges.
    """
    pairs = []
    for d in range(1, min(size // 2, length - 1) + 1):
        pairs.append((slice(d, None), slice(None, -d)))
        if d <= (size - 1) // 2:
            pairs.append((slice(None, -d), slice(d, None)))
    return pairs


class LocalResponseNorm(nn.Module):
    """x / (k + alpha * sum of x²)^beta over `size` neighboring channels of a group.

    Unlike in `nn.LocalResponseNorm`, alpha is not divided by the size, and channels in
    different `groups` are not neighbors.

    Shapes: x (N, C, H, W) to the same.
    Source: Krizhevsky, Sutskever & Hinton 2012, section 3.3.
    """

    def __init__(
        self, size: int, alpha: float, beta: float, k: float, groups: int = 1
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; the groups are a view."""
        grouped = x.unflatten(1, (self.groups, -1))
        if torch.jit.is_scripting() or torch.jit.is_tracing():  # it saves no Function
            folded, alpha = grouped.flatten(0, 1), self.alpha * self.size
            y = F.local_response_norm(folded, self.size, alpha, self.beta, self.k)
            return y.reshape(x.shape)
        y = LocalResponseNormFunction.apply(
            grouped, self.size, self.alpha, self.beta, self.k
        )
        result: Tensor = y.flatten(1, 2)
        return result

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        names = ("size", "alpha", "beta", "k", "groups")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)
