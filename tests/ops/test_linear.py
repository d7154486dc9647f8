"""Products of matrices and gains: values worked out by hand."""

import numpy as np
import pytest

from netspec.errors import ShapeError
from netspec.graph import Input, make_node
from netspec.ops import LayerScale, MatMul
from netspec.types import TensorType
from tests.ops.helpers import apply, shape

A, B = [[[1, 2], [3, 4]]], [[[5, 6], [7, 8]]]


def test_matmul_and_its_transposes() -> None:
    np.testing.assert_array_equal(apply("matmul", A, B), [[[19, 22], [43, 50]]])
    np.testing.assert_array_equal(apply("matmul", A, B, transpose_b=True), [[[17, 23], [39, 53]]])
    np.testing.assert_array_equal(apply("matmul", A, B, transpose_a=True), [[[26, 30], [38, 44]]])
    np.testing.assert_array_equal(apply("matmul", A, B, transpose_a=True, transpose_b=True), [[[23, 31], [34, 46]]])
    assert shape("matmul", (8, 3, 4), (8, 5, 4), transpose_b=True) == (8, 3, 5)


def test_matmul_uses_one_matrix_for_all_positions_of_an_axis() -> None:
    two = [[*A, [[0, 1], [1, 0]]]]  # (1, 2, 2, 2)
    np.testing.assert_array_equal(apply("matmul", two, [B]), [[[[19, 22], [43, 50]], [[7, 8], [5, 6]]]])
    np.testing.assert_array_equal(apply("matmul", [B], two)[0, 1], [[6, 5], [8, 7]])
    assert shape("matmul", (1, 4, 3, 4), (2, 1, 4, 5)) == (2, 4, 3, 5)
    a, b = TensorType.of(1, 3, 4), TensorType.of(8, 4, 5)
    assert MatMul().macs(a, b) == 8 * 3 * 5 * 4


def test_matmul_counts_its_products() -> None:
    a, b = TensorType.of(8, 3, 4), TensorType.of(8, 5, 4)
    assert MatMul(transpose_b=True).macs(a, b) == 8 * 3 * 5 * 4


@pytest.mark.parametrize("features", [((3, 4), (3, 4)), ((2, 3, 4), (3, 4, 5)), ((4,), (4,)), ((3, 4), (2, 4, 5))])
def test_matrices_that_do_not_fit(features: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ShapeError, match="matmul"):
        shape("matmul", *features)


def test_layer_scale_is_a_gain_along_an_axis() -> None:
    x = np.ones((1, 2, 1, 2))
    np.testing.assert_array_equal(apply("layer_scale", x, weights={"weight": [2, 3]}).ravel(), [2, 2, 3, 3])
    np.testing.assert_array_equal(apply("layer_scale", x, weights={"weight": [2, 3]}, axis=-1).ravel(), [2, 3, 2, 3])


def test_layer_scale_starts_near_zero() -> None:
    # Touvron et al. 2021, section 2; `initialize` has it start elsewhere.
    x = Input("x", TensorType.of(4, 2, 2))
    for stated, expected in (({}, 1e-6), ({"weight": 0.1}, 0.1)):
        node = make_node("scale", LayerScale.model_validate({"initialize": stated}), [x])
        assert node.weights["weight"].initializer.model_dump() == {"constant": expected}
