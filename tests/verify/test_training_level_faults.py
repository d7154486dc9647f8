"""A trainer that is wrong in one way is detected, in the first step and weight that it affects."""

from typing import Any

import numpy as np
import pytest

from netspec.graph import Graph, Head
from netspec.lowering import Trainer, TrainerSettings, find_backend
from netspec.ops import BatchNorm, Dropout
from netspec.ops.base import Weights
from netspec.recipe import Recipe, SoftmaxCrossEntropy, WeightAverage
from netspec.testing.changes import changed
from netspec.testing.faults import Fault
from netspec.testing.networks import Chain
from netspec.types import DType
from netspec.verify.cases import check_weights_of
from netspec.verify.report import TrainingDivergence
from netspec.verify.training import compare_training, trap
from tests.verify.faulty_trainers import (
    RateOutside,
    TrainingFault,
    WrongTraining,
    clipping_after_decay,
    dampened,
    decoupled_decay,
    epsilon_beside_the_root_as_it_is,
    with_biases,
    with_optimizer,
    with_shares_swapped,
    with_whole_pixels,
    without_masks,
    without_partners,
)

TORCH = find_backend("torch")
ADAM = {"name": "adam", "learning_rate": 1.0}
QUICKER, SLOWER = WeightAverage(decay=0.25), WeightAverage(decay=0.5)
MEAN = WeightAverage(form="uniform")
RMSPROP = {"name": "rmsprop", "learning_rate": 1.0, "momentum": 0.9}
WEIGHTS = {"conv.weight", "fc1.weight", "fc2.weight", "norm.weight"}
BIASES = {"conv.bias", "fc1.bias", "fc2.bias", "norm.bias"}


def graph() -> Graph:
    return (
        Chain("small", image=(3, 6, 5))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("norm", "batch_norm")
        .add("relu1", "relu")
        .add("flat", "flatten")
        .add("drop", "dropout", rate=0.5, mode="standard")
        .add("fc1", "dense", units=6)
        .add("relu2", "relu")
        .add("fc2", "dense", units=4)
        .graph()
    )


def recipe(**fields: Any) -> Recipe:
    optimizer = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}
    return Recipe.model_validate({"batch_size": 128, "epochs": 1, "optimizer": optimizer} | fields)


MIXED = recipe(
    loss={"name": "softmax_cross_entropy", "label_smoothing": 0.1},
    augmentation={"mixup": {"alpha": 0.8}, "cutmix": {"alpha": 1.0}},
)


def divergences(fault: TrainingFault, own: Recipe | None = None) -> dict[str, TrainingDivergence]:
    """Return the divergences in float64 of the faulty trainer for the last rule, which is that of the recipe."""
    wrong, small = WrongTraining(TORCH, fault), graph()
    proof = compare_training(small, [TORCH, wrong], check_weights_of(small), own)
    found = proof.divergences
    assert {(d.backend, d.dtype) for d in found} == {(wrong.name, "float64")}
    failed = {(c.against, c.dtype.value) for c in proof.comparisons if not c.passed}
    assert ("torch", "float64") in failed  # whatever is wrong, the runs part
    return {d.against: d for d in found}


def test_the_wrapper_is_sound_without_a_fault() -> None:
    small = graph()
    proof = compare_training(
        small, [TORCH, WrongTraining(TORCH, TrainingFault("nothing"))], check_weights_of(small), recipe(optimizer=ADAM)
    )
    assert not proof.divergences
    assert all(c.passed and c.level == "training" for c in proof.comparisons)
    assert {(c.against, c.dtype.value) for c in proof.comparisons} == {
        ("NumPy", "float64"),
        ("torch", "float64"),
        ("torch", "float32"),
    }
    assert [c.case.split(",")[0] for c in proof.comparisons] == ["20 steps of sgd"] * 5 + ["20 steps of adam"] * 5


