"""Dense, activations, dropout, shapes and merges: values worked out by hand."""

import math

import numpy as np
import pytest

from netspec.errors import NetspecError, ShapeError
from netspec.graph import Graph, Input, make_node
from netspec.ops import ConstantTensor, Dropout, Parameter, StochasticDepth
from netspec.reference import evaluate
from netspec.types import DType, TensorType
from netspec.weights import initialize
from tests.ops.helpers import apply, shape


def test_dense_is_rows_of_the_weight() -> None:
    # y = W x + b with W (units, features): PyTorch Linear, ONNX Gemm(transB=1).
    y = apply("dense", [[1.0, 10.0]], weights={"weight": [[1, 2], [3, 4], [5, 6]], "bias": [0, 0.5, 0]}, units=3)
    np.testing.assert_array_equal(y, [[21, 43.5, 65]])


def test_dense_in_groups_keeps_towers_apart() -> None:
    y = apply("dense", [[1, 2, 4, 8]], weights={"weight": [[1, 1], [1, -1]]}, units=2, groups=2, bias=False)
    np.testing.assert_array_equal(y, [[3, -4]])


def test_dense_applies_to_the_last_axis() -> None:
    y = apply("dense", [[[1, 2], [3, 4]]], weights={"weight": [[1, 10]]}, units=1, bias=False)
    np.testing.assert_array_equal(y, [[[21], [43]]])


def test_dense_on_a_map_says_what_to_add() -> None:
    with pytest.raises(ShapeError, match=r"expects features .* received \(N, 3, 4, 4\)") as error:
        shape("dense", (3, 4, 4), units=2)
    assert "flatten" in error.value.hint


@pytest.mark.parametrize(
    ("kind", "attributes", "x", "expected"),
    [
        ("relu", {}, -2.0, 0.0),
        ("relu6", {}, -2.0, 0.0),
        ("relu6", {}, 5.5, 5.5),
        ("relu6", {}, 7.0, 6.0),
        ("leaky_relu", {}, -2.0, -0.02),  # Maas et al. 2013
        ("leaky_relu", {"negative_slope": 0.3}, -2.0, -0.6),
        ("tanh", {}, 0.5, 0.46211715726000973),  # (e - 1) / (e + 1)
        ("sigmoid", {}, math.log(3), 0.75),
        ("sigmoid", {}, -1000.0, 0.0),  # and no overflow
        ("silu", {}, math.log(3), 0.75 * math.log(3)),
        ("elu", {}, math.log(0.5), -0.5),  # Clevert et al. 2015
        ("elu", {"alpha": 0.3}, math.log(0.5), -0.15),
        ("elu", {}, 900.0, 900.0),
        ("softplus", {}, 0.0, math.log(2)),
        ("softplus", {}, math.log(3), math.log(4)),
        ("softplus", {}, 900.0, 900.0),
        ("mish", {}, math.log(math.sqrt(3) - 1), 0.5 * math.log(math.sqrt(3) - 1)),  # tanh(log y) is ½ at y = √3
        ("hard_sigmoid", {}, 1.5, 0.75),  # relu6(x + 3) / 6: Howard et al. 2019
        ("hard_sigmoid", {}, -3.5, 0.0),
        ("hard_sigmoid", {}, 3.5, 1.0),
        ("hard_swish", {}, 1.5, 1.125),
        ("hard_swish", {}, -1.5, -0.375),
        ("hard_swish", {}, 4.0, 4.0),
        ("gelu", {}, 1.0, 0.8413447460685429),  # Φ(1), Abramowitz & Stegun table 26.1
        ("gelu", {"form": "tanh"}, 1.0, 0.8411919906082768),  # Hendrycks & Gimpel 2016, the approximation
        ("rescale", {"scale": 3.0, "offset": 1.0}, -2.0, -5.0),
        ("rescale", {"scale": -1.0, "offset": 1.0}, 0.25, 0.75),
        ("exp", {}, math.log(3), 3.0),
        ("log", {}, math.exp(-2), -2.0),  # of e, and not of 10 or 2
        ("log", {}, 0.0, -math.inf),
        ("log", {}, -1.0, math.nan),
        ("sin", {}, math.pi / 6, 0.5),  # radians
        ("sin", {}, -math.pi / 2, -1.0),
        ("cos", {}, math.pi / 3, 0.5),
        ("cos", {}, -math.pi, -1.0),
        ("abs", {}, -2.0, 2.0),
        ("power", {"exponent": 3.0}, -2.0, -8.0),
        ("power", {"exponent": 0.5}, 9.0, 3.0),
        ("power", {"exponent": 0.5}, 0.0, 0.0),
        ("power", {"exponent": -1.0}, -4.0, -0.25),
        ("power", {"exponent": 1.5}, 4.0, 8.0),
        ("clip", {"min": -1.0, "max": 2.0}, -3.0, -1.0),
        ("clip", {"min": -1.0, "max": 2.0}, 3.0, 2.0),
        ("clip", {"min": 1.0}, 3.0, 3.0),
        ("clip", {"max": 1.0}, -3.0, -3.0),
        ("identity", {}, -2.0, -2.0),
    ],
)
def test_activations(kind: str, attributes: dict[str, object], x: float, expected: float) -> None:
    np.testing.assert_allclose(apply(kind, [[x]], **attributes), [[expected]], rtol=1e-15)


