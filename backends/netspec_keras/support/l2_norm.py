"""The L2 norm."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class L2Norm(layers.Layer):
    """The L2 norm over `axis`, one or several.

    The same function as `keras.ops.norm`, but with gradient 0 instead of NaN where all
    elements are 0, as they may be after a ReLU.
    """

    def __init__(
        self, axis: int | tuple[int, ...], keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else tuple(axis)
        self.keepdims = keepdims

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        squares = ops.sum(ops.square(inputs), axis=self.axis, keepdims=self.keepdims)
        zero = ops.equal(squares, 0)  # and not `squares > 0`, which hides NaN
        # `where` differentiates both branches: neither may contain the root of 0, whose
        # gradient is infinite.
        root = ops.sqrt(ops.where(zero, ops.ones_like(squares), squares))
        return ops.where(zero, ops.zeros_like(root), root)

    def get_config(self) -> dict[str, Any]:
        config = {"axis": self.axis, "keepdims": self.keepdims}
        return {**super().get_config(), **config}
