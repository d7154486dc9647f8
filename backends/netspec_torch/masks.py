"""Dropout in training, by given masks or by PyTorch's generators, whose states are restored afterwards."""

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
from netspec.lowering.batch import require_masks
from netspec.ops.dropout import Dropping

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The classes that `netspec_torch.dropout` declares: one layer for each node, in the order of the nodes.
LAYERS = ("Dropout", "StandardDropout", "StochasticDepth")


class DropoutLayers:
    """The dropout layers of an emitted module, by node.

    Args:
        native: the module; a hook on each of its dropout layers applies the given mask, if there is one.
        graph: the graph that it was emitted from.
        device: the device of the module.
        same_draws: nodes that draw the same masks in all towers of a rank, each from its own stream of random numbers.
    """

    def __init__(
        self, native: nn.Module, graph: Graph, device: torch.device, same_draws: frozenset[str] = frozenset()
    ) -> None:
        ops = {node.name: node.op for node in graph.nodes if isinstance(node.op, Dropping)}
        layers = [module for module in native.modules() if type(module).__name__ in LAYERS]
        if [op.rate for op in ops.values()] != [layer.p for layer in layers]:
            raise BackendError(f"{graph.name}: the emitted source has other dropout layers than the graph")
        self._layers = dict(zip(ops, layers, strict=True))
        self._features = {name: op.mask_features(graph.type_of(name)) for name, op in ops.items()}
        self._device = device
        self._masks: Mapping[str, NDArray[np.bool_]] = {}
        self._key, self._draws = [0, 0], 0
        self._saved_states: dict[str, Tensor] = {}
        for number, name in enumerate(self._layers):
            if name in same_draws:
                self._layers[name].register_forward_pre_hook(partial(self._enter_stream, name, number))
                self._layers[name].register_forward_hook(partial(self._leave_stream, name))
        for name, layer in self._layers.items():
            layer.register_forward_hook(partial(self._apply_mask, name, ops[name]))

    @contextmanager
    def drawn(self, key: int, rank: int, tower: int = 0) -> Iterator[None]:
        """Draw dropout masks from a stream for this key, rank and tower, and restore the default generators after."""
        if not self._layers:
            yield
            return
        cuda = self._device.type == "cuda"
        with torch.random.fork_rng([self._device] if cuda else []):
            self._key, self._draws = [key, rank], 0
            self._seed([key, rank, tower] if tower else [key, rank])
            yield

    def _seed(self, entropy: list[int]) -> None:
        seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0])
        (torch.cuda.manual_seed if self._device.type == "cuda" else torch.default_generator.manual_seed)(seed)

    def _enter_stream(self, name: str, number: int, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Pre-hook of an `same_draws` layer: seed the generator from the layer's number and a count of draws."""
        if layer.training:
            self._saved_states[name] = _random_state(self._device)
            self._draws += 1
            self._seed([*self._key, 1 + number, self._draws])

    def _leave_stream(self, name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Hook of an `same_draws` layer: restore the state from before it."""
        if name in self._saved_states:
            _set_random_state(self._device, self._saved_states.pop(name))

    @contextmanager
    def given(self, masks: Mapping[str, NDArray[np.bool_]] | None, samples: int) -> Iterator[None]:
        """Apply these masks to a batch of so many samples, instead of random ones; None changes nothing.

        Raises:
            BackendError: the masks are not those of the network's dropout nodes.
        """
        if masks is None or not (masks or self._layers):
            yield
            return
        require_masks(masks, {name: (samples, *features) for name, features in self._features.items()})
        self._masks = masks
        for layer in self._layers.values():
            layer.eval()  # draw no random mask
        try:
            yield
        finally:
            self._masks = {}
            for layer in self._layers.values():
                layer.train()

    def _apply_mask(
        self, name: str, op: Dropping, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> Tensor | None:
        """Hook of a dropout layer: the output by the given mask; None, which keeps the layer's output, without one."""
        if name not in self._masks:
            return None
        (x,), mask = inputs, np.require(self._masks[name], np.bool_, ["C", "W"])
        kept = torch.from_numpy(mask).to(self._device)
        return x * kept.to(x.dtype).mul_(op.training_scale)


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