@pytest.mark.parametrize(
    ("fault", "own", "step", "subjects", "slot", "reason"),
    [
        (TrainingFault("decoupled decay", update=decoupled_decay), None, 1, WEIGHTS, "velocity", trap.DECAY),
        (TrainingFault("rate outside", update=RateOutside()), None, 11, WEIGHTS | BIASES, "velocity", trap.FORM),
        (TrainingFault("an old rate", rate=lambda _, old: old), None, 11, WEIGHTS | BIASES, "velocity", trap.FORM),
        (TrainingFault("biases decayed", with_biases(decay_scale=1.0)), None, 1, BIASES, "velocity", trap.OVERRIDES),
        (TrainingFault("no lr_scale", with_biases(lr_scale=1.0)), None, 1, BIASES, "velocity", trap.OVERRIDES),
        (TrainingFault("nesterov", with_optimizer(nesterov=True)), None, 1, WEIGHTS | BIASES, "", trap.AHEAD),
        (TrainingFault("dampened", update=dampened), None, 1, WEIGHTS | BIASES, "velocity", trap.MOMENTUM),
        (
            TrainingFault("Keras's epsilon", update=epsilon_beside_the_root_as_it_is),
            recipe(optimizer=ADAM),
            1,
            WEIGHTS | BIASES,
            "",
            trap.EPSILON,
        ),
        (
            TrainingFault("another beta", with_optimizer(beta2=0.99)),
            recipe(optimizer=ADAM),
            1,
            WEIGHTS | BIASES,
            "second_moment",
            trap.MOMENTS,
        ),
        (
            TrainingFault("epsilon outside the root", with_optimizer(form="torch")),
            recipe(optimizer=RMSPROP),
            1,
            WEIGHTS | BIASES,
            "velocity",
            trap.ROOT,
        ),
        (
            TrainingFault("another rho", with_optimizer(rho=0.99)),
            recipe(optimizer=RMSPROP),
            1,
            WEIGHTS | BIASES,
            "velocity",  # which a tenth of the square moves by more than the square itself
            trap.ROOT,
        ),
        (
            TrainingFault("no decay", with_optimizer(weight_decay=0.0)),
            recipe(optimizer={"name": "adamw", "learning_rate": 1.0}),
            1,
            WEIGHTS,
            "",
            trap.DECAY,
        ),
        (
            TrainingFault("another average", lambda own: own.model_copy(update={"weight_average": QUICKER})),
            recipe(weight_average={"decay": 0.5}),
            3,  # where (1 + t) / (10 + t) passes 0.25
            WEIGHTS | BIASES,
            "",
            trap.AVERAGE,
        ),
        (
            TrainingFault(
                "an average from the first update", lambda own: own.model_copy(update={"weight_average": MEAN})
            ),
            recipe(weight_average={"form": "uniform", "start": 100}),  # begun in the check at its first epoch's end
            1,
            WEIGHTS | BIASES,
            "",
            trap.AVERAGE,
        ),
        (
            TrainingFault("an exponential average", lambda own: own.model_copy(update={"weight_average": SLOWER})),
            recipe(weight_average={"form": "uniform"}),
            1,
            WEIGHTS | BIASES,
            "",
            trap.AVERAGE,
        ),
        (
            TrainingFault("clipping after decay", update=clipping_after_decay),
            recipe(clip_gradient_norm=1.0),
            1,
            WEIGHTS | BIASES,
            "velocity",
            trap.CLIPPING,
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_wrong_update_is_caught_without_another_backend(
    fault: TrainingFault, own: Recipe | None, step: int, subjects: set[str], slot: str, reason: str
) -> None:
    (found,) = divergences(fault, own).values()
    assert found.against == "NumPy"
    assert (found.step, found.slot, found.trap) == (step, slot, reason)
    assert found.subject in subjects
    assert found.error > 100 * found.tolerance


@pytest.mark.parametrize(
    ("fault", "own", "step", "subject", "reason"),
    [
        (TrainingFault("masks ignored", batch=without_masks), None, 1, "loss", "dropout masks"),
        (
            TrainingFault("dropout inverted", network=Fault("", Dropout, changed(mode="inverted"))),
            None,
            1,
            "loss",
            "dropout masks",
        ),
        (TrainingFault("divided by the batch size", total=lambda _: 4), None, 5, "loss", trap.PARTIAL_BATCH),
        (
            TrainingFault("no smoothing", lambda r: r.model_copy(update={"loss": recipe().loss})),
            recipe(loss={"name": "softmax_cross_entropy", "label_smoothing": 0.1}),
            1,
            "loss",
            "",
        ),
        (TrainingFault("shares swapped", batch=with_shares_swapped), MIXED, 1, "loss", "shares of mixed labels"),
        (TrainingFault("partners ignored", batch=without_partners), MIXED, 1, "loss", "shares of mixed labels"),
        (
            TrainingFault("no smoothing of two", lambda r: r.model_copy(update={"loss": recipe().loss})),
            MIXED,
            1,
            "loss",
            "",
        ),
        (TrainingFault("pixels rounded", batch=with_whole_pixels), MIXED, 1, "loss", ""),
        (
            TrainingFault("biased variance", network=Fault("", BatchNorm, changed(running_variance="biased"))),
            None,
            1,
            "norm.running_variance",
            trap.STATISTICS,
        ),
        (
            TrainingFault("momentum the other way", network=Fault("", BatchNorm, changed(update_rate=0.9))),
            None,
            1,
            "norm.running_mean",
            trap.STATISTICS,
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_wrong_loss_or_statistic_is_caught_by_another_backend(
    fault: TrainingFault, own: Recipe | None, step: int, subject: str, reason: str
) -> None:
    """The usual cause that it names depends on the network."""
    found = divergences(fault, own)
    assert set(found) == {"torch"}  # the update itself is NumPy's
    assert (found["torch"].step, found["torch"].subject, found["torch"].slot) == (step, subject, "")
    assert found["torch"].error > 100 * found["torch"].tolerance
    assert reason in found["torch"].trap


def test_a_difference_in_float32_only_is_a_precision() -> None:
    small, coarse = graph(), Coarse(TORCH, TrainingFault("coarse arithmetic"))
    (found,) = compare_training(small, [TORCH, coarse], check_weights_of(small)).divergences
    assert (found.dtype, found.step, found.subject, found.trap) == ("float32", 1, "loss", trap.PRECISION)


class Coarse(WrongTraining):
    """A trainer that rounds its weights to bfloat16 in float32."""

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        if graph.dtype is DType.FLOAT32:
            bits = {name: w.view(np.uint32) & np.uint32(0xFFFF0000) for name, w in weights.items()}
            weights = {name: array.view(np.float32) for name, array in bits.items()}
        return super().trainer(graph, weights, settings)


def test_a_divergence_says_where_and_by_how_much() -> None:
    (found,) = divergences(TrainingFault("rate outside", update=RateOutside())).values()
    assert str(found).startswith("torch with rate outside first differs from NumPy after step 11 in the velocity of ")
    assert "of its largest value in float64; expected at most 1e-09" in str(found)
    loss = divergences(TrainingFault("by batch size", total=lambda _: 4))["torch"]
    assert str(loss).startswith("torch with by batch size first differs from torch in the loss of step 5, by 2.5e-01")


def test_a_head_with_another_weight_is_caught() -> None:
    """Both with the weight of the spec, and with GoogLeNet's for a spec without a recipe."""
    small = Chain("small", facts=(6,)).add("fc1", "dense", units=5).add("fc2", "dense", units=4)
    heads = small.add("side", "dense", reads="fc1", units=4).graph("fc2", "side", heads=[Head("aux", "side")])
    half = recipe(loss={"name": "softmax_cross_entropy", "auxiliary": {"aux": 0.5}})
    for own, weight in ((half, 0.5), (None, 0.3)):
        fault = TrainingFault("counts less", lambda r: r.model_copy(update={"loss": counted(weight_of(r) / 2)}))
        proof = compare_training(heads, [TORCH, WrongTraining(TORCH, fault)], check_weights_of(heads), own)
        found = proof.divergences[0]
        assert (found.step, found.subject) == (1, "loss")
        assert "auxiliary losses" in found.trap
        sound = WrongTraining(
            TORCH, TrainingFault("said", lambda r, w=weight: r.model_copy(update={"loss": counted(w)}))
        )
        assert not compare_training(heads, [TORCH, sound], check_weights_of(heads), own).divergences


def weight_of(given: Recipe) -> float:
    return given.loss.auxiliary["aux"]


def counted(weight: float) -> SoftmaxCrossEntropy:
    return SoftmaxCrossEntropy(name="softmax_cross_entropy", auxiliary={"aux": weight})
