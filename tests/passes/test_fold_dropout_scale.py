import numpy as np
import pytest

from netspec.graph import Graph
from netspec.passes.fold_dropout_scale import PASS, FoldScale
from netspec.testing.networks import Chain
from tests.passes.pass_helpers import changed, names


def dropped(**attributes: object) -> Chain:
    return Chain("g", image=(4, 6, 5)).add("drop", "dropout", **{"rate": 0.25, "mode": "standard", **attributes})


def test_the_factor_goes_into_the_layer_after() -> None:
    rewrite = changed(PASS, dropped().add("conv", "conv2d", filters=2, kernel_size=3).graph())
    assert names(rewrite.graph) == ["conv"]
    assert rewrite.folds == (FoldScale("conv", 0.75),)
    assert not rewrite.meaning


def test_it_passes_through_ops_on_its_way_and_reaches_each_layer() -> None:
    graph = (
        dropped()
        .add("act", "leaky_relu")
        .add("pool", "max_pool2d", kernel_size=2)
        .add("conv", "conv2d", filters=2, kernel_size=2)
        .add("mean", "avg_pool2d", reads="drop", kernel_size=2)
        .add("flat", "flatten")
        .add("fc", "dense", units=4, groups=2)
        .graph("conv", "fc")
    )
    rewrite = changed(PASS, graph)
    assert set(rewrite.folds) == {FoldScale("conv", 0.75), FoldScale("fc", 0.75)}
    assert rewrite.meaning == dict.fromkeys(["act", "pool", "mean", "flat"])


def test_each_of_two_in_a_chain_has_its_own_layer() -> None:
    graph = dropped().add("flat", "flatten").add("fc1", "dense", units=5).add("relu", "relu")
    graph = graph.add("drop2", "dropout", rate=0.5, mode="standard").add("fc2", "dense", units=2).graph()
    assert changed(PASS, graph).folds == (FoldScale("fc1", 0.75), FoldScale("fc2", 0.5))


def test_of_two_in_a_row_both_go_into_the_layer() -> None:
    chain = dropped().add("relu", "relu").add("drop2", "dropout", rate=0.5, mode="standard").add("flat", "flatten")
    rewrite = changed(PASS, chain.add("fc", "dense", units=2).graph())
    assert names(rewrite.graph) == ["relu", "flat", "fc"]
    assert rewrite.folds == (FoldScale("fc", 0.75), FoldScale("fc", 0.5))
    assert rewrite.graph.nodes[0].inputs == ("image",)


def test_a_factor_that_stops_at_a_tanh_leaves_both_of_a_row() -> None:
    chain = dropped().add("drop2", "dropout", rate=0.5, mode="standard").add("act", "tanh").add("flat", "flatten")
    assert PASS.run(chain.add("fc", "dense", units=2).graph()) is None


def test_one_that_is_an_output_keeps_those_before_it() -> None:
    chain = dropped().add("drop2", "dropout", rate=0.5, mode="standard")
    chain = chain.add("conv", "conv2d", filters=2, kernel_size=3)
    rewrite = changed(PASS, chain.graph("drop", "conv"))
    assert names(rewrite.graph) == ["drop", "conv"]
    assert rewrite.folds == (FoldScale("conv", 0.5),)
    assert PASS.run(chain.graph("drop2", "conv")) is None


def test_the_bias_stays_and_so_do_the_callers_arrays() -> None:
    weights = {"fc.weight": np.array([[2.0, 4.0]], np.float32), "fc.bias": np.array([3.0], np.float32)}
    found = dict(weights)
    FoldScale("fc", 0.25).apply(found)
    np.testing.assert_array_equal(found["fc.weight"], [[0.5, 1.0]])
    assert found["fc.weight"].dtype == np.float64
    assert found["fc.bias"] is weights["fc.bias"]
    np.testing.assert_array_equal(weights["fc.weight"], [[2.0, 4.0]])


def before_conv(kind: str, **attributes: object) -> Graph:
    return dropped().add("between", kind, **attributes).add("conv", "conv2d", filters=2, kernel_size=3).graph()


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (dropped().graph(), "it is an output"),
        (dropped(mode="inverted").add("conv", "conv2d", filters=2, kernel_size=3).graph(), "inverted has no factor"),
        (dropped(rate=0.0).add("conv", "conv2d", filters=2, kernel_size=3).graph(), "nor has a rate of 0"),
        (before_conv("tanh"), "no factor passes a tanh"),
        (before_conv("batch_norm"), "nor a shift"),
        (before_conv("pad2d", padding=1, value=2.0), "nor padding that is not zero"),
        (
            dropped().add("act", "relu").add("conv", "conv2d", filters=2, kernel_size=3).graph("act", "conv"),
            "an output on the way would be another",
        ),
        (
            dropped().add("conv", "conv2d", filters=4, kernel_size=1).add("sum", "add", reads=("drop", "conv")).graph(),
            "reached on two ways, one of them without a layer",
        ),
        (
            dropped()
            .add("conv", "conv2d", filters=2, kernel_size=3)
            .add("end", "relu", reads="drop")
            .graph("conv", "end"),
            "a way that ends without a layer",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_leaves_alone(graph: Graph, why: str) -> None:
    assert PASS.run(graph) is None, why


def test_not_in_training() -> None:
    assert PASS.levels == ("inference",)
