"""A sum with broadcasting."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class BroadcastingAdd(layers.Add):
    """The sum of inputs of equal rank; an axis of length 1 broadcasts.

    On TensorFlow, `layers.Add` treats an input with a single axis longer than 1 as a
    bias of the channels if the length is theirs, even if the axis is another.
    """

    def _merge_function(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        total, *rest = inputs
        for x in rest:
            total = ops.subtract(total, ops.negative(x))
        return total