def test_prelu_has_a_slope_for_each_channel() -> None:
    x = [[[-1.0, 1.0], [-2.0, 3.0]]]
    np.testing.assert_array_equal(apply("prelu", x, weights={"weight": [0.5, -4]}), [[[-0.5, 1], [8, 3]]])
    shared = apply("prelu", x, weights={"weight": [0.5]}, shared=True)
    np.testing.assert_array_equal(shared, [[[-0.5, 1], [-1, 3]]])


def test_softmax_survives_large_logits() -> None:
    y = apply("softmax", [[1000.0, 1000.0 + math.log(3)]])
    np.testing.assert_allclose(y, [[0.25, 0.75]], rtol=1e-12)


def test_softmax_over_channels() -> None:
    x = np.log(np.array([1.0, 1.0, 3.0, 1.0])).reshape(1, 2, 1, 2)
    np.testing.assert_allclose(apply("softmax", x, axis=1).ravel(), [0.25, 0.5, 0.75, 0.5])


def test_the_two_dropouts() -> None:
    # Krizhevsky et al. 2012, section 4.2: "we use all the neurons but multiply their outputs by 0.5".
    x, mask = np.array([[8.0, 8.0]]), np.array([[1.0, 0.0]])
    standard, inverted = Dropout(rate=0.25, mode="standard"), Dropout(rate=0.5)
    np.testing.assert_array_equal(standard.reference({}, x), [[6, 6]])
    np.testing.assert_array_equal(standard.reference_training({}, x, mask=mask).output, [[8, 0]])
    np.testing.assert_array_equal(inverted.reference({}, x), x)
    np.testing.assert_array_equal(inverted.reference_training({}, x, mask=mask).output, [[16, 0]])
    with pytest.raises(NetspecError, match="needs a mask"):
        inverted.reference_training({}, x)


def test_stochastic_depth_drops_samples_whole() -> None:
    # Huang et al. 2016: a block is there or it is not; torchvision divides what is kept by 1 - rate.
    x, op = np.full((2, 3), 6.0), StochasticDepth(rate=0.25)
    mask = np.array([[1.0], [0.0]])
    np.testing.assert_array_equal(op.reference_training({}, x, mask=mask).output, [[8, 8, 8], [0, 0, 0]])
    np.testing.assert_array_equal(op.reference({}, x), x)
    assert op.mask_features(TensorType.of(3, 4, 5)) == (1, 1, 1)


MAP = np.arange(8).reshape(1, 2, 2, 2)


def test_flatten_is_channels_first() -> None:
    np.testing.assert_array_equal(apply("flatten", MAP), [range(8)])


def test_reshape_infers_one_axis() -> None:
    assert shape("reshape", (3, 4, 5), shape=[-1, 10]) == (6, 10)
    for wrong in ([7, -1], [-1, -1], [0, 60], [59]):
        with pytest.raises(ShapeError, match="60 elements a sample"):
            shape("reshape", (3, 4, 5), shape=wrong)


def test_permute_numbers_axes_from_the_batch() -> None:
    np.testing.assert_array_equal(apply("permute", MAP, axes=[2, 3, 1]), MAP.transpose(0, 2, 3, 1))
    with pytest.raises(ShapeError, match=r"expects the axes \[1, 2, 3\]"):
        shape("permute", (2, 2, 2), axes=[0, 1, 2])


def test_pad_along_an_axis() -> None:
    np.testing.assert_array_equal(apply("pad", [[1, 2]], start=1, end=2), [[0, 1, 2, 0, 0]])
    padded = apply("pad", MAP, axis=-1, end=1, value=-1)
    np.testing.assert_array_equal(padded[..., :-1], MAP)
    np.testing.assert_array_equal(padded[..., -1], -np.ones((1, 2, 2)))
    assert shape("pad", (16, 8, 8), end=16) == (32, 8, 8)
    with pytest.raises(ShapeError, match=r"pad: axis 4 is not an axis of \(N, 3, 4, 5\)"):
        shape("pad", (3, 4, 5), axis=4)


def test_pad2d() -> None:
    y = apply("pad2d", [[[[1, 2, 3]]]], padding={"left": 2, "right": 1}, value=-1)
    np.testing.assert_array_equal(y, [[[[-1, -1, 1, 2, 3, -1]]]])
    y = apply("pad2d", [[[[1, 2, 3]]]], padding={"left": 2, "right": 1}, mode="reflect")
    np.testing.assert_array_equal(y, [[[[3, 2, 1, 2, 3, 2]]]])
    with pytest.raises(ShapeError, match="expected less padding than the map"):
        shape("pad2d", (1, 3, 3), padding=3, mode="reflect")


