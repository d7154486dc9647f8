"""`extends`: what a derived file changes, and what it keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from netspec.errors import SpecError
from netspec.spec import load_graph, read_spec

BASE = """\
name: base
source: a paper
input: {shape: [3, 16, 16]}
parameters: {classes: 10, width: 4}
published: {weights: 100}
defaults:
  conv2d: {kernel_size: 3, padding: 1, initialize: {weight: {normal: {std: 0.01}}, bias: 0}}
layers:
  conv1: {op: conv2d, filters: "${width}", initialize: {bias: 1}}
  relu1: {op: relu}
  norm1: {op: local_response_norm, size: 5, alpha: 1e-4, beta: 0.75, k: 2, convention: sum}
  conv2: {op: conv2d, filters: 8}
  side: {op: relu, inputs: norm1}
  conv3: {op: conv2d, filters: 8}
  sum: {op: add, inputs: [conv2, conv3]}
  flat: {op: flatten}
  fc: {op: dense, units: "${classes}"}
outputs: [fc, side]
training:
  batch_size: 32
  epochs: 2
  optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}
  schedule: {name: step, every: {epochs: 1}, factor: 0.1}
"""


@pytest.fixture
def derive(write):
    """Write a spec that extends BASE."""
    write(BASE, "base.yaml")

    def write_derived(text: str, name: str = "derived.yaml") -> Path:
        return write(f"name: derived\nextends: base.yaml\n{text}", name)

    return write_derived


def readers(path: Path) -> dict[str, tuple[str, ...]]:
    return {node.name: node.inputs for node in load_graph(path).nodes}


CHAIN = {
    "conv1": ("input",),
    "relu1": ("conv1",),
    "norm1": ("relu1",),
    "conv2": ("norm1",),
    "side": ("norm1",),
    "conv3": ("side",),
    "sum": ("conv2", "conv3"),
    "flat": ("sum",),
    "fc": ("flat",),
}


def test_nothing_changed_is_the_base_by_another_name(derive) -> None:
    path = derive("")
    spec = read_spec(path)
    assert (spec.name, spec.source, spec.published) == ("derived", "a paper", None)
    assert load_graph(path).nodes == load_graph(path.with_name("base.yaml")).nodes
    assert readers(path) == CHAIN


def test_a_layer_without_op_merges_and_initialize_merges_by_weight(derive) -> None:
    graph = load_graph(derive("layers:\n  conv1: {filters: 6, initialize: {weight: 0.5}}\n"))
    conv = next(node for node in graph.nodes if node.name == "conv1")
    assert conv.type.features == (6, 16, 16)
    assert str(conv.op.initialize) == "{'weight': Constant(constant=0.5), 'bias': Constant(constant=1.0)}"


def test_a_layer_with_op_replaces_and_keeps_its_place(derive) -> None:
    path = derive("layers:\n  relu1: {op: tanh}\n  conv2: {op: conv2d, filters: 8, initialize: {bias: 3}}\n")
    graph = load_graph(path)
    assert readers(path) == CHAIN
    assert graph.nodes[1].op.kind == "tanh"
    assert str(graph.weights["conv2.weight"].initializer).startswith("normal=NormalParameters"), "defaults stay below"


NULLS = """\
name: base
input: {shape: [3, 8, 8]}
parameters: {depth: 1, width: 4}
presets: {depth: {1: {width: 8}, 2: {width: 16}}}
defaults: {conv2d: {kernel_size: 3, bias: false}}
blocks: {unit: {parameters: {k: 3}, layers: {conv: {op: conv2d, filters: "${width}", kernel_size: "${k}"}}}}
layers:
  u: {block: unit}
  c: {op: conv2d, filters: 2, groups: 2}
