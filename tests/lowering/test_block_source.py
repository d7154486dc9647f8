"""What the source of a block reads like: the spec's conditions, names and arithmetic, and no arguments that follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.lowering import find_backend
from netspec.spec import load_graph
from tests.backends.values import check_values

CASES = {
    "not": (
        """
  unit:
    parameters: {final: false}
    layers:
      conv: {op: conv2d, filters: 4, kernel_size: 3, padding: 1}
      relu: {op: relu, when: "${not final}"}
      norm: {op: batch_norm, when: "${not final}"}
""",
        "a: {block: unit}\n  b: {block: unit, final: true}",
        {
            "torch": ["        if not self.final:\n            x = F.relu(x)\n", "nn.Identity() if final else nn."],
            "keras": ["    if not final:\n        x = layers.ReLU("],
        },
    ),
    "a condition that a parameter has by default": (
        """
  unit:
    parameters: {width: {type: integer}, stride: 1, project: "${stride > 1 or channels != width}"}
    layers:
      conv: {op: conv2d, filters: "${width}", kernel_size: 3, stride: "${stride}", padding: 1}
      relu: {op: relu, when: "${project}"}
      skip: {op: conv2d, inputs: input, filters: "${width}", kernel_size: 1, stride: "${stride}",
             when: "${stride > 1 or channels != width}"}
      sum: {op: add, inputs: [relu, skip]}
""",
        "a: {block: unit, width: 4}\n  b: {block: unit, width: 6, stride: 2}\n  c: {block: unit, width: 6, stride: 2}",
        {
            "torch": ["            if project\n", "        relu = F.relu(x) if self.project else x\n"],
            "keras": ["    project = stride > 1 or channels != width\n", "        if project\n"],
        },
    ),
    "equal parts, where instances differ": (
        """
  unit:
    parameters: {sums: true}
    layers:
      first: {op: slice, inputs: input, part: 0, of: 4}
      second: {op: slice, inputs: input, part: 1, of: 4}
      third: {op: slice, inputs: input, part: 2, of: 4}
      fourth: {op: slice, inputs: input, part: 3, of: 4}
      conv: {op: conv2d, inputs: first, filters: 1, kernel_size: 1}
      sum: {op: add, inputs: [conv, second], when: "${sums}"}
      act: {op: tanh, inputs: "${'sum' if sums else 'second'}"}
      joined: {op: concat, inputs: [conv, act, third, fourth]}
""",
        "a: {block: unit}\n  b: {block: unit, sums: false}",
        {
            "torch": ["first, second, third, fourth = x.chunk(4, dim=1)\n"],
            "keras": ["first, second, third, fourth = ops.split(x, 4, axis=-1)\n"],
        },
    ),
    "equal parts in a row": (
        """
  unit:
    layers:
      all: {op: conv2d, filters: 12, kernel_size: 1}
      a: {op: slice, inputs: all, part: 0, of: 3}
      b: {op: slice, inputs: all, part: 1, of: 3}
      c: {op: slice, inputs: all, part: 2, of: 3}
      tanh: {op: tanh}
      sum: {op: add, inputs: [tanh, a, b]}
""",
        "a: {block: unit}",
        {
            "torch": ["        a, b, c = x.chunk(3, dim=1)\n        x = torch.tanh(c)\n"],
            "keras": ["    a, b, c = ops.split(x, 3, axis=-1)\n"],
        },
    ),
    "another of the equal parts": (
        """
  head:
    parameters: {number: {type: integer}}
    layers:
      cut: {op: slice, part: "${number}", of: 3}
      act: {op: tanh}
  unit:
    layers:
      q: {block: head, number: 0}
      k: {block: head, inputs: input, number: 1}
      v: {block: head, inputs: input, number: 2}
      joined: {op: concat, inputs: [v, q, k, input]}
""",
        "wide: {op: conv2d, filters: 9, kernel_size: 1}\n  a: {block: unit, repeat: 2}\n"
        "  b: {block: head, number: 1, repeat: 2, last: {number: 2}}",
        {
            "torch": ["        x = x.chunk(3, dim=1)[self.number]\n", "Head(1), Head(2)"],
            "keras": ["    x = ops.split(x, 3, axis=-1)[number]\n"],
        },
    ),
    "added channels": (
        """
  unit:
    parameters: {filters: {type: integer}}
    layers:
      padded: {op: pad, end: "${filters - channels}"}
      conv: {op: conv2d, filters: "${filters}", kernel_size: 1}
""",
        "a: {block: unit, filters: 5}\n  b: {block: unit, filters: 8}",
        {
            "torch": ["F.pad(x, (0, 0, 0, 0, 0, self.filters - self.in_channels))"],
            "keras": ["ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, filters - channels)))"],
        },
    ),
    "a factor": (
        """
  unit:
    parameters: {beta: 1.0}
    layers:
      scaled: {op: rescale, scale: "${1 / beta}"}
      conv: {op: conv2d, filters: 4, kernel_size: 1}
""",
        "a: {block: unit}\n  b: {block: unit, beta: 4}",
        {"torch": ["scale: float", "x = x * self.scale\n"], "keras": ["scale: float"]},
    ),
    "a stack of one like the last of a stack of two": (
        """
  step:
    parameters: {filters: {type: integer}, final: false}
    layers:
      conv: {op: conv2d, filters: "${filters}", kernel_size: 3, padding: 1}
      relu: {op: relu, when: "${not final}"}
  down:
    parameters: {filters: {type: integer}, count: 1}
    layers:
      steps: {block: step, filters: "${channels}", repeat: "${count}", last: {filters: "${filters}", final: true}}
""",
        "a: {block: down, filters: 6}\n  b: {block: down, filters: 8, count: 2}\n  c: {block: down, filters: 4}",
        {
            "torch": [
                "            *(Step(in_channels, in_channels) for _ in range(count - 1)),\n"
                "            Step(in_channels, filters, final=True),\n"
            ],
            "keras": ['    x = step(x, filters, final=True, name=f"{name}-steps-{count - 1}")\n'],
        },
    ),
}


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize("case", CASES)
def test_blocks_are_written_as_a_person_would(case: str, backend: str, tmp_path: Path) -> None:
    blocks, layers, expected = CASES[case]
    path = tmp_path / "spec.yaml"
    path.write_text(f"name: written\ninput: {{shape: [4, 8, 8]}}\nblocks:{blocks}layers:\n  {layers}\n")
    graph = load_graph(path)
    source = str(find_backend(backend).lower(graph).content)
    for lines in expected[backend]:
        assert lines in source
    for block in {scope.block for scope in graph.scopes if scope.block}:
        assert source.count(f"The block `{block}`: ") == 1
    check_values(graph, find_backend(backend))
