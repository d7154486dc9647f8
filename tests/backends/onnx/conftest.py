"""Fixtures of the tests of the ONNX backend: a small network, its weights, a batch, and complete models."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir
import pytest
from netspec_onnx.initializers import with_initializers

from netspec.graph import Graph, Input, Preprocessing, make_node
from netspec.lowering import Artifact
from netspec.ops import OPS
from netspec.ops.base import Array, Weights
from netspec.types import TensorType
from netspec.weights import initialize, stream

COLORS = Preprocessing(resize_shorter_side=12, mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0))


@pytest.fixture
def small() -> Graph:
    """A convolution, a flatten and a grouped dense layer, with preprocessing for photographs."""
    image = Input("image", TensorType.of(3, 8, 9), COLORS)
    conv = make_node("conv", OPS["conv2d"].model_validate({"filters": 4, "kernel_size": 3}), [image])
    flat = make_node("flat", OPS["flatten"](), [conv])
    dense = make_node("fc", OPS["dense"].model_validate({"units": 6, "groups": 2}), [flat])
    return Graph("small-net", (image,), (conv, flat, dense), ("fc",), source="a paper").check()


@pytest.fixture
def weights(small: Graph) -> Weights:
    """Weights of the small network."""
    return initialize(small, seed=3)


@pytest.fixture
def batch() -> Array:
    """Three samples for the small network."""
    return stream(0, "batch").standard_normal((3, 3, 8, 9), np.float32)


@pytest.fixture(scope="session")
def complete() -> Callable[[Artifact, Weights], onnx.ModelProto]:
    """A function that returns the model with its weights as initializers, as it is written to a file."""

    def build(artifact: Artifact, weights: Weights) -> onnx.ModelProto:
        tensors = {path: onnx_ir.tensor(array) for path, array in artifact.to_native(weights).items()}
        return onnx.ModelProto.FromString(with_initializers(artifact, tensors))

    return build
