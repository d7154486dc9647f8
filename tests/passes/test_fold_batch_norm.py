import numpy as np
import pytest

from netspec.graph import Graph
from netspec.ops import Conv2d, Dense
from netspec.passes.fold_batch_norm import PASS, FoldNorm
from netspec.testing.networks import Chain
from tests.passes.pass_helpers import alone, changed, check_values, names, weights_of


def conv_norm(**conv: object) -> Chain:
    layer = {"filters": 4, "kernel_size": 3, **conv}
    return Chain("g", image=(4, 6, 5)).add("conv", "conv2d", **layer).add("norm", "batch_norm", epsilon=1e-2)


def dense_norm(*shape: int, **dense: object) -> Chain:
    return Chain("g", x=shape).add("fc", "dense", units=6, **dense).add("norm", "batch_norm", epsilon=1e-2)


@pytest.mark.parametrize("layer", [{}, {"bias": False}, {"groups": 2}, {"groups": 4, "bias": False}, {"padding": 1}])
def test_a_convolution_and_its_norm_become_one(layer: dict[str, object]) -> None:
    graph = conv_norm(**layer).add("act", "relu").graph()
    rewrite = changed(PASS, graph)
    assert names(rewrite.graph) == ["conv", "act"]
    assert rewrite.changed == ("norm",)
    assert rewrite.folds == (FoldNorm("conv", "norm", 1e-2),)
    assert rewrite.meaning == {"conv": "norm"}
    op = rewrite.graph.nodes[0].op
    assert isinstance(op, Conv2d)
    assert op.bias


@pytest.mark.parametrize("layer", [{}, {"bias": False}, {"groups": 2}])
def test_a_dense_layer_and_its_norm_become_one(layer: dict[str, object]) -> None:
    rewrite = changed(PASS, dense_norm(4, **layer).add("act", "relu").graph())
    assert names(rewrite.graph) == ["fc", "act"]
    assert isinstance(rewrite.graph.nodes[0].op, Dense)


@pytest.mark.parametrize("layer", [{}, {"bias": False}, {"groups": 2}, {"groups": 4, "bias": False, "padding": 1}])
def test_a_transposed_convolution_and_its_norm_become_one(layer: dict[str, object]) -> None:
    chain = Chain("g", image=(4, 3, 5)).add("up", "conv_transpose2d", filters=8, kernel_size=3, stride=2, **layer)
    graph = chain.add("norm", "batch_norm", epsilon=1e-2).add("act", "relu").graph()
    rewrite = changed(PASS, graph)
    assert names(rewrite.graph) == ["up", "act"]
    check_values(alone(PASS, graph))


def test_a_norm_without_scale_and_shift_is_folded_too() -> None:
    chain = Chain("g", image=(4, 6, 5)).add("conv", "conv2d", filters=4, kernel_size=3)
    assert names(changed(PASS, chain.add("norm", "batch_norm", affine=False).add("act", "relu").graph()).graph) == [
        *("conv", "act"),
    ]


def test_folded_weights_are_as_worked_out_by_hand() -> None:
    weights = {
        "fc.weight": np.array([[1.0, 2.0]]),
        "fc.bias": np.array([3.0]),
        "norm.weight": np.array([4.0]),
        "norm.bias": np.array([5.0]),
        "norm.running_mean": np.array([1.0]),
        "norm.running_variance": np.array([3.75]),
    }
    before = {name: array.copy() for name, array in weights.items()}
    found = dict(weights)
    FoldNorm("fc", "norm", 0.25).apply(found)  # by 4 / sqrt(3.75 + 0.25) = 2
    assert list(found) == ["fc.weight", "fc.bias"]
    np.testing.assert_array_equal(found["fc.weight"], [[2.0, 4.0]])
    np.testing.assert_array_equal(found["fc.bias"], [(3.0 - 1.0) * 2.0 + 5.0])
    for name, array in before.items():
        np.testing.assert_array_equal(weights[name], array)


def test_weights_are_folded_in_float64() -> None:
    graph = conv_norm().add("act", "relu").graph()
    folded = alone(PASS, graph).weights({n: a.astype(np.float32) for n, a in weights_of(graph).items()})
    assert list(folded) == ["conv.weight", "conv.bias"]
    assert {array.dtype for array in folded.values()} == {np.dtype(np.float64)}


def test_initializers_of_removed_weights_are_removed() -> None:
    chain = Chain("g", image=(4, 6, 5)).add("conv", "conv2d", filters=4, kernel_size=3, initialize={"weight": 0.5})
    rewrite = changed(PASS, chain.add("norm", "batch_norm").add("act", "relu").graph())
    assert not rewrite.graph.nodes[0].op.initialize


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (conv_norm().graph(), "the norm is an output"),
        (conv_norm().add("act", "relu").graph("conv", "act"), "the convolution is an output"),
        (
            conv_norm().add("act", "relu", reads="conv").add("sum", "add", reads=("norm", "act")).graph(),
            "another reads the convolution",
        ),
        (dense_norm(6, 3).add("act", "relu").graph(), "channels are not the dense layer's units"),
        (Chain("g", image=(4, 6, 5)).add("norm", "batch_norm").add("act", "relu").graph(), "an input is normalized"),
        (
            Chain("g", image=(4, 6, 5))
            .add("conv", "conv2d", filters=4, kernel_size=3)
            .add("between", "relu")
            .add("norm", "batch_norm")
            .add("act", "relu")
            .graph(),
            "something lies between",
        ),
        (
            Chain("g", image=(4, 6, 5))
            .add("conv", "conv2d", filters=4, kernel_size=3)
            .add("norm", "group_norm", groups=2)
            .add("act", "relu")
            .graph(),
            "another normalization",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_leaves_alone(graph: Graph, why: str) -> None:
    assert PASS.run(graph) is None, why


def test_not_in_training() -> None:
    assert PASS.levels == ("inference",)
