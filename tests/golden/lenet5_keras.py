"""lenet5: LeCun, Bottou, Bengio & Haffner 1998, section II.B, with plain averages
and a third convolution that reads every map

Emitted by netspec from a layer spec; needs keras alone.
"""

import keras
from keras import layers


def build_lenet5() -> keras.Model:
    """(N, 32, 32, 1) to (N, 10); 61,706 weights."""
    input = keras.Input((32, 32, 1), name="input")
    x = layers.Conv2D(6, 5, name="conv1")(input)  # (N, 28, 28, 6)
    x = layers.Activation("tanh", name="tanh1")(x)
    x = layers.AveragePooling2D(2, name="pool2")(x)  # (N, 14, 14, 6)
    x = layers.Conv2D(16, 5, name="conv3")(x)  # (N, 10, 10, 16)
    x = layers.Activation("tanh", name="tanh3")(x)
    x = layers.AveragePooling2D(2, name="pool4")(x)  # (N, 5, 5, 16)
    x = layers.Conv2D(120, 5, name="conv5")(x)  # (N, 1, 1, 120)
    x = layers.Activation("tanh", name="tanh5")(x)
    x = layers.Flatten(name="flatten")(x)  # (N, 120)
    x = layers.Dense(84, name="fc6")(x)  # (N, 84)
    x = layers.Activation("tanh", name="tanh6")(x)
    x = layers.Dense(10, name="fc7")(x)  # (N, 10)
    return keras.Model(input, x, name="lenet5")
