"""branches: A residual sum, a gate for each channel, a concatenation and two
outputs; what a chain does not show

Emitted by netspec from a layer spec; needs keras alone.
"""

import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class GELU(layers.Layer):
    """x * Phi(x), where Phi is the normal CDF, exact or `approximate` by tanh.

    The same function as `keras.activations.gelu`, whose constants TensorFlow rounds to
    float32 even in a float64 model.
    """

    def __init__(self, approximate: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approximate = approximate

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        x = inputs
        if self.approximate:
            z = ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x))
        else:
            z = ops.erf(math.sqrt(0.5) * x)
        return 0.5 * x * (1.0 + z)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "approximate": self.approximate}


@keras.saving.register_keras_serializable(package="netspec")
class GroupedDense(layers.Layer):
    """Dense with independent groups of features, like `groups` in Conv2D."""

    def __init__(
        self, units: int, groups: int, use_bias: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.groups = groups
        self.use_bias = use_bias

    def build(self, input_shape: tuple[int, ...]) -> None:
        features = input_shape[-1] // self.groups
        self.kernel = self.add_weight(
            name="kernel", shape=(features, self.units), initializer="glorot_uniform"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(self.units,), initializer="zeros"
            )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        groups = zip(
            ops.split(inputs, self.groups, axis=-1),
            ops.split(ops.convert_to_tensor(self.kernel), self.groups, axis=-1),
        )
        outputs = ops.concatenate([ops.matmul(x, k) for x, k in groups], axis=-1)
        return outputs + self.bias if self.use_bias else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "groups": self.groups,
            "use_bias": self.use_bias,
        }


def build_branches() -> keras.Model:
    """(N, 9, 7, 8) to (N, 4), (N, 1, 1, 8); 1,404 weights."""
    input = keras.Input((9, 7, 8), name="input")
    # (N, 9, 7, 8)
    stem = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(input)
    norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm-layer")(
        stem
    )
    left = GELU(approximate=True, name="left")(norm)
    x = layers.ZeroPadding2D(((2, 0), (0, 2)), name="right_pad")(norm)  # (N, 11, 9, 8)
    x = layers.DepthwiseConv2D(3, name="right")(x)  # (N, 9, 7, 8)
    sum = layers.Add(name="sum-layer")([left, x])
    # (N, 1, 1, 8)
    x = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(sum)
    x = layers.Conv2D(8, 1, name="excite")(x)  # (N, 1, 1, 8)
    gate = layers.Activation("sigmoid", name="gate")(x)
    x = layers.Multiply(name="gated")([sum, gate])
    x = layers.Concatenate(name="both")([x, stem])  # (N, 9, 7, 16)
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)  # (N, 11, 9, 16)
    x = layers.AveragePooling2D(3, strides=2, name="pool")(x)  # (N, 5, 4, 16)
    x = layers.Permute((3, 1, 2), name="features_channels_first")(x)  # (N, 16, 5, 4)
    x = layers.Flatten(name="features")(x)  # (N, 320)
    fc = GroupedDense(4, groups=2, name="fc")(x)  # (N, 4)
    return keras.Model(input, [fc, gate], name="branches")
