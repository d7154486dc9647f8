"""cifar-alexnet-keras: A widely read article's AlexNet in Keras for CIFAR-10, with
batch normalization for LRN

Emitted by netspec from a layer spec; needs keras alone.
"""

import keras
from keras import layers


def build_cifar_alexnet_keras() -> keras.Model:
    """(N, 32, 32, 3) to (N, 10); 21,624,586 weights."""
    input = keras.Input((32, 32, 3), name="input")
    # (N, 8, 8, 96)
    x = layers.Conv2D(96, 11, strides=4, padding="same", name="conv1")(input)
    x = layers.ReLU(name="relu1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)  # (N, 4, 4, 96)
    x = layers.BatchNormalization(momentum=0.99, epsilon=0.001, name="norm1")(x)
    x = layers.Conv2D(256, 5, padding="same", name="conv2")(x)  # (N, 4, 4, 256)
    x = layers.ReLU(name="relu2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)  # (N, 2, 2, 256)
    x = layers.BatchNormalization(momentum=0.99, epsilon=0.001, name="norm2")(x)
    x = layers.Conv2D(384, 3, padding="same", name="conv3")(x)  # (N, 2, 2, 384)
    x = layers.ReLU(name="relu3")(x)
    x = layers.Conv2D(384, 3, padding="same", name="conv4")(x)  # (N, 2, 2, 384)
    x = layers.ReLU(name="relu4")(x)
    # (N, 1, 1, 256)
    x = layers.Conv2D(256, 3, strides=2, padding="same", name="conv5")(x)
    x = layers.ReLU(name="relu5")(x)
    x = layers.MaxPooling2D(2, padding="same", name="pool5")(x)
    x = layers.BatchNormalization(momentum=0.99, epsilon=0.001, name="norm5")(x)
    x = layers.Flatten(name="flatten")(x)  # (N, 256)
    x = layers.Dense(4096, name="fc6")(x)  # (N, 4096)
    x = layers.ReLU(name="relu6")(x)
    x = layers.Dropout(0.4, name="drop6")(x)
    x = layers.Dense(4096, name="fc7")(x)
    x = layers.ReLU(name="relu7")(x)
    x = layers.Dropout(0.4, name="drop7")(x)
    x = layers.Dense(10, name="fc8")(x)  # (N, 10)
    x = layers.Softmax(name="prob")(x)
    return keras.Model(input, x, name="cifar_alexnet_keras")
