"""The measured networks: the spec, the model written by hand, and weights and inputs for both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import netspec
from netspec.verify.cases import check_weights_of

SPECS = Path(__file__).parents[2] / "specs"


def load(name: str) -> netspec.Network:
    """Return the network of a spec with its default parameters; `resnet` is ResNet-50."""
    return netspec.load(SPECS / f"{name}.yaml")


def weights_of(network: netspec.Network) -> dict[str, NDArray[np.float32]]:
    """Return He-scaled weights: activations keep their scale, so that no value is denormal and outputs can differ."""
    return {name: np.asarray(array, np.float32) for name, array in check_weights_of(network.graph, 0).items()}


def pixels(network: netspec.Network, batch: int) -> NDArray[np.float32]:
    """Return noise at the scale of normalized photographs. Shapes: (N, C, H, W)."""
    shape = network.graph.inputs[0].type.concrete(batch)
    return np.random.default_rng(0).standard_normal(shape, np.float32) * np.float32(60)


def hand_written(name: str, weights: dict[str, NDArray[np.float32]], **arguments: Any) -> Any:
    """Return the model of `peers/` with the weights of the spec, matched by their order of declaration."""
    import torch
    from peers.alexnet_torch import AlexNet
    from peers.mobilenet_torch import MobileNetV2
    from peers.resnet_torch import ResNet50

    model = {"alexnet": AlexNet, "resnet": ResNet50, "mobilenet-v2": MobileNetV2}[name](**arguments)
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for tensor, array in zip(state.values(), weights.values(), strict=True):
        tensor.copy_(torch.from_numpy(array))
    return model
