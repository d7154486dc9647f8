"""The commands that load no framework: check, show, diff, schema, ops, backends, completion, and help."""

import json
import os
import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from netspec.cli.app import COMMANDS
from netspec.lowering import find_backend
from netspec.ops import OPS
from tests.cli.conftest import Run, Spec
from tests.cli.test_process import in_terminal, plain

WEIGHTS = 112 + 76 + 676  # conv1 4·3·9+4, conv2 4·2·9+4, fc (4·7·6)·4+4


def test_check_prints_a_line_for_each_spec(netspec: Run, small: Path) -> None:
    assert netspec("check", small) == (0, f"{small}: ok: small, 5 layers, {WEIGHTS} weights\n", "")


def test_check_goes_on_after_a_wrong_spec(netspec: Run, small: Path, write_spec: Spec) -> None:
    wrong = write_spec("wrong.yaml", conv2d="conv3d", relu="rely")
    code, out, err = netspec("check", wrong, small)
    assert code == 2
    assert out == f"{small}: ok: small, 5 layers, {WEIGHTS} weights\n"
    assert f"error: {wrong}: 2 problems" in err  # at conv1 and conv2, and at relu1
    assert f"{wrong}:7:" in err
    assert "did you mean" in err


def test_check_takes_parameters(netspec: Run, small: Path) -> None:
    assert f"{WEIGHTS + 169:,} weights" in netspec("check", small, "--set", "classes=5")[1]
    code, out, err = netspec("check", small, "--set", "clases=5")
    assert (code, out) == (2, "")
    assert "did you mean 'classes'?" in err


RECIPE = "training: {batch_size: 2, epochs: 1, optimizer: {name: sgd, learning_rate: 0.1}"
DENSE = "name: dense\ninput: {shape: [6]}\nlayers:\n  fc: {op: dense, units: 4}\n"
TWO_INPUTS = """name: two
inputs: {x: {shape: [6]}, y: {shape: [6]}}
layers:
  fc: {op: add, inputs: [x, y]}
"""
MAP = "name: map\ninput: {shape: [3, 8, 8]}\nlayers:\n  conv: {op: conv2d, filters: 4, kernel_size: 1}\n"


