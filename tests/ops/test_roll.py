"""Roll: values worked out by hand."""

import numpy as np
import pytest

from netspec.errors import ShapeError
from netspec.ops import Roll
from netspec.types import TensorType
from tests.ops.helpers import apply, shape


def test_what_leaves_at_one_end_comes_in_at_the_other() -> None:
    np.testing.assert_array_equal(apply("roll", [[1, 2, 3, 4]], axes=[1], shifts=[1]), [[4, 1, 2, 3]])
    np.testing.assert_array_equal(apply("roll", [[1, 2, 3, 4]], axes=[1], shifts=[-6]), [[3, 4, 1, 2]])


def test_each_axis_has_its_shift() -> None:
    x = [[[[1, 2, 3], [4, 5, 6]]]]
    y = apply("roll", x, axes=[-1, 2], shifts=[-1, 1])
    np.testing.assert_array_equal(y, [[[[5, 6, 4], [2, 3, 1]]]])


def test_the_graph_has_axes_from_the_start_and_in_order() -> None:
    x = TensorType.of(2, 3, 4)
    assert Roll(axes=(-1, 2), shifts=(5, -1)).resolve(x) == Roll(axes=(2, 3), shifts=(-1, 5))


def test_axes_and_shifts_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"a shift for each axis, received axes \[1, 2\] and shifts \[1\]"):
        shape("roll", (3, 4), axes=[1, 2], shifts=[1])
    with pytest.raises(ShapeError, match="repeat an axis"):
        shape("roll", (3, 4), axes=[2, -1], shifts=[1, 1])
    with pytest.raises(ShapeError, match="axis 3 is not an axis"):
        shape("roll", (3, 4), axes=[3], shifts=[1])
