"""Blocks: what they are given, where they stand, what they are made of, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.graph import Graph, Node, Scope
from netspec.spec import elaborate, load_graph, read_spec, write_spec
from tests.spec.test_elaborate import calls_of

Load = Callable[..., Graph]
HEAD = "name: example\ninput: {shape: [3, 8, 6]}\n"
UNIT = """blocks:
  unit:
    parameters: {width: {type: integer}, stride: 1, act: true}
    layers:
      conv: {op: conv2d, filters: "${width}", kernel_size: 3, padding: 1, stride: "${stride}"}
      relu: {op: relu, when: "${act}"}
"""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, set: object = ()) -> Graph:
        path = tmp_path / "spec.yaml"
        path.write_text(HEAD + text)
        graph = load_graph(path, set).check()  # type: ignore[arg-type]
        spec = read_spec(path, set)  # type: ignore[arg-type]
        assert elaborate(spec) == graph
        path.write_text(write_spec(spec))
        assert load_graph(path) == graph, path.read_text()
        return graph

    return load_text


def reads(graph: Graph) -> dict[str, str]:
    return {node.name: ", ".join(node.inputs) for node in graph.nodes}


def test_a_block_is_a_part_of_the_path_of_its_layers(load: Load) -> None:
    graph = load(UNIT + "layers:\n  stem: {block: unit, width: 4}\n  last: {op: tanh}\n")
    assert reads(graph) == {"stem.conv": "input", "stem.relu": "stem.conv", "last": "stem.relu"}
    assert set(graph.weights) == {"stem.conv.weight", "stem.conv.bias"}
    assert graph.scopes == (Scope("stem", "unit", (("width", 4), ("stride", 1), ("act", True)), (("input", "input"),)),)


def test_a_stack_is_numbered_and_its_ends_may_differ(load: Load) -> None:
    graph = load(
        UNIT + "layers:\n  s: {block: unit, width: 4, repeat: 3, first: {stride: 2}, last: {act: false, width: 5}}\n"
    )
    assert list(reads(graph)) == ["s.0.conv", "s.0.relu", "s.1.conv", "s.1.relu", "s.2.conv"]
    assert [graph.type_of(name).features for name in ("s.0.conv", "s.1.conv", "s.2.conv")] == [
        (4, 4, 3),
        (4, 4, 3),
        (5, 4, 3),
    ]
    assert [scope.path for scope in graph.scopes if scope.is_stack] == ["s"]
    assert graph.outputs == ("s.2.conv",)


def test_a_stack_of_one_is_numbered_too_and_one_of_none_is_not_there(load: Load) -> None:
    text = UNIT + "parameters: {n: 1}\nlayers:\n  s: {block: unit, width: 4, repeat: '${n}'}\n  end: {op: tanh}\n"
    assert list(reads(load(text))) == ["s.0.conv", "s.0.relu", "end"]
    assert reads(load(text, {"n": 0})) == {"end": "input"}


def test_the_index_counts_instances(load: Load) -> None:
    graph = load(
        UNIT + "layers:\n  s: {block: unit, width: '${4 + 2 * index}', repeat: 3, last: {width: '${index}'}}\n"
    )
    assert [graph.type_of(f"s.{i}.conv").features[0] for i in range(3)] == [4, 6, 2]


def test_expressions_see_the_shape_that_arrives(load: Load) -> None:
    graph = load(
        """blocks:
  shapes:
    inputs: [x, skip]
    parameters: {width: "${channels + skip.channels}", tall: "${height}"}
    layers:
      a: {op: conv2d, inputs: x, filters: "${width}", kernel_size: 1}
      b: {op: conv2d, filters: "${tall * 10 + x.width}", kernel_size: 1}
      c: {op: conv2d, inputs: skip, filters: "${shape[0]}", kernel_size: 1}
    outputs: [b, c]
layers:
  more: {op: conv2d, filters: "${channels * 3}", kernel_size: 1}
  use: {block: shapes, inputs: [input, more]}
outputs: [use.b, use.c]
"""
    )
    assert {node.name: node.type.features[0] for node in graph.nodes} == {
        "more": 9,
        "use.a": 12,
        "use.b": 86,
        "use.c": 3,
    }


def test_what_is_given_a_name_hides_what_is_there_by_itself(load: Load) -> None:
    text = "parameters: {height: 2}\nblocks:\n  b:\n    parameters: {width: 5}\n    layers:\n"
    text += "      conv: {op: conv2d, filters: '${10 * height + width}', kernel_size: 1}\nlayers:\n  b: {block: b}\n"
    assert load(text).type_of("b.conv").features[0] == 25


def test_outputs_of_a_block_are_read_by_path(load: Load) -> None:
    graph = load(
        """blocks:
  split:
    layers:
      left: {op: relu}
      right: {op: tanh, inputs: input}
    outputs: [right, left]
  outer:
    layers:
      split: {block: split}
    outputs: [split.left, split.right]
layers:
  a: {block: outer}
  b: {op: add, inputs: [a.split.right, a.split.left]}
  c: {block: split}
