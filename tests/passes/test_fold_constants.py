from collections.abc import Mapping

import numpy as np
import pytest

from netspec.graph import Graph
from netspec.ops import Parameter
from netspec.passes import fold_constants
from netspec.passes.fold_constants import MAX_GROWN, PASS, FoldConstants
from netspec.testing.networks import Chain
from netspec.types import DType
from tests.passes.pass_helpers import alone, changed, check_values, names, weights_of

RESIZED: Mapping[str, object] = {"mode": "bilinear", "coordinates": "half_pixel"}


def embedded() -> Chain:
    """Tokens, to which an embedding that is resized is added."""
    return (
        Chain("g", image=(4, 6, 5))
        .add("grid", "parameter", shape=[4, 2, 3])
        .add("grown", "resize", size={"height": 6, "width": 5}, **RESIZED)
        .add("wave", "sin")
        .add("sum", "add", reads=("image", "wave"))
    )


def test_the_last_of_several_ops_becomes_a_parameter() -> None:
    rewrite = changed(PASS, embedded().graph())
    assert names(rewrite.graph) == ["wave", "sum"]
    assert rewrite.graph.nodes[0].op == Parameter(shape=(4, 6, 5))
    assert rewrite.changed == ("grid", "grown", "wave")
    assert not rewrite.meaning
    (fold,) = rewrite.folds
    assert isinstance(fold, FoldConstants)
    assert (fold.values, fold.dropped) == (("wave",), ("grid.weight",))


def test_ops_with_weights_are_folded_with_them() -> None:
    """The position biases of Swin v2 are computed from coordinates by two dense layers."""
    graph = (
        Chain("g", scores=(2, 2, 4, 4))
        .add("coordinates", "parameter", shape=[9, 2])
        .add("hidden", "dense", units=8)
        .add("act", "relu")
        .add("table", "dense", units=2, bias=False)
        .add("biases", "relative_position_bias", grid=[2, 2])
        .add("aligned", "reshape", shape=[1, 2, 4, 4])
        .add("sum", "add", reads=("scores", "aligned"))
        .graph()
    )
    rewrite = changed(PASS, graph)
    assert list(rewrite.graph.weights) == ["aligned.weight"]


def test_a_value_may_have_the_name_and_the_weights_of_a_layer() -> None:
    graph = Chain("g", x=(3,)).add("p", "parameter", shape=[4]).add("fc", "dense", units=3)
    rewrite = changed(PASS, graph.add("sum", "add", reads=("x", "fc")).graph())
    assert {name: weight.shape for name, weight in rewrite.graph.weights.items()} == {"fc.weight": (3,)}


def test_what_is_still_read_stays() -> None:
    graph = embedded().add("late", "subtract", reads=("image", "grown")).add("raw", "cos", reads="grid")
    rewrite = changed(PASS, graph.graph("sum", "late", "grid"))
    assert names(rewrite.graph) == ["grid", "grown", "wave", "sum", "late"]
    assert [node.name for node in rewrite.graph.nodes if isinstance(node.op, Parameter)] == ["grid", "grown", "wave"]
    assert rewrite.changed == ("grown", "wave", "raw")


def test_outputs_are_folded_too() -> None:
    rewrite = changed(PASS, embedded().graph("sum", "grown"))
    assert [node.name for node in rewrite.graph.nodes if isinstance(node.op, Parameter)] == ["grown", "wave"]


def test_values_are_computed_in_float64_for_one_sample() -> None:
    graph = embedded().graph()
    weights = {name: array.astype(np.float32) for name, array in weights_of(graph).items()}
    folded = alone(PASS, graph).weights(weights)
    assert {name: array.dtype for name, array in folded.items()} == {"wave.weight": np.dtype(np.float64)}
    grown = graph.nodes[1].op.reference({}, np.asarray(weights["grid.weight"][None], np.float64))
    np.testing.assert_array_equal(folded["wave.weight"], np.sin(grown[0]))


def test_the_type_is_that_of_the_graph() -> None:
    check_values(alone(PASS, embedded().graph().astype(DType.FLOAT64)))


def outer(kind: str, rows: int, columns: int) -> Chain:
    chain = Chain("g", x=(rows, columns)).add("a", "parameter", shape=[rows, 1])
    return chain.add("b", "parameter", shape=[1, columns]).add("outer", kind, reads=("a", "b"))


def sum_of(chain: Chain) -> Graph:
    return chain.add("sum", "add", reads=("x", next(reversed(chain.graph().values)))).graph()


def test_element_wise_ops_that_broadcast_are_computed_and_what_they_read_is_folded() -> None:
    graph = sum_of(outer("multiply", 3, 4).add("act", "tanh"))
    assert PASS.run(graph) is None
    chain = (
        Chain("g", x=(3, 4)).add("c", "parameter", shape=[3, 1]).add("a", "tanh").add("b", "parameter", shape=[1, 4])
    )
    rewrite = changed(PASS, sum_of(chain.add("outer", "multiply", reads=("a", "b"))))
    assert rewrite.changed == ("c", "a")
    assert names(rewrite.graph) == ["a", "b", "outer", "sum"]


def test_what_is_computed_may_be_read_by_what_is_folded() -> None:
    chain = outer("multiply", 3, 4).add("rows", "reduce_sum", axes=[2], keepdims=True)
    graph = chain.add("sum", "add", reads=("x", "outer")).add("sum2", "add", reads=("sum", "rows")).graph()
    rewrite = changed(PASS, graph)
    assert names(rewrite.graph) == ["a", "b", "outer", "rows", "sum", "sum2"]
    assert rewrite.changed == ("rows",)


def test_other_ops_may_grow_to_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_GROWN * 4 == 2**20
    grown = sum_of(outer("matmul", 3, 4))
    assert changed(PASS, grown).changed == ("a", "b", "outer")
    monkeypatch.setattr(fold_constants, "MAX_GROWN", 11)
    assert PASS.run(grown) is None
    # What replaces as many weights may be larger.
    even = Chain("g", x=(3, 4)).add("a", "parameter", shape=[4, 3]).add("turned", "permute", axes=[2, 1])
    assert changed(PASS, sum_of(even)).changed == ("a", "turned")


@pytest.mark.parametrize(
    "graph",
    [
        Chain("g", x=(4,)).add("p", "parameter", shape=[4]).add("sum", "add", reads=("x", "p")).graph(),
        Chain("g", x=(4,)).add("act", "tanh").graph(),
        Chain("g", x=(4,)).add("p", "parameter", shape=[4]).add("m", "reduce_sum", axes=[1]).graph(),
    ],
    ids=["a parameter", "no parameter", "a number, which no parameter holds"],
)
def test_what_it_leaves_alone(graph: Graph) -> None:
    assert PASS.run(graph) is None


def test_not_in_training() -> None:
    assert PASS.levels == ("inference",)
