# mypy: disable-error-code="no-untyped-call,untyped-decorator"
"""What towers exchange: each is a rank of a process group, with a share of channels."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def gathered(x: Tensor, dim: int, group: dist.ProcessGroup | None) -> Tensor:
    """The shares of all ranks as one."""
    shares = [
        torch.empty_like(x, memory_format=torch.contiguous_format)
        for _ in range(dist.get_world_size(group))
    ]
    dist.all_gather(shares, x.contiguous(), group=group)
    return torch.cat(shares, dim)


def share_of(x: Tensor, dim: int, group: dist.ProcessGroup | None) -> Tensor:
    """This rank's share."""
    return x.chunk(dist.get_world_size(group), dim)[dist.get_rank(group)].contiguous()


def summed(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """The sum over all ranks."""
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total


def summed_share(x: Tensor, dim: int, group: dist.ProcessGroup | None) -> Tensor:
    """This rank's share of the sum over all ranks."""
    shares = [share.contiguous() for share in x.chunk(dist.get_world_size(group), dim)]
    own = torch.empty_like(shares[0])
    dist.reduce_scatter(own, shares, group=group)
    return own


class GatherFunction(torch.autograd.Function):
    """All-gather; the gradients are summed and scattered."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """The shares as one."""
        ctx.dim, ctx.group = dim, group
        return gathered(x, dim, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """This rank's share of the sum."""
        return summed_share(g, ctx.dim, ctx.group), None, None


class CollectFunction(torch.autograd.Function):
    """All-gather; each rank takes its share of a gradient that all have."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """The shares as one."""
        ctx.dim, ctx.group = dim, group
        return gathered(x, dim, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """This rank's share."""
        return share_of(g, ctx.dim, ctx.group), None, None


class SpreadFunction(torch.autograd.Function):
    """Nothing; the gradients are summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        """The same values."""
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """The sum."""
        return summed(g, ctx.group), None


class ShareFunction(torch.autograd.Function):
    """This rank's share; the gradients are gathered."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """The share."""
        ctx.dim, ctx.group = dim, group
        return share_of(x, dim, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """All ranks' as one."""
        return gathered(g, ctx.dim, ctx.group), None, None


class Exchange(nn.Module):
    """What crosses between towers. `group` is all processes unless it is set."""

    group: dist.ProcessGroup | None = None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """The argument, for `print(model)`."""
        return f"dim={self.dim}"


class Gather(Exchange):
    """The whole of a divided value, read by a share of a layer in each tower."""

    def forward(self, x: Tensor) -> Tensor:
        """All-gather; backward, reduce-scatter."""
        y: Tensor = GatherFunction.apply(x, self.dim, self.group)
        return y


class Collect(Exchange):
    """The whole of a divided value, read by what all towers compute alike."""

    def forward(self, x: Tensor) -> Tensor:
        """All-gather; backward, each takes its share."""
        y: Tensor = CollectFunction.apply(x, self.dim, self.group)
        return y


class Spread(Exchange):
    """A whole value, read by a share of a layer in each tower."""

    def forward(self, x: Tensor) -> Tensor:
        """The same; backward, all-reduce."""
        y: Tensor = SpreadFunction.apply(x, self.group)
        return y


class Share(Exchange):
    """A tower's share of a whole value."""

    def forward(self, x: Tensor) -> Tensor:
        """The share; backward, all-gather."""
        y: Tensor = ShareFunction.apply(x, self.dim, self.group)
        return y
