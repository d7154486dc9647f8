"""Single layers of netspec and of the frameworks: forward and backward, in float32, on shapes of AlexNet."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from netspec.graph import Graph, Input, make_node
from netspec.lowering import find_backend
from netspec.ops import Conv2d, LocalResponseNorm
from netspec.ops.attributes import both, padding_of
from netspec.types import TensorType
from netspec.weights import initialize

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

BATCH = 32
MAP = (96, 55, 55)
NORM = LocalResponseNorm(size=5, alpha=1e-4, beta=0.75, k=2.0, convention="sum")
CONVOLUTION_MAP = (96, 27, 27)
CONVOLUTION = Conv2d(filters=256, kernel_size=both(5), padding=padding_of((2, 2, 2, 2)), groups=2)


class Derivative:
    """A subject that computes the gradient of the sum of a layer's output; `output` returns the layer's output."""

    def __init__(self, step: Callable[[], object], forward: Callable[[], Any]) -> None:
        self._step, self._forward = step, forward

    def __call__(self) -> None:
        self._step()

    def output(self) -> Any:
        return np.asarray(self._forward())


def torch_norm(*, emitted: bool) -> Derivative:
    """Local response normalization: the emitted layer, or `F.local_response_norm`."""
    import torch
    from torch.nn import functional

    x = torch.from_numpy(_pixels(MAP)).requires_grad_()
    ones = torch.ones(x.shape)
    layer = _emitted_layer("torch", NORM, MAP)
    alpha = NORM.alpha * NORM.size  # PyTorch divides alpha by the size

    def forward() -> Any:
        if emitted:
            return layer(x)
        return functional.local_response_norm(x, NORM.size, alpha=alpha, beta=NORM.beta, k=NORM.k)

    return Derivative(lambda: torch.autograd.grad(forward(), x, ones), lambda: forward().detach())


def keras_norm(*, emitted: bool) -> Derivative:
    """Local response normalization: the emitted layer, or `tf.nn.local_response_normalization`."""
    import tensorflow as tf

    layer = _emitted_layer("keras", NORM, MAP)

    def peer(x: Any) -> Any:
        return tf.nn.local_response_normalization(x, NORM.size // 2, bias=NORM.k, alpha=NORM.alpha, beta=NORM.beta)

    return _tensorflow(layer if emitted else peer, MAP)


def keras_convolution(*, emitted: bool) -> Derivative:
    """Grouped convolution: the emitted layer, or `Conv2D(groups=2)`."""
    import keras

    layer = _emitted_layer("keras", CONVOLUTION, CONVOLUTION_MAP)
    value = keras.Input((*CONVOLUTION_MAP[1:], CONVOLUTION_MAP[0]))
    peer = keras.Model(value, keras.layers.Conv2D(256, 5, padding="same", groups=2)(value))
    peer.set_weights(layer.get_weights())
    return _tensorflow(layer if emitted else peer, CONVOLUTION_MAP)


def _tensorflow(model: Callable[[Any], Any], shape: tuple[int, ...]) -> Derivative:
    import tensorflow as tf

    x = tf.constant(_pixels(shape).transpose(0, 2, 3, 1))
    watched = [x, *getattr(model, "trainable_variables", [])]

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(model(x))
        return tape.gradient(total, watched)

    return Derivative(lambda: [gradient.numpy() for gradient in step()], lambda: model(x))


def _emitted_layer(backend: str, op: LocalResponseNorm | Conv2d, shape: tuple[int, ...]) -> Any:
    value = Input("map", TensorType.of(*shape))
    graph = Graph("one", (value,), (make_node("op", op, [value]),), ("op",))
    target = find_backend(backend)
    return target.load(target.lower(graph), initialize(graph)).native


def _pixels(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(0).standard_normal((BATCH, *shape), np.float32) * np.float32(60)
