"""Stacks whose length, first or last element differs between instances of a block: one class repeats the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.lowering import find_backend
from tests.backends.values import check_one_class, graph_of_blocks, source_of

STAGE = """
  layer:
    parameters: {width: 4, stride: 1}
    layers:
      conv: {op: conv2d, filters: "${width}", kernel_size: 3, stride: "${stride}", padding: 1}
      relu: {op: relu}
  stage:
    parameters: {width: 4, count: 1, stride: 1}
    layers:
      layers: {block: layer, width: "${width}", repeat: "${count}", first: {stride: "${stride}"}}
      relu: {op: relu}
"""
ENDS = """
  layer:
    parameters: {width: 4, stride: 1, act: true}
    layers:
      conv: {op: conv2d, filters: "${width}", kernel_size: 3, stride: "${stride}", padding: 1}
      relu: {op: relu, when: "${act}"}
  stage:
    parameters: {width: 4, count: 1, stride: 1, act: true}
    layers:
      layers: {block: layer, width: "${channels}", repeat: "${count}", FIRSTlast: {width: "${width}", act: "${act}"}}
      tanh: {op: tanh}
"""
CASES = {
    "a stack of one element beside longer ones": (
        STAGE,
        "a: {block: stage}\n  b: {block: stage, width: 6, count: 3, stride: 2}\n"
        "  c: {block: stage, width: 8, count: 2, stride: 2}",
    ),
    "a stack of equal elements beside one whose first differs": (
        STAGE,
        "a: {block: stage}\n  b: {block: stage, count: 2}\n  c: {block: stage, width: 8, count: 4, stride: 2}",
    ),
    "a stack in a stack, of other lengths both": (
        STAGE
        + """
  group:
    parameters: {width: 4, stages: 1, count: 1}
    layers:
      stages: {block: stage, width: "${width}", count: "${count}", repeat: "${stages}", first: {stride: 2}}
      relu: {op: relu}
""",
        "a: {block: group}\n  b: {block: group, width: 6, stages: 2, count: 3}",
    ),
    "stacks whose last element differs, of one element too": (
        ENDS.replace("FIRST", ""),
        "a: {block: stage, width: 6, count: 3}\n  b: {block: stage, width: 8, count: 1, act: false}\n"
        "  c: {block: stage, width: 5, count: 5}\n  d: {block: stage, width: 6, count: 2, act: false}",
    ),
    "stacks whose first and last elements differ": (
        ENDS.replace("FIRST", 'first: {stride: "${stride}"}, '),
        "a: {block: stage, width: 6, count: 3}\n  b: {block: stage, width: 8, count: 2, stride: 2}\n"
        "  c: {block: stage, width: 5, count: 5, stride: 2, act: false}",
    ),
    "stacks whose first and last elements differ, of one element too": (
        ENDS.replace("FIRST", 'first: {stride: "${stride}"}, '),
        "a: {block: stage, width: 6, count: 3, act: false}\n  b: {block: stage, width: 8, count: 1, stride: 2}\n"
        "  c: {block: stage, width: 5, count: 4, stride: 2}\n  d: {block: stage, width: 7, count: 2, stride: 2}\n"
        "  e: {block: stage, width: 3, count: 1}",
    ),
    "stacks of one length, the elements of one of which are equal": (
        STAGE,
        "a: {block: stage, count: 4}\n  b: {block: stage, width: 6, count: 4, stride: 2}\n"
        "  c: {block: stage, width: 6, count: 4}",
    ),
    "a stack of two unlike elements that an instance lacks": (
        STAGE,
        "a: {block: stage, count: 2, stride: 2}\n  b: {block: stage, count: 0}",
    ),
}


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("case", CASES)
def test_a_block_is_one_class(case: str, backend: str, tmp_path: Path) -> None:
    check_one_class(graph_of_blocks(*CASES[case], tmp_path), find_backend(backend))


def test_the_last_element_of_a_stack_follows_the_repeated_ones(tmp_path: Path) -> None:
    graph = graph_of_blocks(*CASES["stacks whose last element differs, of one element too"], tmp_path)
    assert """
        self.layers = nn.Sequential(
            *(Layer(in_channels, width=in_channels) for _ in range(count - 1)),
            Layer(in_channels, width=width, act=act),
        )
""" in source_of(graph, "torch")
    assert """
    for i in range(count - 1):
        x = layer(x, width=channels, name=f"{name}-layers-{i}")
    x = layer(x, width=width, act=act, name=f"{name}-layers-{count - 1}")
""" in source_of(graph, "keras")


def test_the_repeated_elements_of_a_stack_may_be_in_the_middle(tmp_path: Path) -> None:
    graph = graph_of_blocks(*CASES["stacks whose first and last elements differ"], tmp_path)
    assert """
            Layer(in_channels, width=in_channels, stride=stride),
            *(Layer(in_channels, width=in_channels) for _ in range(count - 2)),
            Layer(in_channels, width=width, act=act),
""" in source_of(graph, "torch")
    assert """
    x = layer(x, width=channels, stride=stride, name=f"{name}-layers-0")
    for i in range(1, count - 1):
        x = layer(x, width=channels, name=f"{name}-layers-{i}")
    x = layer(x, width=width, act=act, name=f"{name}-layers-{count - 1}")
""" in source_of(graph, "keras")


def test_an_only_element_is_the_first_and_the_last(tmp_path: Path) -> None:
    graph = graph_of_blocks(*CASES["stacks whose first and last elements differ, of one element too"], tmp_path)
    assert """
                Layer(
                    in_channels,
                    width=width if i == count - 1 else in_channels,
                    stride=stride if i == 0 else 1,
                    act=act if i == count - 1 else True,
                )
                for i in range(count)
""" in source_of(graph, "torch")
    assert """
    for i in range(count):
        x = layer(
            x,
            width=width if i == count - 1 else channels,
            stride=stride if i == 0 else 1,
            act=act if i == count - 1 else True,
            name=f"{name}-layers-{i}",
        )
""" in source_of(graph, "keras")
