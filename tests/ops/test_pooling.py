"""Values worked out by hand from the definitions in PyTorch's Pool.h, the ONNX operators and Caffe."""

import numpy as np
import pytest

from netspec.errors import ShapeError
from tests.ops.helpers import apply, shape

SEVEN = np.arange(49, dtype=float).reshape(1, 1, 7, 7)


def test_overlapping_maximum() -> None:
    # Krizhevsky et al. 2012, section 3.4: z = 3, s = 2.
    y = apply("max_pool2d", SEVEN[:, :, :5, :5], kernel_size=3, stride=2)
    np.testing.assert_array_equal(y, [[[[16, 18], [30, 32]]]])


def test_padding_never_wins_a_maximum() -> None:
    y = apply("max_pool2d", [[[[-1, -2], [-3, -4]]]], kernel_size=2, stride=2, padding=1)
    np.testing.assert_array_equal(y, [[[[-1, -2], [-3, -4]]]])


def test_the_stride_is_the_kernel_unless_given() -> None:
    assert shape("max_pool2d", (1, 8, 9), kernel_size={"height": 2, "width": 3}) == (1, 4, 3)


@pytest.mark.parametrize(
    ("size", "attributes", "expected"),
    [
        (55, {"kernel_size": 3, "stride": 2}, 27),  # AlexNet pool1
        (6, {"kernel_size": 3, "stride": 2}, 2),
        (6, {"kernel_size": 3, "stride": 2, "round": "ceil"}, 3),
        (112, {"kernel_size": 3, "stride": 2, "round": "ceil"}, 56),  # GoogLeNet pool1 in Caffe
        (5, {"kernel_size": 2, "stride": 2, "padding": 1, "round": "ceil"}, 3),
        (4, {"kernel_size": 2, "stride": 2, "padding": 1, "round": "ceil"}, 3),
        (7, {"kernel_size": 2, "stride": 3, "round": "ceil"}, 3),
        (6, {"kernel_size": 2, "stride": 3, "round": "ceil"}, 2),  # a third would begin at 6, past the input
        (8, {"kernel_size": 3, "stride": 2, "padding": {"same": "tf"}}, 4),
    ],
)
def test_positions(size: int, attributes: dict[str, object], expected: int) -> None:
    assert shape("max_pool2d", (2, size, size), **attributes) == (2, expected, expected)


def test_ceil_averages_what_is_there() -> None:
    # 7 x 7, kernel 3, stride 3, ceil: the last window hangs over by two and holds one row. onnx.reference 1.23 has
    # 4, 6.5, 8.5 in the first row: it moves half of the overhang to the start. PyTorch, Caffe, onnxruntime: 8, 11, 13.
    y = apply("avg_pool2d", SEVEN, kernel_size=3, stride=3, round="ceil")
    np.testing.assert_array_equal(y[0, 0], [[8, 11, 13], [29, 32, 34], [43, 46, 48]])


@pytest.mark.parametrize(
    ("divisor", "expected"),
    [("window", [0.25, 1.25, 0.75]), ("window_in_padded", [0.25, 1.25, 1.5]), ("valid_only", [1.0, 2.5, 3.0])],
)
def test_divisors(divisor: str, expected: list[float]) -> None:
    # One row 1 2 3, height padded above by 1 and width on the left by 1, kernel 2, stride 2, ceil.
    # Windows hold {1}, {2, 3} of real elements; the padded map is 2 x 4 and divides evenly, so a fourth column
    # of padding on the right (width 3 + 1 + 1) makes the third window hang over.
    y = apply(
        "avg_pool2d",
        [[[[1.0, 2.0, 3.0, 3.0]]]],
        kernel_size=2,
        stride=2,
        padding={"top": 1, "left": 1},
        round="ceil",
        divisor=divisor,
    )
    np.testing.assert_array_equal(y, [[[expected]]])


def test_adaptive_parts_overlap_where_they_do_not_divide() -> None:
    # PyTorch: part i of 3 over 7 covers [floor(7i/3), ceil(7(i+1)/3)): [0, 3), [2, 5), [4, 7).
    x = np.arange(7, dtype=float).reshape(1, 1, 1, 7)
    y = apply("adaptive_avg_pool2d", x, output_size={"height": 1, "width": 3})
    np.testing.assert_array_equal(y, [[[[1, 3, 5]]]])


def test_global_average() -> None:
    np.testing.assert_array_equal(apply("global_avg_pool2d", SEVEN), [[24]])
    np.testing.assert_array_equal(apply("global_avg_pool2d", SEVEN, keepdims=True), [[[[24]]]])


def test_a_window_of_padding_alone_is_refused() -> None:
    for side in ("top", "left", "bottom", "right"):
        with pytest.raises(ShapeError, match="must be smaller than the kernel 2x2 on every side"):
            shape("max_pool2d", (1, 8, 8), kernel_size=2, padding={side: 2})
    with pytest.raises(ShapeError, match="kernel of 3x3 does not fit its input of 2x8"):
        shape("max_pool2d", (1, 2, 8), kernel_size=3)
