"""keras.applications' models, on the framework that Keras runs on here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras
import numpy as np

from netspec.ops.base import Array
from netspec.weights import stream
from tests.peers.peer import Peer

CALIBRATING = 4  # images from which running statistics are found

# What is said of a model beside its name. Where its first layer can be left out, our preprocessing stands for it.
ARGUMENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    **{f"ConvNeXt{size}": {"include_preprocessing": False} for size in ("Tiny", "Small", "Base", "Large")},
    **{f"MobileNetV3{size}": {"include_preprocessing": False} for size in ("Small", "Large")},
}
# EfficientNet divides its input by 255 in any case; its normalization is that of a mean of 0 and a variance of 1.
SCALE: Final[Mapping[str, float]] = {f"EfficientNetB{n}": 255.0 for n in range(2)}
PREPROCESSING: Final = "normalization/"  # the variables of that layer


def load(model: str, shape: tuple[int, int, int], seed: int) -> Peer:
    """A model of `keras.applications` by its function's name; after a hyphen its alpha."""
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
        return _run(network, pixels.transpose(0, 2, 3, 1) * np.float32(scale))

    arrays = {variable.path.replace("/", "."): keras.ops.convert_to_numpy(variable) for variable in network.weights}
    return Peer(arrays, forward)


def _run(network: Any, images: Array, *, training: bool = False) -> Array:
    array: Array = keras.ops.convert_to_numpy(network(images.astype(np.float32), training=training))
    return array


def _draw(network: Any, seed: int) -> None:
    """He-scaled kernels keep the input's scale; scales within 0.5 and 1.5; biases normal."""
    for variable in network.weights:
        if variable.path.startswith(PREPROCESSING):
            continue
        random = stream(seed, "peer", variable.path)
        shape = tuple(variable.shape)
        if len(shape) > 1:
            depthwise = len(shape) == 4 and shape[3] == 1 and "kernel" in variable.path
            fan_in = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
            variable.assign(random.standard_normal(shape, np.float32) * np.float32(np.sqrt(2.0 / fan_in)))
        elif variable.path.endswith(("beta", "bias")):
            variable.assign(random.standard_normal(shape, np.float32))
        else:
            variable.assign(random.random(shape, np.float32) + np.float32(0.5))


def _settle(network: Any, shape: tuple[int, ...], seed: int, scale: float) -> None:
    """Running statistics near those of what each normalization reads, as `torch_peer` lays them."""
    layers = list(_normalizations(network))
    for layer in layers:
        layer.momentum = 0.0  # what it keeps is the last batch's
    pixels = stream(seed, "peer", "pixels").standard_normal((CALIBRATING, *shape), np.float32) * np.float32(scale)
    if layers:
        _run(network, pixels, training=True)
    for layer in layers:
        random = stream(seed, "peer", f"{layer.name} statistics")
        mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
        std = np.sqrt(variance.mean())
        layer.moving_mean.assign(mean + 0.1 * std * random.standard_normal(mean.shape, np.float32))
        layer.moving_variance.assign(std**2 * (random.random(mean.shape, np.float32) + np.float32(0.5)))


def _normalizations(network: Any) -> Iterator[Any]:
    yield from (layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
