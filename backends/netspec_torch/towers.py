"""One tower among those that train a network together: its share of the weights, of the masks and of the gradients."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn

from netspec.graph import Graph, Node
from netspec.graph.placement import Placement
from netspec.graph.towers import axis_of, width
from netspec.ops.base import Array, Weights
from netspec.ops.collective import COLLECTIVES
from netspec.ops.dropout import Dropping
from netspec_torch.distributed import Processes

BLOCK = 1 << 22  # elements that a device takes from each of the others at a time
LAYERS = tuple(op.__name__ for op in COLLECTIVES.values())  # that `netspec_torch.collective` declares


class Tower:
    """What a process keeps of a network, and how it is made whole again. Without a placement, all of it.

    Args:
        placement: of the whole network.
        processes: this process among the others.
    """

    def __init__(self, placement: Placement | None, processes: Processes) -> None:
        self._placement, self._processes = placement, processes
        self._places = {weight.name: weight for weight in placement.weights} if placement else {}

    def attach(self, native: nn.Module) -> None:
        """Say to the layers that exchange with whom."""
        for module in native.modules():
            if self._placement is not None and type(module).__name__ in LAYERS:
                vars(module)["group"] = self._processes.tower_group  # no parameter, buffer or layer

    def own(self, arrays: Weights) -> Weights:
        """This tower's share of canonical arrays by the weights' names; what is no weight stays as it is."""
        return {name: array[self._part(name, array)] for name, array in arrays.items()}

    def _part(self, name: str, array: Array) -> tuple[slice, ...]:
        place = self._places.get(name)
        if place is None or array.shape != place.shape:  # who reads it says that it is another network's
            return ()
        return place.part(self._processes.tower, self._processes.towers)

    def whole(self, name: str, array: Array, *, everywhere: bool) -> Array | None:
        """A canonical array of the whole network, of those of all towers.

        Every tower takes part, a block at a time, so that a device never holds more than a block of the others'.

        Returns:
            The array in host memory: everywhere, or in the process that leads alone.
        """
        place = self._places.get(name)
        if not everywhere and self._processes.rank:  # there is another rank that has it
            return None
        if place is None or place.axis is None:
            return array if everywhere or self._processes.leads else None
        received = self._received(np.ascontiguousarray(array), everywhere=everywhere)
        if received is None:
            return None
        return received.reshape(place.shape) if place.axis == 0 else np.concatenate([*received], place.axis)

    def _received(self, array: Array, *, everywhere: bool) -> Array | None:
        """The towers' arrays, stacked."""
        group, towers = self._processes.tower_group, self._processes.towers
        takes = everywhere or self._processes.leads
        stacked = np.empty((towers, array.size if takes else 0), array.dtype)
        own = torch.from_numpy(array).flatten()
        for start in range(0, array.size, BLOCK):
            block = own[start : start + BLOCK].to(self._processes.device)
            parts = [torch.empty_like(block) for _ in range(towers)] if takes else None
            if everywhere:
                distributed.all_gather(parts, block, group=group)
            else:
                distributed.gather(block, parts, group=group, group_dst=0)
            for tower, part in enumerate(parts or ()):
                stacked[tower, start : start + BLOCK] = part.cpu().numpy()
        return stacked.reshape(towers, *array.shape) if takes else None

    def masks(self, masks: Mapping[str, NDArray[np.bool_]] | None) -> Mapping[str, NDArray[np.bool_]] | None:
        """This tower's share of the masks of a batch."""
        if masks is None or self._placement is None:
            return masks
        return {name: self._mask(self._placement, name, mask) for name, mask in masks.items()}

    def _mask(self, placement: Placement, name: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        node = placement.graph.values.get(name)
        if not isinstance(node, Node) or not placement.place_of[name].divided:
            return mask
        axis = axis_of(node.type)
        if mask.shape[axis:][:1] != (width(node.type),):  # one for all channels
            return mask
        size = mask.shape[axis] // self._processes.towers
        return mask[(*(slice(None),) * axis, slice(self._processes.tower * size, (self._processes.tower + 1) * size))]

    def drops_alike(self, graph: Graph) -> frozenset[str]:
        """The dropout nodes that must drop the same in each tower: of whole values, and of whole samples."""
        if self._placement is None:
            return frozenset()
        return frozenset(
            node.name
            for node in graph.nodes
            if isinstance(node.op, Dropping)
            and (
                not self._placement.place_of[node.name].divided
                or node.op.mask_features(node.type) != node.type.features
            )
        )

    def bring_together(self, gradients: Mapping[str, Tensor]) -> None:
        """Gradients of weights that each tower has whole, in place: the sum where each has a part, else the mean.

        The mean is of what is the same but for rounding, and keeps it from drifting apart.
        """
        kept = [(self._places[name], own) for name, own in gradients.items() if self._is_whole(name)]
        if not kept:
            return
        flat = torch.cat([(own if place.partial else own / self._processes.towers).flatten() for place, own in kept])
        distributed.all_reduce(flat, group=self._processes.tower_group)
        for (_, own), summed in zip(kept, torch.split(flat, [own.numel() for _, own in kept]), strict=True):
            own.copy_(summed.view_as(own))

    def norm(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """The joint L2 norm of the gradients of the whole network."""
        names = [*gradients]
        squares = torch.stack(torch._foreach_norm([gradients[name] for name in names])).square()
        if self._placement is None:
            return squares.sum().sqrt()
        divided = torch.tensor([not self._is_whole(name) for name in names], device=squares.device)
        of_all = (squares * divided).sum()
        distributed.all_reduce(of_all, group=self._processes.tower_group)
        return (of_all + (squares * ~divided).sum()).sqrt()

    def _is_whole(self, name: str) -> bool:
        return name in self._places and self._places[name].axis is None
