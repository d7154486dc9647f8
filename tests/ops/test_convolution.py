"""Values worked out by hand; geometry from the definitions of PyTorch, TensorFlow and cuda-convnet."""

import tracemalloc

import numpy as np
import pytest

from netspec.errors import ShapeError
from netspec.graph import Input, make_node
from netspec.ops import Conv2d
from netspec.ops.convolution import BLOCK
from netspec.types import TensorType
from tests.ops.helpers import apply, shape


def test_it_correlates_and_does_not_flip() -> None:
    # PyTorch Conv2d: "⋆ is the valid 2D cross-correlation operator". 1·1 + 2·10 + 4·100 + 5·1000 = 5421.
    x = [[[[1, 2, 3], [4, 5, 6], [7, 8, 9]]]]
    kernel = [[[[1, 10], [100, 1000]]]]
    y = apply("conv2d", x, weights={"weight": kernel, "bias": [0.5]}, filters=1, kernel_size=2)
    np.testing.assert_array_equal(y, [[[[5421.5, 6532.5], [8754.5, 9865.5]]]])


def test_groups_read_their_own_channels_in_runs() -> None:
    # Krizhevsky et al. 2012, section 3.5: kernels of the second GPU read the maps of the second GPU alone.
    x = np.array([1, 2, 4, 8], float).reshape(1, 4, 1, 1)
    weights = {"weight": np.ones((4, 2, 1, 1)), "bias": np.zeros(4)}
    y = apply("conv2d", x, weights=weights, filters=4, kernel_size=1, groups=2)
    np.testing.assert_array_equal(y.ravel(), [3, 3, 12, 12])


def test_padding_is_on_the_side_that_is_named() -> None:
    y = apply(
        "conv2d",
        [[[[1.0, 2.0]]]],
        weights={"weight": [[[[1, 10, 100]]]]},
        filters=1,
        kernel_size={"height": 1, "width": 3},
        padding={"right": 1},
        bias=False,
    )
    np.testing.assert_array_equal(y, [[[[21.0]]]])


def test_dilation_spreads_the_kernel() -> None:
    y = apply(
        "conv2d",
        [[[[1, 2, 3, 4, 5]]]],
        weights={"weight": [[[[1, 10]]]]},
        filters=1,
        kernel_size={"height": 1, "width": 2},
        dilation=3,
        bias=False,
    )
    np.testing.assert_array_equal(y, [[[[41, 52]]]])


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        # Krizhevsky et al. 2012: 224 gives 55 only if the windows read three rows past the end.
        ({"kernel_size": 11, "stride": 4, "padding": {"bottom": 3, "right": 3}}, 55),
        ({"kernel_size": 11, "stride": 4}, 54),
        ({"kernel_size": 11, "stride": 4, "round": "ceil"}, 55),  # cuda-convnet: 1 + ceil((224 - 11) / 4)
        ({"kernel_size": 11, "stride": 4, "padding": 2}, 55),  # torchvision
        ({"kernel_size": 7, "stride": 2, "padding": {"same": "tf"}}, 112),
        ({"kernel_size": 5, "dilation": 2, "padding": 2}, 220),
    ],
)
def test_positions(attributes: dict[str, object], expected: int) -> None:
    assert shape("conv2d", (3, 224, 224), filters=8, **attributes) == (8, expected, expected)


@pytest.mark.parametrize(
    ("rule", "kernel", "stride", "sides"),
    [
        ("tf", 7, 2, (2, 2, 3, 3)),  # the worked example of TensorFlow's rule: (2, 3), where PyTorch's idiom has (3, 3)
        ("lower", 7, 2, (3, 3, 2, 2)),  # ONNX SAME_LOWER
        ("torch", 4, 1, (1, 1, 2, 2)),  # PyTorch padding="same": total // 2 on the left
        ("tf", 1, 2, (0, 0, 0, 0)),  # never negative
    ],
)
def test_same_is_resolved_by_a_named_rule(rule: str, kernel: int, stride: int, sides: tuple[int, ...]) -> None:
    op = Conv2d.model_validate({"filters": 2, "kernel_size": kernel, "stride": stride, "padding": {"same": rule}})
    node = make_node("conv", op, [Input("x", TensorType.of(3, 224, 224))])
    assert isinstance(node.op, Conv2d)
    assert node.op.explicit_padding.sides == sides


