"""`verify_towers`: processes over gloo beside one device, and what it catches."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netspec.errors import BackendError, NetspecError, VerificationError
from netspec.graph import Graph
from netspec.lowering import Backend, OptimizedBackend, TowerSettings, find_backend
from netspec.passes import Level as Optimization
from netspec.recipe import Recipe
from netspec.testing.networks import Chain
from netspec.verify import Report
from netspec.verify.cases import check_weights_of
from netspec.verify.towers import verify_towers
from netspec.verify.towers.backend import InTowers
from tests.forked import fork_towers
from tests.training.towers import ROOT, SPEC
from tests.verify import faulty_towers

TORCH = find_backend("torch")


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Towers that need not import PyTorch each; the command's own are seen in `test_cli_verify_towers`."""
    fork_towers(monkeypatch)


RECIPE = Recipe.model_validate(
    {
        "batch_size": 4,
        "steps": 1,
        "clip_gradient_norm": 1.0,
        "optimizer": {"name": "adam", "learning_rate": 0.1},
        "augmentation": {"mixup": {"alpha": 0.8}, "cutmix": {"alpha": 1.0}},  # which leave no images to predict
    }
)


def network(units: int = 6) -> Graph:
    """Gathered, collected, dropped and clipped, and a last layer that is whole where its width is odd."""
    return (
        Chain("small", image=(3, 6, 5))
        .add("conv1", "conv2d", filters=8, kernel_size=3, padding=1)
        .add("norm1", "batch_norm")
        .add("conv2", "conv2d", filters=8, kernel_size=3, groups=2)
        .add("relu2", "relu")
        .add("flatten", "flatten")
        .add("fc1", "dense", units=8)
        .add("drop1", "dropout", rate=0.4)
        .add("fc2", "dense", units=units)
        .graph()
    )


def proof(patch: pytest.MonkeyPatch, fault: Callable[[], None], units: int = 6) -> Report:
    """In processes of which each has planted the fault in itself."""
    fork_towers(patch, fault)
    return verify_towers(network(units), TORCH, 2, recipe=RECIPE)


def test_two_towers_are_one_device() -> None:
    """All levels, by the paper's rule and by the recipe's, with passes for training as `netspec train` has them."""
    report = verify_towers(network(), TORCH, 2, recipe=RECIPE, optimize="training").require()
    many, one = "torch in 2 towers", "torch"
    assert [(c.level, c.case, c.tolerance) for c in report.comparisons[:5]] == [
        ("forward", "4 × 3x6x5", 1e-12),
        ("forward", "3 × 3x6x5", 1e-12),
        *[("gradient", "3 × 3x6x5", 1e-10)] * 2,
        ("gradient", "a step of 4 × 3x6x5", 1e-10),
    ]
    assert {(c.backend, c.against, c.dtype) for c in report.comparisons[:5]} == {(many, one, "float64")}
    trained = [c for c in report.comparisons if c.level == "training" and (c.backend, c.against) == (many, one)]
    assert [(c.dtype, c.tolerance) for c in trained if c.dtype == "float64"] == [("float64", 1e-10)] * 4
    assert {c.case.split(",")[0] for c in trained} == {"20 steps of sgd", "20 steps of adam"}
    assert max(c.error for c in trained if c.dtype == "float64") < 1e-11


