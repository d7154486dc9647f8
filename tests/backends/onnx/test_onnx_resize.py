"""Resizing in ONNX: the operator if its positions are exact in float32, otherwise constant indices and weights."""

from __future__ import annotations

from itertools import product
from typing import get_args

import numpy as np
import onnx
import pytest
from netspec_onnx import BACKEND, OnnxBackend
from netspec_onnx.opset import DEFAULT_OPSET, newest_opset

from netspec.graph import Graph, Input, make_node
from netspec.ops import Resize
from netspec.ops.attributes import Size2d
from netspec.ops.resize import Coordinates, RoundingOfPositions
from netspec.reference import evaluate
from netspec.types import TensorType

NEAREST = [("nearest", c, r) for c, r in product(get_args(Coordinates), get_args(RoundingOfPositions))]
BILINEAR = [("bilinear", c, "floor") for c in get_args(Coordinates)]


def resizing(source: tuple[int, int], target: tuple[int, int], rule: tuple[str, str, str]) -> Graph:
    x = Input("x", TensorType.of(2, *source))
    mode, coordinates, rounding = rule
    op = Resize.model_validate(
        {
            "mode": mode,
            "coordinates": coordinates,
            "rounding": rounding,
            "size": Size2d(height=target[0], width=target[1]),
        }
    )
    return Graph("resizing", (x,), (make_node("y", op, [x]),), ("y",)).check()


def operators(graph: Graph, opset: int = DEFAULT_OPSET) -> list[str]:
    content = OnnxBackend(opset).lower(graph).content
    assert isinstance(content, bytes)
    return [node.op_type for node in onnx.ModelProto.FromString(content).graph.node]


@pytest.mark.parametrize("rule", NEAREST, ids="-".join)
@pytest.mark.parametrize("source", [(1, 1), (1, 5), (3, 4), (11, 13)], ids=str)
def test_whole_factors_are_the_operator_and_exact(source: tuple[int, int], rule: tuple[str, str, str]) -> None:
    """All elements are distinct, so every element must be at the position of the reference."""
    values = np.random.default_rng(0).permutation(2 * 2 * source[0] * source[1]).reshape(2, 2, *source).astype(float)
    for down, across in ((1, 1), (2, 2), (3, 1), (7, 10), (49, 6)):
        graph = resizing(source, (down * source[0], across * source[1]), rule)
        assert operators(graph) == ["Resize"]
        received = BACKEND.load(BACKEND.lower(graph), {}).forward({"x": values})["y"]
        expected = evaluate(graph, {}, {"x": values})["y"]
        np.testing.assert_array_equal(received, expected)


@pytest.mark.parametrize("target", [(6, 9), (2, 4), (3, 6), (10, 5), (4, 7)], ids=str)
def test_any_other_size_is_lowered_to_constant_indices(target: tuple[int, int]) -> None:
    assert operators(resizing((4, 5), target, NEAREST[0])) == ["Gather", "Gather"]


@pytest.mark.parametrize("rule", BILINEAR, ids="-".join)
def test_bilinear_weights_are_constants(rule: tuple[str, str, str]) -> None:
    """They are accurate on long axes too, where float32 positions would leave few digits for the weights."""
    graph = resizing((500, 2), (1500, 6), rule)
    assert operators(graph) == ["MatMul", "MatMul"]
    values = np.random.default_rng(0).standard_normal((1, 2, 500, 2))
    received = BACKEND.load(BACKEND.lower(graph), {}).forward({"x": values})["y"]
    np.testing.assert_allclose(received, evaluate(graph, {}, {"x": values})["y"], rtol=0, atol=2e-6)


def test_opsets_before_18_use_constants() -> None:
    graph = resizing((4, 5), (8, 10), NEAREST[0])
    assert operators(graph, 17) == ["Gather", "Gather"]
    assert operators(graph, 18) == operators(graph, newest_opset()) == ["Resize"]
