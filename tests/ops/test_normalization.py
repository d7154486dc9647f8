"""Values worked out by hand from the papers' formulas."""

import numpy as np
import pytest

from netspec.errors import ShapeError
from netspec.ops import BatchNorm
from tests.ops.helpers import apply, shape

PAPER = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2, "convention": "sum"}


def channels(*values: float) -> np.ndarray:
    return np.array(values, float).reshape(1, -1, 1, 1)


def test_lrn_is_the_papers_formula() -> None:
    # Krizhevsky et al. 2012, section 3.3, with a sum of squares of 1e4: (2 + 1e-4 · 1e4)^0.75 = 3^0.75.
    y = apply("local_response_norm", channels(100, 0, 0, 0), **PAPER)
    np.testing.assert_allclose(y.ravel()[0], 100 / 3**0.75, rtol=1e-15)


@pytest.mark.parametrize(
    ("attributes", "base"),
    [
        ({"convention": "sum"}, 3.0),  # the paper, TensorFlow: 2 + 1e-4 · 1e4
        ({"convention": "mean"}, 2.2),  # the 2012 code, Caffe, PyTorch, ONNX: 2 + 1e-4 / 5 · 1e4
        ({"convention": "mean", "k": 1}, 1.2),  # k defaults to 1 in all of them
        ({"convention": "mean", "region": "map"}, 2.04),  # cuda-convnet rnorm: alpha / size²
    ],
)
def test_conventions(attributes: dict[str, object], base: float) -> None:
    y = apply("local_response_norm", channels(100, 0, 0), **{**PAPER, **attributes})
    np.testing.assert_allclose(y.ravel()[0], 100 / base**0.75, rtol=1e-14)


def neighborhood(size: int, groups: int = 1) -> list[list[int]]:
    """Return the channels whose squares each of six channels sums, found by setting one channel at a time."""
    seen: list[list[int]] = [[] for _ in range(6)]
    for lit in range(6):
        x = np.full(6, 1e-3)
        x[lit] = 1e3
        attributes = {**PAPER, "size": size, "groups": groups, "k": 1, "alpha": 1}
        y = apply("local_response_norm", x.reshape(1, 6, 1, 1), **attributes).ravel() / x
        for channel in np.flatnonzero(y < 0.5):
            seen[channel].append(lit)
    return seen


def test_the_window_is_cut_at_the_edges() -> None:
    assert neighborhood(5) == [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5]]


