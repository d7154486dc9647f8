"""Attention: means of values, weighted by the similarity of queries and keys."""

import math

from netspec.arrays import np
from netspec.errors import ShapeError
from netspec.ops.attributes import PositiveInt
from netspec.ops.base import Array, Op, Sample, Weight, WeightedOp, Weights, Window, require_even
from netspec.ops.initializers import constant, glorot
from netspec.types import TensorType


def attend(q: Array, k: Array, v: Array, bias: "Array | None" = None, *, causal: bool = False) -> Array:
    """softmax(q kᵀ / √d + bias) v over the last two axes; if `causal`, a query does not attend to later keys."""
    scores = q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
    if bias is not None:
        scores = scores + bias
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], dtype=bool)), scores, -np.inf)
    exp = np.exp(scores - scores.max(axis=-1, keepdims=True))
    y: Array = exp / exp.sum(axis=-1, keepdims=True) @ v
    return y


class ScaledDotProductAttention(Op, kind="scaled_dot_product_attention"):
    """softmax(q kᵀ / √d) v: for each query, the mean of the values weighted by the similarity of query and keys.

    If `causal`, a query attends only to keys up to its own position. An optional fourth input, such as a position bias
    or a mask, is added to the scores.

    Shapes:
        q (N, …, L, d), k (N, …, S, d), v (N, …, S, e) → (N, …, L, e); the axes before the last two, such as heads, are
        equal. The bias is (N, …, L, S); an axis of 1 broadcasts, so that a mask of keys is (N, 1, 1, S).

    Source: Vaswani et al. 2017, section 3.2.1.
    """

    inputs = (3, 4)
    trap = "no scale, or the axes of heads and positions swapped"

    causal: bool = False

    def infer(self, q: TensorType, k: TensorType, v: TensorType, bias: TensorType | None = None) -> TensorType:
        received = f"received {q}, {k} and {v}"
        if not q.rank == k.rank == v.rank or q.rank < 3:
            raise ShapeError(
                f"{self.kind} expects queries, keys and values (N, L, d) or (N, heads, L, d), {received}",
                attribute="inputs",
            )
        if not q.features[:-2] == k.features[:-2] == v.features[:-2]:
            raise ShapeError(f"{self.kind} expects as many heads in each, {received}", attribute="inputs")
        if q.features[-1] != k.features[-1] or k.features[-2] != v.features[-2]:
            raise ShapeError(
                f"{self.kind} expects queries as wide as keys, and as many keys as values, {received}",
                attribute="inputs",
            )
        if self.causal and q.features[-2] != k.features[-2]:
            raise ShapeError(f"{self.kind}: `causal` needs as many queries as keys, {received}", attribute="causal")
        if bias is not None:
            scores = q.with_features(*q.features[:-1], k.features[-2])
            if not _broadcasts_to(bias, scores):
                raise ShapeError(
                    f"{self.kind} expects a bias of the shape of its scores, {scores}, where any axis may be 1 to "
                    f"broadcast; received {bias}",
                    attribute="inputs",
                )
        return q.with_features(*q.features[:-1], v.features[-1])

    def reference(self, weights: Weights, q: Array, k: Array, v: Array, bias: "Array | None" = None) -> Array:
        return attend(q, k, v, bias, causal=self.causal)

    def macs(self, q: TensorType, k: TensorType, v: TensorType, bias: TensorType | None = None) -> int:
        return q.size // q.features[-1] * k.features[-2] * (q.features[-1] + v.features[-1])

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(), ((4, 6), (4, 6), (4, 6))),
            Sample(cls(), ((3, 4), (5, 4), (5, 7))),
            Sample(cls(causal=True), ((4, 3), (4, 3), (4, 5))),
            Sample(cls(), ((2, 3, 4), (2, 5, 4), (2, 5, 6))),
            Sample(cls(causal=True), ((3, 4, 2), (3, 4, 2), (3, 4, 2)), scale=3.0),
            Sample(cls(), ((2, 3, 2, 4), (2, 3, 5, 4), (2, 3, 5, 6))),
            Sample(cls(), ((3, 4), (5, 4), (5, 7), (3, 5))),
            Sample(cls(), ((2, 3, 4), (2, 5, 4), (2, 5, 6), (1, 3, 5))),
            Sample(cls(), ((3, 2, 4, 2), (3, 2, 4, 2), (3, 2, 4, 2), (3, 1, 4, 4))),
            Sample(cls(), ((2, 1, 3, 2, 4), (2, 1, 3, 3, 4), (2, 1, 3, 3, 4))),  # heads of windows of a grid
            Sample(cls(causal=True), ((3, 4, 2), (3, 4, 2), (3, 4, 2), (3, 4, 4))),
            Sample(cls(), ((2, 3, 4), (2, 5, 4), (2, 5, 6), (1, 1, 5))),  # a mask of keys
            Sample(cls(), ((3, 4), (5, 4), (5, 7), (3, 1))),
            Sample(cls(causal=True), ((3, 4, 2), (3, 4, 2), (3, 4, 2), (1, 1, 4))),
            Sample(cls(causal=True), ((4, 2), (4, 2), (4, 2), (1, 1))),
        )


