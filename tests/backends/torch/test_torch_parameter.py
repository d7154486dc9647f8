"""Learned values in what the torch backend emits: repeated for each sample only where something needs that."""

from netspec_torch import BACKEND

from netspec.graph import Graph, Input, make_node
from netspec.ops import (
    Add,
    Clip,
    Concat,
    Divide,
    Exp,
    Parameter,
    RegionMask,
    RelativePositionBias,
    ScaledDotProductAttention,
)
from netspec.types import TensorType

TOKENS = Input("tokens", TensorType.of(3, 4))


def with_parameter(name: str, length: int) -> Graph:
    """Values `p` to add and `q` to be read by the test's last node."""
    p, q = make_node("p", Parameter(shape=(3, 4)), ()), make_node("q", Parameter(shape=(length, 4)), ())
    total = make_node("total", Add(), (p, TOKENS))
    last = make_node("last", Concat() if name == "concat" else Add(), (total, q))
    outputs = ("last", "q") if name == "output" else ("last",)
    return Graph("learned", (TOKENS,), (p, total, q, last), outputs).check()


def emitted(graph: Graph) -> str:
    return str(BACKEND.lower(graph).content)


def test_a_sum_broadcasts_it() -> None:
    source = emitted(with_parameter("add", 1))
    assert "        total = self.p + tokens\n        x = total + self.q\n        return x\n" in source
    assert ".expand(" not in source


def test_what_joins_it_or_gives_it_has_one_for_each_sample() -> None:
    for name in ("concat", "output"):
        source = emitted(with_parameter(name, 1))
        assert "self.q.expand(" in source
        assert "self.p.expand(" not in source


def test_of_several_in_a_sum_each_is_repeated() -> None:
    p, q = (make_node(name, Parameter(shape=(3, 4)), ()) for name in "pq")
    total = make_node("total", Add(), (p, q, TOKENS))
    assert emitted(Graph("learned", (TOKENS,), (p, q, total), ("total",)).check()).count(".expand(") == 2


def with_bias(*, shown: bool) -> Graph:
    """Attention of two windows of two tokens, its bias made of a table."""
    x = Input("x", TensorType.of(2, 3, 2, 4))
    table = make_node("table", Parameter(shape=(1, 3, 3)), ())
    bias = make_node("bias", RelativePositionBias(grid=(2,)), (table,))
    mask = make_node("mask", RegionMask(regions=((3, 1),), window_size=(2,)), (bias,))
    y = make_node("y", ScaledDotProductAttention(), (x, x, x, mask))
    return Graph("biased", (x,), (table, bias, mask, y), ("y", "bias") if shown else ("y",)).check()


def test_what_is_made_of_it_alone_is_one_sample_too() -> None:
    temperature = make_node("temperature", Parameter(shape=(3, 1)), ())
    bounded = make_node("bounded", Clip(max=4.6), (temperature,))
    scale = make_node("scale", Exp(), (bounded,))
    scaled = make_node("scaled", Divide(), (TOKENS, scale))
    graph = Graph("learned", (TOKENS,), (temperature, bounded, scale, scaled), ("scaled",)).check()
    assert "torch.clamp(self.temperature, max=4.6)" in emitted(graph)
    assert "relative_position_bias(self.table, [2])" in emitted(with_bias(shown=False))
    assert "self.table.expand(" in emitted(with_bias(shown=True))
