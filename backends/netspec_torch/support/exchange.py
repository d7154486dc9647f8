# mypy: disable-error-code="no-untyped-call,untyped-decorator"
"""Exchanges between towers: ranks of a process group, each with a share of channels."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def gathered(x: Tensor, dim: int, group: dist.ProcessGroup | None) -> Tensor:
    """The shares of all ranks, concatenated: an all-gather."""
    shares = [
        torch.empty_like(x, memory_format=torch.contiguous_format)
        for _ in range(dist.get_world_size(group))
    ]
    dist.all_gather(shares, x.contiguous(), group=group)
    return torch.cat(shares, dim)


def share_of(x: Tensor, dim: int, group: dist.ProcessGroup | None) -> Tensor:
    """This rank's share of a tensor that all ranks have: no exchange."""
    return x.chunk(dist.get_world_size(group), dim)[dist.get_rank(group)].contiguous()


def summed(x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    """The sum over all ranks: an all-reduce."""
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total


def summed_share(x: Tensor, dim: int, group: dist.ProcessGroup | None) -> Tensor:
    """This rank's share of the sum over all ranks: a reduce-scatter."""
    shares = [share.contiguous() for share in x.chunk(dist.get_world_size(group), dim)]
    total = torch.empty_like(shares[0])
    dist.reduce_scatter(total, shares, group=group)
    return total


def exchanged(parts: Tensor, team: int, group: dist.ProcessGroup | None) -> Tensor:
    """Send part i to rank i of this rank's team, and stack what its ranks send here.

    A team is `team` neighboring ranks: those that compute one group of a layer.
    """
    first = dist.get_rank(group) // team * team
    ranks = range(dist.get_world_size(group))
    rows = [int(first <= rank < first + team) for rank in ranks]
    received = torch.empty_like(parts)
    dist.all_to_all_single(received, parts, rows, rows, group=group)
    return received


def summed_share_of_team(
    x: Tensor, dim: int, team: int, group: dist.ProcessGroup | None
) -> Tensor:
    """This rank's share of the sum over its team: a reduce-scatter."""
    return exchanged(torch.stack(x.chunk(team, dim)), team, group).sum(0)


class GatherFunction(torch.autograd.Function):
    """All-gather; backward, reduce-scatter."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """Concatenate the shares."""
        ctx.dim, ctx.group = dim, group
        return gathered(x, dim, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """Sum the ranks' gradients, each a part of the whole, and take the share."""
        return summed_share(g, ctx.dim, ctx.group), None, None


class CollectFunction(torch.autograd.Function):
    """All-gather; backward, each rank takes its share of a gradient that all have."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """Concatenate the shares."""
        ctx.dim, ctx.group = dim, group
        return gathered(x, dim, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """Take this rank's share."""
        return share_of(g, ctx.dim, ctx.group), None, None


class SpreadFunction(torch.autograd.Function):
    """Identity; backward, all-reduce."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        """Return the same values."""
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """Sum the ranks' gradients, each a part of the whole."""
        return summed(g, ctx.group), None


class ShareFunction(torch.autograd.Function):
    """Each rank takes its share; backward, all-gather."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """Take this rank's share."""
        ctx.dim, ctx.group = dim, group
        return share_of(x, dim, group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        """Concatenate the gradients of all shares."""
        return gathered(g, ctx.dim, ctx.group), None, None


class GatherGroupFunction(torch.autograd.Function):
    """All-gather within a team; backward, reduce-scatter within it."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, groups: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """Concatenate the shares of this rank's team."""
        team = dist.get_world_size(group) // groups
        ctx.dim, ctx.team, ctx.group = dim, team, group
        copies = x.expand(team, *x.shape).contiguous()
        return torch.cat(exchanged(copies, team, group).unbind(), dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        """Sum the team's gradients, each a part of the group's, and take the share."""
        share = summed_share_of_team(g, ctx.dim, ctx.team, ctx.group)
        return share, None, None, None


class SpreadGroupFunction(torch.autograd.Function):
    """Each team takes its group's channels; backward, reduce-scatter, all-gather."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, groups: int, group: dist.ProcessGroup | None
    ) -> Tensor:
        """Take the channels of the group that this rank's team computes."""
        team = dist.get_world_size(group) // groups
        ctx.dim, ctx.team, ctx.group = dim, team, group
        return x.chunk(groups, dim)[dist.get_rank(group) // team].contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        """Sum the gradients of each team, and concatenate those of the groups.

        A rank's share is of elements: a group may have any number of channels.
        """
        flat = nn.functional.pad(g.flatten(), (0, -g.numel() % ctx.team))
        share = summed_share_of_team(flat, 0, ctx.team, ctx.group)
        groups = gathered(share, 0, ctx.group).view(-1, len(flat))[:, : g.numel()]
        whole = torch.cat(groups.unflatten(1, g.shape).unbind(), ctx.dim)
        return whole, None, None, None


class Exchange(nn.Module):
    """A crossing between towers, along `dim`. `group` is all processes unless set."""

    group: dist.ProcessGroup | None = None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """The argument, for `print(model)`."""
        return f"dim={self.dim}"


class Gather(Exchange):
    """A divided value, whole, for a layer of which each tower computes a share."""

    def forward(self, x: Tensor) -> Tensor:
        """All-gather; backward, reduce-scatter."""
        y: Tensor = GatherFunction.apply(x, self.dim, self.group)
        return y


class Collect(Exchange):
    """A divided value, whole, for a layer that all towers compute in the same way."""

    def forward(self, x: Tensor) -> Tensor:
        """All-gather; backward, each takes its share."""
        y: Tensor = CollectFunction.apply(x, self.dim, self.group)
        return y


class Spread(Exchange):
    """A whole value, for a layer of which each tower computes a share."""

    def forward(self, x: Tensor) -> Tensor:
        """Identity; backward, all-reduce."""
        y: Tensor = SpreadFunction.apply(x, self.group)
        return y


class Share(Exchange):
    """A tower's share of a whole value."""

    def forward(self, x: Tensor) -> Tensor:
        """Take the share; backward, all-gather."""
        y: Tensor = ShareFunction.apply(x, self.dim, self.group)
        return y


class GroupExchange(Exchange):
    """A crossing to a layer in fewer `groups` than towers.

    A team of neighboring towers computes each group.
    """

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__(dim)
        self.groups = groups

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        return f"dim={self.dim}, groups={self.groups}"


class GatherGroup(GroupExchange):
    """The channels of a team's group, of a divided value."""

    def forward(self, x: Tensor) -> Tensor:
        """All-gather within the team; backward, reduce-scatter within it."""
        y: Tensor = GatherGroupFunction.apply(x, self.dim, self.groups, self.group)
        return y


class SpreadGroup(GroupExchange):
    """The channels of a team's group, of a whole value."""

    def forward(self, x: Tensor) -> Tensor:
        """Take the channels; backward, reduce-scatter within the team, all-gather."""
        y: Tensor = SpreadGroupFunction.apply(x, self.dim, self.groups, self.group)
        return y
