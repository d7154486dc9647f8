"""`netspec weights`: the weights that it writes, its report, and that an error leaves no file."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from netspec import weights as weights_module
from netspec.spec import load_graph
from netspec.transfer import catalog
from netspec.weights import load_weights
from tests.cli.conftest import Run, process
from tests.cli.test_process import in_terminal, plain

SPEC = """\
name: net
source: a test
input: {shape: [3, 8, 8], preprocessing: {resize_shorter_side: 8, mean: [127.5], std: [60.0]}}
parameters: {classes: 4, width: 6}
blocks:
  unit:
    layers:
      conv: {op: conv2d, filters: "${channels}", kernel_size: 3, padding: 1}
      bn: {op: batch_norm}
layers:
  stem: {op: conv2d, filters: "${width}", kernel_size: 3}
  units: {block: unit, repeat: 2}
  pool: {op: global_avg_pool2d}
  fc: {op: dense, units: "${classes}"}
"""
MAPPING = """\
spec: net.yaml
origin: torchvision
source: a test
models: {net: {width: 6}, wide: {width: 8}}
layers:
  conv0: stem
  "body.{i}.0": "units.${i - 1}.conv"
  "body.{i}.1": "units.${i - 1}.bn"
  classifier: fc
ignored: ["aux.{path*}"]
"""


def _arrays(width: int = 6, classes: int = 4) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0).standard_normal
    arrays = {"conv0.weight": draw((width, 3, 3, 3)), "conv0.bias": draw(width), "aux.head.bias": draw(3)}
    for i in (1, 2):
        arrays |= {f"body.{i}.0.weight": draw((width, width, 3, 3)), f"body.{i}.0.bias": draw(width)}
        arrays |= {f"body.{i}.1.{name}": draw(width) for name in ("weight", "bias", "running_mean", "running_var")}
        arrays[f"body.{i}.1.num_batches_tracked"] = np.array(7)
    arrays |= {"classifier.weight": draw((classes, width)), "classifier.bias": draw(classes)}
    return {n: a.astype(np.float32) if a.dtype == np.float64 else a for n, a in arrays.items()}


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[object]]:
    """Return a function that writes a spec, a mapping and weights, and returns the arguments that import them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.yaml").write_text(SPEC)
    (tmp_path / "mapping.yaml").write_text(MAPPING)

    def write(arrays: dict[str, np.ndarray] | None = None, model: str = "net") -> list[object]:
        save_file(arrays or _arrays(), "theirs.safetensors")
        return ["weights", "import", "--from", model, "theirs.safetensors", "--mapping", "mapping.yaml"]

    return write


def test_the_written_weights_can_be_loaded_and_the_report_accounts_for_all(
    netspec: Run, given: Callable[..., list[object]]
) -> None:
    code, out, err = netspec(*given())
    assert (code, err) == (0, "")
    graph = load_graph("net.yaml")
    found = load_weights(Path("torchvision-net.safetensors"), graph)
    np.testing.assert_array_equal(found["units.1.bn.running_variance"], _arrays()["body.2.1.running_var"])
    assert out.startswith("torchvision:net: theirs.safetensors → net.yaml --set width=6\n")
    rows = [line.split() for line in out.splitlines()]
    assert ["conv0", "stem", "2", "168"] in rows
    assert ["body.1.*", "units.0", "6", f"{6 * 6 * 9 + 5 * 6}"] in rows
    assert "note: no weights, and left out: 2 num_batches_tracked\n" in out
    assert "note: of parts that net does not have, and left out: aux.head.bias\n" in out
    assert "✓ all 19 arrays of theirs.safetensors accounted for: 16 transferred, 3 left out; all 16 of net" in out
    assert out.endswith("\nnext: netspec run net.yaml --set width=6 PHOTO --weights torchvision-net.safetensors\n")


