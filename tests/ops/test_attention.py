"""Attention: values worked out by hand."""

import math

import numpy as np
import pytest

from netspec.errors import ShapeError
from netspec.ops import MultiHeadAttention, ScaledDotProductAttention
from netspec.types import TensorType
from tests.ops.helpers import apply, shape

# With d = 4 the scale is ½: scores of 0 and log 3 come of products of 0 and 2 log 3.
Q = [[[1.0, 0, 0, 0], [0, 0, 0, 0]]]
K = [[[0.0, 0, 0, 0], [2 * math.log(3), 0, 0, 0]]]
V = [[[4.0, 0.0], [8.0, 4.0]]]


def test_values_are_weighed_by_the_scaled_products() -> None:
    y = apply("scaled_dot_product_attention", Q, K, V)  # weights ¼ and ¾, and halves for a query of nothing
    np.testing.assert_allclose(y, [[[7, 3], [6, 2]]], rtol=1e-15)


def test_a_causal_query_sees_no_later_key() -> None:
    y = apply("scaled_dot_product_attention", Q, K, V, causal=True)
    np.testing.assert_allclose(y, [[[4, 0], [6, 2]]], rtol=1e-15)


def test_heads_are_the_first_axis() -> None:
    q, k, v = (np.repeat(np.array(x)[:, None], 2, axis=1) for x in (Q, K, V))
    v[:, 1] *= 10
    y = apply("scaled_dot_product_attention", q, k, v)
    np.testing.assert_allclose(y, [[[[7, 3], [6, 2]], [[70, 30], [60, 20]]]], rtol=1e-15)


def test_multi_head_attention_of_each_head_alone() -> None:
    # Queries 0, so each head takes the mean of its values; head 0 reads feature 0, head 1 feature 1 alone.
    in_weight = np.concatenate([np.zeros((2, 2)), np.eye(2), np.diag([1.0, 10.0])])
    weights = {"in_weight": in_weight, "in_bias": np.zeros(6), "out_weight": [[0, 1], [1, 0]], "out_bias": [0.5, 0]}
    y = apply("multi_head_attention", [[[1.0, 2.0], [3.0, 4.0]]], weights=weights, heads=2)
    np.testing.assert_allclose(y, [[[30.5, 2], [30.5, 2]]], rtol=1e-15)


def test_heads_have_runs_of_features() -> None:
    # One head of two features against two of one: with queries and keys of x, scores are of both features or of one.
    x, eye = np.array([[[1.0, 0.0], [0.0, 2.0]]]), np.eye(2)
    weights = {"in_weight": np.concatenate([eye, eye, eye]), "out_weight": eye}
    one = apply("multi_head_attention", x, weights=weights, heads=1, bias=False)
    two = apply("multi_head_attention", x, weights=weights, heads=2, bias=False)
    own = 1 / (1 + math.exp(-1 / math.sqrt(2)))  # of scores 1/√2 and 0
    np.testing.assert_allclose(one[0, 0], [own, 2 * (1 - own)], rtol=1e-12)
    np.testing.assert_allclose(two[0, 0], [1 / (1 + math.exp(-1)), 1.0], rtol=1e-12)


def test_costs_of_vit_b_16() -> None:
    # Dosovitskiy et al. 2020, table 1: width 768, 12 heads; 197 tokens at 224x224.
    x = TensorType.of(197, 768)
    assert MultiHeadAttention(heads=12).macs(x) == 4 * 197 * 768**2 + 2 * 197**2 * 768
    assert sum(w.size for w in MultiHeadAttention(heads=12).weights(x).values()) == 4 * 768**2 + 4 * 768
    head = TensorType.of(12, 197, 64)
    assert ScaledDotProductAttention().macs(head, head, head) == 2 * 197**2 * 768


@pytest.mark.parametrize(
    ("features", "attributes", "message"),
    [
        (((4, 6), (4, 5), (4, 6)), {}, "queries as wide as keys"),
        (((4, 6), (5, 6), (4, 6)), {}, "as many keys as values"),
        (((4, 6), (5, 6), (5, 6)), {"causal": True}, "as many queries as keys"),
        (((2, 4, 6), (3, 4, 6), (3, 4, 6)), {}, "as many heads in each"),
        (((6,), (6,), (6,)), {}, r"\(N, heads, L, d\)"),
    ],
)
def test_shapes_that_do_not_fit(
    features: tuple[tuple[int, ...], ...], attributes: dict[str, bool], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        shape("scaled_dot_product_attention", *features, **attributes)


def test_multi_head_attention_says_what_it_expects() -> None:
    with pytest.raises(ShapeError, match="cannot split 6 features into 4 heads evenly"):
        shape("multi_head_attention", (5, 6), heads=4)
    with pytest.raises(ShapeError, match="expects tokens") as error:
        shape("multi_head_attention", (5, 6, 7), heads=1)
    assert "reshape" in error.value.hint
