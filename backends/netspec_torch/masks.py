"""Dropout in training: by masks that are given, or by PyTorch's generator, which is left as it was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from netspec.errors import BackendError
from netspec.graph import Graph
from netspec.ops.dropout import Dropping
from netspec.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What `netspec_torch.dropout` declares, once for each node and in their order.
LAYERS = ("Dropout", "StandardDropout", "StochasticDepth")


class DropoutLayers:
    """The dropout layers of an emitted module, by node.

    Args:
        native: the module; its layers get a hook that gives what a mask leaves over, where there is one.
        graph: what it was emitted from.
        device: where the module is.
        alike: nodes that draw from a stream of their own, the same for processes of one rank.
    """

    def __init__(
        self, native: nn.Module, graph: Graph, device: torch.device, alike: frozenset[str] = frozenset()
    ) -> None:
        ops = {node.name: node.op for node in graph.nodes if isinstance(node.op, Dropping)}
        layers = [module for module in native.modules() if type(module).__name__ in LAYERS]
        if [op.rate for op in ops.values()] != [layer.p for layer in layers]:
            raise BackendError(f"{graph.name}: the emitted source has other dropout layers than the graph")
        self._layers = dict(zip(ops, layers, strict=True))
        self._device = device
        self._masks: Mapping[str, NDArray[np.bool_]] = {}
        self._key, self._drawn = [0, 0], 0
        self._before: dict[str, Tensor] = {}
        for number, name in enumerate(self._layers):
            if name in alike:
                self._layers[name].register_forward_pre_hook(partial(self._seed, name, number))
                self._layers[name].register_forward_hook(partial(self._unseed, name))
        for name, layer in self._layers.items():
            layer.register_forward_hook(partial(self._replace, name, ops[name]))

    @contextmanager
    def drawn(self, key: int, rank: int, tower: int = 0) -> Iterator[None]:
        """Within it dropout is drawn from a stream of this key, rank and tower; the default ones come back after."""
        if not self._layers:
            yield
            return
        cuda = self._device.type == "cuda"
        with torch.random.fork_rng([self._device] if cuda else []):
            self._key, self._drawn = [key, rank], 0
            self._start([key, rank, tower] if tower else [key, rank])
            yield

    def _start(self, entropy: list[int]) -> None:
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
        (torch.cuda.manual_seed if self._device.type == "cuda" else torch.default_generator.manual_seed)(seed)

    def _seed(self, name: str, number: int, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Before a layer that draws alike: a stream of its own, and a new place in it for each batch of the step."""
        if layer.training:
            self._before[name] = _random_state(self._device)
            self._drawn += 1
            self._start([*self._key, 1 + number, self._drawn])

    def _unseed(self, name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if name in self._before:
            _set_random_state(self._device, self._before.pop(name))

    @contextmanager
    def given(self, masks: Mapping[str, NDArray[np.bool_]] | None) -> Iterator[None]:
        """Within it these masks are what is dropped; None changes nothing.

        Raises:
            BackendError: a dropout node has no mask, or a mask no dropout node.
        """
        if masks is None or not (masks or self._layers):
            yield
            return
        if set(masks) != set(self._layers):
            expected, received = (", ".join(sorted(names)) or "none" for names in (self._layers, masks))
            raise BackendError(f"expected masks of the dropout nodes {expected}, received {received}")
        self._masks = masks
        for layer in self._layers.values():
            layer.eval()  # it draws nothing
        try:
            yield
        finally:
            self._masks = {}
            for layer in self._layers.values():
                layer.train()

    def _replace(
        self, name: str, op: Dropping, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> Tensor | None:
        """What takes the place of a layer's output; None leaves it."""
        if name not in self._masks:
            return None
        (x,), mask = inputs, self._masks[name]
        expected = (len(x), *op.mask_features(TensorType.of(*x.shape[1:])))
        if mask.shape != expected:
            raise BackendError(f"the mask of {name}: expected shape {expected}, received {mask.shape}")
        kept = torch.from_numpy(np.require(mask, np.bool_, ["C", "W"])).to(self._device)
        return x * kept.to(x.dtype).mul_(op.training_scale)


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
