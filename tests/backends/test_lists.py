"""Stacks whose elements differ one by one, in instances of a block: a tuple for each argument, and one class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from netspec.lowering import find_backend
from netspec.lowering.python.module import load_source
from netspec.spec import load_graph
from tests.backends.values import check_one_class, graph_of_blocks, source_of

MIXER = """
  mixer:
    parameters: {rate: {type: number}, dim: {type: integer}, kernel: 3}
    layers:
      conv: {op: conv2d, filters: "${dim}", kernel_size: "${kernel}", padding: "${kernel // 2}", groups: "${dim}"}
      drop: {op: stochastic_depth, rate: "${rate}"}
      add: {op: add, inputs: [drop, input]}
"""
UNIT = """
  unit:
    parameters: {dim: {type: integer}, rate: 0.1, stride: 1, act: true}
    layers:
      conv: {op: conv2d, filters: "${dim}", kernel_size: 3, stride: "${stride}", padding: 1}
      drop: {op: dropout, rate: "${rate}"}
      act: {op: relu, when: "${act}"}
"""
CASES = {
    "rates by the place in the network": (
        MIXER
        + """
  stage:
    parameters: {depth: {type: integer}, dim: {type: integer}, before: 0}
    layers:
      embed: {op: conv2d, filters: "${dim}", kernel_size: 2, stride: 2}
      blocks: {block: mixer, repeat: "${depth}", dim: "${dim}", rate: "${(before + index) / 16}"}
""",
        "a: {block: stage, depth: 2, dim: 4}\n  b: {block: stage, depth: 4, dim: 6, before: 2}\n"
        "  c: {block: stage, depth: 2, dim: 6, before: 6}",
    ),
    "stacks of two elements all": (
        MIXER
        + """
  stage:
    parameters: {dim: {type: integer}, before: 0}
    layers:
      embed: {op: conv2d, filters: "${dim}", kernel_size: 2, stride: 2}
      blocks: {block: mixer, repeat: 2, dim: "${dim}", rate: "${(before + index) / 16}"}
""",
        "a: {block: stage, dim: 4}\n  b: {block: stage, dim: 6, before: 2}",
    ),
    "two lists of the spec": (
        MIXER
        + """
  stage:
    parameters: {rates: {type: list}, kernels: {type: list}, dim: {type: integer}}
    layers:
      embed: {op: conv2d, filters: "${dim}", kernel_size: 2, stride: 2}
      blocks: {block: mixer, repeat: "${len(rates)}", dim: "${dim}", rate: "${rates[index]}",
               kernel: "${kernels[index]}"}
""",
        "a: {block: stage, dim: 4, rates: [0.1, 0.3], kernels: [3, 5]}\n"
        "  b: {block: stage, dim: 6, rates: [0.2, 0.1, 0.4], kernels: [5, 1, 7]}\n"
        "  c: {block: stage, dim: 6, rates: [0.2, 0.1, 0.4, 0.3], kernels: [1, 5, 3, 3]}",
    ),
    "booleans": (
        UNIT
        + """
  stage:
    parameters: {dim: {type: integer}, flags: {type: list}}
    layers:
      units: {block: unit, repeat: "${len(flags)}", dim: "${dim}", act: "${flags[index]}"}
      norm: {op: batch_norm}
""",
        "a: {block: stage, dim: 4, flags: [true, false, true]}\n  b: {block: stage, dim: 5, flags: [false, true]}\n"
        "  c: {block: stage, dim: 5, flags: [false, true, true, false, true]}",
    ),
    "texts, of which one is an op": (
        """
  unit:
    parameters: {mode: nearest, act: relu}
    layers:
      conv: {op: conv2d, filters: 4, kernel_size: 1}
      up: {op: resize, scale: 2, mode: "${mode}", coordinates: "${'asymmetric' if mode == 'nearest' else 'half_pixel'}"}
      pool: {op: max_pool2d, kernel_size: 2}
      act: {op: "${act}"}
  stage:
    parameters: {modes: {type: list}, acts: {type: list}}
    layers:
      units: {block: unit, repeat: "${len(modes)}", mode: "${modes[index]}", act: "${acts[index]}"}
      norm: {op: batch_norm}
""",
        "a: {block: stage, modes: [nearest, bilinear, nearest], acts: [relu, relu, tanh]}\n"
        "  b: {block: stage, modes: [bilinear, nearest], acts: [tanh, relu]}",
    ),
    "kernels": (
        """
  unit:
    parameters: {kernel: 3}
    layers:
      conv: {op: conv2d, filters: "${channels}", kernel_size: "${kernel}", padding: "${kernel // 2}"}
  stage:
    parameters: {kernels: {type: list}, dim: {type: integer}}
    layers:
      widen: {op: conv2d, filters: "${dim}", kernel_size: 1}
      units: {block: unit, repeat: "${len(kernels)}", kernel: "${kernels[index]}"}
