"""Mapping files: their contents, and the errors of wrong ones."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from netspec.errors import SpecError
from netspec.spec import load_graph
from netspec.transfer import ORIGINS, read_mapping
from netspec.transfer.pattern import Pattern

SPECS = Path(__file__).parents[2] / "specs"
GOOD = """\
spec: net.yaml
origin: torchvision
source: a test
models: {net: {depth: 1}}
layers:
  "a{i}": "b${i + 1}"
"""


@cache
def _graph_is_sound(spec: Path, parameters: str) -> None:
    """Load a model's graph: once, since several origins have many of the models."""
    load_graph(spec, json.loads(parameters)).check()


@pytest.mark.parametrize("path", sorted(SPECS.glob("weights/*/*.yaml")), ids=lambda path: path.stem)
def test_shipped_mappings_are_of_shipped_specs(path: Path) -> None:
    mapping = read_mapping(path)
    assert mapping.origin == path.parent.name
    for parameters in mapping.models.values():
        _graph_is_sound(mapping.spec, json.dumps(dict(parameters), sort_keys=True))


def _error(tmp_path: Path, text: str) -> str:
    path = tmp_path / "net.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as caught:
        read_mapping(path)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_an_unknown_hole_is_reported_where_it_is_used(tmp_path: Path) -> None:
    error = _error(tmp_path, GOOD.replace("${i + 1}", "${j + 1}"))
    assert "net.yaml:6:11: layers.'a{i}': the hole 'j' is not defined" in error
    assert "hint: 'a{i}' has the hole i" in error


def test_holes_and_uses_on_the_wrong_side(tmp_path: Path) -> None:
    assert "net.yaml:6:3: layers.'a${i}': 'a${i}': here a hole is `{x}`; `${…}` belongs" in _error(
        tmp_path, GOOD.replace("a{i}", "a${i}")
    )
    assert "net.yaml:6:11: layers.'a{i}': 'b{i}': braces here" in _error(tmp_path, GOOD.replace("${i + 1}", "{i}"))


def test_keys_and_origins_have_their_nearest(tmp_path: Path) -> None:
    assert "did you mean 'layers'?" in _error(tmp_path, GOOD.replace("layers:", "layer:"))
    assert "did you mean 'torchvision'?" in _error(tmp_path, GOOD.replace("torchvision", "torchvison"))


def test_a_hole_ends_at_a_dot_unless_starred() -> None:
    assert Pattern("a.{x}").match("a.b.c") is None
    assert Pattern("a.{x*}").match("a.b.c") == {"x": "b.c"}
    assert Pattern("conv{s}_block{b}_{c}_conv").match("conv2_block11_0_conv") == {"s": 2, "b": 11, "c": 0}
    assert Pattern("{x}.{x}").match("a.b") is None
    assert Pattern("a{n}").match("a007") == {"n": "007"}


def _graph(tmp_path: Path, layers: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "net.yaml"
    path.write_text(f"name: net\ninput: {{shape: [2, 3, 4]}}\nlayers:\n{layers}")
    return load_graph(path)


def test_kernels_of_keras(tmp_path: Path) -> None:
    layers = "  a: {op: conv2d, filters: 5, kernel_size: 3, padding: 1}\n"
    graph = _graph(tmp_path, layers + "  b: {op: conv2d, filters: 10, kernel_size: 3, padding: 1, groups: 5}\n")
    canonical = ORIGINS["keras-applications"].canonical
    draw = np.random.default_rng(0).standard_normal
    kernel = draw((3, 3, 2, 5))
    assert canonical(graph, graph.nodes[0], "weight", kernel)[4, 1, 2, 0] == kernel[2, 0, 1, 4]
    depthwise = draw((3, 3, 5, 2))
    found = canonical(graph, graph.nodes[1], "weight", depthwise)
    assert found.shape == graph.nodes[1].weights["weight"].shape
    assert found[2 * 3 + 1, 0, 2, 1] == depthwise[2, 1, 3, 1]


def test_a_matrix_of_keras_after_a_flattened_map(tmp_path: Path) -> None:
    layers = "  f: {op: flatten}\n  r: {op: relu}\n  d: {op: dense, units: 6}\n  e: {op: dense, units: 24}\n"
    graph = _graph(tmp_path, layers + "  g: {op: dense, units: 3}\n")
    canonical = ORIGINS["keras-applications"].canonical
    matrix = np.random.default_rng(0).standard_normal((24, 6))
    x = np.random.default_rng(1).standard_normal((2, 3, 4))
    found = canonical(graph, graph.values["d"], "weight", matrix)  # type: ignore[arg-type]
    np.testing.assert_allclose(found @ x.reshape(-1), x.transpose(1, 2, 0).reshape(-1) @ matrix, rtol=1e-12)
    later = np.random.default_rng(2).standard_normal((24, 3))  # as many rows, but of features
    np.testing.assert_array_equal(canonical(graph, graph.values["g"], "weight", later), later.T)  # type: ignore[arg-type]


def test_a_square_matrix_of_keras_after_another(tmp_path: Path) -> None:
    layers = "  f: {op: flatten}\n  a: {op: dense, units: 24}\n  r: {op: relu}\n  b: {op: dense, units: 24}\n"
    graph = _graph(tmp_path, layers)
    matrix = np.random.default_rng(0).standard_normal((24, 24))
    found = ORIGINS["keras-applications"].canonical(graph, graph.nodes[-1], "weight", matrix)
    np.testing.assert_array_equal(found, matrix.T, "its inputs are features, not the map's elements")


def test_a_kernel_over_a_whole_map_is_a_matrix(tmp_path: Path) -> None:
    graph = _graph(tmp_path, "  f: {op: flatten}\n  d: {op: dense, units: 5}\n")
    kernel = np.random.default_rng(0).standard_normal((5, 2, 3, 4))
    canonical = ORIGINS["timm"].canonical
    np.testing.assert_array_equal(canonical(graph, graph.nodes[-1], "weight", kernel), kernel.reshape(5, 24))
    turned = kernel.transpose(0, 1, 3, 2)  # as many elements, of another map
    np.testing.assert_array_equal(canonical(graph, graph.nodes[-1], "weight", turned), turned)


def test_a_list_is_looked_up_by_position(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(GOOD.replace("${i + 1}", "${unit[i]}") + "lists: {unit: [x, [y, z]]}\n")
    assert read_mapping(path).lists == {"unit": ("x", ("y", "z"))}
    assert "the hole 'units' is not defined" in _error(tmp_path, path.read_text().replace("unit[i]", "units[i]"))


def test_a_list_has_a_name_of_its_own(tmp_path: Path) -> None:
    error = _error(tmp_path, GOOD + "lists: {i: [0], depth: [0]}\n")
    assert "net.yaml:7:9: lists.i: 'i' is a list and a hole of 'a{i}' too" in error
    assert "lists.depth: 'depth' is a list and a parameter of a model too" in error
