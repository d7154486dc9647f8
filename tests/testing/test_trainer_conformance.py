"""The suite for trainers passes a sound one that has no framework, and each of its tests fails where it should."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from netspec.errors import BackendError
from netspec.graph import Graph, Node
from netspec.lowering import Backend, Batch, StepResult, TrainerSettings, TrainingState
from netspec.lowering.trainer import UNLABELLED, Precision
from netspec.ops.base import Array, Weights
from netspec.recipe import Recipe, WeightAverage
from netspec.testing.trainer_conformance import TrainerConformance
from netspec.training.update import clip, update
from netspec.types import DType
from tests.testing.numpy_trainer import Masks, NumPyBackend, NumPyTrainer
from tests.verify.faulty_trainers import (
    RateOutside,
    TrainingFault,
    WrongTraining,
    clipping_after_decay,
    dampened,
    decoupled_decay,
    with_biases,
    with_optimizer,
)


class TestNumPyTrainer(TrainerConformance):
    backend = NumPyBackend()
    precisions: ClassVar[frozenset[Precision]] = frozenset({"float32"})


def catches(backend: Backend, test: str, *given: Any) -> bool:
    """Whether a test of the suite fails for the backend."""
    suite = type("Suite", (TrainerConformance,), {"backend": backend})()
    try:
        getattr(suite, test)(*given)
    except (AssertionError, pytest.fail.Exception):
        return True
    return False


def epsilon_inside_the_root(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    after, rule = update(recipe, before, gradients, rate), recipe.optimizer
    weights = dict(before.weights)
    for name in gradients:
        first, second = (after.slots[slot][name] for slot in ("first_moment", "second_moment"))
        mean, square = first / (1 - rule.beta1**after.updates), second / (1 - rule.beta2**after.updates)
        weights[name] = weights[name] - rate * mean / np.sqrt(square + rule.epsilon)
    return replace(after, weights=weights)


def no_decay_without_a_gradient(
    recipe: Recipe, before: TrainingState, gradients: Weights, rate: float
) -> TrainingState:
    """What no output needs has no gradient in a framework, whose optimizer then leaves it out."""
    after = update(recipe, before, {name: g for name, g in gradients.items() if g.any()}, rate)
    zeros = {name: np.zeros_like(g) for name, g in gradients.items()}
    return replace(after, slots={slot: zeros | arrays for slot, arrays in after.slots.items()})


def averaged_before(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """The weights enter the average an update late."""
    after, share = update(recipe, before, gradients, rate), recipe.weight_average.share(before.updates + 1)
    old = before.trained
    return replace(after, weights=after.weights | {n: a + share * (old[n] - a) for n, a in before.weights.items()})


def from_the_average(recipe: Recipe, before: TrainingState, gradients: Weights, rate: float) -> TrainingState:
    """What is trained begins from the average each time."""
    return update(recipe, replace(before, slots=before.slots | {"iterate": {}}), gradients, rate)


def without(**fields: Any) -> Any:
    """What makes another of a recipe by these fields."""
    return lambda recipe: recipe.model_copy(update=fields)


UPDATES = [
    (TrainingFault("decoupled decay", update=decoupled_decay), "paper"),
    (TrainingFault("the torch form", update=RateOutside()), "paper"),
    (TrainingFault("the paper's form", with_optimizer(form="paper")), "torch"),
    (TrainingFault("an old rate", rate=lambda _, old: old), "no momentum"),
    (TrainingFault("no look ahead", with_optimizer(nesterov=False)), "torch, nesterov"),
    (TrainingFault("dampened", update=dampened), "paper, nesterov"),
    (TrainingFault("no decay without a gradient", update=no_decay_without_a_gradient), "paper"),
    (TrainingFault("no lr_scale", with_biases(lr_scale=1.0)), "overrides"),
    (TrainingFault("no decay_scale", with_biases(decay_scale=1.0)), "overrides, torch"),
    (TrainingFault("no overrides", without(overrides={})), "overrides, adamw"),
    (TrainingFault("no overrides", without(overrides={})), "overrides, nesterov"),
    (TrainingFault("epsilon inside the root", update=epsilon_inside_the_root), "adam"),
    (TrainingFault("decoupled decay", update=decoupled_decay), "adam"),
    (TrainingFault("another beta", with_optimizer(beta1=0.9)), "adamw"),
    (TrainingFault("the torch form", with_optimizer(form="torch")), "rmsprop"),
    (TrainingFault("TensorFlow's form", with_optimizer(form="tensorflow")), "rmsprop, torch"),
    (TrainingFault("another rho", with_optimizer(rho=0.99)), "rmsprop, no momentum"),
    (TrainingFault("epsilon inside the root", with_optimizer(form="tensorflow")), "rmsprop, torch, no momentum"),
    (TrainingFault("no decay_scale", with_biases(decay_scale=1.0)), "overrides, rmsprop"),
    (TrainingFault("no average", without(weight_average=None)), "averaged"),
    (TrainingFault("another decay", without(weight_average=WeightAverage(decay=0.7))), "averaged"),
    (TrainingFault("an exponential average", without(weight_average=WeightAverage(decay=0.98))), "averaged, uniform"),
    (TrainingFault("another start", without(weight_average=WeightAverage(form="uniform"))), "averaged, uniform"),
    (TrainingFault("the average of before", update=averaged_before), "averaged, adamw"),
    (TrainingFault("a gradient of the average", update=from_the_average), "averaged"),
    (TrainingFault("clipping after decay", update=clipping_after_decay), "clipping"),
    (TrainingFault("no clipping", without(clip_gradient_norm=None)), "clipping, nesterov"),
]
FIFTY_STEPS = "test_fifty_steps_through_two_rate_drops"


@pytest.mark.parametrize(("fault", "rule"), UPDATES, ids=lambda value: getattr(value, "name", value))
def test_a_wrong_update_is_caught(fault: TrainingFault, rule: str) -> None:
    assert catches(WrongTraining(NumPyBackend(), fault), FIFTY_STEPS, rule, 1)


@pytest.mark.parametrize("rule", sorted({rule for _, rule in UPDATES}))
def test_the_wrapper_is_sound_without_a_fault(rule: str) -> None:
    # Otherwise what is caught above might be the wrapper.
    assert not catches(WrongTraining(NumPyBackend(), TrainingFault("nothing")), FIFTY_STEPS, rule, 1)


FAULTS: list[tuple[type[NumPyTrainer], str, tuple[Any, ...]]] = []


def plant(method: str, test: str, *given: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate what takes the place of a sound trainer's method; this test, with what it is given, must see it."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        FAULTS.append((type(function.__name__, (NumPyTrainer,), {method: function}), test, given))
        return function

    return register


@plant("step", "test_accumulated_gradients_are_those_of_the_whole")
def the_last_batch_alone(self: NumPyTrainer, batches: Sequence[Batch], *given: Any, **options: Any) -> StepResult:
    return NumPyTrainer.step(self, batches[-1:], *given, **options)


@plant("update", "test_adam_is_as_exact_in_float32", "adam")
@plant("update", "test_adam_is_as_exact_in_float32", "adamw")
def corrected_by_a_rounded_beta(self: NumPyTrainer, gradients: Weights, rate: float) -> TrainingState:
    """1 − β2 as it is, and 1 − β2^t from what β2 is in float32."""
    beta, t = self.settings.recipe.optimizer.beta2, self.state.updates + 1
    ratio = (1 - float(np.float32(beta)) ** t) / (1 - beta**t)
    return NumPyTrainer.update(self, gradients, rate * math.sqrt(ratio))


@plant("update", "test_slots_are_as_exact_at_any_rate", "paper", 1e-9)
def by_way_of_a_dampening(self: NumPyTrainer, gradients: Weights, rate: float) -> TrainingState:
    return NumPyTrainer.update(self, gradients, 1 - (1 - rate))


@plant("differentiate", "test_loss_and_statistics_are_those_of_the_ops", 0.0)
def divided_by_the_batch(self: NumPyTrainer, batch: Batch, masks: Masks, total: int) -> Any:
    return NumPyTrainer.differentiate(self, batch, masks, len(batch.labels))


@plant("counted", "test_losses_of_auxiliary_heads_are_added", 0.0)
def the_main_loss_alone(self: NumPyTrainer) -> dict[str, float]:
    return {self.graph.outputs[0]: 1.0}


@plant("counted", "test_losses_of_auxiliary_heads_are_added", 0.0)
def heads_count_whole(self: NumPyTrainer) -> dict[str, float]:
    return dict.fromkeys(self.graph.outputs, 1.0)


@plant("loss", "test_losses_of_auxiliary_heads_are_added", 0.1)
def heads_unsmoothed(self: NumPyTrainer, logits: Array, batch: Batch, total: int, smoothing: float) -> Any:
    return NumPyTrainer.loss(self, logits, batch, total, 0.0)


@plant("backward", "test_losses_of_auxiliary_heads_are_added", 0.0)
def heads_lead_nowhere(self: NumPyTrainer, values: Any, masks: Masks, slopes: Any) -> Any:
    """The loss of a head is told, and its gradient is not followed."""
    main = self.graph.outputs[0]
    return NumPyTrainer.backward(self, values, masks, {main: slopes[main]})


@plant("__init__", "test_a_head_without_a_weight_is_refused")
def by_whatever_weights_there_are(
    self: NumPyTrainer, graph: Graph, weights: Weights, settings: TrainerSettings
) -> None:
    given = settings.recipe.loss.model_copy(update={"auxiliary": dict.fromkeys((h.name for h in graph.heads), 0.3)})
    recipe = settings.recipe.model_copy(update={"loss": given})
    NumPyTrainer.__init__(self, graph, weights, replace(settings, recipe=recipe))


MIXED = "test_the_loss_of_mixed_samples_is_that_of_their_shares"


@plant("targets", MIXED, 0.0)
def shares_swapped(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    return NumPyTrainer.targets(self, replace(batch, shares=1 - batch.shares), smoothing)


@plant("targets", MIXED, 0.0)
def partners_ignored(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    return NumPyTrainer.targets(self, replace(batch, partners=None, shares=None), smoothing)


@plant("targets", MIXED, 0.0)
def partners_ignored_and_their_share_lost(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    return batch.shares[:, None] * partners_ignored(self, batch, smoothing)


@plant("targets", MIXED, 0.1)
def the_label_alone_smoothed(self: NumPyTrainer, batch: Batch, smoothing: float) -> Array:
    own = batch.shares[:, None] * partners_ignored(self, batch, smoothing)
    return own + (1 - batch.shares[:, None]) * np.eye(self.classes)[batch.partners]


@plant("loss", MIXED, 0.0)
def heads_of_the_label_alone(self: NumPyTrainer, logits: Array, batch: Batch, total: int, smoothing: float) -> Any:
    """The second output that is asked for its loss."""
    self.asked = getattr(self, "asked", 0) + 1
    plain = replace(batch, partners=None, shares=None)
    return NumPyTrainer.loss(self, logits, plain if self.asked == 2 else batch, total, smoothing)


@plant("differentiate", MIXED, 0.0)
def missed_by_the_partners(self: NumPyTrainer, batch: Batch, *given: Any) -> Any:
    result, statistics = NumPyTrainer.differentiate(self, batch, *given)
    other, _ = NumPyTrainer.differentiate(self, replace(batch, labels=batch.partners), *given)
    return replace(result, wrong=other.wrong), statistics


@plant("input", MIXED, 0.0)
def of_whole_pixels(self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False) -> Array:
    return NumPyTrainer.input(self, inputs.astype(np.uint8), shifts, training=training)


@plant("input", MIXED, 0.0)
def normalized_in_place(
    self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False
) -> Array:
    x = NumPyTrainer.input(self, inputs, shifts, training=training)
    inputs[...] = x.transpose(0, 2, 3, 1)
    return x


@plant("step", "test_mixed_batches_go_beside_others")
def mixed_as_the_first(self: NumPyTrainer, batches: Sequence[Batch], *given: Any, **options: Any) -> StepResult:
    """A batch is taken for mixed, or not, by what the first of the step is."""
    mixed = batches[0].partners is not None
    plain = [b if mixed else replace(b, partners=None, shares=None) for b in batches]
    return NumPyTrainer.step(self, plain, *given, **options)


@plant("loss", "test_the_gradient_of_mixed_samples_is_the_slope_of_their_loss")
def followed_to_the_label_alone(self: NumPyTrainer, logits: Array, batch: Batch, *given: Any) -> Any:
    """The loss of both labels is told, and the gradient is that of one."""
    loss, _ = NumPyTrainer.loss(self, logits, batch, *given)
    return loss, NumPyTrainer.loss(self, logits, replace(batch, partners=None, shares=None), *given)[1]


@plant("input", "test_mixed_batches_that_do_not_fit_are_said")
def of_any_dtype(self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False) -> Array:
    return NumPyTrainer.input(self, inputs.astype(np.float32) if training else inputs, shifts, training=training)


@plant("input", "test_loss_and_statistics_are_those_of_the_ops", 0.0)
def unshifted(self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False) -> Array:
    return NumPyTrainer.input(self, inputs, training=training)


@plant("forward", "test_loss_and_statistics_are_those_of_the_ops", 0.0)
def statistics_at_rest(self: NumPyTrainer, x: Array, masks: Masks) -> Any:
    return NumPyTrainer.forward(self, x, masks)[0], {}


@plant("differentiate", "test_loss_and_statistics_are_those_of_the_ops", 0.1)
def unsmoothed(self: NumPyTrainer, *given: Any) -> Any:
    loss = self.settings.recipe.loss.model_copy(update={"label_smoothing": 0.0})
    self.settings = replace(self.settings, recipe=self.settings.recipe.model_copy(update={"loss": loss}))
    return NumPyTrainer.differentiate(self, *given)


@plant("step", "test_gradient_is_the_slope_of_the_loss")
def given_after_clipping(self: NumPyTrainer, *given: Any, **options: Any) -> StepResult:
    result = NumPyTrainer.step(self, *given, **options)
    norm = self.settings.recipe.clip_gradient_norm
    return replace(result, gradients=result.gradients and clip(result.gradients, norm))


@plant("own", "test_gradient_is_the_slope_of_the_loss")
def weights_of_the_step_before(self: NumPyTrainer, node: Node) -> dict[str, Array]:
    self.first = getattr(self, "first", self.state)
    return {name: self.first.weights[f"{node.name}.{name}"] for name in node.weights}


@plant("predict", "test_predict_is_what_the_model_gives")
def still_training(self: NumPyTrainer, inputs: Array) -> Array:
    labels = np.zeros(len(inputs), np.int64)
    masks = self.masks(Batch(inputs, labels, labels), 0, 0)
    return self.forward(self.input(inputs), {name: np.ones_like(mask) for name, mask in masks.items()})[0]["fc2"]


@plant("predict", "test_a_prediction_is_of_the_averaged_weights")
def by_what_is_trained(self: NumPyTrainer, inputs: Array) -> Array:
    kept, self.state = self.state, replace(self.state, weights=self.state.trained)
    try:
        return NumPyTrainer.predict(self, inputs)
    finally:
        self.state = kept


@plant("predict", "test_a_prediction_is_of_the_averaged_weights")
def the_average_stays(self: NumPyTrainer, inputs: Array) -> Array:
    """What is trained is lost where a prediction has put the average in its place."""
    trained = {name: self.state.weights[name] for name in self.state.slots.get("iterate", {})}
    self.state = replace(self.state, slots=self.state.slots | {"iterate": trained})
    return NumPyTrainer.predict(self, inputs)


@plant("masks", "test_a_key_decides_what_is_dropped")
def of_one_key(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    return NumPyTrainer.masks(self, batch, 0, position)


@plant("masks", "test_a_key_decides_what_is_dropped")
def of_no_key(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    return NumPyTrainer.masks(self, batch, secrets.randbits(64), position)


@plant("masks", "test_a_key_decides_what_is_dropped")
def of_the_first_batch(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    return NumPyTrainer.masks(self, batch, key, 0)


@plant("masks", "test_masks_are_for_their_batch_alone")
def of_the_batch_before(self: NumPyTrainer, batch: Batch, key: int, position: int) -> Masks:
    self.left = batch.masks or (getattr(self, "left", None) if position else None)
    return NumPyTrainer.masks(self, replace(batch, masks=self.left), key, position)


@plant("step", "test_a_loss_that_is_not_finite_changes_nothing", 1)
def counted_though(self: NumPyTrainer, *given: Any, **options: Any) -> StepResult:
    result, updates = NumPyTrainer.step(self, *given, **options), self.state.updates
    if not math.isfinite(result.loss):
        self.state = replace(self.state, updates=updates + 1)
    return result


@plant("step", "test_a_loss_that_is_not_finite_changes_nothing", 2)
def what_was_sound_of_it_stays(
    self: NumPyTrainer, batches: Sequence[Batch], rate: float, total: int, key: int, **options: Any
) -> StepResult:
    result = NumPyTrainer.step(self, batches, rate, total, key, **options)
    if not math.isfinite(result.loss):
        _, moved = self.differentiate(batches[0], self.masks(batches[0], key, 0), total)
        self.state = replace(self.state, weights=self.state.weights | moved)
    return result


@plant("step", "test_an_export_continues_to_the_bit", "torch", DType.FLOAT32)
def in_what_was_exported(self: NumPyTrainer, *given: Any, **options: Any) -> StepResult:
    before = self.state
    result = NumPyTrainer.step(self, *given, **options)
    for name, array in before.weights.items():
        array[...] = self.state.weights[name]
    return result


@plant("import_state", "test_an_export_continues_to_the_bit", "paper", DType.FLOAT64)
def slots_kept(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, slots=self.state.slots if hasattr(self, "state") else {}))


@plant("import_state", "test_an_export_continues_to_the_bit", "adam", DType.FLOAT64)
def updates_not_imported(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, updates=getattr(self, "state", state).updates))


@plant("import_state", "test_slots_that_are_not_there_are_zero")
def slots_not_given_kept(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, slots=getattr(self, "state", state).slots | state.slots))


@plant("import_state", "test_what_does_not_fit_is_said")
def weights_not_given_kept(self: NumPyTrainer, state: TrainingState) -> None:
    NumPyTrainer.import_state(self, replace(state, weights=getattr(self, "state", state).weights | state.weights))


@plant("import_state", "test_what_does_not_fit_is_said")
def slots_that_do_not_fit_left_out(self: NumPyTrainer, state: TrainingState) -> None:
    shapes = {name: weight.shape for name, weight in self.graph.weights.items()}
    fitting = {
        slot: {name: array for name, array in arrays.items() if array.shape == shapes.get(name)}
        for slot, arrays in state.slots.items()
    }
    NumPyTrainer.import_state(self, replace(state, slots=fitting))


@plant("step", "test_a_batch_without_samples_has_no_part")
def a_mean_over_batches(
    self: NumPyTrainer, batches: Sequence[Batch], rate: float, total: int, *given: Any, **options: Any
) -> StepResult:
    return NumPyTrainer.step(self, batches, rate, total * len(batches), *given, **options)


@plant("update", "test_features_and_a_rate_of_zero", "adamw")
def never_at_rest(self: NumPyTrainer, gradients: Weights, rate: float) -> TrainingState:
    return NumPyTrainer.update(self, gradients, rate or self.settings.recipe.optimizer.learning_rate)


@plant("input", "test_features_and_a_rate_of_zero", "paper")
def features_channels_last(
    self: NumPyTrainer, inputs: Array, shifts: Array | None = None, *, training: bool = False
) -> Array:
    x = NumPyTrainer.input(self, inputs, shifts, training=training)
    return x if self.settings.normalization else x.transpose(0, 2, 3, 1).reshape(x.shape)


@plant("__init__", "test_bfloat16_is_for_layers_alone")
def float32_whatever_is_asked(self: NumPyTrainer, graph: Graph, weights: Weights, settings: TrainerSettings) -> None:
    if settings.precision == "bfloat16" and graph.dtype is DType.FLOAT64:
        raise BackendError("bfloat16 is for float32")
    NumPyTrainer.__init__(self, graph, weights, replace(settings, precision="float32"))


OF_A_MAP = "test_loss_of_a_map_is_the_mean_over_its_labelled_pixels"


@plant("loss", OF_A_MAP, 0.0, True)
def pixels_count_alike(self: NumPyTrainer, logits: Array, batch: Batch, total: int, smoothing: float) -> Any:
    return NumPyTrainer.loss(self, logits, replace(batch, weights=None), total, smoothing)


@plant("shares", OF_A_MAP, 0.0, False)
@plant("shares", OF_A_MAP, 0.1, True)
def over_all_pixels(self: NumPyTrainer, labels: Array) -> Array:
    return (labels != UNLABELLED) / np.prod(labels.shape[1:])


@plant("shares", OF_A_MAP, 0.0, False)
@plant("shares", "test_maps_of_several_batches_add_up")
def the_last_class_where_nothing_is_known(self: NumPyTrainer, labels: Array) -> Array:
    return np.full(labels.shape, 1 / np.prod(labels.shape[1:]))


@plant("missed", OF_A_MAP, 0.0, False)
def whatever_is_not_labelled_is_missed(self: NumPyTrainer, logits: Array, batch: Batch) -> float:
    wrong = logits.argmax(axis=1) != batch.labels
    return float(wrong.mean(axis=tuple(range(1, wrong.ndim))).sum())


@plant("predict", "test_a_map_is_predicted_as_the_model_gives_it")
def maps_channels_last(self: NumPyTrainer, inputs: Array) -> Array:
    return np.moveaxis(NumPyTrainer.predict(self, inputs), 1, -1)


@plant("step", "test_maps_that_do_not_fit_are_said")
def whatever_fits_of_a_map(self: NumPyTrainer, batches: Sequence[Batch], *given: Any, **options: Any) -> StepResult:
    cut = [replace(b, labels=np.resize(b.labels, (len(b.inputs), *self.logits[1:])), weights=None) for b in batches]
    return NumPyTrainer.step(self, cut, *given, **options)


@pytest.mark.parametrize(("trainer", "test", "given"), FAULTS, ids=[trainer.__name__ for trainer, *_ in FAULTS])
def test_a_wrong_trainer_is_caught(trainer: type[NumPyTrainer], test: str, given: tuple[Any, ...]) -> None:
    assert catches(NumPyBackend(trainer), test, *given)


def test_every_test_of_the_suite_has_caught_something() -> None:
    tests = {name for name in dir(TrainerConformance) if name.startswith("test_")}
    assert {test for _, test, _ in FAULTS} | {FIFTY_STEPS} == tests
