"""The sum of values whose axes broadcast."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class BroadcastingAdd(layers.Add):
    """The sum of values of one rank, each axis equal or 1.

    On TensorFlow `layers.Add` takes a value with one axis above 1 for a bias of the
    channels where its length is theirs, whichever axis it is.
    """

    def _merge_function(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        total, *others = inputs
        for x in others:
            total = ops.subtract(total, ops.negative(x))
        return total
