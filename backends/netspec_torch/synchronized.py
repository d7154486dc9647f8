# mypy: disable-error-code="no-untyped-call,untyped-decorator"
"""Batch normalization by the statistics of a batch that is divided among processes, on any device.

`nn.SyncBatchNorm` does not run on a CPU, and has no biased running variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm

LAYERS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "BiasedBatchNorm")  # what `netspec_torch.normalization` declares


@dataclass(slots=True)
class Share:
    """The numbers of samples of the current batch in this process (`own`) and in all processes of the group."""

    own: int = 0
    total: int = 0
    group: torch.distributed.ProcessGroup | None = None


def synchronize(native: nn.Module, group: torch.distributed.ProcessGroup | None = None) -> Share:
    """Replace a module's batch normalization layers, in place; they keep their parameters, buffers and paths.

    Returns:
        The share that the layers read in training. Its counts have to be set before each batch.
    """
    share = Share(group=group)
    for path, module in list(native.named_modules()):
        if type(module).__name__ in LAYERS:
            parent, _, name = path.rpartition(".")
            setattr(native.get_submodule(parent), name, SynchronizedBatchNorm(module, share))
    return share


class SynchronizedBatchNorm(nn.Module):
    """Batch normalization by the statistics of all processes' samples.

    Args:
        emitted: the layer that it replaces, PyTorch's or netspec's.
        share: this process's share of the current batch.

    Shapes: x (N, C) or (N, C, ...) → the same.
    """

    def __init__(self, emitted: Any, share: Share) -> None:
        super().__init__()
        self.weight: nn.Parameter | None = emitted.weight
        self.bias: nn.Parameter | None = emitted.bias
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", emitted.running_mean)
        self.register_buffer("running_var", emitted.running_var)
        self.eps: float = emitted.eps
        self.momentum: float = emitted.momentum
        self.unbiased = type(emitted).__name__ != "BiasedBatchNorm"
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Normalize: in training by the batch's statistics, otherwise by the running ones."""
        if not self.training:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        count = self.share.total * x.shape[2:].numel()
        y: Tensor
        y, mean, variance = BatchNormFunction.apply(x, self.weight, self.bias, self.eps, self.share, count)
        observed = variance * (count / (count - 1)) if self.unbiased else variance
        self.running_mean.mul_(1 - self.momentum).add_(mean, alpha=self.momentum)
        self.running_var.mul_(1 - self.momentum).add_(observed, alpha=self.momentum)
        return y


class BatchNormFunction(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) · weight + bias, with mean and variance over all processes.

    Each process computes its mean and variance, which are then combined (Chan, Golub & LeVeque 1979): the difference of
    a sum of squares and the square of a sum would lose digits. With x̂ the normalized input, n the number of values of a
    channel, and sums over all processes, dx = weight / sqrt(variance + eps) · (g - (Σg + x̂ · Σ g·x̂) / n). The gradients
    of weight and bias are of this process's samples, to be summed over processes like those of other weights.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, share: Share, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The output, the mean and the biased variance. Without samples here, x is a stand-in, which is not counted."""
        mean, variance = _combined(x, share, count)
        deviation = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, deviation)
        ctx.own, ctx.group, ctx.count = share.own, share.group, count
        ctx.mark_non_differentiable(mean, variance)
        y = (x - _per_channel(mean, x)) * _per_channel(deviation, x)
        if weight is not None and bias is not None:
            y = y * _per_channel(weight, x) + _per_channel(bias, x)
        return y.to(x.dtype), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, weight and bias."""
        x, weight, mean, deviation = ctx.saved_tensors
        axes = _axes(x)
        normalized = (x - _per_channel(mean, x)) * _per_channel(deviation, x)
        sums = torch.stack([g.sum(axes, dtype=mean.dtype), (g * normalized).sum(axes)])
        bias_gradient, weight_gradient = sums.clone()
        torch.distributed.all_reduce(sums, group=ctx.group)
        mean_g, mean_product = (_per_channel(total / ctx.count, x) for total in sums)
        scale = deviation if weight is None else deviation * weight
        dx = (g - mean_g - normalized * mean_product) * _per_channel(scale, x)
        if not ctx.own:
            dx.zero_()  # the statistics do not depend on a stand-in
        affine = (weight_gradient, bias_gradient) if weight is not None else (None, None)
        return dx.to(x.dtype), *affine, None, None, None


def _combined(x: Tensor, share: Share, count: int) -> tuple[Tensor, Tensor]:
    """The mean and biased variance of each channel over all processes, in float32 or float64."""
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(values, _axes(x), correction=0)
    values_here = share.own * x.shape[2:].numel()
    part = torch.cat([mean, variance, mean.new_ones(1)]) * values_here
    if not share.own:
        part.zero_()  # of a stand-in, even if its statistics are NaN
    parts = [torch.empty_like(part) for _ in range(torch.distributed.get_world_size(share.group))]
    torch.distributed.all_gather(parts, part, group=share.group)
    sums, squares, counts = torch.stack(parts).split([len(mean), len(mean), 1], 1)
    mean = sums.sum(0) / count
    between = (counts * (sums / counts.clamp(min=1) - mean).square()).sum(0)
    return mean, (squares.sum(0) + between) / count


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """One value for each channel, in a shape that broadcasts with x."""
    return values.view(-1, *(1,) * (x.ndim - 2))
