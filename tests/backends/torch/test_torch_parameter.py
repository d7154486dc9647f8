"""Parameters in emitted PyTorch: expanded over the batch only if a reader needs it."""

import numpy as np
import pytest
from netspec_torch import BACKEND

from netspec.graph import Graph, Input, make_node
from netspec.lowering.python.module import load_source
from netspec.ops import (
    Add,
    Clip,
    Concat,
    Divide,
    Exp,
    MatMul,
    Parameter,
    RegionMask,
    RelativePositionBias,
    ScaledDotProductAttention,
)
from netspec.types import TensorType
from netspec.weights import initialize as initial_weights

TOKENS = Input("tokens", TensorType.of(3, 4))


def with_parameter(name: str, length: int) -> Graph:
    """Return a graph with a parameter `p` that is added, and `q` that is read by the last node."""
    p, q = make_node("p", Parameter(shape=(3, 4)), ()), make_node("q", Parameter(shape=(length, 4)), ())
    total = make_node("total", Add(), (p, TOKENS))
    last = make_node("last", Concat() if name == "concat" else Add(), (total, q))
    outputs = ("last", "q") if name == "output" else ("last",)
    return Graph("learned", (TOKENS,), (p, total, q, last), outputs).check()


def emitted(graph: Graph) -> str:
    return str(BACKEND.lower(graph).content)


def test_a_sum_broadcasts_a_parameter() -> None:
    source = emitted(with_parameter("add", 1))
    assert "        total = self.p + tokens\n        x = total + self.q\n        return x\n" in source
    assert ".expand(" not in source


def test_a_matrix_product_broadcasts_a_parameter() -> None:
    # As a batch of copies it would have a gradient for each sample: tied embeddings of a large vocabulary do not fit.
    table = make_node("table", Parameter(shape=(4, 6)), ())
    embedded = make_node("embedded", MatMul(), (TOKENS, table))
    logits = make_node("logits", MatMul(transpose_b=True), (embedded, table))
    source = emitted(Graph("tied", (TOKENS,), (table, embedded, logits), ("logits",)).check())
    assert "x = tokens @ self.table  # (N, 3, 6)\n        x = x @ self.table.mT" in source
    square = make_node("square", MatMul(transpose_b=True), (table, table))
    source = emitted(Graph("square", (TOKENS,), (table, square, embedded), ("square", "embedded")).check())
    assert "self.table.expand(" in source, "the product of parameters has a batch axis as well"


def test_a_concatenation_or_an_output_expands_a_parameter() -> None:
    for name in ("concat", "output"):
        source = emitted(with_parameter(name, 1))
        assert "self.q.expand(" in source
        assert "self.p.expand(" not in source


def test_several_parameters_in_a_sum_are_expanded() -> None:
    p, q = (make_node(name, Parameter(shape=(3, 4)), ()) for name in "pq")
    total = make_node("total", Add(), (p, q, TOKENS))
    assert emitted(Graph("learned", (TOKENS,), (p, q, total), ("total",)).check()).count(".expand(") == 2


def with_bias(*, shown: bool) -> Graph:
    """Return windowed attention whose bias is computed from a parameter."""
    x = Input("x", TensorType.of(2, 3, 2, 4))
    table = make_node("table", Parameter(shape=(1, 3, 3)), ())
    bias = make_node("bias", RelativePositionBias(grid=(2,)), (table,))
    mask = make_node("mask", RegionMask(regions=((3, 1),), window_size=(2,)), (bias,))
    y = make_node("y", ScaledDotProductAttention(), (x, x, x, mask))
    return Graph("biased", (x,), (table, bias, mask, y), ("y", "bias") if shown else ("y",)).check()


def test_values_computed_from_parameters_alone_are_not_expanded() -> None:
    temperature = make_node("temperature", Parameter(shape=(3, 1)), ())
    bounded = make_node("bounded", Clip(max=4.6), (temperature,))
    scale = make_node("scale", Exp(), (bounded,))
    scaled = make_node("scaled", Divide(), (TOKENS, scale))
    graph = Graph("learned", (TOKENS,), (temperature, bounded, scale, scaled), ("scaled",)).check()
    assert "torch.clamp(self.temperature, max=4.6)" in emitted(graph)
    assert "relative_position_bias(self.table, [2])" in emitted(with_bias(shown=False))
    assert "self.table.expand(" in emitted(with_bias(shown=True))


@pytest.mark.parametrize(
    ("initialize", "emitted_start", "low", "high"),
    [
        (0, "torch.zeros(1, 30, 4)", 0, 0),
        (1, "torch.ones(1, 30, 4)", 1, 1),
        (0.5, "torch.full((1, 30, 4), 0.5)", 0.5, 0.5),
        ({"normal": {"std": 0.02}}, "torch.empty(1, 30, 4).normal_(std=0.02)", -0.2, 0.2),
        ({"normal": {"mean": 9, "std": 0.02}}, "torch.empty(1, 30, 4).normal_(mean=9.0, std=0.02)", 8.8, 9.2),
        ({"truncated_normal": {"std": 2, "cut": 0.5}}, "nn.init.trunc_normal_(", -1, 1),
        ({"uniform": {"low": 2, "high": 3}}, "torch.empty(1, 30, 4).uniform_(2.0, 3.0)", 2, 3),
    ],
)
def test_an_emitted_module_initializes_parameters_as_the_spec_says(
    initialize: object, emitted_start: str, low: float, high: float
) -> None:
    # Matters for training from the emitted source: queries that all start at 0 would stay equal.
    q = make_node("q", Parameter.model_validate({"shape": (30, 4), "initialize": {"weight": initialize}}), ())
    artifact = BACKEND.lower(Graph("queries", (TOKENS,), (q, make_node("y", Concat(), (q, TOKENS))), ("y",)).check())
    assert f"self.q = nn.Parameter({emitted_start}" in "".join(str(artifact.content).split("\n")).replace(
        "            ", ""
    )
    start = getattr(load_source(str(artifact.content), "queries"), artifact.entry)().q.detach()
    assert low <= float(start.min()) <= float(start.max()) <= high
    assert (float(start.std()) > 0) == (low != high)


@pytest.mark.parametrize(
    ("values", "emitted_start"),
    [
        ([[1, 2, 3], [4, 5, 6]], "torch.reshape(torch.tensor(((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))), (1, 2, 3))"),
        ([1, 2, 3], "torch.tile(torch.tensor((1.0, 2.0, 3.0)), (1, 2, 1))"),
        ([[1], [2]], "torch.tile(torch.tensor(((1.0,), (2.0,))), (1, 1, 3))"),
        ([1], "torch.tile(torch.tensor((1.0,)), (1, 2, 3))"),
    ],
)
def test_an_emitted_module_has_the_values_of_the_spec(values: list[object], emitted_start: str) -> None:
    tokens = Input("tokens", TensorType.of(2, 3))
    q = make_node("q", Parameter.model_validate({"shape": (2, 3), "initialize": {"weight": {"values": values}}}), ())
    graph = Graph("queries", (tokens,), (q, make_node("y", Concat(), (q, tokens))), ("y",)).check()
    artifact = BACKEND.lower(graph)
    assert emitted_start in " ".join(str(artifact.content).split()).replace("( ", "(").replace(" )", ")")
    start = getattr(load_source(str(artifact.content), "queries"), artifact.entry)().q.detach().numpy()
    np.testing.assert_array_equal(start, initial_weights(graph)["q.weight"][None])
