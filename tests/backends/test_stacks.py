"""Stacks whose instances pass on several values or read further ones: the variables of emitted source."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from netspec.graph import Graph
from netspec.lowering import find_backend
from netspec.lowering.python.module import load_source
from netspec.spec import load_graph
from tests.backends.values import check_values, source_of

BLOCKS = """
  gate:
    inputs: [x, mask]
    layers:
      fc: {op: dense, inputs: x, units: 4}
      out: {op: multiply, inputs: [fc, mask]}
  gate_last:
    inputs: [mask, x]
    layers:
      gates: {block: gate, inputs: [x, mask], repeat: 3}
  swap:
    inputs: [a, b]
    outputs: [left, right]
    layers:
      left: {op: dense, inputs: b, units: 4}
      right: {op: tanh, inputs: a}
"""
LAYERS = {
    "a mask that the layer before the stack gives": """
      y: {op: tanh, inputs: a}
      mask: {op: sigmoid, inputs: b}
      gates: {block: gate, inputs: [y, mask], repeat: 4}
    """,
    "the network's first input as a mask": """
      gates: {block: gate, inputs: [b, a], repeat: 3}
      end: {op: relu}
    """,
    "the block's first input as a mask, and the stack at its end": """
      one: {block: gate_last, inputs: [a, b]}
      two: {block: gate_last, inputs: [b, one]}
    """,
    "two values": """
      swaps: {block: swap, inputs: [a, b], repeat: 3}
      sum: {op: add, inputs: [swaps.left, swaps.right]}
    """,
    "two values, one of which is not read at the end": """
      swaps: {block: swap, inputs: [a, b], repeat: 3}
      end: {op: relu, inputs: swaps.right}
    """,
    "two values, one of which the layer before gives": """
      y: {op: tanh, inputs: a}
      z: {op: add, inputs: [y, b]}
      swaps: {block: swap, inputs: [y, z], repeat: 3}
      end: {op: relu, inputs: swaps.right}
    """,
    "two values, crossed before": """
      first: {block: swap, inputs: [a, b]}
      swaps: {block: swap, inputs: [first.right, first.left], repeat: 3}
      sum: {op: subtract, inputs: [swaps.left, swaps.right]}
    """,
    "values within that are read after": """
      y: {op: tanh, inputs: a}
      gates: {block: gate, inputs: [y, b], repeat: 2}
      more: {block: gate, inputs: [gates, y], repeat: 3}
      sum: {op: add, inputs: [more, gates, y]}
    """,
}
# A stack in a block that reads a mask besides, by what gives its elements their rates: the calls, and excerpts of the
# class and of the function.
GATE = """
  gate:
    inputs: [x, mask]
    parameters: {rate: 0.1}
    layers:
      fc: {op: dense, inputs: x, units: 4}
      drop: {op: dropout, rate: "${rate}"}
      out: {op: multiply, inputs: [drop, mask]}
  stage:
    inputs: [left, right]
    parameters: {rates: {type: list, default: []}, depth: 1}
    layers:
      pre: {op: tanh, inputs: right}
      gates: {block: gate, inputs: [pre, left], CALL}
"""
GATES = {
    "a list": (
        'repeat: "${len(rates)}", rate: "${rates[index]}"',
        "  e: {block: stage, inputs: [a, b], rates: [0.1, 0.2, 0.4]}\n"
        "  c: {block: stage, inputs: [a, b], rates: [0.1, 0.3]}\n  d: {block: stage, inputs: [c, b], rates: [0.4]}",
        "self.gates = nn.ModuleList([Gate(rate=rate) for rate in rates])",
        "for i, rate in enumerate(rates):\n        x = gate(x, left, rate=rate, ",
    ),
    "the depth": (
        'repeat: "${depth}"',
        "  e: {block: stage, inputs: [a, b], depth: 3}\n  c: {block: stage, inputs: [a, b], depth: 2}\n"
        "  d: {block: stage, inputs: [c, b]}",
        "self.gates = nn.ModuleList([Gate() for _ in range(depth)])",
        "for i in range(depth):\n        x = gate(x, left, ",
    ),
    "the first element": (
        'repeat: "${depth}", first: {rate: 0.4}',
        "  e: {block: stage, inputs: [a, b], depth: 4}\n  c: {block: stage, inputs: [a, b], depth: 2}\n"
        "  d: {block: stage, inputs: [c, b]}",
        "Gate(rate=0.4 if i == 0 else 0.1) for i in range(depth)",
        "x = gate(x, left, rate=0.4 if i == 0 else 0.1, ",
    ),
}


def graph_of(layers: str, folder: Path) -> Graph:
    spec = folder / "stacks.yaml"
    spec.write_text(f"name: stacks\ninputs: {{a: {{shape: [4]}}, b: {{shape: [4]}}}}\nblocks:{BLOCKS}layers:{layers}")
    return load_graph(spec)


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_values_are_those_of_the_graph(layers: str, backend: str, tmp_path: Path) -> None:
    check_values(graph_of(layers, tmp_path), find_backend(backend))


def test_torch_loops_over_the_list(tmp_path: Path) -> None:
    source = source_of(graph_of(LAYERS["two values, crossed before"], tmp_path), "torch")
    assert "self.swaps = nn.ModuleList([Swap() for _ in range(3)])" in source
    loop = """
        swaps_left, swaps_right = first_right, first_left
        for block in self.swaps:
            swaps_left, swaps_right = block(swaps_left, swaps_right)
