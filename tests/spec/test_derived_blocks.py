"""Blocks and comparisons of a base that a derived file changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.graph import Node
from netspec.spec import load_graph
from tests.spec.conftest import IMAGE, Load

BRANCHED = """\
blocks:
  unit:
    parameters: {width: {type: integer}, kernel: 1}
    inputs: [x, skip]
    outputs: [drop, skipped]
    layers:
      conv: {op: conv2d, inputs: x, filters: "${width}", kernel_size: "${kernel}", initialize: {bias: 0}}
      relu: {op: relu}
      drop: {op: dropout, rate: 0.5, mode: inverted}
      skipped: {op: tanh, inputs: skip}
layers:
  unit: {block: unit, width: 4, inputs: [input, input]}
  sum: {op: add, inputs: [unit.drop, unit.skipped]}
"""


def test_a_block_is_changed_as_the_layers_of_a_network_are(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(IMAGE + BRANCHED.replace("width: 4", "width: 3"))
    derived = tmp_path / "derived.yaml"

    def changed(block: str) -> dict[str, Node]:
        derived.write_text(f"name: d\nextends: base.yaml\nblocks: {{unit: {block}}}\n")
        return {node.name: node for node in load_graph(derived).nodes}

    conv = changed("{parameters: {kernel: 3}, layers: {conv: {padding: 1}}}")["unit.conv"]
    assert conv.weights["weight"].shape == (3, 3, 3, 3)
    attributes = str(changed("{layers: {conv: {stride: 1, initialize: {weight: 0.5}}}}")["unit.conv"].op)
    assert "'bias': Constant(constant=0.0)" in attributes
    assert "'weight': Constant(constant=0.5)" in attributes
    nodes = changed("{layers: {drop: {op: tanh}, relu: null, norm: {op: batch_norm, after: conv}}}")
    assert [(node.name, node.inputs) for node in nodes.values()] == [
        ("unit.conv", ("input",)),
        ("unit.norm", ("unit.conv",)),
        ("unit.drop", ("unit.norm",)),
        ("unit.skipped", ("input",)),
        ("sum", ("unit.drop", "unit.skipped")),
    ]
    assert nodes["unit.drop"].op.kind == "tanh"
    assert changed("{layers: {conv: null}}")["unit.relu"].inputs == ("input",), "what the first layer read"


def test_a_mistake_in_a_derived_block_is_reported_at_its_position(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(IMAGE + BRANCHED)
    derived = tmp_path / "derived.yaml"
    derived.write_text("name: d\nextends: base.yaml\nblocks:\n  unit:\n    layers:\n      con: {padding: 1}\n")
    with pytest.raises(SpecError, match=r"derived.yaml:6:7: .*no layer 'con' in the base to change(.|\n)*'conv'"):
        load_graph(derived)


def test_comparisons_of_a_base_stand_where_a_derived_file_narrows_the_choices(load: Load, tmp_path: Path) -> None:
    base = "name: base\ninput: {shape: [3, 8, 6]}\nparameters: {kind: {choices: [a, b], default: a}}\n"
    (tmp_path / "base.yaml").write_text(base + "layers:\n  x: {op: relu, when: \"${kind == 'b'}\"}\n  y: {op: tanh}\n")
    derived = tmp_path / "derived.yaml"
    head = "name: derived\nextends: base.yaml\n"
    derived.write_text(head + "parameters: {kind: {choices: [a], default: a}}\n")
    assert [node.name for node in load_graph(derived).nodes] == ["y"]
    derived.write_text(head + "layers: {y: {when: \"${kind != 'c'}\"}}\n")
    with pytest.raises(SpecError, match="'kind' is never 'c': it is one of a, b"):
        load_graph(derived)
