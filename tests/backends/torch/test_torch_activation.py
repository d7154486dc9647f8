"""Activations whose torch function of the same name is not exact to the last digit."""

import numpy as np

from netspec.lowering import find_backend
from netspec.testing.networks import Chain
from netspec.types import DType


def test_the_derivative_of_hard_sigmoid_is_a_sixth() -> None:
    graph = Chain("gate", x=(5,)).add("gate", "hard_sigmoid").graph().astype(DType.FLOAT64)
    backend = find_backend("torch")
    inputs = {"x": np.array([[-4.0, -2.5, 0.0, 2.5, 4.0]])}
    gradients = backend.load(backend.lower(graph), {}).gradients(inputs, {"gate": np.ones((1, 5))})
    np.testing.assert_allclose(gradients.inputs["x"], [[0, 1 / 6, 1 / 6, 1 / 6, 0]], rtol=1e-15)
