"""Multi-head self-attention."""

import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class MultiHeadSelfAttention(layers.Layer):
    """Self-attention of tokens (N, L, D) with `heads` heads of D / heads features.

    As in PyTorch's MultiheadAttention, the columns of one kernel project to queries,
    keys and values. Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(self, heads: int, use_bias: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.use_bias = use_bias

    def build(self, input_shape: tuple[int, ...]) -> None:
        width = input_shape[-1]
        self.in_kernel = self.add_weight(
            name="in_kernel", shape=(width, 3 * width), initializer="glorot_uniform"
        )
        self.out_kernel = self.add_weight(
            name="out_kernel", shape=(width, width), initializer="glorot_uniform"
        )
        if self.use_bias:
            self.in_bias = self.add_weight(
                name="in_bias", shape=(3 * width,), initializer="zeros"
            )
            self.out_bias = self.add_weight(
                name="out_bias", shape=(width,), initializer="zeros"
            )

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        _, length, width = inputs.shape
        projected = ops.matmul(inputs, self.in_kernel)
        if self.use_bias:
            projected = projected + self.in_bias
        split = ops.reshape(projected, (-1, length, 3, self.heads, width // self.heads))
        queries, keys, values = split[:, :, 0], split[:, :, 1], split[:, :, 2]
        queries = queries / math.sqrt(width // self.heads)
        scores = ops.einsum("nqhd,nkhd->nhqk", queries, keys)
        weights = ops.softmax(scores, axis=-1)
        attended = ops.einsum("nhqk,nkhd->nqhd", weights, values)
        outputs = ops.reshape(attended, (-1, length, width))
        outputs = ops.matmul(outputs, self.out_kernel)
        return outputs + self.out_bias if self.use_bias else outputs

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "heads": self.heads,
            "use_bias": self.use_bias,
        }
