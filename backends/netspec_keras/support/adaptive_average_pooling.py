"""Average pooling to a given output size."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class AdaptiveAveragePool2D(layers.Layer):
    """Average pooling whose window i of n spans i*L//n to ceil((i+1)*L/n) of an axis.

    The means are a matrix product along the rows and another along the columns.
    """

    def __init__(self, output_size: int | tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        size = output_size
        self.output_size = (size, size) if isinstance(size, int) else tuple(size)

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        rows = self.weights_along(0, inputs.shape[1])
        columns = self.weights_along(1, inputs.shape[2])
        means = ops.einsum("ih,nhwc->niwc", rows, inputs)
        return ops.einsum("jw,niwc->nijc", columns, means)

    def weights_along(self, axis: int, length: int) -> keras.KerasTensor:
        """Return each element's weight in each window's mean: (windows, length)."""
        count = self.output_size[axis]
        rows = []
        for window in range(count):
            start, end = window * length // count, -(-(window + 1) * length // count)
            rows.append([(start <= i < end) / (end - start) for i in range(length)])
        return ops.convert_to_tensor(rows, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_size": self.output_size}
