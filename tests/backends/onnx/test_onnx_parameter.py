"""Parameters in ONNX: an Add or MatMul broadcasts them; for any other reader they are expanded over the batch."""

import onnx
import pytest
from netspec_onnx import BACKEND

from netspec.graph import Graph, Input, make_node
from netspec.ops import Add, Concat, MatMul, Parameter, RelativePositionBias, ScaledDotProductAttention
from netspec.ops.base import Op
from netspec.types import TensorType

TOKENS = Input("tokens", TensorType.of(3, 4))


def operators(op: Op, outputs: tuple[str, ...] = ("last",)) -> list[str]:
    p = make_node("p", Parameter(shape=(1, 4)), ())
    graph = Graph("learned", (TOKENS,), (p, make_node("last", op, (p, TOKENS))), outputs).check()
    content = BACKEND.lower(graph).content
    assert isinstance(content, bytes)
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def test_a_sum_broadcasts_a_parameter() -> None:
    assert operators(Add()) == ["Add"]


def test_a_matrix_product_broadcasts_a_parameter() -> None:
    assert operators(MatMul(transpose_b=True)) == ["Transpose", "MatMul"]


@pytest.mark.parametrize(("op", "outputs"), [(Concat(), ("last",)), (Add(), ("last", "p"))])
def test_a_concatenation_or_an_output_expands_a_parameter(op: Op, outputs: tuple[str, ...]) -> None:
    assert "Expand" in operators(op, outputs)


@pytest.mark.parametrize("shown", [False, True])
def test_a_bias_computed_from_a_parameter_is_expanded_only_as_an_output(shown: bool) -> None:
    x = Input("x", TensorType.of(3, 2, 4))
    table = make_node("table", Parameter(shape=(3, 3)), ())
    bias = make_node("bias", RelativePositionBias(grid=(2,)), (table,))
    y = make_node("y", ScaledDotProductAttention(), (x, x, x, bias))
    graph = Graph("biased", (x,), (table, bias, y), ("y", "bias") if shown else ("y",)).check()
    content = BACKEND.lower(graph).content
    assert isinstance(content, bytes)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert ("Expand" in [node.op_type for node in model.graph.node]) == shown
