"""The norm along axes."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class L2Norm(layers.Layer):
    """The root of the sum of squares along `axis`, one or several.

    The function of `keras.ops.norm`, whose gradient is not a number where all of x is
    0, as it may be after a ReLU: here it is 0.
    """

    def __init__(
        self, axis: int | tuple[int, ...], keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        self.keepdims = keepdims

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        squares = ops.sum(ops.square(inputs), axis=self.axis, keepdims=self.keepdims)
        positive = squares > 0
        # Neither branch has a root of 0, whose infinite slope would reach through both.
        root = ops.sqrt(ops.where(positive, squares, ops.ones_like(squares)))
        return ops.where(positive, root, ops.zeros_like(root))

    def get_config(self) -> dict[str, Any]:
        config = {"axis": self.axis, "keepdims": self.keepdims}
        return {**super().get_config(), **config}