""",
        "a: {block: stage, dim: 8, kernels: [3, 5, 3, 7]}\n  b: {block: stage, dim: 8, kernels: [5, 5, 3]}\n"
        "  c: {block: stage, dim: 6, kernels: [1]}",
    ),
    "a list beside other arguments of the first and the last": (
        UNIT
        + """
  stage:
    parameters: {dim: {type: integer}, depth: {type: integer}, top: 0.5, wide: {type: integer}}
    layers:
      units: {block: unit, repeat: "${depth}", dim: "${dim}", rate: "${top * (index + 1) * (index + 2) / 40}",
              first: {stride: 2}, last: {act: false, dim: "${wide}"}}
      norm: {op: batch_norm}
""",
        "a: {block: stage, dim: 4, depth: 3, wide: 6}\n  b: {block: stage, dim: 5, depth: 5, top: 0.4, wide: 7}\n"
        "  c: {block: stage, dim: 6, depth: 2, top: 0.3, wide: 6}",
    ),
    "stacks in stacks": (
        UNIT
        + """
  group:
    parameters: {dim: {type: integer}, depth: {type: integer}, start: {type: number}}
    layers:
      units: {block: unit, repeat: "${depth}", dim: "${dim}", rate: "${(start + index * index) / 100}"}
      norm: {op: batch_norm}
  stage:
    parameters: {dim: {type: integer}, depths: {type: list}, start: {type: number}}
    layers:
      groups: {block: group, repeat: "${len(depths)}", dim: "${dim}", depth: "${depths[index]}",
               start: "${start + 7 * index}"}
      pool: {op: max_pool2d, kernel_size: 2}
""",
        "a: {block: stage, dim: 4, depths: [2, 3], start: 1}\n"
        "  b: {block: stage, dim: 6, depths: [1, 4, 2], start: 20}",
    ),
    "a list and ints that grow": (
        """
  unit:
    parameters: {dilation: 1, rate: {type: number}}
    layers:
      conv: {op: conv2d, filters: 4, kernel_size: 3, padding: "${dilation}", dilation: "${dilation}"}
      drop: {op: dropout, rate: "${rate}"}
      cat: {op: concat, inputs: [input, drop]}
  stage:
    parameters: {rates: {type: list}}
    layers:
      units: {block: unit, repeat: "${len(rates)}", dilation: "${index + 1}", rate: "${rates[index]}"}
      norm: {op: batch_norm}
""",
        "a: {block: stage, rates: [0.1, 0.25, 0.3]}\n  b: {block: stage, rates: [0.2, 0.5]}\n"
        "  c: {block: stage, rates: [0.2, 0.1, 0.0, 0.5]}",
    ),
    "channels that grow": (
        """
  layer:
    parameters: {growth: {type: integer}}
    layers:
      conv: {op: conv2d, filters: "${growth}", kernel_size: 3, padding: 1}
      cat: {op: concat, inputs: [input, conv]}
  stage:
    parameters: {depth: {type: integer}, growth: 4}
    layers:
      layers: {block: layer, repeat: "${depth}", growth: "${growth}"}
      shrink: {op: conv2d, filters: 5, kernel_size: 1}
""",
        "a: {block: stage, depth: 3}\n  b: {block: stage, depth: 5}\n  c: {block: stage, depth: 2, growth: 6}\n"
        "  d: {block: stage, depth: 1, growth: 5}",
    ),
    "an empty list, and a name that is taken": (
        UNIT
        + """
  stage:
    parameters: {rates: {type: list}, rate: 0.1, dim: 4}
    layers:
      first: {op: conv2d, filters: "${dim}", kernel_size: 1}
      drop: {op: dropout, rate: "${rate}"}
      units: {block: unit, repeat: "${len(rates)}", dim: "${dim}", rate: "${rates[index]}"}
      norm: {op: batch_norm}