def test_an_even_window_reaches_further_before() -> None:
    # PyTorch pads (n // 2, (n - 1) // 2); cuda-convnet starts at c - n // 2; ONNX mirrors it.
    assert neighborhood(2) == [[0], [0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]


def test_towers_are_no_neighbors() -> None:
    assert neighborhood(5, groups=2) == [[0, 1, 2]] * 3 + [[3, 4, 5]] * 3


def test_within_a_map() -> None:
    x = np.zeros((1, 2, 3, 3))
    x[0, 0, 0, 0] = 100
    x[0, 0, 2, 2] = 1
    y = apply("local_response_norm", x, **{**PAPER, "size": 3, "region": "map"})
    assert y[0, 0, 2, 2] == pytest.approx(1 / (2 + 1e-4) ** 0.75)  # two away: out of reach
    assert y[0, 0, 0, 0] == pytest.approx(100 / 3**0.75)


def test_lrn_refuses_groups_that_do_not_divide() -> None:
    with pytest.raises(ShapeError, match="cannot split 5 channels into 2 groups") as error:
        shape("local_response_norm", (5, 2, 2), **PAPER, groups=2)
    assert error.value.attribute == "groups"
    with pytest.raises(ShapeError, match="within a map reads one channel at a time"):
        shape("local_response_norm", (4, 2, 2), **PAPER, groups=2, region="map")


RUNNING = {"weight": [2.0], "bias": [1.0], "running_mean": [3.0], "running_variance": [4.0]}


def test_batch_norm_at_inference() -> None:
    y = apply("batch_norm", [[7.0], [3.0]], weights=RUNNING, epsilon=5.0)
    np.testing.assert_allclose(y, [[2 * 4 / 3 + 1], [1.0]])


@pytest.mark.parametrize(("kind", "variance"), [("unbiased", 2.0), ("biased", 1.0)])
def test_batch_norm_in_training(kind: str, variance: float) -> None:
    # A batch of two: the biased variance is 1, the unbiased one m / (m - 1) = 2 times that (Ioffe & Szegedy 2015,
    # algorithm 2). The output is normalized by the biased one in either case (algorithm 1).
    op = BatchNorm.model_validate({"running_variance": kind, "update_rate": 0.25, "epsilon": 3.0})
    weights = {k: np.array(v) for k, v in RUNNING.items()}
    result = op.reference_training(weights, np.array([[5.0], [7.0]]))
    np.testing.assert_allclose(result.output, [[0.0], [2.0]])
    np.testing.assert_allclose(result.updates["running_mean"], [0.75 * 3 + 0.25 * 6])
    np.testing.assert_allclose(result.updates["running_variance"], [0.75 * 4 + 0.25 * variance])


def test_layer_norm_over_named_axes() -> None:
    x = np.array([[[[1.0, 3.0]], [[5.0, 7.0]]]])  # (1, 2, 1, 2)
    ones = {"weight": [1.0, 1.0], "bias": [0.0, 0.0]}
    np.testing.assert_allclose(
        apply("layer_norm", x, weights=ones, axes=[1], epsilon=5.0), [[[[-2 / 3, -2 / 3]], [[2 / 3, 2 / 3]]]]
    )
    np.testing.assert_allclose(
        apply("layer_norm", x, weights={"weight": [1, 10], "bias": [0, 0]}, axes=[-1], epsilon=3.0),
        [[[[-0.5, 5.0]], [[-0.5, 5.0]]]],
    )


def test_rms_norm_subtracts_no_mean_and_adds_epsilon_inside_the_root() -> None:
    # Zhang & Sennrich 2019, equation 4: of 1 and 7 the mean square is 25.
    np.testing.assert_array_equal(apply("rms_norm", [[1, 7]], weights={"weight": [6, 12]}, epsilon=11.0), [[1, 14]])
    y = apply("rms_norm", [[[1, 0], [7, 0]]], axes=[1], affine=False)
    np.testing.assert_allclose(y, [[[0.2, 0], [1.4, 0]]], rtol=1e-6)


def test_layer_norm_of_one_value_is_refused() -> None:
    assert shape("layer_norm", (4, 1), axes=[1, 2]) == (4, 1)
    for axes in ([-1], [2]):
        with pytest.raises(ShapeError, match=r"over axes \[2\] has one value"):
            shape("layer_norm", (4, 1), axes=axes)


def test_group_norm_normalizes_runs_of_channels() -> None:
    x = channels(1, 3, 10, 20)
    y = apply("group_norm", x, groups=2, epsilon=3.0, affine=False)
    np.testing.assert_allclose(y.ravel(), [-0.5, 0.5, -5 / 28**0.5, 5 / 28**0.5])


def test_a_group_of_one_value_is_refused() -> None:
    with pytest.raises(ShapeError, match="has one value in each"):
        shape("group_norm", (4, 1, 1), groups=4)


def test_instance_norm_normalizes_each_channel() -> None:
    x = np.array([[[1.0, 3.0], [10.0, 20.0]]])
    y = apply("instance_norm", x, weights={"weight": [1, 2], "bias": [0, 1]}, epsilon=3.0)
    np.testing.assert_allclose(y, [[[-0.5, 0.5], [1 - 10 / 28**0.5, 1 + 10 / 28**0.5]]])
    with pytest.raises(ShapeError, match="has one position in each channel"):
        shape("instance_norm", (4, 1, 1))
