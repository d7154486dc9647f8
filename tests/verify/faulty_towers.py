"""Functions that plant a fault in the trainers, in towers only. The processes of `verify_towers` call them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

import netspec_torch.tower_model
import netspec_torch.trainer
import numpy as np
import torch
from netspec_torch.support.halo import HaloFunction
from netspec_torch.towers import Tower
from numpy.typing import NDArray
from torch import nn

from netspec.lowering import StepResult
from netspec.ops.base import Weights

RANK = "RANK"


def of_another_towers_weights() -> None:
    """Each tower takes the share of the first."""

    def own(tower: Tower, arrays: Weights) -> Weights:
        return {
            name: array if (place := tower._places.get(name)) is None else array[place.part(0, 2)]
            for name, array in arrays.items()
        }

    Tower.own = own  # type: ignore[method-assign]


def with_layer(kind: str, function: str, wrong: Callable[..., Any], method: str = "backward") -> None:
    """Return the exchanging layer with another backward or forward pass of its autograd function."""
    attach = Tower.attach

    def attached(tower: Tower, native: nn.Module) -> None:
        attach(tower, native)
        for module in native.modules():
            if type(module).__name__ == kind:
                vars_of_source = type(module).forward.__globals__
                setattr(vars_of_source[function], method, staticmethod(wrong))  # of emitted source

    Tower.attach = attached  # type: ignore[method-assign]


def that_do_not_sum_what_is_gathered() -> None:
    """The gradient of a gathered value is a tower's own part of the sum."""

    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        group = ctx.group
        share = g.chunk(torch.distributed.get_world_size(group), ctx.dim)
        return share[torch.distributed.get_rank(group)].contiguous(), None, None

    with_layer("Gather", "GatherFunction", backward)


def that_sum_what_is_whole() -> None:
    """The gradient of a collected value, which each tower has completely, is summed over the towers."""

    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        group = ctx.group
        towers = torch.distributed.get_world_size(group)
        return (g.chunk(towers, ctx.dim)[torch.distributed.get_rank(group)] * towers).contiguous(), None, None

    with_layer("Collect", "CollectFunction", backward)


def that_read_another_group() -> None:
    """The first towers read the channels of the last group, and the other way around."""

    def forward(ctx: Any, x: torch.Tensor, dim: int, groups: int, group: Any) -> torch.Tensor:
        team = torch.distributed.get_world_size(group) // groups
        ctx.dim, ctx.team, ctx.group = dim, team, group
        return x.chunk(groups, dim)[groups - 1 - torch.distributed.get_rank(group) // team].contiguous()

    with_layer("SpreadGroup", "SpreadGroupFunction", forward, "forward")


def that_gather_other_groups() -> None:
    """A team gathers the channels of every second tower instead of neighbors."""

    def forward(ctx: Any, x: torch.Tensor, dim: int, groups: int, group: Any) -> torch.Tensor:
        towers = torch.distributed.get_world_size(group)
        ctx.dim, ctx.team, ctx.group = dim, towers // groups, group
        shares = [torch.empty_like(x) for _ in range(towers)]
        torch.distributed.all_gather(shares, x.contiguous(), group=group)
        return torch.cat(shares[torch.distributed.get_rank(group) % groups :: groups], dim)

    with_layer("GatherGroup", "GatherGroupFunction", forward, "forward")


def that_do_not_sum_over_their_team() -> None:
    """The gradient of a value that a team gathers is a tower's own part of the sum."""

    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        share = g.chunk(ctx.team, ctx.dim)[torch.distributed.get_rank(ctx.group) % ctx.team]
        return share.contiguous(), None, None, None

    with_layer("GatherGroup", "GatherGroupFunction", backward)


def that_leave_other_groups_without_a_gradient() -> None:
    """The gradient of a whole value that teams read by groups is zero outside of the tower's own group."""

    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        rank, towers = torch.distributed.get_rank(ctx.group), torch.distributed.get_world_size(ctx.group)
        groups = [torch.zeros_like(g) for _ in range(towers // ctx.team)]
        torch.distributed.all_reduce(g := g.contiguous(), group=ctx.group)
        groups[rank // ctx.team] = g
        return torch.cat(groups, ctx.dim), None, None, None

    with_layer("SpreadGroup", "SpreadGroupFunction", backward)


def that_read_no_neighbors() -> None:
    """Zeros in place of the channels of the neighbors."""

    def forward(ctx: Any, x: torch.Tensor, dim: int, reach: tuple[int, int], groups: int, group: Any) -> torch.Tensor:
        y = HaloFunction.forward(ctx, x, dim, reach, groups, group)
        y[:, : reach[0]], y[:, y.shape[1] - reach[1] :] = 0, 0
        return y

    with_layer("Halo", "HaloFunction", forward, "forward")


def that_read_neighbors_of_another_group() -> None:
    """All towers are one team."""

    def forward(ctx: Any, x: torch.Tensor, dim: int, reach: tuple[int, int], _: int, group: Any) -> torch.Tensor:
        return HaloFunction.forward(ctx, x, dim, reach, 1, group)

    with_layer("Halo", "HaloFunction", forward, "forward")


def that_send_no_gradient_to_neighbors() -> None:
    """The gradient of a share with its edges: a tower's own part of the sum."""

    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
        before, after = ctx.reach
        return g[:, before : g.shape[1] - after], None, None, None, None

    with_layer("Halo", "HaloFunction", backward)


def that_clip_each_by_its_own_norm() -> None:
    """Each tower clips by the norm of its own gradients."""

    def norm(tower: Tower, gradients: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.stack([g.square().sum() for g in gradients.values()]).sum().sqrt()

    Tower.norm = norm  # type: ignore[method-assign]


def that_drop_the_first_towers_channels() -> None:
    """Each tower takes the first tower's share of a dropout mask."""
    mask = Tower._mask

    def wrong(tower: Tower, placement: Any, name: str, array: NDArray[np.bool_]) -> NDArray[np.bool_]:
        own = mask(tower, placement, name, array)
        return own if own.shape == array.shape else array[:, : own.shape[1]]

    Tower._mask = wrong  # type: ignore[method-assign]


def of_which_one_sees_another_loss() -> None:
    """The loss of the second tower differs in its last bit."""
    step = netspec_torch.trainer.TorchTrainer.step

    def wrong(*arguments: Any, **options: Any) -> StepResult:
        result = step(*arguments, **options)
        loss = float(np.nextafter(result.loss, 0.0)) if os.environ[RANK] == "1" else result.loss
        return StepResult(loss, result.wrong, result.gradients)

    netspec_torch.trainer.TorchTrainer.step = wrong  # type: ignore[method-assign]


def of_which_one_dies() -> None:
    """The process of the second tower is killed when it has to compute outputs."""

    def gone(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    if os.environ[RANK] == "1":
        netspec_torch.tower_model.TowerModel.forward = gone  # type: ignore[method-assign]


def of_which_one_breaks() -> None:
    """The process of the second tower raises an unexpected exception."""

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a defect")

    if os.environ[RANK] == "1":
        netspec_torch.tower_model.TowerModel.forward = broken  # type: ignore[method-assign]
