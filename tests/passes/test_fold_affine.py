import numpy as np
import pytest

from netspec.graph import Graph
from netspec.ops import BatchNorm, Conv2d, Dense, MultiHeadAttention, Op, Rescale, Subtract
from netspec.passes.channel_map import ChannelMap
from netspec.passes.fold_affine import PASS, FoldAffine
from netspec.passes.remove_unused import Drop
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
    weights = ("weight", "bias", "running_mean", "running_variance")
    assert rewrite.folds == (
        FoldAffine("conv", ChannelMap("norm", BatchNorm(epsilon=1e-2), "conv")),
        *(Drop(f"norm.{weight}") for weight in weights),
    )
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
    FoldAffine("fc", ChannelMap("norm", BatchNorm(epsilon=0.25), "fc")).apply(found)  # by 4 / sqrt(3.75 + 0.25) = 2
    np.testing.assert_array_equal(found["fc.weight"], [[2.0, 4.0]])
    np.testing.assert_array_equal(found["fc.bias"], [(3.0 - 1.0) * 2.0 + 5.0])
    for name, array in before.items():
        np.testing.assert_array_equal(weights[name], array)


@pytest.mark.parametrize(
    ("op", "reversed", "weight", "bias"),
    [
        (Rescale(scale=-2.0, offset=1.0), False, [[-2.0, -4.0], [-6.0, -8.0]], [-9.0, -11.0]),
        (Subtract(), False, [[1.0, 2.0], [3.0, 4.0]], [5.0 - 10.0, 6.0 - 20.0]),
        (Subtract(), True, [[-1.0, -2.0], [-3.0, -4.0]], [10.0 - 5.0, 20.0 - 6.0]),
    ],
)
def test_other_maps_are_folded_as_worked_out_by_hand(op: Op, reversed: bool, weight: object, bias: object) -> None:
    found = {
        "fc.weight": np.array([[1.0, 2.0], [3.0, 4.0]]),
        "fc.bias": np.array([5.0, 6.0]),
        "p.weight": np.array([10.0, 20.0]),
    }
    FoldAffine("fc", ChannelMap("map", op, "fc", "p", reversed)).apply(found)
    np.testing.assert_array_equal(found["fc.weight"], weight)
    np.testing.assert_array_equal(found["fc.bias"], bias)


MAPS = ("rescale", "dropout", "layer_scale", "add", "multiply", "subtract", "reversed")
LAYERS: dict[str, tuple[tuple[int, ...], dict[str, object]]] = {
    "conv2d": ((4, 6, 5), {"filters": 4, "kernel_size": 3, "groups": 2, "bias": False}),
    "conv_transpose2d": ((4, 3, 5), {"filters": 4, "kernel_size": 3, "groups": 2, "bias": False, "padding": 1}),
    "dense": ((3, 5), {"units": 4, "bias": False}),
    "multi_head_attention": ((3, 4), {"heads": 2}),
}


def with_map(chain: Chain, name: str, shape: list[int], axis: int = 1) -> Chain:
    """Append a map of each channel, called `map`."""
    if name == "rescale":
        return chain.add("map", "rescale", scale=-0.5, offset=3.0)
    if name == "dropout":  # as of 2012, with a factor at inference
        return chain.add("map", "dropout", rate=0.25, mode="standard")
    if name == "layer_scale":
        return chain.add("map", "layer_scale", axis=axis)
    source = list(chain.graph().values)[-1]
    chain.add("p", "parameter", shape=shape)
    reads = ("p", source) if name == "reversed" else (source, "p")
    return chain.add("map", "subtract" if name == "reversed" else name, reads=reads)


