"""Makes a peer of any torch module: weights drawn by their names, running statistics as after training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netspec.ops.base import Array
from netspec.weights import stream
from tests.peers.peer import Peer

CALIBRATING = 4  # images from which running statistics are found
NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


def built(make: Callable[[], Any]) -> nn.Module:
    """Build a module without initializing it; on the CPU if its constructor computes with tensors.

    Constructors compute the widths of RegNet and the positions of Swin: integers that are kept in the module's buffers.
    """
    try:
        with torch.device("meta"):
            module: nn.Module = make()
    except RuntimeError:  # if the cause is another one, it is raised again here
        computed: nn.Module = make()
        return computed.eval()
    state = module.state_dict()
    kept = [t for t in state.values() if t.shape and not t.dtype.is_floating_point]
    beside = [name for name, _ in module.named_buffers() if name not in state]
    return (make() if kept or beside else module).eval()


def peer_of(module: nn.Module, shape: tuple[int, int, int], seed: int, heads: Callable[[Any], Any] | None) -> Peer:
    """Return the module with random weights as a peer.

    Args:
        module: on any device, also the meta device.
        shape: the shape (C, H, W) of its images.
        seed: the seed of the weights.
        heads: a function of the result of a forward pass in training, which returns the outputs of the heads in the
            order of our spec.
    """
    state = module.state_dict()  # with its metadata: some modules read another layout where no version stands in it
    for name, tensor in state.items():
        state[name] = _drawn(name, tensor, seed)
    module.load_state_dict(state, assign=True)
    _settle(module, shape, seed)

    @torch.inference_mode()
    def forward(pixels: Array) -> Array:
        array: Array = module(torch.from_numpy(pixels)).numpy()
        return array

    @torch.inference_mode()
    def forward_heads(pixels: Array) -> tuple[Array, ...]:
        assert heads is not None
        with only_root_training(module):
            return tuple(tensor.numpy() for tensor in heads(module(torch.from_numpy(pixels))))

    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    return Peer(arrays, forward, forward_heads if heads else None, dict(_constants(module)))


def _constants(module: nn.Module) -> Iterator[tuple[str, dict[str, float]]]:
    """Return the epsilon of every normalization, and for batch normalization the rate of its running statistics."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.LayerNorm):
            yield f"{name}.weight", {"epsilon": layer.eps}
        elif isinstance(layer, NORMALIZATIONS):
            assert layer.momentum is not None, f"{name} averages all batches, and update_rate says nothing like that"
            yield f"{name}.weight", {"epsilon": layer.eps, "update_rate": layer.momentum}


class only_root_training:  # noqa: N801 # a context, as torch's own
    """Put only the root in training mode: heads give outputs, but dropout and batch normalization stay at inference."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def __enter__(self) -> None:
        self._module.training = True

    def __exit__(self, *_: object) -> None:
        self._module.training = False


def _drawn(name: str, tensor: Tensor, seed: int) -> Tensor:
    """Draw a weight: He-scaled kernels, scales and variances in [0.5, 1.5], others normal."""
    if not tensor.dtype.is_floating_point:  # a counter of batches, or what the module found when it was built
        return tensor if tensor.shape else torch.zeros_like(tensor, device="cpu")
    random = stream(seed, "peer", name)
    shape = tuple(tensor.shape)
    if name.endswith("weight") and len(shape) > 1:
        scale = np.float32(np.sqrt(2.0 * shape[0] / tensor.numel()))
        return torch.from_numpy(random.standard_normal(shape, np.float32) * scale)
    if name.endswith(("weight", "running_var", "layer_scale", "gamma")):
        return torch.from_numpy(random.random(shape, np.float32) + np.float32(0.5))
    return torch.from_numpy(random.standard_normal(shape, np.float32))


@torch.inference_mode()
def _settle(module: nn.Module, shape: tuple[int, int, int], seed: int) -> None:
    """Set running statistics near those of the input of each normalization.

    At a mean of 0 and a variance of 1 they would not normalize: a residual signal grows, and what float32 rounds in it
    is no longer small compared with the outputs. The statistics stay wrong by a tenth of a deviation and by half the
    variance, channel by channel, so that each one matters.
    """

    def adapt(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        std = float(x.std()) or 1.0
        layer.running_mean.mul_(0.1 * std).add_(float(x.mean()))
        layer.running_var.mul_(std**2)

    layers = [layer for layer in module.modules() if isinstance(layer, NORMALIZATIONS)]
    hooks = [layer.register_forward_pre_hook(adapt) for layer in layers]
    pixels = stream(seed, "peer", "pixels").standard_normal((CALIBRATING, *shape), np.float32)
    if layers:
        with only_root_training(module):  # so that heads are settled as well
            module(torch.from_numpy(pixels))
    for hook in hooks:
        hook.remove()