outputs: [c.left, c.right]
"""
    )
    assert reads(graph)["b"] == "a.split.right, a.split.left"
    assert graph.outputs == ("c.left", "c.right")


def test_outputs_of_a_stack_feed_its_inputs_in_order_and_other_inputs_stay(load: Load) -> None:
    graph = load(
        """blocks:
  swap:
    inputs: [x, y, z]
    layers:
      a: {op: add, inputs: [x, z]}
      b: {op: relu, inputs: y}
    outputs: [b, a]
layers:
  one: {op: relu}
  two: {op: tanh}
  s: {block: swap, inputs: [input, one, two], repeat: 2}
  end: {op: add, inputs: [s.a, s.b]}
"""
    )
    assert reads(graph)["s.0.a"] == "input, two"
    assert reads(graph)["s.1.a"] == "s.0.b, two"
    assert reads(graph)["s.1.b"] == "s.0.a"


def test_who_reads_what_is_dropped_reads_what_that_reads(load: Load) -> None:
    text = """parameters: {x: false}
layers:
  a: {op: relu}
  b: {op: sigmoid, when: "${x}"}
  c: {op: tanh, when: "${x}"}
  d: {op: add, inputs: [c, a]}
  e: {op: silu, when: "${x}"}
outputs: [e, b]
"""
    graph = load(text)
    assert reads(graph) == {"a": "input", "d": "a, a"}
    assert graph.outputs == ("d", "a")
    assert list(reads(load(text, {"x": True}))) == ["a", "b", "c", "d", "e"]


def test_a_block_of_which_nothing_is_left_gives_what_it_gets(load: Load) -> None:
    text = "blocks: {maybe: {layers: {act: {op: relu, when: '${channels > 3}'}}}}\n"
    graph = load(text + "layers:\n  m: {block: maybe}\n  end: {op: tanh}\n")
    assert reads(graph) == {"end": "input"}


def test_outputs_of_a_block_may_be_one_value(load: Load) -> None:
    graph = load(
        """blocks:
  two:
    layers:
      a: {op: relu}
      b: {op: tanh, when: "${channels > 3}"}
    outputs: [a, b]
layers:
  x: {block: two}
  sum: {op: add, inputs: [x.a, x.b]}
"""
    )
    assert reads(graph) == {"x.a": "input", "sum": "x.a, x.a"}


def test_defaults_reach_into_blocks_and_what_is_stated_wins(load: Load) -> None:
    graph = load(
        UNIT
        + """defaults: {conv2d: {bias: false, initialize: {weight: 0.5}}}
layers:
  stem: {op: conv2d, filters: 2, kernel_size: 1, bias: true, initialize: {bias: 1}}
  unit: {block: unit, width: 4}
"""
    )
    assert set(graph.weights) == {"stem.weight", "stem.bias", "unit.conv.weight"}


def test_a_block_may_be_chosen_by_a_parameter(load: Load) -> None:
    text = "parameters: {which: one}\nblocks:\n  one: {layers: {a: {op: relu}}}\n  two: {layers: {b: {op: tanh}}}\n"
    text += "layers:\n  x: {block: '${which}'}\n"
    assert list(reads(load(text))) == ["x.a"]
    assert list(reads(load(text, {"which": "two"}))) == ["x.b"]


FAMILY = """parameters:
  size: small
  widths: {type: list}
  last: {type: mapping, default: {width: 1}}
presets:
  size:
    small: {widths: [2, 3]}
    large: {widths: [4, 5, 6], last: {width: 7}}
blocks:
  unit:
    parameters: {width: {type: integer}}
    layers: {conv: {op: conv2d, filters: "${width}", kernel_size: 1}}
layers:
  units: {block: unit, width: "${widths[index]}", repeat: "${len(widths)}"}
  end: {block: unit, width: "${last.width}"}
