"""One tower's share of a network's weights, dropout masks and gradients, and how it is made whole again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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

BLOCK = 1 << 22  # elements that a device receives from each of the others at a time
LAYERS = tuple(op.__name__ for op in COLLECTIVES.values())  # that `netspec_torch.collective` declares


class Tower:
    """The part of a network that this process keeps: all of it without a placement.

    Args:
        placement: of the whole network; None if it is not in towers.
        processes: this process and the others.
    """

    def __init__(self, placement: Placement | None, processes: Processes) -> None:
        self._placement, self._processes = placement, processes
        self._places = {weight.name: weight for weight in placement.weights} if placement else {}

    def attach(self, native: nn.Module) -> None:
        """Give the layers that exchange their process group."""
        for module in native.modules():
            if self._placement is not None and type(module).__name__ in LAYERS:
                vars(module)["group"] = self._processes.tower_group  # as a plain attribute, which is not saved

    def own(self, arrays: Weights) -> Weights:
        """This tower's shares of canonical arrays, by the names of their weights; other arrays are kept whole."""
        return {name: array[self._part(name, array)] for name, array in arrays.items()}

    def _part(self, name: str, array: Array) -> tuple[slice, ...]:
        place = self._places.get(name)
        if place is None or array.shape != place.shape:  # another network's: loading it raises an error
            return ()
        return place.part(self._processes.tower, self._processes.towers)

    def whole(self, arrays: Iterable[tuple[str, Array]], *, everywhere: bool) -> dict[str, Array]:
        """Gather weights of the whole network from all towers, which all have to call this with the same names.

        Each exchange waits for all towers, so small arrays are exchanged together. Large ones are exchanged in blocks:
        a device holds no more than one block of each other tower.

        Args:
            arrays: the weights' names, and this tower's shares of them in canonical form.
            everywhere: whether every process needs the whole arrays, or only the process that leads.

        Returns:
            The whole arrays in host memory, in the same order; none in a process that does not need them.
        """
        whole: dict[str, Array] = {}
        if not everywhere and self._processes.rank:  # the first rank has the same arrays
            return whole
        together: dict[str, Array] = {}
        for name, array in arrays:
            if everywhere or self._processes.leads:
                whole[name] = array
            if name in self._places and not self._is_whole(name):
                if not _fit_a_block([*together.values(), array]):
                    whole |= self._joined(together, everywhere=everywhere)
                    together = {}
                together[name] = array
        return whole | self._joined(together, everywhere=everywhere)

    def _joined(self, shares: Weights, *, everywhere: bool) -> dict[str, Array]:
        """The whole of divided arrays of one dtype, by one exchange; nothing in a process that does not need them."""
        if not shares:
            return {}
        received = self._received(np.concatenate([array.ravel() for array in shares.values()]), everywhere=everywhere)
        if received is None:
            return {}
        whole: dict[str, Array] = {}
        ends = np.cumsum([array.size for array in shares.values()])
        for (name, array), parts in zip(shares.items(), np.split(received, ends[:-1], 1), strict=True):
            place = self._places[name]
            if place.axis == 0:
                whole[name] = parts.reshape(place.shape)
            else:
                whole[name] = np.concatenate([*parts.reshape(-1, *array.shape)], place.axis)
        return whole

    def _received(self, array: Array, *, everywhere: bool) -> Array | None:
        """The towers' shares of a flat array, stacked; None in a process that does not need them."""
        group, towers = self._processes.tower_group, self._processes.towers
        receives = everywhere or self._processes.leads
        stacked = np.empty((towers, array.size if receives else 0), array.dtype)
        flat = torch.from_numpy(array)
        for start in range(0, array.size, BLOCK):
            block = flat[start : start + BLOCK].to(self._processes.device)
            parts = [torch.empty_like(block) for _ in range(towers)] if receives else None
            if everywhere:
                distributed.all_gather(parts, block, group=group)
            else:
                distributed.gather(block, parts, group=group, group_dst=0)
            for tower, part in enumerate(parts or ()):
                stacked[tower, start : start + BLOCK] = part.cpu().numpy()
        return stacked if receives else None

    def masks(self, masks: Mapping[str, NDArray[np.bool_]] | None) -> Mapping[str, NDArray[np.bool_]] | None:
        """This tower's share of a batch's dropout masks, by the names of their nodes."""
        if masks is None or self._placement is None:
            return masks
        return {name: self._mask(self._placement, name, mask) for name, mask in masks.items()}

    def _mask(self, placement: Placement, name: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        node = placement.graph.values.get(name)
        if not isinstance(node, Node) or not placement.place_of[name].divided:
            return mask
        axis = axis_of(node.type)
        if mask.shape[axis:][:1] != (width(node.type),):  # one value for all channels
            return mask
        return np.split(mask, self._processes.towers, axis)[self._processes.tower]

    def shared_dropouts(self, graph: Graph) -> frozenset[str]:
        """The dropout nodes that drop the same elements in each tower: those of whole values, or of whole samples."""
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

    def reduce_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """All-reduce, in place, the gradients of weights that each tower keeps whole.

        Partial gradients, of a weight that applies to divided channels, are summed. Others are equal but for rounding:
        their mean keeps the towers' weights from drifting apart.
        """
        whole = [(self._places[name], gradient) for name, gradient in gradients.items() if self._is_whole(name)]
        if not whole:
            return
        towers = self._processes.towers
        flat = torch.cat([(gradient if place.partial else gradient / towers).flatten() for place, gradient in whole])
        distributed.all_reduce(flat, group=self._processes.tower_group)
        for (_, gradient), reduced in zip(whole, torch.split(flat, [g.numel() for _, g in whole]), strict=True):
            gradient.copy_(reduced.view_as(gradient))

    def norm(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """The joint L2 norm of the gradients of the whole network."""
        names = [*gradients]
        squares = torch.stack(torch._foreach_norm([gradients[name] for name in names])).square()
        if self._placement is None:
            return squares.sum().sqrt()
        divided = torch.tensor([not self._is_whole(name) for name in names], device=squares.device)
        total = (squares * divided).sum()
        distributed.all_reduce(total, group=self._processes.tower_group)
        return (total + (squares * ~divided).sum()).sqrt()

    def _is_whole(self, name: str) -> bool:
        return name in self._places and self._places[name].axis is None


def _fit_a_block(arrays: Sequence[Array]) -> bool:
    return len({array.dtype for array in arrays}) == 1 and sum(array.size for array in arrays) <= BLOCK
