"""Presets: what they set, how one is chosen, and that a derived file inherits them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.graph import Graph
from netspec.spec import load_graph
from tests.spec.conftest import IMAGE, Load

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
    with pytest.raises(SpecError, match=r"'size' has no preset for 'larg'.*\n.*\n.*\n.*did you mean 'large'"):
        load(FAMILY, {"size": "larg"})


def test_presets_and_blocks_are_inherited(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(IMAGE + FAMILY)
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


def test_presets_are_chosen_by_value_not_by_its_text(load: Load) -> None:
    text = "parameters: {width: 1.0, n: {type: integer}, kind: '1', m: 3}\n"
    text += "presets: {width: {0.5: {n: 1}, 1: {n: 2}}, kind: {'1': {m: 5}, two: {m: 6}}}\n"
    text += "layers:\n  a: {op: conv2d, filters: '${n}', kernel_size: 1}\n"
    text += "  b: {op: conv2d, filters: '${m}', kernel_size: 1}\n"
    for given, sizes in (({}, [2, 5]), ({"width": 1}, [2, 5]), ({"width": 0.5, "kind": "two"}, [1, 6])):
        graph = load(text, given)
        assert [graph.type_of(name).features[0] for name in ("a", "b")] == sizes


def test_two_presets_for_one_value_are_a_problem(load: Load) -> None:
    text = "parameters: {width: 1, n: 3}\npresets:\n  width:\n    1: {n: 4}\n    2: {n: 5}\n    1.0: {n: 6}\n"
    text += "layers:\n  a: {op: conv2d, filters: '${n}', kernel_size: 1}\n"
    with pytest.raises(SpecError) as caught:
        load(text)
    (problem,) = caught.value.diagnostics
    assert problem.message == "1.0 is already defined in line 6, in another spelling"


@pytest.mark.parametrize(("presets", "size"), [("1.0: {n: 6}", 6), ("1.0: {n: null}", 3), ("0x1: {n: 6}", 6)])
def test_a_preset_of_the_base_is_found_by_its_value(tmp_path: Path, presets: str, size: int) -> None:
    text = "parameters: {width: {default: 1}, n: 3}\npresets: {width: {1: {n: 4}, 2: {n: 5}}}\n"
    (tmp_path / "base.yaml").write_text(
        f"{IMAGE}{text}layers: {{a: {{op: conv2d, filters: '${{n}}', kernel_size: 1}}}}\n"
    )
    derived = tmp_path / "derived.yaml"
    derived.write_text(f"name: derived\nextends: base.yaml\npresets: {{width: {{{presets}}}}}\n")
    assert widths(load_graph(derived)) == [size]


@pytest.mark.parametrize("given", ["true", "'1'"])
def test_choices_are_told_apart_by_type(load: Load, given: str) -> None:
    with pytest.raises(SpecError, match="expected one of 1, false for 'n'"):
        load("parameters: {n: {choices: [1, false]}}\nlayers: {a: {op: relu}}\n", [f"n={given}"])


def test_a_value_without_a_preset_is_one_problem(load: Load) -> None:
    text = "parameters: {kind: typo, n: {type: integer}}\npresets: {kind: {type: {n: 1}}}\n"
    text += "layers:\n  a: {op: conv2d, filters: '${n if kind else 0}', kernel_size: 1}\n"
    with pytest.raises(SpecError) as caught:
        load(text)
    assert [d.message for d in caught.value.diagnostics] == ["'kind' has no preset for 'typo' (a string)"]


def test_a_number_without_a_preset_is_answered_with_those_that_have_one(load: Load) -> None:
    text = "parameters: {depth: -16, n: {type: integer}}\npresets: {depth: {16: {n: 1}, 19: {n: 2}}}\n"
    with pytest.raises(SpecError) as caught:
        load(f"{text}layers:\n  a: {{op: conv2d, filters: '${{n}}', kernel_size: 1}}\n")
    assert caught.value.diagnostics[0].hint == "there are 16, 19"


def test_what_a_parameter_without_a_value_would_choose_is_not_missed_too(load: Load) -> None:
    text = "parameters: {depth: {type: integer}, n: {type: integer}}\npresets: {depth: {16: {n: 1}, 19: {n: 2}}}\n"
    with pytest.raises(SpecError) as caught:
        load(f"{text}layers:\n  a: {{op: conv2d, filters: '${{n}}', kernel_size: 1}}\n")
    assert [d.message for d in caught.value.diagnostics] == ["the parameter 'depth' has no value"]