@pytest.mark.parametrize(
    ("fault", "units", "level"),
    [
        (faulty_towers.of_another_towers_weights, 6, "forward"),
        (faulty_towers.that_do_not_sum_what_is_gathered, 6, "gradient"),
        (faulty_towers.that_sum_what_is_whole, 5, "gradient"),
        (faulty_towers.that_drop_the_first_towers_channels, 6, "gradient"),
        (faulty_towers.that_clip_each_by_its_own_norm, 6, "training"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_is_wrong_in_towers_is_caught(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None], units: int, level: str
) -> None:
    report = proof(monkeypatch, fault, units)
    assert not report.passed
    failed = [c for c in report.comparisons if not c.passed]
    assert failed[0].level == level
    assert failed[0].error > 1e-6
    if level == "training":
        assert {found.backend for found in report.training} == {"torch in 2 towers"}
    else:
        assert "training is not compared: the networks differ before it begins" in report.notes


def in_groups() -> Graph:
    """Layers in two groups for four towers: of a whole value, and of a divided one."""
    return (
        Chain("groups", image=(4, 6, 5))
        .add("conv1", "conv2d", filters=6, kernel_size=3, padding=1)  # 6 filters: whole in each
        .add("conv2", "conv2d", filters=8, kernel_size=3, groups=2)
        .add("relu2", "relu")
        .add("norm2", "local_response_norm", size=3, alpha=1, beta=0.75, k=2, convention="sum", groups=2)
        .add("conv3", "conv2d", filters=8, kernel_size=1, groups=2)
        .add("flatten", "flatten")
        .add("fc1", "dense", units=8, groups=2)
        .add("fc2", "dense", units=6)
        .graph()
    )


def test_four_towers_of_two_groups_are_one_device() -> None:
    report = verify_towers(in_groups(), TORCH, 4, recipe=RECIPE).require()
    assert {comparison.level for comparison in report.comparisons} == {"forward", "gradient", "training"}


@pytest.mark.parametrize(
    ("fault", "level"),
    [
        (faulty_towers.that_read_another_group, "forward"),
        (faulty_towers.that_gather_other_groups, "forward"),
        (faulty_towers.that_do_not_sum_over_their_team, "gradient"),
        (faulty_towers.that_read_no_neighbors, "forward"),
        (faulty_towers.that_read_neighbors_of_another_group, "forward"),
        (faulty_towers.that_send_no_gradient_to_neighbors, "gradient"),
    ],
)
def test_what_is_wrong_in_teams_is_caught(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None], level: str
) -> None:
    fork_towers(monkeypatch, fault)
    report = verify_towers(in_groups(), TORCH, 4, "gradient")
    failed = [comparison for comparison in report.comparisons if not comparison.passed]
    assert failed[0].level == level
    assert failed[0].error > 1e-6


def test_a_gradient_that_a_group_lacks_is_seen_in_the_towers_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fork_towers(monkeypatch, faulty_towers.that_leave_other_groups_without_a_gradient)
    with pytest.raises(VerificationError, match="towers 0 and 2 do not agree: the gradients that both have whole"):
        verify_towers(in_groups(), TORCH, 4, "gradient")


def test_towers_that_do_not_agree_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VerificationError, match=r"towers 0 and 1 do not agree: a step's loss is \d.* in one and \d"):
        proof(monkeypatch, faulty_towers.of_which_one_sees_another_loss)


def test_a_process_that_is_killed_is_told_and_the_others_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match=r"the process of tower 1 ended of itself, with exit code -9"):
        proof(monkeypatch, faulty_towers.of_which_one_dies)


def test_a_defect_in_a_process_is_told_with_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"in the process of tower 1: Traceback(.|\n)*ZeroDivisionError: a defect"):
        proof(monkeypatch, faulty_towers.of_which_one_breaks)


def generator() -> Graph:
    """Maps of a vector, larger than it: no logits. Its values are gathered and collected, and its output saturates."""
    return (
        Chain("generator", z=(6, 1, 1))
        .add("up1", "conv_transpose2d", filters=8, kernel_size=3, bias=False)
        .add("norm1", "batch_norm")
        .add("relu1", "relu")
        .add("up2", "conv_transpose2d", filters=4, kernel_size=4, stride=2, padding=1, groups=2)
        .add("up3", "conv_transpose2d", filters=4, kernel_size=3)
        .add("up4", "conv_transpose2d", filters=3, kernel_size=4, stride=2, padding=1)
        .add("tanh", "tanh")
        .graph()
    )