def test_ceil_is_stored_as_padding() -> None:
    op = Conv2d.model_validate({"filters": 2, "kernel_size": 11, "stride": 4, "round": "ceil"})
    node = make_node("conv", op, [Input("x", TensorType.of(3, 224, 223))])
    assert isinstance(node.op, Conv2d)
    assert node.op.round == "floor"
    assert node.op.explicit_padding.sides == (0, 0, 3, 0)


def test_same_by_torch_needs_stride_1() -> None:
    with pytest.raises(ShapeError, match="stride 1 only, got stride 2x2") as error:
        shape("conv2d", (1, 8, 8), filters=1, kernel_size=3, stride=2, padding={"same": "torch"})
    assert error.value.attribute == "padding"


@pytest.mark.parametrize(
    ("features", "attributes", "message"),
    [
        ((3, 8, 8), {"groups": 2, "filters": 4}, "cannot split 3 input channels into 2 groups"),
        ((4, 8, 8), {"groups": 2, "filters": 3}, "cannot split 3 filters into 2 groups"),
        ((3, 4, 4), {"kernel_size": 5}, "kernel of 5x5 does not fit its input of 4x4"),
        ((3, 4, 9), {"kernel_size": 7, "padding": 1}, "does not fit its input of 4x9, 6x11 with padding"),
        ((3, 4, 4), {"kernel_size": 3, "dilation": 2}, "5x5 with its dilation"),
        ((12,), {}, r"expects a map \(N, C, H, W\), received \(N, 12\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    features: tuple[int, ...], attributes: dict[str, object], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        shape("conv2d", features, **{"filters": 2, "kernel_size": 3, **attributes})


def test_weights_macs_and_fans_of_alexnet_conv2() -> None:
    # 256 kernels of 5 x 5 x 48 (section 3.5): 307,200 weights, 256 biases; each used at 27 x 27 positions.
    op = Conv2d.model_validate({"filters": 256, "kernel_size": 5, "padding": 2, "groups": 2})
    x = TensorType.of(96, 27, 27)
    weights = op.weights(x)
    assert weights["weight"].size == 307_200
    assert weights["bias"].size == 256
    assert (weights["weight"].fan_in, weights["weight"].fan_out) == (48 * 25, 256 * 25)
    assert op.macs(x) == 307_200 * 27 * 27


def test_blocks_of_rows_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    for sample in Conv2d.samples():
        x = random.standard_normal((2, *sample.inputs[0]))
        op = sample.op.resolve(TensorType.of(*x.shape[1:]))
        weights = {name: random.standard_normal(w.shape) for name, w in op.weights(TensorType.of(*x.shape[1:])).items()}
        whole = op.reference(weights, x)
        for elements in (1, 400):  # a row at a time; some, and fewer in the end
            monkeypatch.setattr("netspec.ops.convolution.BLOCK", elements)
            np.testing.assert_allclose(op.reference(weights, x), whole, rtol=0, atol=1e-12)
        monkeypatch.undo()


def test_memory_is_that_of_the_maps_and_not_of_the_windows() -> None:
    # Windows of 5x5 repeat each element 25 times: 64 MiB of the map's 2.6.
    op = Conv2d.model_validate({"filters": 1, "kernel_size": 5, "bias": False})
    x, weights = np.ones((1, 4, 292, 292)), {"weight": np.ones((1, 4, 5, 5))}
    tracemalloc.start()
    op.reference(weights, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * (x.size + 292 * 292 + 2 * BLOCK)