""",
        "a: {block: stage, rates: [0.1, 0.2, 0.3], dim: 5}\n  b: {block: stage, rates: [], rate: 0.2}\n"
        "  c: {block: stage, rates: [0.5, 0.2], rate: 0.3}",
    ),
}
# What the class and the function of the block `stage` have of each.
EXCERPTS = {
    "rates by the place in the network": (
        "self.blocks = nn.Sequential(*(Mixer(dim, rate) for rate in rates))",
        'for i, rate in enumerate(rates):\n        x = mixer(x, rate, name=f"{name}-blocks-{i}")',
    ),
    "stacks of two elements all": (
        "def __init__(self, in_channels: int, dim: int, rates: tuple[float, ...]) -> None:",
        "dim: int, rates: tuple[float, ...], name: str",
    ),
    "two lists of the spec": (
        "Mixer(dim, rate, kernel=kernel)\n                for rate, kernel in zip(rates, kernels, strict=True)",
        "for i, (rate, kernel) in enumerate(zip(rates, kernels, strict=True)):",
    ),
    "booleans": (
        "Unit(in_channels if i == 0 else dim, dim, act=act)\n                for i, act in enumerate(flags)",
        "for i, act in enumerate(flags):\n        x = unit(x, dim, act=act, ",
    ),
    "texts, of which one is an op": (
        "self, in_channels: int, modes: tuple[str, ...], acts: tuple[str, ...]",
        "for i, (mode, act) in enumerate(zip(modes, acts, strict=True)):",
    ),
    "kernels": ("*(Unit(dim, kernel=kernel) for kernel in kernels)", "for i, kernel in enumerate(kernels):"),
    "a list beside other arguments of the first and the last": (
        """
                Unit(
                    in_channels if i == 0 else dim,
                    wide if i == len(rates) - 1 else dim,
                    rate=rate,
                    stride=2 if i == 0 else 1,
                    act=i != len(rates) - 1,
                )
                for i, rate in enumerate(rates)
""",
        "wide if i == len(rates) - 1 else dim,\n            rate=rate,\n            stride=2 if i == 0 else 1,",
    ),
    "stacks in stacks": (
        "Group(in_channels if i == 0 else dim, dim, rates)\n                for i, rates in enumerate(all_rates)",
        "all_rates: tuple[tuple[float, ...], ...]",
    ),
    "a list and ints that grow": (
        "Unit(in_channels + (i * 4), rate, dilation=i + 1)\n                for i, rate in enumerate(rates)",
        "x = unit(x, rate, dilation=i + 1, ",
    ),
    "channels that grow": (
        "*(Layer(in_channels + (i * growth), growth) for i in range(depth))",
        "for i in range(depth):\n        x = layer(x, growth, ",
    ),
    "an empty list, and a name that is taken": (
        "*(Unit(dim, rate=rate_) for rate_ in rates)",
        "for i, rate_ in enumerate(rates):\n        x = unit(x, dim, rate=rate_, ",
    ),
}


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("case", CASES)
def test_a_block_is_one_class(case: str, backend: str, tmp_path: Path) -> None:
    graph = graph_of_blocks(*CASES[case], tmp_path, shape="[3, 16, 16]")
    source = check_one_class(graph, find_backend(backend))
    assert EXCERPTS[case][backend == "keras"] in source


@pytest.mark.parametrize("case", CASES)
def test_torchscript_compiles_the_classes(case: str, tmp_path: Path) -> None:
    graph = graph_of_blocks(*CASES[case], tmp_path, shape="[3, 16, 16]")
    artifact = find_backend("torch").lower(graph)
    module = getattr(load_source(str(artifact.content), "lists"), artifact.entry)().eval()
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(torch.jit.script(module)(x), module(x))


def test_elements_that_cost_no_parameter_stay_as_they_are(tmp_path: Path) -> None:
    """All instances have the same elements: nothing is gained by a list."""
    path = tmp_path / "spec.yaml"
    path.write_text(f"""
name: alike
input: {{shape: [3, 16, 16]}}
blocks:{MIXER}
  stage:
    parameters: {{dim: {{type: integer}}}}
    layers:
      embed: {{op: conv2d, filters: "${{dim}}", kernel_size: 2, stride: 2}}
      blocks: {{block: mixer, repeat: 2, dim: "${{dim}}", rate: "${{(1 + index) / 16}}"}}
layers:
  a: {{block: stage, dim: 4}}
  b: {{block: stage, dim: 6}}
""")
    source = source_of(load_graph(path), "torch")
    assert "self.blocks = nn.Sequential(Mixer(dim, 0.0625), Mixer(dim, 0.125))" in source


def test_a_stack_of_the_network_itself_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(f"""
name: flat
input: {{shape: [4, 8, 8]}}
blocks:{MIXER}
layers:
  blocks: {{block: mixer, repeat: 3, dim: 4, rate: "${{(1 + index) / 16}}"}}
""")
    source = source_of(load_graph(path), "torch")
    assert "nn.Sequential(Mixer(0.0625), Mixer(0.125), Mixer(0.1875))" in source
