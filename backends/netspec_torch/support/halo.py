# mypy: disable-error-code="no-untyped-call,untyped-decorator"
"""The exchange of channels between neighboring towers: ranks of a process group."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def traded(
    to_previous: Tensor,
    to_next: Tensor,
    counts: tuple[int, int],
    team: int,
    group: dist.ProcessGroup | None,
) -> tuple[Tensor, Tensor]:
    """Send rows to both neighbors in this rank's team, and receive counts of rows.

    A team is `team` neighboring ranks: those that have the channels of one group.
    What the first and the last would receive from beyond the team is zeros.
    """
    rank, world = dist.get_rank(group), dist.get_world_size(group)
    sent, received, rows = [0] * world, [0] * world, []
    if rank % team > 0:
        sent[rank - 1], received[rank - 1] = len(to_previous), counts[0]
        rows.append(to_previous)
    if rank % team < team - 1:
        sent[rank + 1], received[rank + 1] = len(to_next), counts[1]
        rows.append(to_next)
    both = to_next.new_zeros(sum(counts), *to_next.shape[1:])
    first = 0 if rank % team > 0 else counts[0]
    into = both[first : first + sum(received)]
    dist.all_to_all_single(into, torch.cat(rows), received, sent, group=group)
    from_previous, from_next = both.split(counts)
    return from_previous, from_next


class HaloFunction(torch.autograd.Function):
    """Neighbors' edges around a share; backward, their gradients go back."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dim: int,
        reach: tuple[int, int],
        groups: int,
        group: dist.ProcessGroup | None,
    ) -> Tensor:
        """Concatenate the channels before the share, the share, and those behind."""
        before, after = reach
        team = dist.get_world_size(group) // groups
        ctx.dim, ctx.reach, ctx.team, ctx.group = dim, reach, team, group
        rows = x.movedim(dim, 0)
        edges = rows[:after], rows[len(rows) - before :]
        lower, upper = traded(*edges, reach, team, group)
        return torch.cat([lower.movedim(0, dim), x, upper.movedim(0, dim)], dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None, None]:
        """Add the gradients of the edges that the neighbors have read."""
        before, after = ctx.reach
        size = g.shape[ctx.dim] - before - after
        rows = g.movedim(ctx.dim, 0)
        edges = rows[:before], rows[before + size :]
        lower, upper = traded(*edges, (after, before), ctx.team, ctx.group)
        own = g.narrow(ctx.dim, before, size).clone()
        own.narrow(ctx.dim, 0, after).add_(lower.movedim(0, ctx.dim))
        own.narrow(ctx.dim, size - before, before).add_(upper.movedim(0, ctx.dim))
        return own, None, None, None, None


class Halo(nn.Module):
    """A tower's share along `dim`, between the channels next to it.

    There are `before` and `after` of them, of the neighbors that work on one of the
    `groups`; zeros at the ends of a group. `group` is all processes unless set.
    """

    group: dist.ProcessGroup | None = None

    def __init__(self, dim: int, groups: int, before: int, after: int) -> None:
        super().__init__()
        self.dim, self.groups, self.reach = dim, groups, (before, after)

    def extra_repr(self) -> str:
        """The arguments, for `print(model)`."""
        return f"dim={self.dim}, groups={self.groups}, reach={self.reach}"

    def forward(self, x: Tensor) -> Tensor:
        """Receive the edges; backward, send their gradients back."""
        y: Tensor = HaloFunction.apply(x, self.dim, self.reach, self.groups, self.group)
        return y
