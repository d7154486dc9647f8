"""Means and maxima along axes, slices, shuffles, and scaling to length one: values worked out by hand."""

import numpy as np
import pytest

from netspec.errors import ShapeError
from netspec.graph import Input, make_node
from netspec.ops import Slice
from netspec.types import TensorType
from tests.ops.helpers import apply, shape

MAP = np.arange(8.0).reshape(1, 2, 2, 2)


def test_means_and_maxima_along_axes() -> None:
    np.testing.assert_array_equal(apply("reduce_mean", MAP, axes=[2, 3]), [[1.5, 5.5]])
    np.testing.assert_array_equal(apply("reduce_max", MAP, axes=[1]), [[[4, 5], [6, 7]]])
    np.testing.assert_array_equal(apply("reduce_max", -MAP, axes=[-1], keepdims=True), -MAP[..., :1])
    np.testing.assert_array_equal(apply("reduce_min", -MAP, axes=[-1], keepdims=True), -MAP[..., 1:])
    np.testing.assert_array_equal(apply("reduce_sum", MAP, axes=[2, 3]), [[6, 22]])
    np.testing.assert_array_equal(apply("reduce_l2", [[3, -4]], axes=[1]), [5])
    assert shape("reduce_mean", (3, 4, 5), axes=[3, 1], keepdims=True) == (1, 4, 1)
    assert shape("reduce_mean", (3, 4, 5), axes=[3, 1]) == (4,)


def test_an_axis_that_is_not_there_or_named_twice() -> None:
    with pytest.raises(ShapeError, match=r"reduce_mean: axis 4 is not an axis of \(N, 3, 4, 5\)"):
        shape("reduce_mean", (3, 4, 5), axes=[4])
    with pytest.raises(ShapeError, match=r"axes \[1, -3\] of \(N, 3, 4, 5\) repeat an axis"):
        shape("reduce_max", (3, 4, 5), axes=[1, -3])


def test_the_norm_is_bounded_and_not_its_square() -> None:
    # PyTorch functional.normalize: x / max(‖x‖, eps).
    np.testing.assert_allclose(apply("l2_normalize", [[3.0, 4.0]]), [[0.6, 0.8]], rtol=1e-15)
    np.testing.assert_allclose(apply("l2_normalize", [[3.0, 4.0]], epsilon=10), [[0.3, 0.4]], rtol=1e-15)
    np.testing.assert_array_equal(apply("l2_normalize", [[0.0, 0.0]]), [[0, 0]])


def test_slices() -> None:
    x = np.arange(6).reshape(1, 6)
    for attributes, kept in (
        ({"start": 1, "stop": 3}, [1, 2]),
        ({"stop": -1}, [0, 1, 2, 3, 4]),
        ({"start": -2}, [4, 5]),
        ({"start": 1, "step": 2}, [1, 3, 5]),
        ({"part": 0, "of": 3}, [0, 1]),
        ({"part": 2, "of": 3}, [4, 5]),
        ({"stop": 100}, [0, 1, 2, 3, 4, 5]),
    ):
        np.testing.assert_array_equal(apply("slice", x, **attributes), [kept])
    assert shape("slice", (4, 6, 5), axis=2, part=1, of=2) == (4, 3, 5)


def test_the_graph_stores_a_part_as_it_was_written_and_bounds_from_the_start() -> None:
    x = Input("x", TensorType.of(3, 8))
    node = make_node("half", Slice(axis=-1, part=1, of=2), [x])
    assert node.op == Slice(axis=2, part=1, of=2)
    assert node.op.bounds(x.type) == (4, 8, 1)
    assert make_node("last", Slice(axis=-1, start=-3), [x]).op == Slice(axis=2, start=5, stop=8)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"part": 0, "of": 4}, "cannot split 6 positions of axis 1 into 4 parts evenly"),
        ({"part": 2, "of": 2}, "there is no part 2 of 2"),
        ({"part": 1}, "`part` with `of`"),
        ({"part": 1, "of": 2, "stop": 3}, "`part` with `of`"),
        ({"start": 3, "stop": 3}, "keeps nothing"),
        ({"axis": 2}, "axis 2 is not an axis"),
    ],
)
def test_slices_of_nothing(attributes: dict[str, int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shape("slice", (6,), **attributes)


def test_channel_shuffle_deals_runs_in_turn() -> None:
    # Zhang et al. 2017: (g, n) reshaped, transposed, flattened.
    x = np.arange(6).reshape(1, 6, 1)
    np.testing.assert_array_equal(apply("channel_shuffle", x, groups=2).ravel(), [0, 3, 1, 4, 2, 5])
    np.testing.assert_array_equal(apply("channel_shuffle", x, groups=3).ravel(), [0, 2, 4, 1, 3, 5])
    with pytest.raises(ShapeError, match="cannot split 6 channels into 4 groups"):
        shape("channel_shuffle", (6, 2, 2), groups=4)
