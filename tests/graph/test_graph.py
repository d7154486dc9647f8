from dataclasses import replace

import pytest

from netspec.errors import GraphError, ShapeError
from netspec.graph import Graph, Head, Input, make_node
from netspec.graph.analysis import analyze, at_inference
from netspec.graph.text import print_graph, spec_hash
from netspec.ops import Add, Conv2d, Dense, LayerScale, MaxPool2d, Relu
from netspec.ops.attributes import both
from netspec.testing.networks import NETWORKS, Chain
from netspec.types import DType, TensorType

X = Input("x", TensorType.of(3, 9, 9))
CONV = make_node("conv", Conv2d(filters=4, kernel_size=both(3)), [X])
RELU = make_node("relu", Relu(), [CONV])


def graph(*nodes: object, outputs: tuple[str, ...] = ("relu",)) -> Graph:
    return Graph("g", (X,), nodes, outputs)  # type: ignore[arg-type]


def test_a_sound_graph_is_returned() -> None:
    sound = graph(CONV, RELU)
    assert sound.check() is sound


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (graph(RELU, CONV), "'relu' reads 'conv' before it is made"),
        (graph(CONV, RELU, RELU), "'relu' is defined twice"),
        (graph(CONV, RELU, outputs=("fc",)), "the output 'fc' is not a value of it"),
        (graph(CONV, RELU, outputs=()), "expected distinct outputs"),
        (graph(CONV, RELU, outputs=("relu", "relu")), "expected distinct outputs"),
        (graph(CONV, replace(RELU, type=TensorType.of(4))), "the types of 'relu' do not follow"),
        (graph(CONV, replace(RELU, type=RELU.type.astype(DType.FLOAT64))), "is float64, not float32"),
    ],
)
def test_a_graph_that_is_not_well_formed_is_refused(broken: Graph, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        broken.check()


def test_an_initializer_for_an_unknown_weight_is_refused() -> None:
    op = Dense.model_validate({"units": 2, "bias": False, "initialize": {"bias": 0}})
    with pytest.raises(ShapeError, match="dense has no weight 'bias' to initialize; it has weight"):
        make_node("fc", op, [Input("x", TensorType.of(3))])


def test_variance_scaling_needs_a_fan() -> None:
    op = LayerScale.model_validate({"initialize": {"weight": {"variance_scaling": {"scale": 2.0}}}})
    with pytest.raises(
        ShapeError, match="layer_scale: variance_scaling divides by a fan, which 'weight' does not have"
    ):
        make_node("gamma", op, [Input("x", TensorType.of(3))])


def test_another_dtype_is_the_same_function() -> None:
    wide = graph(CONV, RELU).astype(DType.FLOAT64).check()
    assert wide.dtype is DType.FLOAT64
    assert wide.astype(DType.FLOAT32) == graph(CONV, RELU)


def test_readers_and_weights() -> None:
    residual = graph(CONV, RELU, make_node("sum", Add(), [CONV, RELU]), outputs=("sum",))
    assert [n.name for n in residual.readers["conv"]] == ["relu", "sum"]
    assert {name: w.shape for name, w in residual.weights.items()} == {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,)}


def test_the_hash_is_of_the_function() -> None:
    assert spec_hash(graph(CONV, RELU)) == spec_hash(replace(graph(CONV, RELU), source="elsewhere"))
    other = make_node("conv", Conv2d(filters=4, kernel_size=both(3), bias=False), [X])
    assert spec_hash(graph(CONV, RELU)) != spec_hash(graph(other, make_node("relu", Relu(), [other])))


@pytest.mark.parametrize("network", NETWORKS)
def test_each_value_has_a_line_in_the_text(network: str) -> None:
    built = NETWORKS[network]()
    assert len(print_graph(built).splitlines()) == 2 + len(built.inputs) + len(built.nodes)


