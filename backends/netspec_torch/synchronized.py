# mypy: disable-error-code="no-untyped-call,untyped-decorator"
"""Batch normalization by the statistics of a batch whose samples are spread over processes, on any device.

`nn.SyncBatchNorm` does not run on a CPU, and knows no biased running variance.
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
    """This process's part of the batch under way: samples here and over all processes of a group."""

    own: int = 0
    total: int = 0
    group: torch.distributed.ProcessGroup | None = None


def synchronize(native: nn.Module, group: torch.distributed.ProcessGroup | None = None) -> Share:
    """Replace a module's batch normalizations, in place; they keep their parameters, buffers and paths.

    Returns:
        what they read in training, to be set before each batch.
    """
    share = Share(group=group)
    for path, module in list(native.named_modules()):
        if type(module).__name__ in LAYERS:
            parent, _, name = path.rpartition(".")
            setattr(native.get_submodule(parent), name, SynchronizedBatchNorm(module, share))
    return share


class SynchronizedBatchNorm(nn.Module):
    """Batch normalization over the batch of all processes.

    Args:
        emitted: the layer that it replaces, of PyTorch or of our own.
        share: what part of the batch is here.

    Shapes: x (N, C) or (N, C, ...) to the same.
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
        """Normalize by the statistics of all processes' samples in training, by the running ones else."""
        if not self.training:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        count = self.share.total * x.shape[2:].numel()
        y: Tensor
        y, mean, variance = BatchNormFunction.apply(x, self.weight, self.bias, self.eps, self.share, count)
        seen = variance * (count / (count - 1)) if self.unbiased else variance
        self.running_mean.mul_(1 - self.momentum).add_(mean, alpha=self.momentum)
        self.running_var.mul_(1 - self.momentum).add_(seen, alpha=self.momentum)
        return y


class BatchNormFunction(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) · weight + bias, with mean and variance over all processes.

    The mean and the sum of squares about it are taken in each process and then combined (Chan, Golub & LeVeque 1979):
    a sum of squares less the square of a sum would lose its digits. With x̂ the normalized input, n values of a channel
    and sums over all processes, dx = weight / sqrt(variance + eps) · (g - (Σg + x̂ · Σ g·x̂) / n). The gradients of
    weight and bias are of the samples here: they are summed with all others.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, share: Share, count: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The output, the mean and the biased variance. With no sample of its own, x counts for nothing."""
        mean, variance = _combined(x, share, count)
        deviation = (variance + eps).rsqrt()
        ctx.save_for_backward(x, weight, mean, deviation)
        ctx.own, ctx.group, ctx.count = share.own, share.group, count
        ctx.mark_non_differentiable(mean, variance)
        y = (x - _spread(mean, x)) * _spread(deviation, x)
        if weight is not None and bias is not None:
            y = y * _spread(weight, x) + _spread(bias, x)
        return y.to(x.dtype), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of x, weight and bias."""
        x, weight, mean, deviation = ctx.saved_tensors
        axes = _axes(x)
        normalized = (x - _spread(mean, x)) * _spread(deviation, x)
        sums = torch.stack([g.sum(axes, dtype=mean.dtype), (g * normalized).sum(axes)])
        own_bias, own_weight = sums.clone()
        torch.distributed.all_reduce(sums, group=ctx.group)
        of_g, of_product = (_spread(total / ctx.count, x) for total in sums)
        scale = deviation if weight is None else deviation * weight
        dx = (g - of_g - normalized * of_product) * _spread(scale, x)
        if not ctx.own:
            dx.zero_()  # the statistics do not depend on a stand-in
        affine = (own_weight, own_bias) if weight is not None else (None, None)
        return dx.to(x.dtype), *affine, None, None, None


def _combined(x: Tensor, share: Share, count: int) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel over all processes, in float32 at least."""
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(values, _axes(x), correction=0)
    here = share.own * x.shape[2:].numel()
    part = torch.cat([mean, variance, mean.new_ones(1)]) * here
    if not share.own:
        part.zero_()  # a stand-in: its values do not count, whatever they are
    parts = [torch.empty_like(part) for _ in range(torch.distributed.get_world_size(share.group))]
    torch.distributed.all_gather(parts, part, group=share.group)
    sums, squares, counts = torch.stack(parts).split([len(mean), len(mean), 1], 1)
    mean = sums.sum(0) / count
    between = (counts * (sums / counts.clamp(min=1) - mean).square()).sum(0)
    return mean, (squares.sum(0) + between) / count


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.ndim) if axis != 1]


def _spread(values: Tensor, x: Tensor) -> Tensor:
    """One value a channel, in the shape that meets x."""
    return values.view(-1, *(1,) * (x.ndim - 2))