@pytest.mark.parametrize(
    ("network", "recipe", "message"),
    [
        (TWO_INPUTS, "}", "one input"),
        (DENSE.replace("layers:", "outputs: [fc, one]\nlayers:\n  one: {op: relu}"), "}", "one output"),
        (DENSE.replace("units: 4", "units: 1"), "}", "constant_logit: 0}` in the recipe for the class of no"),
        (DENSE.replace("[6]", "[5, 6]"), "}", "training needs logits"),
        (DENSE, ", augmentation: {horizontal_flip: true}}", "horizontal_flip for images, and its input is [6]"),
        (MAP, ", augmentation: {cutmix: {alpha: 1}}}", "cutmix for images with one label each, and the output conv"),
        (MAP, ", evaluation: {views: 10}}", "10 views of an image, which have no mask in common"),
        (MAP.replace("kernel_size: 1", "kernel_size: 2, stride: 2"), "}", "stands for 2x2 pixels"),
    ],
)
def test_check_reports_a_recipe_that_cannot_train_the_network(
    network: str, recipe: str, message: str, netspec: Run, tmp_path: Path
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(network + RECIPE + recipe + "\n")
    code, out, err = netspec("check", path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {path}: 1 problem\n{path}:{len(network.splitlines()) + 1}:1: training: ")
    assert message in err
    path.write_text(network)
    assert netspec("check", path)[0] == 0  # without a recipe it may be anything


def test_check_of_a_missing_file_and_of_a_folder_are_errors(netspec: Run, tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        code, out, err = netspec("check", path)
        assert (code, out) == (2, "")
        assert str(path) in err
        assert "Traceback" not in err


def test_show_prints_layers_totals_and_published_figures(netspec: Run, small: Path) -> None:
    code, out, _ = netspec("show", small)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "small: a test"
    assert lines[2].split() == ["layer", "op", "output", "weights", "MACs", "activation", "field"]
    assert lines[4].split() == ["conv1", "conv2d", "4x9x8", "112", "7,776", "1.1", "KiB", "3x3"]
    assert lines[6].split() == ["conv2", "conv2d", "4x7x6", "76", "3,024", "672", "B", "5x5"]
    assert lines[8].split() == ["fc", "dense", "4", "676", "672", "16", "B", "all"]
    assert lines[-4].split() == ["in", "all", "counted", "published"]
    assert lines[-3].split() == ["weights", str(WEIGHTS), "1,000"]
    assert lines[-2].split() == ["neurons", str(288 + 168 + 4), "500"]


def test_show_prints_trained_weights_if_published_though_all_are_trained(
    netspec: Run, write_spec: Callable[..., Path]
) -> None:
    path = write_spec(**{"published: {weights: 1000, neurons: 500}": f"published: {{trained: {WEIGHTS}}}"})
    code, out, _ = netspec("show", path)
    assert code == 0
    assert [line.split() for line in out.splitlines()[-4:-1]] == [
        ["weights", str(WEIGHTS)],
        ["trained", str(WEIGHTS), str(WEIGHTS)],
        ["neurons", str(288 + 168 + 4)],
    ]


def test_show_as_json_has_every_figure(netspec: Run, small: Path) -> None:
    code, out, _ = netspec("show", small, small, "--json")
    first, second = json.loads(out)
    assert code == 0
    assert first == second
    assert first["totals"]["weights"] == WEIGHTS
    assert first["totals"]["macs"] == 7776 + 3024 + 672
    assert first["published"] == {"weights": 1000, "neurons": 500}
    assert first["layers"][0]["receptive_field"] == [3, 3]
    assert first["layers"][-1]["receptive_field"] is None


def test_show_as_graph_is_a_flowchart_of_one_spec(netspec: Run, small: Path) -> None:
    code, out, _ = netspec("show", small, "--graph")
    assert code == 0
    assert out.startswith("flowchart TD\n")
    assert 'v3["conv2<br/>conv2d, 2 groups<br/>4x7x6"]' in out
    for more in ([small], ["--json"]):
        code, out, err = netspec("show", small, "--graph", *more)
        assert (code, out) == (2, "")
        assert "one flowchart" in err


def test_diff_lists_what_changes(netspec: Run, small: Path, write_spec: Spec) -> None:
    other = write_spec("other.yaml", **{"relu1: {op: relu}\n": "act: {op: tanh}\n", "groups: 2": "groups: 1"})
    code, out, _ = netspec("diff", small, other)
    assert code == 0
    assert "- relu1: (N, 4, 9, 8) = relu(conv1)" in out
    assert "+ act: (N, 4, 9, 8) = tanh(conv1)" in out
    assert "~ conv2\n    inputs: relu1 → act\n    groups: 2 → 1\n" in out
    assert ["weights", str(WEIGHTS), str(WEIGHTS + 72), "+72"] in [line.split() for line in out.splitlines()]


def test_show_folds_blocks_by_default(netspec: Run) -> None:
    code, out, _ = netspec("show", "specs/resnet.yaml", "--set", "depth=18")
    assert code == 0
    assert ["layer1.0", "basic", "64x56x56", "74,240", "231,211,008", "5.4", "MiB", "27x27"] in [
        line.split() for line in out.splitlines()
    ]
    assert ["trained", "11,689,512", "11,689,512"] in [line.split() for line in out.splitlines()]
    assert "layer1.0.conv1" in netspec("show", "specs/resnet.yaml", "--unfold")[1]
    assert "subgraph" in netspec("show", "specs/resnet.yaml", "--graph", "--unfold")[1]
    report = json.loads(netspec("show", "specs/resnet.yaml", "--json")[1])[0]
    assert len(report["layers"]) == 174
    assert report["blocks"][0] == {
        "path": "layer1.0",
        "block": "bottleneck",
        "arguments": {"width": 64, "stride": 1, "inner": 64, "out": 256},
    }


def test_diff_names_layers_of_blocks_by_path(netspec: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("name: other\nextends: resnet.yaml\nlayers: {layer4: {width: 256}}\n")
    for path in ("resnet.yaml", "preprocessing/torchvision.yaml"):
        copy = tmp_path / path
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(Path("specs", path).read_text())
    code, out, _ = netspec("diff", "specs/resnet.yaml", other)
    assert code == 0
    assert "~ layer4.0.conv1\n    shape: (N, 512, 14, 14) → (N, 256, 14, 14)\n    filters: 512 → 256\n" in out


def test_diff_prints_long_values_on_lines_of_their_own_on_a_terminal() -> None:
    printed = plain(in_terminal(80, "diff", "specs/alexnet.yaml", "specs/alexnet-owt.yaml"))
    lines = printed.splitlines()
    first = lines.index("    initialize:")
    assert lines[first + 1].startswith('      {"weight":{"normal":{"mean":0.0,"std":0.01}},"bias":')
    assert any(line.startswith('      → {"weight":{"variance_scaling":') for line in lines[first:])
    assert "    filters: 96 → 64\n" in printed


def test_diff_as_json(netspec: Run, small: Path, write_spec: Spec) -> None:
    other = write_spec("other.yaml", **{"groups: 2": "groups: 1"})
    code, out, _ = netspec("diff", small, other, "--json")
    report = json.loads(out)
    assert code == 0
    assert (report["added"], report["removed"], report["interface"]) == ([], [], [])
    assert report["changed"] == [{"name": "conv2", "fields": [{"field": "groups", "before": "2", "after": "1"}]}]
    assert report["totals"]["weights"]["difference"] == 72


def test_diff_lists_what_differs_in_the_recipes(netspec: Run, small: Path, tmp_path: Path) -> None:
    recipe = "training: {batch_size: 8, epochs: 2, optimizer: {name: sgd, learning_rate: 0.1}}\n"
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(small.read_text() + recipe)
    second.write_text(small.read_text() + recipe.replace("epochs: 2", "epochs: 3").replace("0.1", "0.2"))
    code, out, _ = netspec("diff", first, second)
    same, *changes = out.split("\n\n")
    assert (code, same) == (0, "small and small compute the same, layer by layer")
    assert changes == [
        "their recipes differ\n~ training.epochs: 2 → 3\n~ training.optimizer.learning_rate: 0.1 → 0.2\n"
    ]
    report = json.loads(netspec("diff", first, second, "--json")[1])
    assert report["recipe"][0] == {"field": "training.epochs", "before": "2", "after": "3"}
    assert "~ training: nothing → {" in netspec("diff", small, second)[1]


def test_diff_of_equal_specs_says_so(netspec: Run, small: Path) -> None:
    assert netspec("diff", small, small) == (0, "small and small compute the same, layer by layer\n", "")


def test_schema_is_printed_or_written(netspec: Run, tmp_path: Path) -> None:
    code, out, _ = netspec("schema")
    path = tmp_path / "netspec.schema.json"
    assert code == 0
    assert netspec("schema", "--out", path) == (0, f"{path}\n", "")
    assert json.loads(path.read_text()) == json.loads(out)
    assert json.loads(out)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_ops_lists_all(netspec: Run) -> None:
    code, out, _ = netspec("ops")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(OPS)
    assert [op["op"] for op in json.loads(netspec("ops", "--json")[1])] == list(OPS)


@pytest.mark.parametrize("kind", OPS)
def test_ops_describes_each_in_full(netspec: Run, kind: str) -> None:
    code, out, _ = netspec("ops", kind)
    assert code == 0
    assert out.startswith(f"{kind}: ")
    assert all(name in out for name in OPS[kind].model_fields)


def test_ops_suggests_a_name_for_an_unknown_op(netspec: Run) -> None:
    code, _, err = netspec("ops", "conv2")
    assert code == 2
    assert "did you mean conv2d?" in err
    assert "`netspec ops` lists them" in netspec("ops", "nosuch")[2]


def test_backends_says_what_is_missing(netspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(netspec("backends", "--json")[1])[0]["versions"] == {"torch": version("torch")}
    monkeypatch.setattr(type(find_backend("keras")), "missing", lambda _: ["keras", "tensorflow"])
    code, out, _ = netspec("backends")
    assert code == 0
    assert "missing: keras, tensorflow" in out
    assert "pip install 'netspec[keras]'" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(netspec: Run, shell: str) -> None:
    code, out, _ = netspec("completion", shell)
    assert code == 0
    assert f"_NETSPEC_COMPLETE={shell}_complete" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(netspec: Run, name: str) -> None:
    code, out, _ = netspec(name, "--help")
    assert code == 0
    assert f"Examples:\n    netspec {name}" in out


@pytest.mark.parametrize(
    "names", [(), *((name,) for name in COMMANDS), ("data", "check"), ("data", "prepare"), ("weights", "import")]
)
def test_help_fits_into_80_columns_but_for_commands_to_copy(
    netspec: Run, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    lines = netspec(*names, "--help")[1].splitlines()
    examples = re.compile(r" +(netspec|torchrun) ")
    assert [line for line in lines if len(line) > 80 and not examples.match(line)] == []


def test_an_op_is_described_within_the_width_of_a_terminal(netspec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = netspec("ops", "conv2d")[1]
    monkeypatch.setattr("netspec.cli.ops.terminal_width", lambda: 60)
    lines = netspec("ops", "conv2d")[1].partition("attribute ")[0].splitlines()
    assert max(map(len, lines)) <= 60
    assert "Shapes:" in lines
    assert " ".join(" ".join(lines).split()) in " ".join(whole.split())


def test_help_lists_every_command_and_version_is_one_line(netspec: Run) -> None:
    out = netspec("--help")[1]
    listed = out[out.index("Commands:") : out.index("Examples:")].splitlines()[1:]
    assert [line.split()[0] for line in listed if line.strip()] == list(COMMANDS)
    assert netspec("--version") == (0, f"netspec {version('netspec')}\n", "")


def test_a_mistake_in_the_command_line_is_told_as_any_other(netspec: Run) -> None:
    hint = "hint: netspec check [OPTIONS] SPEC...; `netspec check --help` tells more\n"
    assert netspec("check") == (2, "", f"error: missing argument 'SPEC...'\n{hint}")


def test_an_unknown_command_is_an_error_with_a_suggestion(netspec: Run) -> None:
    code, out, err = netspec("chek")
    assert (code, out) == (2, "")
    assert "there is no command 'chek'; did you mean check?" in err
