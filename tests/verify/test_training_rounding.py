"""Training of a network that amplifies rounding still counts as equal, and faults in it are detected."""

import pytest

from netspec.errors import VerificationError
from netspec.graph import Graph
from netspec.lowering import Trainer, TrainerSettings, TrainingState, find_backend
from netspec.ops import BatchNorm
from netspec.ops.base import Weights
from netspec.recipe import Recipe
from netspec.testing.changes import changed
from netspec.testing.faults import Fault
from netspec.testing.networks import Chain
from netspec.training.update import update
from netspec.types import DType
from netspec.verify.cases import check_weights_of
from netspec.verify.training import TrainingProof, compare_training, rounding
from tests.verify.faulty_trainers import OtherRounding, TrainingFault, WrongTraining, dampened, with_optimizer

TORCH = find_backend("torch")
NOTHING = TrainingFault("nothing")


class RoundsOtherwise(WrongTraining):
    """A trainer with another order of sums, correct or with a fault."""

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        return OtherRounding(super().trainer(graph, weights, settings))


def deep(layers: int = 8) -> Graph:
    """Return a network with statistics of four values in many layers: rounding grows tenfold in each step."""
    chain = Chain("deep", image=(3, 3, 3))
    for index in range(layers):
        chain.add(f"conv{index}", "conv2d", filters=4, kernel_size=1 if index else 3, bias=False)
        chain.add(f"norm{index}", "batch_norm").add(f"relu{index}", "relu")
    return chain.add("flat", "flatten").add("fc", "dense", units=4).graph()


def shifted() -> Graph:
    """Return a network whose normalization subtracts nearly all of its input, and so the bias before it."""
    return (
        Chain("shifted", x=(6,))
        .add("shift", "rescale", offset=30)
        .add("fc1", "dense", units=16)
        .add("norm", "batch_norm")
        .add("act", "gelu")
        .add("fc2", "dense", units=4)
        .graph()
    )


def proof(fault: TrainingFault = NOTHING, graph: Graph | None = None, tolerance: float = 1e-9) -> TrainingProof:
    network = graph or deep()
    backends = [TORCH, RoundsOtherwise(TORCH, fault)]
    return compare_training(network, backends, check_weights_of(network), tolerance=tolerance)


def parted(found: TrainingProof) -> bool:
    """Return whether the comparison finds a difference between the two backends in float64."""
    return any(not c.passed and (c.against, c.dtype) == ("torch", DType.FLOAT64) for c in found.comparisons)


def test_amplified_rounding_is_measured_and_noted() -> None:
    found = proof(tolerance=1e-10)
    assert not found.divergences
    assert all(c.passed for c in found.comparisons)
    assert not found.unfinished
    (note,) = (note for note in found.notes if "amplifies rounding" in note and "float64" in note)
    assert "a change of its weights by 1e-13 became" in note
    assert "runs may differ as much" in note
    assert "each step starts from a common state" in note


@pytest.mark.parametrize(
    "fault",
    [
        TrainingFault("another epsilon", network=Fault("epsilon", BatchNorm, changed(epsilon=1.1e-5))),
        TrainingFault("statistics", network=Fault("momentum", BatchNorm, changed(update_rate=0.05))),
        TrainingFault("dampened", update=dampened),
        TrainingFault("nesterov", with_optimizer(nesterov=True)),
        TrainingFault("an old rate", rate=lambda _, old: old),
        TrainingFault("a rate that drifts", rate=lambda rate, _: rate * (1 + 1e-5)),
    ],
    ids=lambda fault: fault.name,
)
def test_a_fault_is_not_taken_for_rounding(fault: TrainingFault) -> None:
    assert parted(proof(fault))


def nudged(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """The update with a gradient that should be zero and is a billionth of the largest."""
    largest = max(float(abs(gradient).max()) for gradient in gradients.values())
    return update(recipe, before, {**gradients, "fc1.bias": gradients["fc1.bias"] + 1e-9 * largest}, rate)


@pytest.mark.parametrize("seed", range(6))
def test_a_derivative_of_rounding_alone_is_compared_as_a_share_of_the_largest(seed: int) -> None:
    """No twin bounds it: measured by its own size, it would pass or fail by chance."""
    network = shifted()

    def found(fault: TrainingFault) -> TrainingProof:
        weights, backends = check_weights_of(network, seed), [TORCH, RoundsOtherwise(TORCH, fault)]
        return compare_training(network, backends, weights, seed=seed, tolerance=3e-12)

    right = found(NOTHING)
    assert [str(row) for row in right.comparisons if not row.passed] == []
    assert "of rounding alone, and so compared as a share of the largest: velocity of fc1.bias" in right.notes
    assert parted(found(TrainingFault("nudged", update=nudged)))


def test_comparison_ends_where_rounding_has_grown_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """A note says so; but a larger difference than by rounding still fails."""
    monkeypatch.setitem(rounding.MOST, DType.FLOAT64, 2e-10)
    found = proof(tolerance=1e-10)
    assert not found.divergences
    assert any("nothing is compared from step" in note and "float64" in note for note in found.notes)
    (cut,) = found.unfinished
    assert (cut.dtype, cut.steps) == ("float64", 20)
    assert 0 < cut.compared < 20
    fault = TrainingFault("dampened", update=dampened)
    assert parted(proof(fault, tolerance=1e-10))


def test_a_network_without_a_comparable_step_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rounding.MOST, DType.FLOAT64, 1e-16)
    with pytest.raises(VerificationError, match=r"amplifies rounding.* nothing is proved"):
        proof(tolerance=1e-15)
    fault = TrainingFault("dampened", update=dampened)
    assert parted(proof(fault, tolerance=1e-15))  # which is more than rounding from the first step on


def test_a_network_that_does_not_amplify_rounding_has_the_plain_tolerances() -> None:
    """Less drift than the tolerance in each step, but more in twenty steps, is a difference."""
    network = Chain("flat", x=(5,)).add("fc1", "dense", units=4).add("act", "tanh").add("fc2", "dense", units=3).graph()
    drifts = TrainingFault("drifts", rate=lambda rate, _: rate * (1 + 1e-10))
    found = proof(drifts, network, tolerance=1e-11)
    assert not any("amplifies rounding" in note for note in found.notes)
    assert parted(found)
