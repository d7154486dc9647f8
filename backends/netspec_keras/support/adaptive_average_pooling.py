"""Average pooling to a given size."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class AdaptiveAveragePool2D(layers.Layer):
    """The means of parts that tile the map, part i of n from i*L//n to ceil((i+1)*L/n).

    A part's mean is a weighted sum of rows and of columns, so the whole is a product
    with two matrices, exact in any precision.
    """

    def __init__(self, output_size: int | tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        size = output_size
        self.output_size = (size, size) if isinstance(size, int) else tuple(size)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        rows = self.shares(0, inputs.shape[1])
        columns = self.shares(1, inputs.shape[2])
        means = ops.einsum("ih,nhwc->niwc", rows, inputs)
        return ops.einsum("jw,niwc->nijc", columns, means)

    def shares(self, axis: int, length: int) -> keras.KerasTensor:
        """The share of each element along an axis in each part: (parts, length)."""
        parts = self.output_size[axis]
        shares = []
        for part in range(parts):
            start, end = part * length // parts, -(-(part + 1) * length // parts)
            shares.append([(start <= i < end) / (end - start) for i in range(length)])
        return ops.convert_to_tensor(shares, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": self.output_size}