"""
    assert loop in source


def test_torch_assigns_before_a_loop_only_what_changes(tmp_path: Path) -> None:
    graph = graph_of(LAYERS["two values, one of which the layer before gives"], tmp_path)
    loop = """
        x = y + b
        swaps_left = y
        for block in self.swaps:
            swaps_left, x = block(swaps_left, x)
"""
    assert loop in source_of(graph, "torch")


def test_keras_loops_over_the_calls(tmp_path: Path) -> None:
    source = source_of(graph_of(LAYERS["a mask that the layer before the stack gives"], tmp_path), "keras")
    loop = """
    x = gate(y, mask, name="gates-0")
    for i in range(1, 4):
        x = gate(x, mask, name=f"gates-{i}")
"""
    assert loop in source


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_torchscript_compiles_the_loops(layers: str, tmp_path: Path) -> None:
    artifact = find_backend("torch").lower(graph_of(layers, tmp_path))
    module = getattr(load_source(str(artifact.content), "stacks"), artifact.entry)().eval()
    inputs = [torch.randn(3, 4) for _ in artifact.graph.inputs]
    torch.testing.assert_close(torch.jit.script(module)(*inputs), module(*inputs))


def test_a_stack_that_only_one_instance_has_is_written_with_parameters(tmp_path: Path) -> None:
    """The width is 4 in every stack, but it is read from the input: a parameter that only a later layer needs."""
    spec = tmp_path / "shrink.yaml"
    spec.write_text("""
name: shrink
input: {shape: [4, 16, 16]}
blocks:
  half: {parameters: {filters: {type: integer}}, layers: {conv: {op: conv2d, filters: "${filters}", kernel_size: 3,
         stride: 2, padding: 1}}}
  down:
    parameters: {steps: 1, filters: {type: integer}}
    layers:
      more: {block: half, filters: "${channels}", repeat: "${steps - 1}"}
      last: {block: half, filters: "${filters}"}
layers:
  one: {block: down, steps: 2, filters: 6}
  two: {block: down, filters: 8}
""")
    source = source_of(load_graph(spec), "torch")
    assert (
        "self.more = nn.Sequential(\n            *(Half(in_channels, in_channels) for _ in range(steps - 1))" in source
    )


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("case", GATES)
def test_a_stack_may_read_a_mask_besides(case: str, backend: str, tmp_path: Path) -> None:
    call, layers, *excerpts = GATES[case]
    path = tmp_path / "spec.yaml"
    inputs = "{a: {shape: [4]}, b: {shape: [4]}}"
    path.write_text(
        f"name: gates\ninputs: {inputs}\nblocks:{GATE.replace('CALL', call)}layers:\n{layers}\n"
        "  sum: {op: add, inputs: [e, d]}\n"
    )
    graph = load_graph(path)
    artifact = find_backend(backend).lower(graph)
    source = str(artifact.content)
    assert source.count("The block `stage`: ") == 1
    assert excerpts[backend == "keras"] in source
    check_values(graph, find_backend(backend))
    if backend == "torch":
        module = getattr(load_source(source, "gates"), artifact.entry)().eval()
        x = [torch.randn(3, 4) for _ in range(2)]
        torch.testing.assert_close(torch.jit.script(module)(*x), module(*x))