training: {batch_size: 4, epochs: 1, optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}}
"""


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", 8 * 27 + 8 * 9),
        ("presets: {depth: {1: {width: null}}}", 4 * 27 + 4 * 9),
        ("presets: {depth: {1: null}}\nparameters: {depth: 2}", 16 * 27 + 16 * 9),
        ("presets: {depth: null}", 4 * 27 + 4 * 9),
        ("presets: null", 4 * 27 + 4 * 9),
        ("defaults: {conv2d: {bias: null}}", 8 * 28 + 8 * 9 + 2),
        ("defaults: {conv2d: null}\nblocks: {unit: {parameters: {k: 1}}}\nlayers: {c: {kernel_size: 1}}", 8 * 4 + 10),
        ("layers: {c: {groups: null}}", 8 * 27 + 16 * 9),
        ("layers: {c: {op: conv2d, filters: 2, bias: null}}", 8 * 27 + 16 * 9 + 2),
        ("blocks: {unit: {parameters: {k: null}, layers: {conv: {kernel_size: null}}}}", 8 * 27 + 8 * 9),
        ("blocks: {unit: null}\nlayers: {u: null, c: {groups: 1}}", 6 * 9),
        ("parameters: {width: null}\npresets: null\nblocks: {unit: {layers: {conv: {filters: 8}}}}", 8 * 27 + 8 * 9),
    ],
)
def test_null_removes_what_the_base_states(text: str, weights: int, write) -> None:
    write(NULLS, "base.yaml")
    path = write(f"name: derived\nextends: base.yaml\n{text}\n", "derived.yaml")
    assert sum(weight.size for weight in load_graph(path).weights.values()) == weights


def test_null_removes_a_part_of_a_recipe(derive) -> None:
    assert read_spec(derive("training: null\n")).training is None
    recipe = read_spec(derive("training: {optimizer: {momentum: null}, schedule: null}\n")).training
    assert recipe is not None
    assert (recipe.optimizer.momentum, recipe.schedule.name) == (0, "constant"), "as if the base had not said it"


def test_null_for_what_the_base_lacks_is_an_error(derive) -> None:
    for text in (
        "defaults: {conv2d: {stride: null}}",
        "presets: {width: null}",
        "parameters: {new: null}",
        "blocks: {u: null}",
    ):
        with pytest.raises(SpecError, match=r"received nothing|no parameter"):
            load_graph(derive(f"{text}\n"))


def test_null_removes_and_readers_read_its_input(derive) -> None:
    assert readers(derive("layers:\n  norm1: null\n")) == {
        **{k: v for k, v in CHAIN.items() if k != "norm1"},
        "conv2": ("relu1",),
        "side": ("relu1",),
    }


def test_several_removed_in_a_row_up_to_the_input(derive) -> None:
    found = readers(derive("layers:\n  norm1:\n  relu1: ~\n  conv1: null\n"))
    assert (found["conv2"], found["side"]) == (("input",), ("input",))


def test_a_removed_layer_with_stated_inputs_hands_them_on(derive) -> None:
    found = readers(derive("layers:\n  side: null\noutputs: [fc]\n"))
    assert found["conv3"] == ("norm1",), "what `side` read, and not the layer that stands before it"


def test_readers_of_the_outputs_of_a_removed_block_read_its_input(write) -> None:
    write(
        "name: base\ninput: {shape: [3, 8, 8]}\n"
        "blocks: {pair: {layers: {left: {op: relu}, right: {op: tanh, inputs: input}}, outputs: [left, right]}}\n"
        "layers: {first: {op: relu}, both: {block: pair}, sum: {op: add, inputs: [both.left, both.right]}}\n",
        "base.yaml",
    )
    path = write("name: derived\nextends: base.yaml\nlayers: {both: null}\n")
    assert readers(path) == {"first": ("input",), "sum": ("first", "first")}


def test_a_layer_that_reads_nothing_is_not_joined_to_the_layer_before_it(write) -> None:
    layers = "{op: dense, units: 4}\n  a: {op: parameter, shape: [6, 4]}\n  b: {op: parameter, shape: [6, 4]}\n"
    write(
        f"name: base\ninput: {{shape: [6, 8]}}\nlayers:\n  fc: {layers}  sum: {{op: add, inputs: [fc, a, b]}}\n",
        "base.yaml",
    )
    removed = "name: derived\nextends: base.yaml\nlayers:\n  a: null\n"
    found = readers(write(f"{removed}  sum: {{inputs: [fc, b]}}\n", "derived.yaml"))
    assert found == {"fc": ("input",), "b": (), "sum": ("fc", "b")}, "b, which follows it, reads nothing either"
    with pytest.raises(SpecError, match="'a' reads no layer: its readers have nothing to read instead of it"):
        load_graph(write(f"{removed}  fc: {{units: 4}}\n", "unread.yaml"))


def test_an_output_that_is_removed_becomes_its_input(derive) -> None:
    assert load_graph(derive("layers:\n  fc: null\n")).outputs == ("flat", "side")


def test_a_new_layer_takes_its_place_in_the_chain(derive) -> None:
    found = readers(derive("layers:\n  bn1: {op: batch_norm, after: norm1}\n  act1: {op: relu, after: bn1}\n"))
    assert (found["bn1"], found["act1"], found["conv2"]) == (("norm1",), ("bn1",), ("act1",))
    assert found["side"] == ("norm1",), "who names a layer keeps it"


def test_new_layers_after_one_layer_stand_in_the_order_of_the_file(derive) -> None:
    found = readers(derive("layers:\n  a: {op: relu, after: relu1}\n  b: {op: relu, after: relu1}\n"))
    assert (found["a"], found["b"], found["norm1"]) == (("relu1",), ("a",), ("b",))


def test_a_new_first_layer_comes_after_the_input(derive) -> None:
    found = readers(derive("layers:\n  scale: {op: identity, after: input}\n"))
    assert (found["scale"], found["conv1"]) == (("input",), ("scale",))
    assert next(iter(found)) == "scale"


def test_a_new_layer_in_place_of_a_removed_one(derive) -> None:
    for text in (
        "  norm1: null\n  bn: {op: batch_norm, after: norm1}\n",
        "  bn: {op: batch_norm, after: norm1}\n  norm1:\n",
    ):
        found = readers(derive(f"layers:\n{text}"))
        assert (found["bn"], found["conv2"], found["side"]) == (("relu1",), ("bn",), ("relu1",))


def test_parameters_defaults_and_training_merge(derive) -> None:
    path = derive(
        "parameters: {classes: 3}\n"
        "defaults: {conv2d: {bias: false}, dense: {bias: false}}\n"
        "training: {batch_size: 64, optimizer: {momentum: 0.5}, schedule: {name: cosine}}\n"
    )
    spec = read_spec(path)
    assert spec.parameters == {"classes": 3, "width": 4}
    assert spec.training is not None
    assert spec.training.batch_size == 64
    assert spec.training.epochs == 2
    assert spec.training.optimizer.model_dump() == {
        **{"name": "sgd", "learning_rate": 0.1, "momentum": 0.5},
        **{"form": "paper", "nesterov": False, "weight_decay": 0.0},
    }
    assert spec.training.schedule.model_dump() == {"name": "cosine", "final": 0.0}


def test_a_default_initializer_for_a_weight_that_a_layer_lacks_is_no_error(derive) -> None:
    path = derive("defaults: {conv2d: {bias: false}}\nlayers:\n  conv1: {op: conv2d, filters: 4}\n")
    assert set(load_graph(path).weights) == {"conv1.weight", "conv2.weight", "conv3.weight", "fc.weight", "fc.bias"}


def test_input_source_and_outputs_replace(derive) -> None:
    path = derive("inputs: {image: {shape: [3, 32, 32]}}\nsource: me\noutputs: [side, fc]\n")
    graph = load_graph(path)
    assert [value.name for value in graph.inputs] == ["image"]
    assert (graph.source, graph.outputs) == ("me", ("side", "fc"))


def test_a_chain_of_three_files(derive, write) -> None:
    derive("layers:\n  norm1: null\n  bn: {op: batch_norm, after: relu1}\n")
    path = write(
        "name: third\nextends: ../derived.yaml\nlayers:\n  bn: {op: tanh}\n  fc: {units: 2}\n", "more/third.yaml"
    )
    graph = load_graph(path)
    assert graph.type_of("fc").features == (2,)
    assert {node.name: node.op.kind for node in graph.nodes}["bn"] == "tanh"


def test_problems_are_reported_in_their_own_files(derive) -> None:
    path = derive("layers:\n  conv1: {filterz: 6}\n  relu1: {op: tahn}\n  fc: {unit: 3}\n")
    path.with_name("base.yaml").write_text(BASE.replace("size: 5", "size: five"))
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    found = [(Path(d.where.file).name, d.where.path) for d in caught.value.diagnostics if d.where]
    assert found == [
        ("derived.yaml", "layers.conv1.filterz"),
        ("derived.yaml", "layers.relu1.op"),
        ("derived.yaml", "layers.fc.unit"),
        ("base.yaml", "layers.norm1.size"),
    ]


def test_a_cycle_is_reported_in_the_file_that_closes_it(derive) -> None:
    path = derive("#\n" * 30 + "layers:\n  conv3: {inputs: [sum]}\n")
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    (problem,) = caught.value.diagnostics
    assert problem.where is not None
    assert Path(problem.where.file).name == "derived.yaml"
    assert problem.message == "'conv3' needs its own output: conv3 reads sum reads conv3"


def test_a_link_that_leads_elsewhere_is_named_with_both_paths(write, tmp_path: Path) -> None:
    write(BASE, "elsewhere/secret.yaml")
    inside = write("name: derived\nextends: sub/base.yaml\n", "here/derived.yaml").parent
    (inside / "sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "base.yaml").symlink_to(tmp_path / "elsewhere" / "secret.yaml")
    with pytest.raises(SpecError, match=r"'sub/base.yaml' is a symbolic link to '../elsewhere/secret.yaml'"):
        load_graph(inside / "derived.yaml")


def test_a_spec_that_is_itself_reached_by_a_link_is_read(derive, tmp_path: Path) -> None:
    path = derive("")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    assert load_graph(tmp_path / "link" / path.name) == load_graph(path)


def test_a_chain_of_too_many_files_is_refused(write) -> None:
    for i in range(20):
        write(f"name: n{i}\nextends: n{i + 1}.yaml\n", f"n{i}.yaml")
    with pytest.raises(SpecError, match="more than 16 files"):
        load_graph(write("name: last\nextends: n0.yaml\n", "first.yaml"))


def test_a_base_that_is_not_a_spec_is_refused(derive) -> None:
    path = derive("layers: {a: {op: relu, after: conv1}}\n")
    for text, words in [("[1]", "a spec is a mapping"), ("", "is empty"), ("layers: 3\n", "needs 'input'")]:
        path.with_name("base.yaml").write_text(text)
        with pytest.raises(SpecError, match=words):
            load_graph(path)


def test_choices_may_be_narrower_than_the_presets_of_the_base() -> None:
    assert load_graph("specs/resnext.yaml", {"depth": 101}).name == "resnext101-32x8d"
