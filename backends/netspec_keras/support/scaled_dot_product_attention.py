"""Attention of queries, keys and values that are given."""

import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="netspec")
class ScaledDotProductAttention(layers.Layer):
    """Means of values by the softmax of products of queries and keys, over sqrt(d).

    Inputs: [queries, keys, values], each (N, positions, features), or with heads
    (N, positions, features, heads). With `causal` a query sees no later key.
    Source: Vaswani et al. 2017, section 3.2.1.
    """

    def __init__(self, causal: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.causal = causal

    def call(self, inputs: list[keras.KerasTensor]) -> keras.KerasTensor:
        queries, keys, values = inputs
        heads = "h" if len(queries.shape) == 4 else ""
        queries = queries / math.sqrt(queries.shape[2])
        scores = ops.einsum(f"nqd{heads},nkd{heads}->n{heads}qk", queries, keys)
        if self.causal:
            seen = ops.tril(ops.ones(scores.shape[-2:], dtype="bool"))
            scores = ops.where(seen, scores, float("-inf"))
        weights = ops.softmax(scores, axis=-1)
        return ops.einsum(f"n{heads}qk,nke{heads}->nqe{heads}", weights, values)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "causal": self.causal}