"""


def widths(graph: Graph) -> list[int]:
    return [node.type.features[0] for node in graph.nodes]


def test_a_preset_sets_what_stands_below_it(load: Load) -> None:
    assert widths(load(FAMILY)) == [2, 3, 1]
    assert widths(load(FAMILY, {"size": "large"})) == [4, 5, 6, 7]
    assert widths(load(FAMILY, ["size=large", "widths=[8]"])) == [8, 7], "what is set wins over a preset"
    with pytest.raises(SpecError, match=r"no preset of 'size' is for 'larg'.*\n.*\n.*\n.*did you mean 'large'"):
        load(FAMILY, {"size": "larg"})


def test_presets_and_blocks_are_inherited(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(HEAD + FAMILY)
    derived = tmp_path / "derived.yaml"
    derived.write_text(
        "name: derived\nextends: base.yaml\nparameters: {size: large, last: {type: mapping, default: {width: 9}}}\n"
        "presets: {size: {large: {widths: [6]}}}\n"
        "blocks: {unit: {parameters: {width: {type: integer}}, layers: {a: {op: relu}, "
        "b: {op: conv2d, filters: '${2 * width}', kernel_size: 1}}}}\n"
        "layers:\n  units: {last: {width: 1}}\n  end: null\n"
    )
    graph = load_graph(derived)
    assert [(node.name, node.type.features[0]) for node in graph.nodes] == [("units.0.a", 3), ("units.0.b", 2)]
    derived.write_text("name: d\nextends: base.yaml\nlayers: {units: {op: relu}, end: {block: unit, width: 5}}\n")
    assert [node.name for node in load_graph(derived).nodes] == ["units", "end.conv"], "what says what it is replaces"
    derived.write_text("name: derived\nextends: base.yaml\nparameters: {size: large, widths: [1, 2]}\n")
    assert widths(load_graph(derived)) == [1, 2, 7], "what a derived file states wins over a preset"


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
    (tmp_path / "base.yaml").write_text(HEAD + BRANCHED.replace("width: 4", "width: 3"))
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


def test_what_a_derived_block_may_not_say_is_told_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(HEAD + BRANCHED)
    derived = tmp_path / "derived.yaml"
    derived.write_text("name: d\nextends: base.yaml\nblocks:\n  unit:\n    layers:\n      con: {padding: 1}\n")
    with pytest.raises(SpecError, match=r"derived.yaml:6:7: .*no layer 'con' in the base to change(.|\n)*'conv'"):
        load_graph(derived)


def test_cost_grows_with_the_instances(tmp_path: Path) -> None:
    def stack(count: int) -> Path:
        path = tmp_path / f"{count}.yaml"
        path.write_text(f"{HEAD}{UNIT}layers:\n  s: {{block: unit, width: 3, repeat: {count}}}\n")
        return path

    load_graph(stack(3))  # models build their validators once
    few, many, more = (calls_of(load_graph, stack(count)) for count in (50, 500, 550))
    assert more - many == pytest.approx(few, rel=0.1)


@pytest.mark.parametrize("name", ["block_bomb", "block_growth", "block_repeat_too_often"])
def test_growth_is_refused_before_it_is_made(name: str) -> None:
    def refused(path: Path) -> None:
        with pytest.raises(SpecError, match="at most 100,000 are taken"):
            load_graph(path)

    load_graph("specs/mlp.yaml")  # models build their validators once
    assert calls_of(refused, Path("specs/invalid") / f"{name}.yaml") < 1_000_000, "of calls: not one for each layer"


def test_blocks_within_blocks_have_an_end(tmp_path: Path) -> None:
    blocks = "".join(f"  b{i}: {{layers: {{x: {{block: b{i + 1}}}}}}}\n" for i in range(500))
    path = tmp_path / "deep.yaml"
    path.write_text(f"{HEAD}blocks:\n{blocks}  b500: {{layers: {{x: {{op: relu}}}}}}\nlayers: {{x: {{block: b0}}}}\n")
    with pytest.raises(SpecError, match="more than 16 blocks stand within one another"):
        load_graph(path)


@pytest.mark.parametrize("layer", ['{op: parameter, shape: "${given}"}', '{op: "${kind}", shape: "${given}"}'])
def test_a_parameter_may_come_first_whatever_is_not_known_of_it_yet(load: Load, layer: str) -> None:
    """It reads nothing, and so need not say what it reads, also where a block is looked at before its use."""
    block = f"""blocks:
  biased:
    inputs: [x, y]
    parameters: {{given: {{type: list}}, kind: parameter}}
    layers:
      offset: {layer}
      sum: {{op: add, inputs: [x, y, offset]}}
"""
    graph = load(block + "layers:\n  s: {block: biased, inputs: [input, input], given: [3, 8, 6]}\n")
    assert reads(graph) == {"s.offset": "", "s.sum": "input, input, s.offset"}


def test_presets_are_chosen_by_value_not_by_its_text(load: Load) -> None:
    text = "parameters: {width: 1.0, n: {type: integer}, kind: '1', m: 3}\n"
    text += "presets: {width: {0.5: {n: 1}, 1: {n: 2}}, kind: {'1': {m: 5}, two: {m: 6}}}\n"
    text += "layers:\n  a: {op: conv2d, filters: '${n}', kernel_size: 1}\n"
    text += "  b: {op: conv2d, filters: '${m}', kernel_size: 1}\n"
    for given, sizes in (({}, [2, 5]), ({"width": 1}, [2, 5]), ({"width": 0.5, "kind": "two"}, [1, 6])):
        graph = load(text, given)
        assert [graph.type_of(name).features[0] for name in ("a", "b")] == sizes


def test_a_value_without_a_preset_is_one_problem(load: Load) -> None:
    text = "parameters: {kind: typo, n: {type: integer}}\npresets: {kind: {type: {n: 1}}}\n"
    text += "layers:\n  a: {op: conv2d, filters: '${n if kind else 0}', kernel_size: 1}\n"
    with pytest.raises(SpecError) as caught:
        load(text)
    assert [d.message for d in caught.value.diagnostics] == ["no preset of 'kind' is for 'typo' (a string)"]


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
