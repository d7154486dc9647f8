"""Elaboration of a spec to a graph: wiring, order, sizes, all problems at once, and its cost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.spec import ModelSpec, elaborate, load_graph, read_spec
from netspec.spec.layers.order import topological_order
from tests.calls import calls_of

SPECS = Path(__file__).parents[2] / "specs"


def test_a_graph_is_well_formed_and_reads_as_written(net) -> None:
    path = net(
        "conv1: {op: conv2d, filters: 8, kernel_size: 3, padding: {same: tf}, stride: 2}",
        "relu1: {op: relu}",
        "flat: {op: flatten}",
        "fc: {op: dense, units: 10}",
    )
    spec = read_spec(path)
    assert isinstance(spec, ModelSpec)
    assert [layer.inputs for layer in spec.layers] == [("input",), ("conv1",), ("relu1",), ("flat",)]
    graph = elaborate(spec)
    assert graph == load_graph(path) == graph.check()
    assert graph.outputs == ("fc",)
    assert spec == read_spec(path)
    assert "at=" not in repr(spec), "places are no part of the value"


def test_a_layer_may_read_one_that_stands_below(net) -> None:
    path = net(
        "late: {op: add, inputs: [right, left]}",
        "left: {op: relu, inputs: input}",
        "right: {op: tanh}",
        tail="outputs: [late]\n",
    )
    assert [node.name for node in load_graph(path).nodes] == ["left", "right", "late"]


def test_several_inputs_and_outputs(write) -> None:
    path = write(
        "name: two\ninputs:\n  image: {shape: [3, 8, 8]}\n  table: {shape: [5]}\nlayers:\n"
        "  flat: {op: flatten, inputs: image}\n  fc: {op: dense, units: 5}\n  sum: {op: add, inputs: [fc, table]}\n"
        "outputs: [fc, sum]\n"
    )
    graph = load_graph(path)
    assert [value.name for value in graph.inputs] == ["image", "table"]
    assert graph.outputs == ("fc", "sum")


def test_one_value_may_be_read_twice_by_one_layer(net) -> None:
    assert load_graph(net("double: {op: add, inputs: [input, input]}")).nodes[0].inputs == ("input", "input")


def test_preprocessing_travels_with_the_input(write) -> None:
    path = write(
        "name: p\ninput:\n  shape: [3, 8, 8]\n"
        "  preprocessing: {resize_shorter_side: 9, channel_order: bgr, mean: [1, 2, 3]}\n"
        "layers: {relu: {op: relu}}\n"
    )
    preprocessing = load_graph(path).inputs[0].preprocessing
    assert preprocessing is not None
    assert (preprocessing.channel_order, preprocessing.mean, preprocessing.std) == ("bgr", (1.0, 2.0, 3.0), (1.0,))


def test_consequences_of_a_mistake_are_not_reported_but_other_mistakes_are(net) -> None:
    path = net(
        "a: {op: conv2d, filters: 8, kernel_size: 33}",
        "b: {op: conv2d, filters: 7, kernel_size: 3, groups: 7}",
        "c: {op: conv2d, filter: 8, kernel_size: 3, inputs: input}",
        "d: {op: dense, units: 3}",
        "e: {op: dense, units: 3, inputs: input}",
        tail="outputs: [b, d, e]\n",
    )
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    paths = [d.where.path for d in caught.value.diagnostics if d.where]
    assert paths == ["layers.a.kernel_size", "layers.c.filter", "layers.e"]
    with pytest.raises(SpecError) as caught:
        read_spec(path)
    assert [d.where.path for d in caught.value.diagnostics if d.where] == paths, "one run tells everything"


def test_read_spec_alone_does_not_look_at_shapes(net) -> None:
    spec = read_spec(net("fc: {op: dense, units: 3}"))
    with pytest.raises(SpecError, match=r"expects features .*from input"):
        elaborate(spec)


def test_a_problem_in_a_shared_value_is_reported_once(net) -> None:
    path = net(
        "a: &conv {op: conv2d, filters: 0, kernel_size: 3}", "b: *conv", tail="defaults: {conv2d: {stride: -1}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    assert [d.where.path for d in caught.value.diagnostics if d.where] == ["layers.a.filters", "defaults.conv2d.stride"]


def test_at_most_1000_problems_are_reported(write) -> None:
    layers = "".join(f"  l{i}: {{op: frob{i}}}\n" for i in range(3000))
    with pytest.raises(SpecError, match="more than 1000 problems") as caught:
        load_graph(write(f"name: many\ninput: {{shape: [8]}}\nlayers:\n{layers}"))
    assert len(caught.value.diagnostics) == 1001


@pytest.mark.parametrize(
    ("reads", "names", "cycles"),
    [
        ({}, (), ()),
        ({"a": ["x"], "b": ["a"]}, ("a", "b"), ()),
        ({"a": ["b"], "b": ["x"]}, ("b", "a"), ()),
        ({"a": ["b", "c"], "b": ["c"], "c": []}, ("c", "b", "a"), ()),
        ({"a": ["a"]}, (), (("a",),)),
        ({"a": ["b"], "b": ["c"], "c": ["b"], "d": ["a"], "e": []}, ("e",), (("b", "c"),)),
    ],
)
def test_order(reads: dict[str, list[str]], names: tuple[str, ...], cycles: tuple[tuple[str, ...], ...]) -> None:
    assert topological_order(reads) == (names, cycles)


@pytest.mark.parametrize(
    "layer",
    [
        "a: {op: conv2d, filters: 2147483648, kernel_size: 1}",
        "a: {op: conv2d, filters: 1, kernel_size: 1, padding: 2147483648}",
        "a: {op: pad2d, padding: 2147483647}",
        "a: {op: adaptive_avg_pool2d, output_size: 2147483648}",
        "a: {op: conv2d, filters: 4, kernel_size: 2147483648, padding: {same: tf}}",
        "a: {op: reshape, shape: [-1, 2147483648]}",
        "a: {op: local_response_norm, size: 2147483647, alpha: 1, beta: 1, k: 1, convention: sum}",
        "a: {op: max_pool2d, kernel_size: 1, stride: 1, padding: 2147483648}",
        "a: {op: dense, units: 9223372036854775807}",
    ],
)
def test_absurd_sizes_are_refused_before_they_are_made(net, layer: str) -> None:
    path = net(layer)
    try:
        graph = load_graph(path)
        assert graph.nodes[-1].type.size < 2**31
    except SpecError:
        pass


def chain(folder: Path, count: int) -> Path:
    layers = "".join(
        f"  conv{i}: {{op: conv2d, filters: 8, kernel_size: 3, padding: 1}}\n  relu{i}: {{op: relu}}\n"
        for i in range(count // 2)
    )
    path = folder / f"chain{count}.yaml"
    path.write_text(f"name: chain\ninput: {{shape: [8, 16, 16]}}\nlayers:\n{layers}")
    return path


def overridden(folder: Path, count: int) -> Path:
    """Return a chain with a pattern for each of its biases."""
    path = chain(folder, count)
    patterns = "".join(f"    conv{i}.bias: {{lr_scale: 2}}\n" for i in range(count // 2))
    recipe = "  batch_size: 1\n  epochs: 1\n  optimizer: {name: sgd, learning_rate: 1}\n"
    path.write_text(f"{path.read_text()}training:\n{recipe}  overrides:\n{patterns}")
    return path


@pytest.mark.parametrize("spec", [chain, overridden])
def test_cost_grows_linearly(tmp_path: Path, spec: Callable[[Path, int], Path]) -> None:
    load_graph(spec(tmp_path, 10))  # models build their validators once
    hundred, thousand, two = (calls_of(load_graph, spec(tmp_path, count)) for count in (100, 1000, 1100))
    assert two - thousand == pytest.approx(hundred, rel=0.1)


def test_the_front_end_loads_neither_a_framework_nor_a_terminal_library() -> None:
    code = "import netspec.spec, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "keras", "tensorflow", "jax", "onnx", "rich", "click"} & set(loaded)


def test_a_valid_spec_loads_no_module_of_diagnostics_and_builds_no_validator_for_them() -> None:
    code = f"""
import sys
from netspec.spec import load_graph
load_graph({str(SPECS / "alexnet.yaml")!r})
from netspec.recipe import Augmentation
print(Augmentation.__pydantic_complete__, *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    complete, *loaded = done.stdout.split()
    assert complete == "False"  # the validator of the recipe contains those of its parts
    for_diagnostics = [f"netspec.spec.fields.{name}" for name in ("report", "expectation", "hints")]
    assert all(map(find_spec, for_diagnostics)), "the modules have these names"
    assert not {*for_diagnostics} & {*loaded}
