"""A minimum whose gradient does not depend on the engine."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class EvenMinimum(layers.Minimum):
    """The minimum of inputs of equal rank; an axis of length 1 broadcasts.

    Of two elements that are equal, each gets half of the gradient, as in PyTorch and
    JAX. On TensorFlow, `layers.Minimum` gives all of it to the first.
    """

    def _merge_function(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        result, *rest = inputs
        for x in rest:
            mean = 0.5 * result + 0.5 * x
            result = ops.where(ops.equal(result, x), mean, ops.minimum(result, x))
        return result