@pytest.mark.parametrize("each", MAPS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_and_the_map_after_it_become_one(layer: str, each: str) -> None:
    shape, attributes = LAYERS[layer]
    chain = Chain("g", x=shape).add("layer", layer, **attributes)
    is_map = len(shape) == 3
    with_map(chain, each, [4, 1, 1] if is_map else [1, 4], 1 if is_map else 2).add("act", "tanh")
    graph = chain.graph()
    rewrite = changed(PASS, graph)
    assert names(rewrite.graph) == ["layer", "act"]
    assert rewrite.meaning == {"layer": "map"}
    has_new_bias = layer != "multi_head_attention" and each not in {"dropout", "layer_scale", "multiply"}
    assert ("layer.bias" in rewrite.graph.weights) == has_new_bias


def test_one_number_for_all_channels_is_a_map_too() -> None:
    chain = Chain("g", x=(4,)).add("layer", "dense", units=3).add("p", "parameter", shape=[1])
    chain.add("add", "add", reads=("p", "layer")).add("mul", "multiply", reads=("add", "p")).add("act", "tanh")
    rewrite = changed(PASS, chain.graph())
    assert names(rewrite.graph) == ["layer", "act"]
    assert rewrite.changed == ("p", "add", "mul")


def test_several_maps_in_a_row_are_folded_in_their_order() -> None:
    chain = conv_norm(bias=False).add("scale", "layer_scale").add("double", "rescale", scale=2.0, offset=0.5)
    rewrite = changed(PASS, chain.add("act", "tanh").graph())
    assert names(rewrite.graph) == ["conv", "act"]
    assert rewrite.meaning == {"conv": "double"}


def test_a_parameter_that_is_read_elsewhere_stays() -> None:
    def chain() -> Chain:
        made = Chain("g", x=(4, 6, 5)).add("p", "parameter", shape=[4, 1, 1])
        made.add("conv", "conv2d", reads="x", filters=4, kernel_size=1).add("map", "add", reads=("conv", "p"))
        return made.add("act", "tanh")

    read = chain().add("other", "multiply", reads=("x", "p")).graph("act", "other")
    for graph in (read, chain().graph("act", "p")):
        rewrite = changed(PASS, graph)
        assert rewrite.changed == ("map",)
        assert "p.weight" in rewrite.graph.weights
    assert changed(PASS, chain().graph()).changed == ("p", "map")


def test_attention_without_biases_takes_scales_alone() -> None:
    def graph(each: str) -> Graph:
        chain = Chain("g", x=(3, 4)).add("layer", "multi_head_attention", heads=2, bias=False)
        return with_map(chain, each, [1, 4], 2).add("act", "tanh").graph()

    rewrite = changed(PASS, graph("layer_scale"))
    assert names(rewrite.graph) == ["layer", "act"]
    assert isinstance(rewrite.graph.nodes[0].op, MultiHeadAttention)
    assert PASS.run(graph("add")) is None


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
        (
            with_map(Chain("g", x=(3, 4)).add("fc", "dense", units=4), "layer_scale", [], 1).add("a", "tanh").graph(),
            "L",
        ),
        (with_map(Chain("g", x=(3, 4)).add("fc", "dense", units=4), "add", [3, 1]).add("a", "tanh").graph(), "along L"),
        (with_map(Chain("g", x=(3, 4)).add("fc", "dense", units=1), "add", [1, 5]).add("a", "tanh").graph(), "wider"),
        (with_map(Chain("g", x=(4,)).add("act", "tanh"), "add", [4]).add("a", "tanh").graph(), "no layer"),
        (
            Chain("g", x=(4,), y=(4,))
            .add("fc", "dense", units=4)
            .add("sum", "add", reads=("fc", "x"))
            .add("a", "tanh")
            .graph(),
            "the sum is of two inputs",
        ),
        (
            Chain("g", x=(4,))
            .add("p", "parameter", shape=[4])
            .add("fc", "dense", reads="x", units=4)
            .add("sum", "add", reads=("fc", "p", "fc"))
            .add("a", "tanh")
            .graph(),
            "the layer is read twice",
        ),
        (
            Chain("g", x=(4,))
            .add("p", "parameter", shape=[4])
            .add("fc", "dense", reads="x", units=4)
            .add("quotient", "divide", reads=("fc", "p"))
            .add("a", "tanh")
            .graph(),
            "a divisor may be 0",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_leaves_alone(graph: Graph, why: str) -> None:
    assert PASS.run(graph) is None, why


def test_not_in_training() -> None:
    assert PASS.levels == ("inference",)