def of_two_inputs_and_three_outputs() -> Graph:
    """Of outputs one is divided and read on, one is whole, and one is an input."""
    chain = Chain("several", image=(4, 5, 4), gate=(8, 1, 1))
    chain.add("conv", "conv2d", filters=8, kernel_size=3, reads="image", groups=2)
    chain.add("gated", "multiply", reads=("conv", "gate")).add("last", "conv2d", filters=3, kernel_size=1)
    return chain.graph("gated", "last", "gate")


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (generator(), "logits of (16, 16) positions are no map of the pixels"),
        (of_two_inputs_and_three_outputs(), "takes a network of one input, and this one has 2: image, gate"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("optimize", ["none", "training"])
def test_a_network_without_a_loss_is_held_to_itself_but_for_training(
    graph: Graph, why: str, optimize: Optimization
) -> None:
    report = verify_towers(graph, TORCH, 2, optimize=optimize).require()
    assert [c.level for c in report.comparisons] == ["forward", "forward", "gradient", "gradient"]
    assert len(report.notes) == 2
    assert "training is not compared, for there is no loss" in report.notes[1]
    assert why in report.notes[1]


def test_that_there_is_no_loss_is_an_error_where_training_is_asked_for_and_before_a_process_is_started() -> None:
    two = Chain("two", x=(6, 3)).add("a", "dense", units=4).graph()
    with pytest.raises(NetspecError, match=r"(?s)training needs logits.*; its outputs .*: --level gradient"):
        verify_towers(two, TORCH, 2, "training")
    assert verify_towers(two, TORCH, 2, "forward").require().notes == (
        "one device and 2 processes of this machine, over gloo",
    )


@pytest.mark.parametrize(
    "fault",
    [
        faulty_towers.of_another_towers_weights,
        faulty_towers.that_do_not_sum_what_is_gathered,
        faulty_towers.that_sum_what_is_whole,
    ],
)
def test_what_is_wrong_is_caught_without_a_loss(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None]) -> None:
    fork_towers(monkeypatch, fault)
    assert not verify_towers(generator(), TORCH, 2, "gradient").passed


def test_a_model_in_towers_gives_whole_weights_and_has_no_training_mode() -> None:
    graph = generator()
    weights = check_weights_of(graph)
    with InTowers(TORCH, 2) as many:
        model = many.load(many.lower(graph), weights)
        found = model.weights()
        with pytest.raises(BackendError, match="in its trainer alone"):
            model.forward_training({})
        model.close()
    assert list(found) == list(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        (find_backend("onnx"), "the onnx backend has no network in towers"),
        (OptimizedBackend(TORCH, "inference"), "is optimized for inference"),
    ],
    ids=["onnx", "inference"],
)
def test_who_has_no_towers_says_so(backend: Backend, why: str) -> None:
    with pytest.raises(BackendError, match=why):
        backend.load_tower(generator(), {}, TowerSettings(towers=2))


@pytest.fixture
def command(tmp_path: Path) -> subprocess.Popen[str]:
    """The command itself, with processes of its own."""
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC)
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "netspec", "verify", str(spec), "--parallel", "towers"],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_ctrl_c_ends_the_processes_too(command: subprocess.Popen[str]) -> None:
    """One of them hangs, and the other waits for it, when it comes."""
    towers = _towers_that_have_met(command)
    os.kill(towers[1], signal.SIGSTOP)
    time.sleep(1.0)
    os.killpg(command.pid, signal.SIGINT)  # as a terminal does
    out, told = command.communicate(timeout=30)
    assert (out, command.returncode) == ("", 128 + signal.SIGINT)
    assert "Traceback" not in told
    assert [tower for tower in towers if Path(f"/proc/{tower}").exists()] == []


def test_the_processes_end_with_who_started_them(command: subprocess.Popen[str]) -> None:
    """Whatever they are doing, and however it ended."""
    towers = _towers_that_have_met(command)
    command.kill()
    command.communicate()
    for _ in range(100):
        if not any(Path(f"/proc/{tower}").exists() for tower in towers):
            return
        time.sleep(0.1)
    pytest.fail("they go on")


def _towers_that_have_met(process: subprocess.Popen[str]) -> list[int]:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    for _ in range(1200):
        assert process.poll() is None
        towers = [child for child in map(int, listed.read_text().split()) if _has_met_another(child)]
        if len(towers) == 2:
            return sorted(towers)
        time.sleep(0.1)
    pytest.fail("the towers never met")


def _has_met_another(child: int) -> bool:
    """Whether a process has a connection to another: gloo's, once they have met."""
    links = [str(link.readlink()) for link in Path(f"/proc/{child}/fd").iterdir() if link.is_symlink()]
    return sum(link.startswith("socket:") for link in links) >= 3
