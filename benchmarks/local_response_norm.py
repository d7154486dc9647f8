"""What is emitted for AlexNet's normalization and grouped convolution, against what the frameworks have of their own.

Forward and backward, float32, in one process, on AlexNet's shapes after its first convolution, batch 32.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from paired import Pairs, alternate, print_table

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
PEERS_TOLERANCE = 1e-4  # of the largest, in float32: what is compared must be one function, or its time says nothing


def graph_of(op: LocalResponseNorm | Conv2d, shape: tuple[int, ...]) -> Graph:
    value = Input("map", TensorType.of(*shape))
    return Graph("one", (value,), (make_node("op", op, [value]),), ("op",))


def native(backend: str, op: LocalResponseNorm | Conv2d, shape: tuple[int, ...]) -> tuple[Any, dict[str, Any]]:
    """The backend's own model of one op, and its weights."""
    graph = graph_of(op, shape)
    weights = initialize(graph)
    target = find_backend(backend)
    return target.load(target.lower(graph), weights).native, weights


def pixels(shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal((BATCH, *shape), np.float32) * np.float32(60)


def require_equal(own: Any, peer: Any) -> None:
    own, peer = np.asarray(own), np.asarray(peer)
    difference = np.abs(own - peer).max() / np.abs(peer).max()
    if not difference < PEERS_TOLERANCE:
        raise SystemExit(f"not one function: they differ by {difference:.1e} of the largest")


def torch_pairs() -> list[Pairs]:
    import torch
    from torch.nn import functional

    emitted, _ = native("torch", NORM, MAP)
    x = torch.from_numpy(pixels(MAP)).requires_grad_()

    def own() -> torch.Tensor:
        return emitted(x)

    def peer() -> torch.Tensor:  # its alpha is of the mean
        return functional.local_response_norm(x, NORM.size, alpha=NORM.alpha * NORM.size, beta=NORM.beta, k=NORM.k)

    def step(forward: Callable[[], torch.Tensor]) -> Callable[[], object]:
        ones = torch.ones(x.shape)
        return lambda: torch.autograd.grad(forward(), x, ones)

    require_equal(own().detach(), peer().detach())
    return [alternate("local_response_norm, forward and backward", step(peer), step(own))]


def keras_pairs() -> list[Pairs]:
    import tensorflow as tf

    emitted, _ = native("keras", NORM, MAP)
    x = tf.constant(pixels(MAP).transpose(0, 2, 3, 1))

    def peer(x: Any) -> Any:
        radius = NORM.size // 2
        return tf.nn.local_response_normalization(x, radius, bias=NORM.k, alpha=NORM.alpha, beta=NORM.beta)

    require_equal(emitted(x), peer(x))
    norm = alternate("local response norm, forward and backward", gradient(peer, x), gradient(emitted, x))
    return [norm, keras_convolution()]


def keras_convolution() -> Pairs:
    import keras
    import tensorflow as tf

    emitted, _ = native("keras", CONVOLUTION, CONVOLUTION_MAP)
    x = tf.constant(pixels(CONVOLUTION_MAP).transpose(0, 2, 3, 1))
    value = keras.Input(x.shape[1:])
    peer = keras.Model(value, keras.layers.Conv2D(256, 5, padding="same", groups=2)(value))
    peer.set_weights(emitted.get_weights())
    require_equal(emitted(x), peer(x))
    return alternate("grouped convolution, forward and backward", gradient(peer, x), gradient(emitted, x))


def gradient(model: Callable[[Any], Any], x: Any) -> Callable[[], object]:
    """A compiled step: the derivatives of the sum by the input, and by a model's weights."""
    import tensorflow as tf

    watched = [x, *getattr(model, "trainable_variables", [])]

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(model(x))
        return tape.gradient(total, watched)

    return lambda: [part.numpy() for part in step()]


def main() -> None:
    print_table("F.local_response_norm", torch_pairs())
    print_table("tf.nn.local_response_normalization; layers.Conv2D(groups=2)", keras_pairs())


if __name__ == "__main__":
    main()
