"""The models of keras.applications, on the engine that Keras uses here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

import keras
import numpy as np

from netspec.ops.base import Array
from netspec.weights import stream
from tests.peers.peer import Peer

# Arguments of a model in addition to its name. If its first layer can be left out, our preprocessing replaces it.
ARGUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    **{f"ConvNeXt{size}": {"include_preprocessing": False} for size in ("Tiny", "Small", "Base", "Large")},
    **{f"MobileNetV3{size}": {"include_preprocessing": False} for size in ("Small", "Large")},
    **{f"EfficientNetV2{size}": {"include_preprocessing": False} for size in ("B0", "B1", "B2", "B3", "S", "M", "L")},
}
# EfficientNet divides its input by 255 in any case; its normalization is that of a mean of 0 and a variance of 1.
SCALE: Final[Mapping[str, float]] = {f"EfficientNetB{n}": 255.0 for n in range(8)}
PREPROCESSING: Final = "normalization/"  # the variables of that layer


def load(model: str, shape: tuple[int, int, int], seed: int) -> Peer:
    """Load a model of `keras.applications` by the name of its function, with its alpha after a hyphen."""
    function, _, alpha = model.partition("-")
    channels, height, width = shape
    keras.utils.clear_session()  # layers without a name are counted from the first
    network = getattr(keras.applications, function)(
        weights=None,
        classifier_activation=None,
        input_shape=(height, width, channels),
        **ARGUMENTS.get(model, {}),
        **({"alpha": float(alpha)} if alpha else {}),
    )
    scale = SCALE.get(model, 1.0)
    _draw(network, seed)
    _settle(network, (height, width, channels), seed, scale)

    def forward(pixels: Array) -> Array:
        images = pixels.transpose(0, 2, 3, 1) * np.float32(scale)
        return np.concatenate([_run(network, image[None]) for image in images])

    arrays = {_name(variable): keras.ops.convert_to_numpy(variable) for variable in network.weights}
    return Peer(arrays, forward, constants=dict(_constants(network)))


def _run(network: Any, image: Array) -> Array:
    """Run the model on one image: Keras keeps all values until the last layer has run, for B7 several GiB per image."""
    array: Array = keras.ops.convert_to_numpy(network(image, training=False))
    return array


def _draw(network: Any, seed: int) -> None:
    """Draw weights: He-scaled kernels, scales and variances in [0.5, 1.5], others normal."""
    for variable in network.weights:
        if variable.path.startswith(PREPROCESSING):
            continue
        random = stream(seed, "peer", variable.path)
        shape = tuple(variable.shape)
        if len(shape) > 1:
            depthwise = len(shape) == 4 and shape[3] == 1 and "kernel" in variable.path
            fan_in = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
            variable.assign(random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2.0 / fan_in)))
        elif variable.path.endswith(("beta", "bias", "moving_mean")):
            variable.assign(random.standard_normal(shape, np.float32))
        else:
            variable.assign(random.random(shape, np.float32) + np.float32(0.5))


def _settle(network: Any, shape: tuple[int, ...], seed: int, scale: float) -> None:
    """Set running statistics near those of the input of each normalization for one image, as `torch_peer` does."""
    layers = list(_layers_of(network, keras.layers.BatchNormalization))
    for layer in layers:
        layer.call = partial(_adapt, layer, layer.call)
    pixels = stream(seed, "peer", "pixels").standard_normal((1, *shape), np.float32)
    if layers:
        _run(network, pixels * np.float32(scale))
    for layer in layers:
        del layer.call


def _adapt(layer: Any, call: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
    """Call the layer after setting its statistics near those of its input."""
    array = keras.ops.convert_to_numpy(x)
    std = array.std() or np.float32(1)
    layer.moving_mean.assign(layer.moving_mean * (0.1 * std) + array.mean())
    layer.moving_variance.assign(layer.moving_variance * std**2)
    return call(x, *args, **kwargs)


def _layers_of(network: Any, kinds: Any) -> Iterator[Any]:
    yield from (layer for layer in network._flatten_layers(include_self=False) if isinstance(layer, kinds))


def _constants(network: Any) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Yield the name of each normalization and its constants."""
    for layer in _layers_of(network, (keras.layers.BatchNormalization, keras.layers.LayerNormalization)):
        rate = {"update_rate": 1 - layer.momentum} if isinstance(layer, keras.layers.BatchNormalization) else {}
        yield _name(layer.beta), {"epsilon": layer.epsilon, **rate}


def _name(variable: Any) -> str:
    name: str = variable.path.replace("/", ".")
    return name