def test_the_example_in_the_docs_is_what_the_command_prints(
    netspec: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    graph = load_graph(root / "specs" / "resnet.yaml", ["depth=18"])
    state = {}
    for ours, weight in graph.weights.items():
        name = re.sub(r"downsample\.(conv|bn)", lambda found: f"downsample.{'01'[found[1] == 'bn']}", ours)
        state[name.replace("running_variance", "running_var")] = torch.zeros(weight.shape)
        if name.endswith("running_mean"):
            state[name.replace("running_mean", "num_batches_tracked")] = torch.tensor(1)
    torch.save(state, tmp_path / "resnet18.pth")
    (tmp_path / "specs").symlink_to(root / "specs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "shipped_specs", lambda: Path("specs").absolute())
    shown = (root / "docs" / "weights.md").read_text().partition("$ netspec weights import")[2].partition("\n```")[0]
    command, *lines = shown.splitlines()
    code, out, err = netspec("weights", "import", *command.split())
    assert (code, err) == (0, "")
    assert [line for line in lines if line != "…" and line not in out.splitlines()] == []


def test_the_next_command_works(netspec: Run, given: Callable[..., list[object]]) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save("photo.png")
    command = netspec(*given())[1].rpartition("next: netspec ")[2].split()
    code, out, err = netspec(*["photo.png" if word == "PHOTO" else word for word in command], "--backends", "torch")
    assert (code, err) == (0, "")
    assert out.startswith("net: photo.png\n")


def test_each_array_unfolded_and_as_json(netspec: Run, given: Callable[..., list[object]]) -> None:
    arguments = given()
    assert ["body.1.1.running_mean", "units.0.bn.running_mean", "1", "6"] in [
        line.split() for line in netspec(*arguments, "--unfold")[1].splitlines()
    ]
    report = json.loads(netspec(*arguments, "--json")[1])
    assert report["transferred"]["body.2.0.bias"] == "units.1.conv.bias"
    assert report["kept"] == [f"body.{i}.1.num_batches_tracked" for i in (1, 2)]
    assert (report["ignored"], report["arrays"], report["weights"]) == (["aux.head.bias"], 19, 16)
    assert (report["settings"], report["written"]) == (["width=6"], "torchvision-net.safetensors")


def test_weights_fine_tuned_for_other_classes_need_the_parameter(
    netspec: Run, given: Callable[..., list[object]]
) -> None:
    arguments = given(_arrays(classes=9))
    code, out, err = netspec(*arguments)
    assert (code, out) == (2, "")
    assert "classifier.weight: shape (9, 6), and fc.weight has (4, 6)" in err
    assert "hint: they have 9 there: `--set classes=9` makes the spec match" in err
    code, out, _ = netspec(*arguments, "--set", "classes=9")
    assert code == 0
    assert "--set width=6 --set classes=9 PHOTO" in out
    assert load_file("torchvision-net.safetensors")["fc.bias"].shape == (9,)


def test_a_leftover_on_either_side_writes_nothing(netspec: Run, given: Callable[..., list[object]]) -> None:
    arrays = _arrays()
    arrays["classifer.bias"] = arrays.pop("classifier.bias")
    arguments = given(arrays)
    before = sorted(Path().iterdir())
    code, out, err = netspec(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: theirs.safetensors: these weights are not torchvision:net's as mapping.yaml has them")
    assert "1 of the file that no rule takes:\n  classifer.bias" in err
    assert "1 of net that the file lacks:\n  fc.bias" in err
    assert sorted(Path().iterdir()) == before


def test_the_error_for_weights_of_another_model_names_that_model(
    netspec: Run, given: Callable[..., list[object]]
) -> None:
    code, _, err = netspec(*given(_arrays(8)))
    assert code == 2
    assert "hint: they are those of torchvision:wide" in err


def test_unknown_names_get_a_suggestion(netspec: Run, given: Callable[..., list[object]]) -> None:
    for model, hint in (
        ("torchvision:nett", "did you mean 'torchvision:net'?"),
        ("timm:net", "did you mean torchvision:net?"),
        ("torchvisin:wide", "did you mean torchvision:wide?"),
        ("transformer", "`netspec weights list` prints all"),
    ):
        code, out, err = netspec(*given(model=model))
        assert (code, out) == (2, "")
        assert f"there is no model {model!r}" in err
        assert hint in err
    code, _, err = netspec("weights", "import", "--from", "torchvision:resnet5", "theirs.safetensors")
    assert code == 2
    assert "did you mean 'torchvision:resnet50'?" in err


def test_the_file_that_is_read_is_never_overwritten(netspec: Run, given: Callable[..., list[object]]) -> None:
    arguments = given()
    before = Path("theirs.safetensors").read_bytes()
    for out in ("theirs.safetensors", "./x/../theirs.safetensors", "link.safetensors"):
        if out.startswith("link"):
            Path(out).symlink_to("theirs.safetensors")
        code, _, err = netspec(*arguments, "--out", out)
        assert code == 2
        assert "name another file with --out" in err
    os.link("theirs.safetensors", "hard.safetensors")
    assert netspec(*arguments, "--out", "hard.safetensors")[0] == 2
    assert Path("theirs.safetensors").read_bytes() == before
    code, _, err = netspec(*arguments, "--out", "net.pth")
    assert code == 2
    assert "ends in .safetensors" in err


def test_a_failed_write_and_an_interrupt_leave_no_file(
    netspec: Run, given: Callable[..., list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = given()
    before = sorted(Path().iterdir())
    code, _, err = netspec(*arguments, "--out", "net.yaml/out.safetensors")
    assert code == 2
    assert "cannot write net.yaml/out.safetensors" in err
    assert "Traceback" not in err

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(weights_module, "save_file", interrupted)
    code, out, err = netspec(*arguments)
    assert (code, out, err) == (130, "", "error: interrupted\n")
    assert sorted(Path().iterdir()) == before


def test_the_report_fits_80_columns(given: Callable[..., list[object]]) -> None:
    long = _arrays() | {f"aux.{'deep.' * 9}{i}": np.ones(1, np.float32) for i in range(3)}
    printed = plain(in_terminal(80, *given(long), "--unfold", PYTHONPATH=os.environ.get("PYTHONPATH", "")))
    table = printed[printed.index("theirs  ") : printed.index("\n\n", printed.index("theirs  "))]
    assert max(map(len, table.splitlines())) <= 80


def test_list_has_every_model_once_as_table_and_json(netspec: Run) -> None:
    report = json.loads(netspec("weights", "list", "--json")[1])
    names = [model["model"] for model in report]
    assert len(set(names)) == len(names)
    assert report[names.index("torchvision:resnet50")]["settings"] == {"depth": 50}
    code, out, _ = netspec("weights", "list")
    assert code == 0
    assert ["torchvision:resnet50", "resnet.yaml", "depth=50", "torchvision/resnet.yaml"] in [
        line.split() for line in out.splitlines()
    ]
    assert out.endswith("\nspecs: specs, mappings: specs/weights\n")


def test_list_does_not_fold_names_in_80_columns(netspec: Run) -> None:
    printed = plain(in_terminal(80, "weights", "list", PYTHONPATH=os.environ.get("PYTHONPATH", ""))).splitlines()
    assert max(map(len, printed)) <= 80
    names = [model["model"] for model in json.loads(netspec("weights", "list", "--json")[1])]
    assert {line.split(" ")[0] for line in printed} >= set(names)


def test_importing_safetensors_loads_no_framework(given: Callable[..., list[object]]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "netspec", *map(str, given())]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "numpy" in loaded
    assert not loaded & {"torch", "keras", "tensorflow", "jax", "h5py", "onnx", "onnxruntime", "PIL"}


def test_models_are_completed(tmp_path: Path) -> None:
    environment = os.environ | {
        "_NETSPEC_COMPLETE": "bash_complete",
        "COMP_WORDS": "netspec weights import --from torchvision:resnet1",
        "COMP_CWORD": "4",
    }
    assert process(env=environment, cwd=tmp_path).stdout.split() == [
        f"plain,torchvision:resnet{depth}" for depth in (18, 101, 152)
    ]
