"""Resizing: the positions of each rule, worked out by hand."""

from typing import Any

import numpy as np
import pytest

from netspec.errors import ShapeError
from tests.ops.helpers import apply, shape

RAMP = [[[[0.0, 10.0, 20.0, 30.0]]]]  # the value is ten times the position


def positions(count: int, mode: str, coordinates: str, **rounding: str) -> list[float]:
    size = {"height": 1, "width": count}
    y = apply("resize", RAMP, size=size, mode=mode, coordinates=coordinates, **rounding)
    return (y / 10.0).ravel().tolist()


@pytest.mark.parametrize(
    ("count", "coordinates", "expected"),
    [
        # (i + ½)/2 − ½ for twice the size: −¼ is beyond the end, and so is 3¼.
        (8, "half_pixel", [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]),
        (8, "asymmetric", [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]),
        (7, "align_corners", [0, 0.5, 1, 1.5, 2, 2.5, 3]),
        (2, "half_pixel", [0.5, 2.5]),
        (2, "asymmetric", [0, 2]),
        (2, "align_corners", [0, 3]),
        (1, "half_pixel", [1.5]),
        (1, "align_corners", [0]),
    ],
)
def test_bilinear_reads_between_elements(count: int, coordinates: str, expected: list[float]) -> None:
    np.testing.assert_allclose(positions(count, "bilinear", coordinates), expected, rtol=1e-15)


@pytest.mark.parametrize(
    ("count", "coordinates", "rounding", "expected"),
    [
        (2, "half_pixel", "round_prefer_floor", [0, 2]),  # of ½ and 2½: ONNX's default
        (2, "half_pixel", "round_prefer_ceil", [1, 3]),  # torch's nearest-exact
        (2, "asymmetric", "floor", [0, 2]),  # torch's nearest
        (3, "asymmetric", "floor", [0, 1, 2]),  # of 0, 1⅓, 2⅔
        (3, "asymmetric", "ceil", [0, 2, 3]),
        (3, "asymmetric", "round_prefer_floor", [0, 1, 3]),
        (8, "asymmetric", "floor", [0, 0, 1, 1, 2, 2, 3, 3]),
        (8, "half_pixel", "round_prefer_floor", [0, 0, 1, 1, 2, 2, 3, 3]),
        (8, "half_pixel", "floor", [0, 0, 0, 1, 1, 2, 2, 3]),
        (3, "align_corners", "round_prefer_ceil", [0, 2, 3]),
    ],
)
def test_nearest_rounds_by_the_given_rule(count: int, coordinates: str, rounding: str, expected: list[float]) -> None:
    assert positions(count, "nearest", coordinates, rounding=rounding) == expected


def test_both_axes() -> None:
    y = apply("resize", [[[[0, 2], [4, 6]]]], size=3, mode="bilinear", coordinates="align_corners")
    np.testing.assert_array_equal(y, [[[[0, 1, 2], [2, 3, 4], [4, 5, 6]]]])


def test_a_scale_is_taken_as_it_is_written() -> None:
    rule: dict[str, Any] = {"mode": "nearest", "coordinates": "asymmetric"}
    assert shape("resize", (3, 100, 7), scale=0.29, **rule) == (3, 29, 2)
    assert shape("resize", (3, 5, 7), scale=1.5, **rule) == (3, 7, 10)
    assert shape("resize", (3, 1, 7), scale={"width": 2}, **rule) == (3, 1, 14), "of a signal, in a map of height 1"
    assert shape("resize", (3, 5, 7), scale={"height": 2, "width": 0.5}, **rule) == (3, 10, 3)
    for wrong in ({}, {"size": 4, "scale": 2.0}, {"scale": 0.1}, {"scale": {"height": 0.1}}):
        with pytest.raises(ShapeError, match="resize"):
            shape("resize", (3, 5, 7), **rule, **wrong)
    with pytest.raises(ShapeError, match="`rounding` belongs to mode nearest"):
        shape("resize", (3, 5, 7), size=3, mode="bilinear", coordinates="half_pixel", rounding="ceil")
