"""Second derivatives of local response normalization, which has a gradient written by hand, on each engine."""

import os
import subprocess
import sys

import pytest

# In float32, the derivative of the gradient along a direction is compared with the difference of two gradients.
SCRIPT = """
import keras, numpy as np
from netspec_keras.support.local_response_normalization import LocalResponseNormalization
norm = LocalResponseNormalization(size=3, alpha=0.1, beta={beta}, k=2.0, groups=2)
x, weights, along = np.random.default_rng(0).standard_normal((3, 2, 4, 3, 8)).astype(np.float32)
norm.build(x.shape)

if keras.config.backend() == "tensorflow":
    import tensorflow as tf

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(norm(x) * weights)
        return tape.gradient(y, x)

    def second(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(gradient(x) * along)
        return tape.gradient(y, x)

elif keras.config.backend() == "jax":
    import jax

    gradient = jax.grad(lambda x: (norm(x) * weights).sum())
    second = jax.jit(jax.grad(lambda x: (gradient(x) * along).sum()))

else:
    import torch

    def gradient(x):
        x.requires_grad_()
        return torch.autograd.grad((norm(x) * torch.tensor(weights)).sum(), x, create_graph=True)[0]

    def second(x):
        return torch.autograd.grad((gradient(x) * torch.tensor(along)).sum(), x)[0]

tensor, array, step = keras.ops.convert_to_tensor, keras.ops.convert_to_numpy, np.float32(1e-2)
expected = (array(gradient(tensor(x + step * along))) - array(gradient(tensor(x - step * along)))) / (2 * step)
received = array(second(tensor(x)))
error = np.abs(received - expected).max() / np.abs(expected).max()
assert error < 1e-3, error
"""


@pytest.mark.parametrize(("engine", "beta"), [("tensorflow", 0.75), ("jax", 0.6), ("torch", 0.75)])
def test_local_response_norm_has_a_second_derivative(engine: str, beta: float) -> None:
    code = SCRIPT.format(beta=beta)
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"KERAS_BACKEND": engine}, check=True)
