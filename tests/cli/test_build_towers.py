"""`netspec build --parallel towers`: source that needs only torch and runs in one process for each device."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from netspec.lowering import find_backend
from netspec.spec import load_graph
from netspec.weights import initialize
from tests.cli.conftest import Run
from tests.forked import Forked
from tests.training.towers import SPEC
from tests.waiting import HANG

# What a user writes around the emitted source: it says first that netspec cannot be imported here.
ALONE = """
import sys
present = {name for name in sys.modules if name.startswith("netspec")}
sys.modules |= dict.fromkeys(present | {"netspec", "netspec_torch", "netspec_keras", "netspec_onnx"})
import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file
folder, rank, world = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, f"{folder}/torch")
from small_tower import SmallTower
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
model = SmallTower().eval()
model.load_state_dict(load_file(f"{folder}/torch/small_tower.{rank}.safetensors"))
y = model(torch.from_numpy(np.load(f"{folder}/x.npy")))
y.square().sum().backward()
gradients = {name: getattr(model, name).weight.grad for name in ("conv1", "conv2", "fc1")}
np.savez(f"{folder}/found{rank}.npz", y=y.detach(), **gradients)
dist.destroy_process_group()
"""


@pytest.mark.parametrize("towers", [2, 4])  # 4: two in each group of conv2
def test_the_source_of_a_tower_runs_without_netspec(netspec: Run, tmp_path: Path, towers: int) -> None:
    spec, out = tmp_path / "small.yaml", tmp_path / "out"
    spec.write_text(SPEC.replace("towers: 2", f"towers: {towers}"))
    code, printed, err = netspec("build", spec, "--backend", "torch", "--parallel", "towers", "--out", out)
    assert (code, err) == (0, "")
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    weights_of = [f"torch/small_tower.{tower}.safetensors" for tower in range(towers)]
    assert written == [*weights_of, "torch/small_tower.py"]
    assert all(name in printed for name in written)

    graph = load_graph(spec)
    weights, torch = initialize(graph, 0), find_backend("torch")
    x = np.random.default_rng(0).standard_normal((3, 1, 8, 8), np.float32)
    np.save(out / "x.npy", x)
    for process in [Forked(["-c", ALONE, str(out), str(tower), str(towers)]) for tower in range(towers)]:
        _, errors = process.communicate(timeout=HANG)
        assert process.returncode == 0, errors

    whole = torch.load(torch.lower(graph), weights)
    y = whole.forward({"input": x})["fc3"]
    gradients = whole.gradients({"input": x}, {"fc3": 2 * y}).weights
    for rank in range(towers):
        found = np.load(out / f"found{rank}.npz")
        np.testing.assert_allclose(found["y"], y, atol=1e-6 * np.abs(y).max())
        for name in ("conv1", "conv2", "fc1"):
            expected = np.split(gradients[f"{name}.weight"], towers)[rank]
            np.testing.assert_allclose(found[name], expected, atol=1e-5 * np.abs(expected).max())
        own = load_file(out / weights_of[rank])
        np.testing.assert_array_equal(own["fc1.weight"], np.split(weights["fc1.weight"], towers)[rank])
        np.testing.assert_array_equal(own["fc2.weight"], weights["fc2.weight"])  # 9 units: whole in each


def test_builds_that_towers_do_not_support_are_errors(netspec: Run, tmp_path: Path) -> None:
    spec, out = tmp_path / "small.yaml", tmp_path / "out"
    spec.write_text(SPEC)

    def error_of(*options: str) -> str:
        code, _, err = netspec("build", spec, "--parallel", "towers", "--out", out, *options)
        assert code == 2
        assert not out.exists()
        return err

    assert "one backend at a time" in error_of("--backend", "torch,keras")
    assert "keeps each weight as it is" in error_of("--backend", "torch", "--optimize", "inference")
    assert "keeps each weight as it is" in error_of("--backend", "torch", "--compile")
    assert "the keras backend trains no network in towers" in error_of("--backend", "keras")
    spec.write_text(SPEC.replace("placement: {towers: 2}\n", ""))
    assert "small has no placement" in error_of("--backend", "torch")