def test_merges() -> None:
    np.testing.assert_array_equal(apply("add", [[1, 2]], [[10, 20]], [[100, 200]]), [[111, 222]])
    np.testing.assert_array_equal(apply("subtract", [[1, 2]], [[10]]), [[-9, -8]])
    np.testing.assert_array_equal(apply("divide", [[1, -2]], [[4]]), [[0.25, -0.5]])
    np.testing.assert_array_equal(apply("maximum", [[1, 2, 3]], [[3, 1, 0]], [[2]]), [[3, 2, 3]])
    np.testing.assert_array_equal(apply("minimum", [[1, 2, 3]], [[3, 1, 0]], [[2]]), [[1, 1, 0]])
    gate = np.array([2, 3]).reshape(1, 2, 1, 1)
    np.testing.assert_array_equal(apply("multiply", MAP, gate).ravel(), [0, 2, 4, 6, 12, 15, 18, 21])
    np.testing.assert_array_equal(apply("concat", [[1]], [[2, 3]]), [[1, 2, 3]])
    assert shape("concat", (2, 4, 5), (2, 4, 1), axis=-1) == (2, 4, 6)
    for kind, features in (("add", ((2, 3), (3, 2))), ("add", ((2,), (2, 3))), ("concat", ((2, 4), (2, 5)))):
        with pytest.raises(ShapeError):
            shape(kind, *features)


def test_concat_of_unequal_ranks_along_the_last_axis() -> None:
    with pytest.raises(ShapeError, match="expects inputs equal except for that axis"):
        shape("concat", (3, 4), (3,), axis=-1)


def test_undefined_arithmetic_gives_infinity_or_nan() -> None:
    np.testing.assert_array_equal(apply("divide", [[1, -1, 0]], [[0]]), [[np.inf, -np.inf, np.nan]])
    np.testing.assert_array_equal(apply("power", [[-1.0, 0.0]], exponent=-0.5), [[np.nan, np.inf]])


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("power", {"exponent": 0.0}, "power with exponent 0 is 1 for every x"),
        ("clip", {}, "clip expects `min`, `max` or both, received neither"),
        ("clip", {"min": 1.0, "max": 1.0}, "clip expects `min` below `max`, received 1.0 and 1.0"),
    ],
)
def test_functions_that_are_constant_are_refused(kind: str, attributes: dict[str, float], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        shape(kind, (3,), **attributes)


def test_a_merge_of_one_is_refused() -> None:
    with pytest.raises(ShapeError, match="add takes at least 2 inputs, received 1"):
        shape("add", (3,))
    with pytest.raises(ShapeError, match="subtract takes 2 inputs, received 3"):
        shape("subtract", (3,), (3,), (3,))
    with pytest.raises(ShapeError, match="relu takes 1 input, received 2"):
        shape("relu", (3,), (3,))


def test_a_parameter_is_a_value_that_reads_nothing() -> None:
    values = {"image": Input("image", TensorType.of(3))}
    token = make_node("token", Parameter(shape=(2, 3)), [])
    assert (token.type.shape, token.inputs) == (("N", 2, 3), ())
    graph = Graph("g", (values["image"],), (token,), ("token",)).check()
    graph.astype(DType.FLOAT64).check()
    weight = np.arange(6.0).reshape(2, 3)
    found = evaluate(graph, {"token.weight": weight}, {"image": np.zeros((4, 3))})["token"]
    np.testing.assert_array_equal(found, np.stack([weight] * 4))
    with pytest.raises(ShapeError, match="parameter takes 0 inputs, received 1"):
        make_node("token", Parameter(shape=(2,)), [values["image"]])


def test_a_constant_is_what_the_spec_says_and_is_not_trained() -> None:
    values = {"image": Input("image", TensorType.of(3))}
    codes = make_node("codes", ConstantTensor.model_validate({"values": [[1, -1, 0.5], [2, 3, 4]]}), [])
    assert (codes.type.shape, codes.inputs) == (("N", 2, 3), ())
    graph = Graph("g", (values["image"],), (codes,), ("codes",)).check()
    assert [(name, weight.trainable, weight.fixed) for name, weight in graph.weights.items()] == [
        ("codes.values", False, True)
    ]
    weights = initialize(graph, seed=7)
    found = evaluate(graph, weights, {"image": np.zeros((4, 3))})["codes"]
    np.testing.assert_array_equal(found, np.stack([[[1, -1, 0.5], [2, 3, 4]]] * 4))
    for wrong in ([[1, 2], [3]], [], [True], [[1, "2"]]):
        with pytest.raises(ValueError, match=r"expected|at least 1"):
            ConstantTensor.model_validate({"values": wrong})
