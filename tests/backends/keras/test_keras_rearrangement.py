"""Reshapes and permutations in a row: few layers in emitted Keras, which do the same."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from netspec_keras import BACKEND
from netspec_keras.layout import native_order
from netspec_keras.rearrangement import Rearrangement, form_of

from netspec import reference
from netspec.graph import Graph, Node
from netspec.lowering.python.source import Literal
from netspec.spec import load_graph
from netspec.testing.networks import Chain
from tests.backends.values import check_values

MAP, TOKENS = (6, 4, 2), (8, 6)
# What each layer does to the axes after the batch: a list is a permutation, a tuple the new shape.
ROWS = {
    "tokens of a map": (MAP, [(6, 8), [2, 1]], ["Reshape((-1, 6))"]),
    "a map of tokens": (TOKENS, [[2, 1], (6, 4, 2)], ["Reshape((4, 2, 6))"]),
    "rows of a map": (MAP, [(6, 8)], ["Permute((3, 1, 2))", "Reshape((6, -1))"]),
    "heads": (TOKENS, [(8, 2, 3), [2, 1, 3]], ["Reshape((8, 2, 3))", "Permute((1, 3, 2))"]),
    "heads joined": ((2, 8, 3), [[2, 1, 3], (8, 6)], ["Permute((1, 3, 2))", "Reshape((8, -1))"]),
    "pixel shuffle": (
        (8, 3, 5),
        [(2, 2, 2, 3, 5), [1, 4, 2, 5, 3], (2, 6, 10)],
        ["Reshape((3, 5, 2, 2, 2))", "Permute((1, 4, 2, 5, 3))", "Reshape((6, 10, 2))"],
    ),
    "transposed, twice": (MAP, [[1, 3, 2], [1, 3, 2]], []),
    "a permutation alone": (MAP, [[2, 3, 1]], ["Permute((2, 3, 1))"]),
    "a gate": ((6,), [(6, 1, 1)], ["Reshape((1, 1, 6))"]),
    "sizes of 1": ((1, 6), [(6, 1), (1, 1, 6), [3, 1, 2]], ["Reshape((1, 1, 6))"]),
    "a scalar": ((), [(1, 1), [2, 1]], ["Reshape((1, 1))"]),
    "joined and divided": ((5, 6), [(5, 2, 3), (5, 6), (10, 3), [2, 1]], ["Reshape((-1, 3))", "Permute((2, 1))"]),
}


def row(features: tuple[int, ...], changes: list[tuple[int, ...] | list[int]]) -> Chain:
    chain = Chain("row", value=features)
    for number, change in enumerate(changes):
        if isinstance(change, list):
            chain.add(f"step{number}", "permute", axes=change)
        else:
            chain.add(f"step{number}", "reshape", shape=[*change])
    return chain


def layers_in(source: object) -> list[str]:
    """The reshapes and permutations in source, as written there, without names."""
    found = re.findall(r"layers\.(Reshape|Permute)\(\s*(\(.*?\)),\s*name", str(source), re.DOTALL)
    return [f"{layer}({arguments})" for layer, arguments in found]


@pytest.mark.parametrize(("features", "changes", "layers"), ROWS.values(), ids=ROWS)
def test_a_row_has_few_layers_that_do_the_same(
    features: tuple[int, ...], changes: list[tuple[int, ...] | list[int]], layers: list[str]
) -> None:
    graph = row(features, changes).graph()
    assert layers_in(BACKEND.lower(graph).content) == layers
    check_values(graph, BACKEND)


def test_any_row_is_the_same_in_the_layout_of_keras() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        features = tuple(int(size) for size in random.choice([1, 2, 3, 4], size=random.integers(1, 6)))
        chain, shape = Chain("row", value=features), features
        for number in range(random.integers(1, 5)):
            if random.random() < 0.5:
                order = [int(axis) + 1 for axis in random.permutation(len(shape))]
                chain.add(f"step{number}", "permute", axes=order)
                shape = tuple(shape[axis - 1] for axis in order)
            else:
                shape = divided(int(np.prod(shape)), random)
                chain.add(f"step{number}", "reshape", shape=[*shape])
        graph = chain.graph()
        value: Rearrangement | None = Rearrangement.of_inputs(graph.nodes[:1])
        for node in graph.nodes:
            value = value and value.continued([node], [0])
        if value is None:
            continue  # a reshape joins a part of one axis with a part of another
        x = random.standard_normal((2, *features))
        y = x.transpose(native_order(x.ndim))
        for step in value.steps(0):
            (argument,) = step.layer.args
            assert isinstance(argument, Literal)
            assert isinstance(argument.value, tuple)
            is_permutation = "Permute" in str(step.layer.function)
            y = y.transpose(0, *argument.value) if is_permutation else y.reshape(2, *argument.value)
            assert y.shape[1:] == step.features
        expected = reference.evaluate(graph, {}, {"value": x})[graph.outputs[0]]
        np.testing.assert_array_equal(y, expected.transpose(native_order(expected.ndim)))


def divided(size: int, random: np.random.Generator) -> tuple[int, ...]:
    """A shape with this many elements."""
    shape = []
    for factor in (1, 2, 3, 2):
        if size % factor == 0 and random.random() < 0.7:
            shape.append(factor)
            size //= factor
    return (*shape, size)


def test_a_reshape_across_axes_goes_by_the_order_of_the_graph() -> None:
    graph = row((6, 4), [(8, 3), [2, 1], (4, 3, 2)]).graph()
    assert layers_in(BACKEND.lower(graph).content)[-2:] == ["Reshape((4, 3, 2))", "Permute((2, 3, 1))"]
    check_values(graph, BACKEND)
    check_values(row(MAP, [(4, 4, 3)]).graph(), BACKEND)


def test_what_others_read_is_computed() -> None:
    chain = row(MAP, [(6, 8), [2, 1]])
    for graph in (chain.graph("step0", "step1"), chain.add("other", "tanh", "step0").graph("step1", "other")):
        layers = layers_in(BACKEND.lower(graph).content)
        assert layers == ["Permute((3, 1, 2))", "Reshape((6, -1))", "Permute((2, 1))"]
        check_values(graph, BACKEND)


@pytest.fixture
def stages(tmp_path: Path) -> Graph:
    """Attention as in SegFormer: one head and a reduced map, several heads, tokens that are not reduced."""
    path = tmp_path / "stages.yaml"
    path.write_text("""