def test_receptive_fields_shrink_in_step_where_a_map_grows() -> None:
    chain = Chain("g", image=(1, 16, 16)).add("down", "conv2d", filters=1, kernel_size=3, stride=4)
    chain.add("up", "conv_transpose2d", filters=1, kernel_size=4, stride=2).add("c", "conv2d", filters=1, kernel_size=3)
    fields = [row.receptive_field for row in analyze(chain.graph()).rows]
    assert [field.size[0] for field in fields] == [3, 7, 11]
    assert [field.step[0] for field in fields] == [4, 2, 2]


def test_a_sum_has_the_largest_receptive_field_of_its_inputs() -> None:
    chain = Chain("g", image=(1, 8, 8), small=(1, 4, 4))
    chain.add("down", "conv2d", "image", filters=1, kernel_size=2, stride=2)
    chain.add("near", "conv2d", "small", filters=1, kernel_size=1).add("sum", "add", ("near", "down"))
    chain.add("last", "conv2d", filters=1, kernel_size=2)
    *_, of_sum, last = [row.receptive_field for row in analyze(chain.graph()).rows]
    assert (of_sum.size, of_sum.step) == ((2, 2), (2, 2))
    assert last.size == (4, 4)


def test_receptive_fields_of_alexnets_first_layers() -> None:
    # r' = r + (k - 1) j, j' = j s: conv 11/4 sees 11, pool 3/2 sees 11 + 2·4 = 19, conv 5 then 19 + 4·8 = 51.
    conv1 = make_node(
        "conv1", Conv2d(filters=2, kernel_size=both(11), stride=both(4)), [Input("x", TensorType.of(3, 99, 99))]
    )
    pool1 = make_node("pool1", MaxPool2d(kernel_size=both(3), stride=both(2)), [conv1])
    conv2 = make_node("conv2", Conv2d(filters=2, kernel_size=both(5)), [pool1])
    rows = analyze(Graph("g", (Input("x", TensorType.of(3, 99, 99)),), (conv1, pool1, conv2), ("conv2",))).rows
    assert [row.receptive_field.size[0] for row in rows] == [11, 19, 51]
    assert [row.receptive_field.step[0] for row in rows] == [4, 8, 8]


def test_heads_are_last_and_for_training_alone() -> None:
    chain = Chain("g", x=(4,)).add("a", "dense", units=3).add("side", "dense", units=2).add("b", "dense", "a", units=2)
    with pytest.raises(GraphError, match="expected side, for training alone, after all other nodes"):
        chain.graph("b", "side", heads=[Head("aux", "side")])
    with pytest.raises(GraphError, match="expected the auxiliary outputs"):
        chain.graph("side", "b", heads=[Head("aux", "side")])
    chain = Chain("g", x=(4,)).add("a", "dense", units=3).add("b", "dense", units=2).add("side", "dense", "a", units=2)
    graph = chain.graph("b", "side", heads=[Head("aux", "side")])
    assert (graph.main, graph.auxiliary, graph.training_only) == (("b",), ("side",), {"side"})
    assert [row.name for row in at_inference(graph).rows] == ["a", "b"]
    assert print_graph(graph).endswith("return b and in training side")
    assert graph.with_outputs(["a"]).heads == ()


def test_receptive_fields_are_of_each_axis_and_whole_once_an_op_reads_the_whole_input() -> None:
    chain = Chain("g", image=(1, 9, 12))
    chain.add("wide", "conv2d", filters=1, kernel_size={"height": 1, "width": 3}, stride={"height": 1, "width": 2})
    chain.add("tall", "conv2d", filters=1, kernel_size={"height": 3, "width": 2}, stride={"height": 2, "width": 1})
    chain.add("all", "global_avg_pool2d", keepdims=True).add("relu", "relu")
    rows = analyze(chain.graph()).rows
    assert [str(row.receptive_field) for row in rows[-4:]] == ["1x3", "3x5", "all", "all"]
    assert rows[-3].receptive_field.step == (2, 2)
