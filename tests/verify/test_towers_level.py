"""`verify_towers`: comparing processes over gloo with one device, and the faults that it detects."""

from collections.abc import Callable

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
from tests.verify import faulty_towers

TORCH = find_backend("torch")


@pytest.fixture(autouse=True)
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the towers, so that they need not import PyTorch. `test_cli_verify_towers` tests those of the command."""
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
    """Return a network of gathered, collected, dropped and clipped values; a last layer of odd width is whole."""
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
    """Run the comparison in processes that plant the fault in themselves."""
    fork_towers(patch, fault)
    return verify_towers(network(units), TORCH, 2, recipe=RECIPE)


def test_two_towers_are_one_device() -> None:
    """At all levels, with the paper's update rule and the recipe's, and with the passes of `netspec train`."""
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
def test_a_fault_in_towers_is_caught(
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
    """Return layers in two groups for four towers, which read a whole value and a divided one."""
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
    """By the paper's update rule; `test_torch_towers` trains such a network with clipped gradients too."""
    report = verify_towers(in_groups(), TORCH, 4).require()
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
def test_a_fault_in_teams_is_caught(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None], level: str) -> None:
    fork_towers(monkeypatch, fault)
    report = verify_towers(in_groups(), TORCH, 4, "gradient")
    failed = [comparison for comparison in report.comparisons if not comparison.passed]
    assert failed[0].level == level
    assert failed[0].error > 1e-6


def test_a_gradient_that_a_group_lacks_is_seen_in_the_towers_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fork_towers(monkeypatch, faulty_towers.that_leave_other_groups_without_a_gradient)
    with pytest.raises(VerificationError, match="towers 0 and 2 do not agree: the gradients that both have whole"):
        verify_towers(in_groups(), TORCH, 4, "gradient")


def test_towers_that_do_not_agree_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VerificationError, match=r"towers 0 and 1 do not agree: a step's loss is \d.* in one and \d"):
        proof(monkeypatch, faulty_towers.of_which_one_sees_another_loss)


def test_a_killed_process_is_reported_and_the_others_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match=r"the process of tower 1 ended of itself, with exit code -9"):
        proof(monkeypatch, faulty_towers.of_which_one_dies)


def test_a_defect_in_a_process_is_reported_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=r"in the process of tower 1: Traceback(.|\n)*ZeroDivisionError: a defect"):
        proof(monkeypatch, faulty_towers.of_which_one_breaks)


def generator() -> Graph:
    """Return a network that makes maps of a vector. Its values are gathered and collected, and its output saturates."""
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
    """Return a network with three outputs: a divided value that is also read, a whole one, and an input."""
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
def test_a_network_without_a_loss_is_compared_without_training(graph: Graph, why: str, optimize: Optimization) -> None:
    report = verify_towers(graph, TORCH, 2, optimize=optimize).require()
    assert [c.level for c in report.comparisons] == ["forward", "forward", "gradient", "gradient"]
    assert len(report.notes) == 2
    assert "training is not compared, for there is no loss" in report.notes[1]
    assert why in report.notes[1]


def test_a_missing_loss_is_an_error_at_the_training_level_before_a_process_is_started() -> None:
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
def test_a_fault_is_caught_without_a_loss(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None]) -> None:
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
def test_a_backend_without_towers_refuses_them(backend: Backend, why: str) -> None:
    with pytest.raises(BackendError, match=why):
        backend.load_tower(generator(), {}, TowerSettings(towers=2))
