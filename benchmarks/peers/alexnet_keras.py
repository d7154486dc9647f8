"""AlexNet by hand in Keras, and tuned by hand in TensorFlow. Both compute the function of `specs/alexnet.yaml`."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers

NORM = {"depth_radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}


class TowerNorm(layers.Layer):
    """Local response normalization within each tower's half of the channels."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        towers = tf.split(x, 2, axis=-1)
        return tf.concat([tf.nn.local_response_normalization(tower, **NORM) for tower in towers], -1)


class HalvingDropout(layers.Layer):
    """Dropout as in 2012: outputs are halved at inference, not doubled in training."""

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return 0.5 * tf.nn.dropout(x, 0.5) if training else 0.5 * x


def alexnet(classes: int = 1000) -> keras.Model:
    """Return the model with layers of Keras, such as `Conv2D(groups=2)`. Shapes: (N, 224, 224, 3) to (N, classes)."""
    image = keras.Input((224, 224, 3))
    x = layers.ZeroPadding2D(((0, 3), (0, 3)))(image)
    x = layers.Conv2D(96, 11, strides=4, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, 2)(TowerNorm()(x))
    x = layers.Conv2D(256, 5, padding="same", groups=2, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(3, 2)(TowerNorm()(x))
    x = layers.Conv2D(384, 3, padding="same", activation="relu", name="conv3")(x)
    x = layers.Conv2D(384, 3, padding="same", groups=2, activation="relu", name="conv4")(x)
    x = layers.Conv2D(256, 3, padding="same", groups=2, activation="relu", name="conv5")(x)
    x = layers.Flatten()(layers.MaxPooling2D(3, 2)(x))
    x = HalvingDropout()(layers.Dense(4096, activation="relu", name="fc6")(x))
    x = HalvingDropout()(layers.Dense(4096, activation="relu", name="fc7")(x))
    return keras.Model(image, layers.Dense(classes, name="fc8")(x))


def tuned_alexnet(variables: dict[str, tf.Variable]) -> Callable[[tf.Tensor, bool], tf.Tensor]:
    """Return the forward pass in functions of TensorFlow, with grouped convolutions split by hand.

    Args:
        variables: `conv1/kernel`, `conv1/bias`, … in TensorFlow's layout.
    """

    def convolve(x: tf.Tensor, name: str, groups: int = 1, **options: object) -> tf.Tensor:
        kernel, bias = variables[f"{name}/kernel"], variables[f"{name}/bias"]
        options = {"strides": 1, "padding": "SAME"} | options
        if groups == 1:
            return tf.nn.relu(tf.nn.conv2d(x, kernel, **options) + bias)
        parts = zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
        return tf.nn.relu(tf.concat([tf.nn.conv2d(part, k, **options) for part, k in parts], -1) + bias)

    def normalize(x: tf.Tensor) -> tf.Tensor:
        return tf.concat([tf.nn.local_response_normalization(t, **NORM) for t in tf.split(x, 2, -1)], -1)

    def pool(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.max_pool2d(x, 3, 2, "VALID")

    def dense(x: tf.Tensor, name: str) -> tf.Tensor:
        return tf.matmul(x, variables[f"{name}/kernel"]) + variables[f"{name}/bias"]

    def forward(x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.pad(x, [[0, 0], [0, 3], [0, 3], [0, 0]])
        x = pool(normalize(convolve(x, "conv1", strides=4, padding="VALID")))
        x = pool(normalize(convolve(x, "conv2", groups=2)))
        x = convolve(x, "conv3")
        x = convolve(x, "conv4", groups=2)
        x = pool(convolve(x, "conv5", groups=2))
        x = tf.reshape(x, [-1, 6 * 6 * 256])
        for name in ("fc6", "fc7"):
            x = tf.nn.relu(dense(x, name))
            x = 0.5 * (tf.nn.dropout(x, 0.5) if training else x)
        return dense(x, "fc8")

    return forward
