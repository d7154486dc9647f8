"""Biases of attention by positions: values worked out by hand."""

import math
from typing import Any

import numpy as np
import pytest

from netspec.errors import ShapeError
from tests.ops.helpers import apply, shape


def test_a_row_for_each_difference_of_a_query_and_a_key() -> None:
    # Three positions: differences −2 … 2 are rows 0 … 4; the first query has keys at 0, −1 and −2 from it.
    table = np.arange(5.0).reshape(1, 5, 1)
    y = apply("relative_position_bias", table, grid=[3])
    np.testing.assert_array_equal(y, [[[[2, 1, 0], [3, 2, 1], [4, 3, 2]]]])


def test_differences_on_a_plane_are_rows_in_row_major_order() -> None:
    # A window of 2x2 has rows (dy + 1)·3 + dx + 1: figures of Liu et al. 2021's code for window_size 2.
    table = np.arange(9.0).reshape(1, 9, 1) * [1.0, 10.0]
    y = apply("relative_position_bias", table, grid=[2, 2])
    index = np.array([[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]])
    np.testing.assert_array_equal(y, [[index, 10 * index]])


def test_axes_of_a_grid_have_their_own_lengths() -> None:
    # One row of three and one column of three count alike; of 1x2 and 2x1 the table is the same.
    table = np.arange(3.0).reshape(1, 3, 1)
    for grid in ([1, 2], [2, 1], [2]):
        np.testing.assert_array_equal(apply("relative_position_bias", table, grid=grid), [[[[1, 0], [2, 1]]]])
    wide = apply("relative_position_bias", np.arange(15.0).reshape(1, 15, 1), grid=[2, 3])
    # From (0, 0) to (1, 2): rows (0 − 1 + 1)·5 + 0 − 2 + 2 = 0; back: (1 − 0 + 1)·5 + 2 − 0 + 2 = 14.
    assert (wide[0, 0, 0, 5], wide[0, 0, 5, 0]) == (0, 14)
    assert shape("relative_position_bias", (1, 169, 3), grid=[7, 7]) == (1, 3, 49, 49)


def test_texts_of_a_sequence_do_not_see_one_another() -> None:
    y = apply("region_mask", np.zeros((1, 4, 4)), regions=[[1, 3]], value=-1)
    np.testing.assert_array_equal(y, [[[0, -1, -1, -1], [-1, 0, 0, 0], [-1, 0, 0, 0], [-1, 0, 0, 0]]])


def test_windows_of_a_rolled_map() -> None:
    # A map of 4x4 rolled by 1, in windows of 2x2: the first is whole, the second has two columns that were not
    # neighbors, the third two such rows, the last both. Liu et al. 2021, figure 4.
    y = apply("region_mask", np.zeros((2, 1, 4, 4)), regions=[[3, 1], [3, 1]], window_size=[2, 2])
    columns = [[0, -100, 0, -100], [-100, 0, -100, 0]] * 2
    rows = [[0, 0, -100, -100]] * 2 + [[-100, -100, 0, 0]] * 2
    alone = np.where(np.eye(4), 0, -100)
    np.testing.assert_array_equal(y, [[np.zeros((4, 4)), columns, rows, alone]] * 2)


def test_windows_are_counted_row_by_row() -> None:
    y = apply("region_mask", np.ones((1, 1, 3, 2, 2)), regions=[[2], [1, 3]], window_size=[1, 2], value=-5)
    assert y.shape == (1, 4, 3, 2, 2)
    apart = [[1, -4], [-4, 1]]
    for window, expected in enumerate([apart, np.ones((2, 2)), apart, np.ones((2, 2))]):
        np.testing.assert_array_equal(y[0, window], [expected] * 3)


def test_a_bias_is_added_to_scaled_scores() -> None:
    # Scores of 0 and a bias of log 3: weights ¼ and ¾.
    q, v = np.zeros((1, 1, 4)), [[[4.0], [8.0]]]
    y = apply("scaled_dot_product_attention", q, np.zeros((1, 2, 4)), v, [[[0.0, math.log(3)]]])
    np.testing.assert_allclose(y, [[[7.0]]], rtol=1e-15)


def test_a_bias_is_shared_by_all_windows_or_one_per_window() -> None:
    x = np.zeros((2, 3, 2, 1, 4))
    v = np.arange(12.0).reshape(1, 3, 2, 1, 2).repeat(2, axis=0)
    k = x.repeat(1, axis=3)
    same = apply("scaled_dot_product_attention", x, k, v, np.ones((2, 1, 1, 1, 1)))
    np.testing.assert_array_equal(same, v)
    for bias in ((3, 1, 5, 5), (3, 2, 1, 5), (1, 1, 1, 5), (3, 2, 5, 1)):
        assert shape("scaled_dot_product_attention", *((3, 2, 5, 4),) * 3, bias) == (3, 2, 5, 4)
    for bias in ((3, 2, 2, 5), (2, 5, 5), (2, 2, 5, 5), (3, 2, 5, 4)):
        with pytest.raises(ShapeError, match=r"expects a bias of the shape of its scores, \(N, 3, 2, 5, 5\)"):
            shape("scaled_dot_product_attention", *((3, 2, 5, 4),) * 3, bias)


def test_a_causal_query_sees_no_later_key_whatever_the_bias() -> None:
    x, v = np.zeros((1, 2, 4)), [[[4.0], [8.0]]]
    y = apply("scaled_dot_product_attention", x, x, v, [[[0.0, 50.0], [0.0, math.log(3)]]], causal=True)
    np.testing.assert_allclose(y, [[[4.0], [7.0]]], rtol=1e-15)


@pytest.mark.parametrize(
    ("kind", "features", "attributes", "message"),
    [
        ("relative_position_bias", (8, 2), {"grid": [2, 2]}, r"a grid of 2x2 expects a table \(N, …, 9, heads\)"),
        ("relative_position_bias", (9,), {"grid": [2, 2]}, r"received \(N, 9\)"),
        ("region_mask", (4, 5), {"regions": [[1, 3]]}, r"a grid of 4 expects scores \(N, …, 4, 4\)"),
        ("region_mask", (1, 9, 9), {"regions": [[1, 3]], "window_size": [3]}, "a grid of 4 into windows of 3 evenly"),
        ("region_mask", (1, 2, 2), {"regions": [[1, 3]], "window_size": [2, 1]}, "windows of 2x1 evenly"),
        ("region_mask", (3, 2, 2), {"regions": [[1, 3]], "window_size": [2]}, "axis 1 to count them, 2 or 1"),
        (
            "region_mask",
            (2, 2),
            {"regions": [[1, 3]], "window_size": [2]},
            "of windows of 2 expects scores",
        ),
    ],
)
def test_shapes_that_do_not_fit(kind: str, features: tuple[int, ...], attributes: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shape(kind, features, **attributes)
