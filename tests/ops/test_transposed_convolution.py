"""Transposed convolution: values worked out by hand."""

import numpy as np
import pytest

from netspec.errors import ShapeError
from netspec.ops import Conv2d, ConvTranspose2d
from netspec.types import TensorType
from tests.ops.helpers import apply, shape

X = [[[[1, 10]]]]
KERNEL = [[[[1, 2, 3]]]]  # (C, filters, kh, kw)


def of(**attributes: object) -> list[float]:
    size = {"height": 1, "width": 3}
    weights = {"weight": KERNEL, "bias": [0.5]} if attributes.get("bias", True) else {"weight": KERNEL}
    y = apply("conv_transpose2d", X, weights=weights, filters=1, kernel_size=size, **attributes)
    return y.ravel().tolist()


def test_each_element_adds_the_kernel() -> None:
    # 1·(1, 2, 3) from column 0, 10·(1, 2, 3) from column `stride`: Dumoulin & Visin 2016, chapter 4.
    assert of(bias=False) == [1, 12, 23, 30]
    assert of(bias=False, stride=2) == [1, 2, 13, 20, 30]
    assert of(bias=False, dilation=2) == [1, 10, 2, 20, 3, 30]


def test_padding_is_cut_off_and_output_padding_added_at_the_end() -> None:
    columns = {"height": 1, "width": 2}
    assert of(bias=False, stride=columns, padding={"left": 1}) == [2, 13, 20, 30]
    assert of(bias=False, stride=columns, padding={"right": 2}) == [1, 2, 13]
    one = {"width": 1}
    assert of(stride=columns, output_padding=one) == [
        1.5,
        2.5,
        13.5,
        20.5,
        30.5,
        0.5,
    ]  # there is the bias alone
    assert of(bias=False, stride=columns, padding={"left": 1, "right": 1}, output_padding=one) == [2, 13, 20, 30]


def test_groups_keep_apart() -> None:
    x = np.array([1, 10]).reshape(1, 2, 1, 1)
    kernel = np.array([1, 2, 3, 4]).reshape(2, 2, 1, 1)
    y = apply("conv_transpose2d", x, weights={"weight": kernel}, filters=4, kernel_size=1, groups=2, bias=False)
    np.testing.assert_array_equal(y.ravel(), [1, 2, 30, 40])


def test_it_is_the_gradient_of_a_convolution() -> None:
    # <conv(x), y> = <x, transposed(y)> for the same kernel: what the name says.
    random = np.random.default_rng(0)
    x, kernel = random.standard_normal((1, 3, 7, 9)), random.standard_normal((4, 3, 3, 3))
    fields = {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False}
    forward = Conv2d.model_validate({**fields, "filters": 4}).reference({"weight": kernel}, x)
    y = random.standard_normal(forward.shape)
    back = ConvTranspose2d.model_validate({**fields, "filters": 3}).reference({"weight": kernel}, y)
    assert back.shape == x.shape
    np.testing.assert_allclose((forward * y).sum(), (x * back).sum(), rtol=1e-12)


def test_shapes_of_the_networks_that_have_it() -> None:
    # Radford et al. 2015, figure 1: 4 to 8 by a kernel of 4, stride 2; Ronneberger et al. 2015: 28 to 56 by 2x2.
    assert shape("conv_transpose2d", (1024, 4, 4), filters=512, kernel_size=4, stride=2, padding=1) == (512, 8, 8)
    assert shape("conv_transpose2d", (1024, 28, 28), filters=512, kernel_size=2, stride=2) == (512, 56, 56)
    op = ConvTranspose2d.model_validate({"filters": 512, "kernel_size": 2, "stride": 2})
    assert op.macs(TensorType.of(1024, 28, 28)) == 28 * 28 * 1024 * 512 * 4


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"stride": 2, "output_padding": 2}, "must be less than the stride"),
        ({"padding": 4}, "cuts off all of the result"),
        ({"groups": 2}, "cannot split 3 input channels"),
    ],
)
def test_settings_that_make_no_sense_are_refused(attributes: dict[str, int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shape("conv_transpose2d", (3, 4, 4), filters=2, kernel_size=3, **attributes)