name: stages
input: {shape: [8, 4, 4]}
blocks:
  stage:
    parameters: {heads: {type: integer}, filters: {type: integer}, reduction: 1, side: "${height}"}
    layers:
      embed: {op: conv2d, filters: "${filters}", kernel_size: 1}
      rows: {op: reshape, shape: ["${filters}", -1]}
      tokens: {op: permute, axes: [2, 1]}
      split: {op: reshape, shape: ["${side ** 2}", "${heads}", "${filters // heads}"]}
      query: {op: permute, axes: [2, 1, 3]}
      first: {op: permute, inputs: tokens, axes: [2, 1], when: "${reduction > 1}"}
      map: {op: reshape, shape: ["${filters}", "${side}", "${side}"], when: "${reduction > 1}"}
      reduce: {op: conv2d, filters: "${filters}", kernel_size: 2, stride: "${reduction}", when: "${reduction > 1}"}
      flat: {op: reshape, shape: ["${filters}", -1], when: "${reduction > 1}"}
      reduced: {op: permute, axes: [2, 1], when: "${reduction > 1}"}
      norm: {op: layer_norm}
      key_split: {op: reshape, shape: ["${(side // reduction) ** 2}", "${heads}", "${filters // heads}"]}
      key: {op: permute, axes: [2, 1, 3]}
      attended: {op: scaled_dot_product_attention, inputs: [query, key, key]}
      back: {op: permute, axes: [2, 1, 3]}
      joined: {op: reshape, shape: ["${side ** 2}", "${filters}"]}
      columns: {op: permute, axes: [2, 1]}
      out: {op: reshape, shape: ["${filters}", "${side}", "${side}"]}
layers:
  stage1: {block: stage, heads: 1, filters: 4, reduction: 2}
  stage2: {block: stage, heads: 2, filters: 12, reduction: 2}
  pool: {op: max_pool2d, kernel_size: 2}
  stage3: {block: stage, heads: 3, filters: 6}
""")
    return load_graph(str(path))


def test_instances_share_a_function_whatever_their_sizes(stages: Graph) -> None:
    source = str(BACKEND.lower(stages).content)
    assert source.count("\ndef stage") == 1
    body = source[source.index("\ndef stage") :]
    assert "shape" not in body[: body.index("->")]  # no parameter: sizes are read off the input
    assert "    height, width = x.shape[1:3]\n" in body
    assert "(height * height, heads, filters // heads), name=" in body
    check_values(stages, BACKEND)


def test_each_node_of_a_row_continues_the_row_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """If each looked at the whole row again, a row of 1,000 would take seconds."""
    seen: list[Node] = []

    def counting(node: Node) -> tuple[object, ...]:
        seen.append(node)
        return form_of(node)

    monkeypatch.setattr("netspec_keras.writer.form_of", counting)
    chain = Chain("row", image=(4, 6, 8))
    for index in range(30):
        chain.add(f"permute{index}", "permute", axes=[2, 1, 3])
    source = str(BACKEND.lower(chain.add("relu", "relu").graph()).content)
    assert "Permute" not in source  # an even number of swaps
    assert len(seen) <= 4 * 30


def test_instances_that_receive_values_of_other_ranks_have_functions_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "ranks.yaml"
    path.write_text("""
name: ranks
input: {shape: [4, 6]}
blocks:
  rows: {parameters: {shape: {type: list}}, layers: {rows: {op: reshape, shape: "${shape}"}, tanh: {op: tanh}}}
layers:
  a: {block: rows, shape: [4, 2, 3]}
  b: {block: rows, shape: [8, 3]}
""")
    check_values(load_graph(path), BACKEND)