def _broadcasts_to(bias: TensorType, scores: TensorType) -> bool:
    """Whether a bias has the shape of the scores, or broadcasts to it along axes of 1."""
    return bias.rank == scores.rank and all(b in (1, s) for b, s in zip(bias.features, scores.features, strict=True))


class MultiHeadAttention(WeightedOp, kind="multi_head_attention"):
    """Self-attention with `heads` heads, and learned projections of the input and of the joined heads.

    The first D rows of in_weight give the queries, the next D the keys, the last D the values. Head h uses features
    [h·D/heads, (h + 1)·D/heads) of each.

    Shapes:
        x (N, L, D) → the same.
        in_weight (3·D, D), in_bias (3·D,), out_weight (D, D), out_bias (D,).

    Source: Vaswani et al. 2017, section 3.2.2; the weights are those of PyTorch MultiheadAttention.
    """

    trap = "batch and positions swapped (torch without batch_first), features of the heads interleaved, no scale"

    heads: PositiveInt
    bias: bool = True

    def infer(self, x: TensorType) -> TensorType:
        if x.rank != 3:
            raise ShapeError(
                f"{self.kind} expects tokens (N, L, D), received {x}",
                "for a map, `reshape` it to [C, -1], then `permute` with axes [2, 1]" if x.rank == 4 else "",
            )
        require_even(self.kind, x.features[-1], self.heads, "features", "heads", "heads")
        return x

    def weights(self, x: TensorType) -> dict[str, Weight]:
        width = x.features[-1]
        weights = {}
        for name, units in (("in", 3 * width), ("out", width)):
            weights[f"{name}_weight"] = Weight((units, width), glorot(), width, units)
            if self.bias:
                weights[f"{name}_bias"] = Weight((units,), constant(0.0), width, units)
        return weights

    def reference(self, weights: Weights, x: Array) -> Array:
        n, length, width = x.shape
        projected = x @ weights["in_weight"].T + weights.get("in_bias", 0.0)
        split = projected.reshape(n, length, 3, self.heads, width // self.heads)
        q, k, v = split.transpose(2, 0, 3, 1, 4)
        joined = attend(q, k, v).swapaxes(1, 2).reshape(x.shape)
        y: Array = joined @ weights["out_weight"].T + weights.get("out_bias", 0.0)
        return y

    def macs(self, x: TensorType) -> int:
        length, width = x.features
        return 4 * length * width**2 + 2 * length**2 * width

    def window(self) -> Window | None:
        return None

    @classmethod
    def samples(cls) -> tuple[Sample, ...]:
        return (
            Sample(cls(heads=2), ((5, 6),)),
            Sample(cls(heads=3, bias=False), ((4, 6),)),
            Sample(cls(heads=1), ((3, 4),)),
            Sample(cls(heads=4), ((2, 4),)),
        )
