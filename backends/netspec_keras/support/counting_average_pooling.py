"""Average pooling that counts only part of its padding."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class CountingAveragePooling2D(layers.Layer):
    """AveragePooling2D with explicit zero padding, of which only a part is counted.

    The sum over a window is divided by the number of its elements in the map and in the
    innermost `counted` rows and columns of `pad`, both ((top, bottom), (left, right)).
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        strides: int | tuple[int, int],
        pad: tuple[tuple[int, int], tuple[int, int]],
        counted: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size = _pair(pool_size)
        self.strides = _pair(strides)
        self.pad = tuple(map(tuple, pad))
        self.counted = tuple(map(tuple, counted))

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        padded = ops.pad(inputs, ((0, 0), *self.pad, (0, 0)))
        means = ops.average_pool(
            padded, self.pool_size, strides=self.strides, data_format="channels_last"
        )
        rows, columns = self.scales(0, inputs.shape[1]), self.scales(1, inputs.shape[2])
        scales = [[[row * column] for column in columns] for row in rows]
        return means * ops.convert_to_tensor(scales, dtype=self.compute_dtype)

    def scales(self, axis: int, length: int) -> list[float]:
        """Return window size / counted elements for each window along an axis."""
        size, stride = self.pool_size[axis], self.strides[axis]
        before, after = self.pad[axis]
        first = before - self.counted[axis][0]
        last = before + length + self.counted[axis][1]
        starts = range(0, before + length + after - size + 1, stride)
        return [size / (min(s + size, last) - max(s, first)) for s in starts]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "pad": self.pad,
            "counted": self.counted,
        }


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])
