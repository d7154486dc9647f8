"""Scaled dot-product attention."""

import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class ScaledDotProductAttention(layers.Layer):
    """softmax(queries @ keys^T / sqrt(features) + bias) @ values.

    Inputs: [queries, keys, values] or [queries, keys, values, bias]. Queries, keys and
    values are (N, ..., positions, features), or (N, positions, features, heads) if they
    have four axes. With `causal`, a query attends to no later key.
    Source: Vaswani et al. 2017, section 3.2.1.
    """

    def __init__(self, causal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.causal = causal

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        queries, keys, values, *biases = inputs
        rank = len(queries.shape)
        heads_last = rank == 4
        leading = "nh" if heads_last else "nabcdefg"[: rank - 2]
        before, after = ("n", "h") if heads_last else (leading, "")
        queries = queries / math.sqrt(queries.shape[2 if heads_last else -1])
        equation = f"{before}qz{after},{before}kz{after}->{leading}qk"
        scores = ops.einsum(equation, queries, keys)
        for bias in biases:
            scores += ops.transpose(bias, (0, 3, 1, 2)) if heads_last else bias
        if self.causal:
            visible = ops.tril(ops.ones(scores.shape[-2:], dtype="bool"))
            scores = ops.where(visible, scores, float("-inf"))
        # The softmax of TensorFlow is limited to five axes.
        rows = ops.reshape(scores, (-1, *scores.shape[-2:]))
        weights = ops.reshape(ops.softmax(rows, axis=-1), (-1, *scores.shape[1:]))
        equation = f"{leading}qk,{before}kz{after}->{before}qz{after}"
        return ops.einsum(equation, weights, values)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "causal": self.causal}
