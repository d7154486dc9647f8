"""The training that is compared: twenty optimizer steps, with recipe, data and rate chosen so that a fault shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError, VerificationError
from netspec.graph import Graph, Normalization, Preprocessing
from netspec.graph.training import classes_of, generator_graph, map_size
from netspec.lowering import Backend, Batch, Trainer, TrainerSettings, TrainingState
from netspec.lowering.batch import UNLABELLED
from netspec.ops.base import Array, Weight
from netspec.preprocessing import normalization
from netspec.recipe import AdamW, Augmentation, MultistepSchedule, Recipe, Sgd, Span, WeightAverage, WeightOverride
from netspec.recipe.optimizer import CURVATURE
from netspec.spec.trainable import graph_with_logits, require_curvature
from netspec.training.adversarial import DISCRIMINATOR_PREFIX, AdversarialTrainer, Opponent, divided, joined
from netspec.training.curvature import with_curvature
from netspec.training.data.batches import StepBatch
from netspec.training.data.mixing import Mixes, draw_mixes, mix
from netspec.training.data.samples import Memory
from netspec.training.dropout_masks import with_masks
from netspec.training.schedule import Schedule
from netspec.training.update import update
from netspec.types import DType
from netspec.verify.cases import MID_GRAY, PIXEL_STD, with_some_mean
from netspec.weights import stream

STEPS, DROP = 20, 10  # the number of optimizer steps, and the step at which the rate is divided by ten
EPOCH, BATCH = 5, 4  # steps of an epoch, and samples of a batch; the last batch of an epoch has one sample fewer
UNKNOWN = 0.1  # the share of unlabelled pixels in a map of labels
SHIFT = 10.0  # the standard deviation of color shifts. Units: pixel values
# SHARE is the share of the loss by which the first step lowers it, to first order. With momentum, AlexNet's weights
# then move by 2e-7 to 2e-3 of their largest element in twenty steps, far more than the tolerance of 1e-9. In float32,
# its losses would differ by 4e-5 at this rate, because rounding switches some ReLUs and maxima, which changes gradients
# in all further steps. The change of a loss is proportional to the rate, and the effect of switches to its square, so
# that in float32, at a tenth of the rate, losses fall by hundredths and differ by 1e-6.
SHARE, IN_FLOAT32 = 0.01, 0.1
DECAY = 5e-4  # the paper's; 2e-6 to 1e-1 of the gradients of these weights, far above the tolerance of 1e-9
DECOUPLED_DECAY = 1.0  # for AdamW, whose decay changes a weight by η·λ·w, next to steps of about η

HEAD_WEIGHT = 0.3  # the weight of an auxiliary loss in Szegedy et al. 2015, section 5

# Krizhevsky et al. 2012, section 5, and its code: biases are trained at twice the rate, without decay.
PAPER = Recipe(
    batch_size=BATCH,
    steps=STEPS,
    last_batch="keep",
    optimizer=Sgd(name="sgd", learning_rate=1.0, momentum=0.9, weight_decay=DECAY),
    overrides={"*.bias": WeightOverride(lr_scale=2.0, decay_scale=0.0)},
    schedule=MultistepSchedule(name="multistep", at=(Span(steps=DROP),), factor=0.1),
)


def graph_to_train(graph: Graph, recipe: Recipe | None = None, opponent: Opponent | None = None) -> Graph:
    """The training graph of a network, with the classes that the spec's recipe adds; of a generator, with an opponent.

    Raises:
        NetspecError: the network has no loss; the hint says what can be compared instead.
    """
    try:
        if opponent is not None:
            return generator_graph(graph)
        graph = graph_with_logits(graph, recipe)
        if recipe is not None:
            require_curvature(graph, recipe)
    except NetspecError as error:
        alternative = "its outputs and gradients need no loss: --level gradient"
        raise NetspecError(error.message, f"{error.hint}; {alternative}" if error.hint else alternative) from error
    return graph


def check_recipes(recipe: Recipe | None, heads: Sequence[str] = ()) -> list[Recipe]:
    """The recipes to check: the paper's, and the spec's if that has another update rule.

    The second one has the loss, optimizer, overrides, clipping, weight average, accumulation and sample mixing of the
    spec's recipe, but the schedule, length, rate and decay of the check. If the spec has no overrides, it has the
    paper's, so that faults in overrides show.

    Args:
        recipe: the spec's recipe, if it has one.
        heads: the auxiliary outputs. Without a recipe, their losses have GoogLeNet's weight.
    """
    weights = recipe.label_loss.auxiliary if recipe else dict.fromkeys(heads, HEAD_WEIGHT)
    constant = recipe.label_loss.constant_logit if recipe else None  # it is a part of the graph
    loss = PAPER.loss.model_copy(update={"auxiliary": weights, "constant_logit": constant})
    paper = PAPER.model_copy(update={"loss": loss})
    if recipe is None:
        return [paper]
    rule = checked_rule(recipe)
    return [paper] if rule == paper else [paper, rule]


def checked_rule(recipe: Recipe) -> Recipe:
    """The recipe of the check with the update rule of a spec's recipe."""
    decay = DECOUPLED_DECAY if isinstance(recipe.optimizer, AdamW) else DECAY
    return PAPER.model_copy(
        update={
            "loss": recipe.loss,
            "optimizer": recipe.optimizer.model_copy(update={"learning_rate": 1.0, "weight_decay": decay}),
            "overrides": recipe.overrides or PAPER.overrides,
            "clip_gradient_norm": recipe.clip_gradient_norm,
            "weight_average": _started_early(recipe.weight_average),
            "accumulate": min(recipe.accumulate, 2),
            "augmentation": recipe.augmentation.mixing,
        }
    )


def _started_early(average: WeightAverage | None) -> WeightAverage | None:
    """The weight average with a start no later than one epoch, so that the check covers it."""
    return average and average.model_copy(update={"start": min(average.start, EPOCH)})


@dataclass(frozen=True)
class TrainingCase:
    """A network, its initial weights, and a recipe for twenty steps on random samples.

    Attributes:
        graph: the training graph.
        weights: canonical initial weights, float32; of a generator, `joined` with its discriminator's.
        recipe: one of `check_recipes`; its learning rate is that of the first step.
        seed: the seed of samples, labels and dropout masks.
        opponent: of a generator, its discriminator, with a recipe of the check.
    """

    graph: Graph
    weights: Mapping[str, Array]
    recipe: Recipe
    seed: int = 0
    opponent: Opponent | None = None

    @property
    def reader(self) -> Graph:
        """The graph that the samples are for: a generator's discriminator, or the graph itself."""
        return self.opponent.graph if self.opponent else self.graph

    @property
    def label(self) -> str:
        """The number of steps, the optimizer, the batch and the input size, `20 steps of sgd, 4 × 3x224x224`."""
        size = "x".join(map(str, self.reader.inputs[0].type.features))
        batch = f"{self.recipe.accumulate} × {BATCH}" if self.recipe.accumulate > 1 else f"{BATCH}"
        return f"{STEPS} steps of {self.recipe.optimizer.name}, {batch} × {size}"

    @property
    def rule(self) -> str:
        """The update rule in words, `sgd: learning_rate 4.3e-07, momentum 0.9, …; *.bias: lr_scale 2.0, …`."""
        recipe = self.recipe
        parts: dict[str, dict[str, Any]] = {
            recipe.optimizer.name: recipe.optimizer.model_dump(exclude={"name"}, exclude_defaults=True)
        }
        parts |= {pattern: override.model_dump(exclude_defaults=True) for pattern, override in recipe.overrides.items()}
        average = recipe.weight_average
        parts |= {"weight_average": average.model_dump(exclude_defaults=True)} if average else {}
        parts |= recipe.augmentation.model_dump(include={"mixup", "cutmix"}, exclude_none=True)
        words = "; ".join(f"{key}: {', '.join(f'{k} {v}' for k, v in part.items())}" for key, part in parts.items())
        if self.opponent is None:
            return words
        return f"{words}; of the discriminator, {replace(self, recipe=self.opponent.recipe, opponent=None).rule}"

    @cached_property
    def normalization(self) -> Normalization | None:
        """The normalization of images, by default one that subtracts mid-gray; None for inputs that are not images."""
        value = self.reader.inputs[0]
        shape = value.type.features
        if len(shape) != 3 or shape[0] not in (1, 3):
            return None
        return normalization(with_some_mean(value.preprocessing or Preprocessing(mean=(MID_GRAY,)), shape), shape)

    def in_dtype(self, dtype: DType) -> TrainingCase:
        """The case in another dtype; in float32 at a tenth of the rate."""

        def at_rate(recipe: Recipe) -> Recipe:
            return with_rate(recipe, recipe.optimizer.learning_rate * (IN_FLOAT32 if dtype is DType.FLOAT32 else 1.0))

        other = self.opponent and Opponent(self.opponent.graph.astype(dtype), at_rate(self.opponent.recipe))
        return replace(self, graph=self.graph.astype(dtype), recipe=at_rate(self.recipe), opponent=other)

    @property
    def settings(self) -> TrainerSettings:
        """The settings of trainers, which compute on the CPU as the models of the other levels do."""
        return TrainerSettings(self.recipe, self.normalization, "cpu")

    def trainer(self, backend: Backend) -> Trainer:
        """A trainer of the case in its initial state."""
        if self.opponent is None:
            return backend.trainer(self.graph, self.weights, self.settings)
        return AdversarialTrainer(self.graph, self.opponent, self.weights, backend, self.settings, exact=True)

    @property
    def networks(self) -> tuple[tuple[Graph, Recipe], ...]:
        """Each network that is trained, with its recipe: the generator before its discriminator."""
        own = (self.graph, self.recipe)
        return (own, (self.opponent.graph, self.opponent.recipe)) if self.opponent else (own,)

    @cached_property
    def all_weights(self) -> Mapping[str, Weight]:
        """The weights of all networks, by the names that `Trainer.export_state` gives them."""
        own, *others = (graph.weights for graph, _ in self.networks)
        return joined(own, others[0]) if others else own

    def recipe_of(self, weight: str) -> Recipe:
        """The recipe by which a weight of any network is trained."""
        return self.opponent.recipe if self.opponent and weight.startswith(DISCRIMINATOR_PREFIX) else self.recipe

    def override_of(self, weight: str) -> WeightOverride:
        """The recipe's override of a weight of any network."""
        return self.recipe_of(weight).override_of(weight.removeprefix(DISCRIMINATOR_PREFIX))

    @cached_property
    def _schedule(self) -> Schedule:
        return Schedule(self.recipe, EPOCH)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self._schedule.rate(step)

    @property
    def has_curvature(self) -> bool:
        """Whether the optimizer reads a curvature, to be set before the first step of each epoch."""
        return CURVATURE in self.recipe.optimizer.slots

    def with_curvature(self, state: TrainingState, step: int) -> TrainingState:
        """The state with the curvature at its own weights, over the samples of the epoch that begins with a step."""
        steps = (StepBatch(self.batches(each), self.total(each)) for each in range(step, min(step + EPOCH, STEPS)))
        return with_curvature(state, self.graph, self.recipe, self.normalization, steps)

    def total(self, step: int) -> int:
        """The number of samples of a step."""
        return BATCH * self.recipe.accumulate - (step % EPOCH == EPOCH - 1)

    def batches(self, step: int) -> tuple[Batch, ...]:
        """The batches of a step: random pixels or features with random labels, mixed as the recipe says.

        They include dropout masks, and for segmentation random pixel weights.
        """
        total = self.total(step)
        random = stream(self.seed, "verify", "training", str(step))
        shape = self.reader.inputs[0].type.features
        shifts = None
        if self.normalization is not None:
            inputs = random.integers(0, 256, (total, *shape[1:], shape[0]), np.uint8)
            if shape[0] == 3:
                shifts = random.standard_normal((total, 3), np.float32) * np.float32(SHIFT)
        else:
            scale = np.float32(PIXEL_STD if len(shape) == 3 else 1.0)
            inputs = random.standard_normal((total, *shape), np.float32) * scale
        labels, rows = random.integers(0, classes_of(self.reader), total), np.arange(total)
        whole = Batch(inputs, labels, rows, shifts)
        if (size := map_size(self.reader)) is not None:
            whole = _with_maps(whole, classes_of(self.graph), size, random)
        elif (mixes := self._mixes(step, rows)) is not None:
            whole = mix(whole, mixes, 1, Memory())
        parts = tuple(whole.part(slice(start, start + BATCH)) for start in range(0, total, BATCH))
        if self.opponent is not None:
            return parts  # its trainer draws the masks of both networks
        return with_masks(self.graph, parts, self.seed, step)

    def _mixes(self, step: int, rows: NDArray[np.int64]) -> Mixes | None:
        """How the samples of a step are mixed, drawn as if the step were an epoch."""
        augmentation, shape = self.recipe.augmentation, self.reader.inputs[0].type.features
        if self.normalization is None:  # CutMix pastes boxes of pixels, which features do not have
            return draw_mixes(self.seed, step, rows, rows, augmentation.model_copy(update={"cutmix": None}), None)
        return draw_mixes(self.seed, step, rows, rows, augmentation, (shape[1], shape[2]))


def _with_maps(batch: Batch, classes: int, size: tuple[int, int], random: np.random.Generator) -> Batch:
    """The batch with a label and a weight for each pixel; a tenth of the pixels is unlabelled."""
    shape = (len(batch.labels), *size)
    labels = np.where(random.random(shape) < UNKNOWN, UNLABELLED, random.integers(0, classes, shape))
    weights = random.exponential(1.0, shape).astype(np.float32)
    return replace(batch, labels=labels, weights=weights)


def with_rate(recipe: Recipe, rate: float) -> Recipe:
    """The recipe at another learning rate."""
    return recipe.model_copy(update={"optimizer": recipe.optimizer.model_copy(update={"learning_rate": rate})})


def measured(case: TrainingCase, backend: Backend) -> TrainingCase:
    """The case with a learning rate, and a norm for clipping, that fit the scale of each network's gradients.

    The gradients are taken by a step with rate 0, for the least likely label of each sample: with random labels and
    large logits, a sample whose label happens to be the most likely one has almost no gradient.

    Raises:
        VerificationError: the gradient at these weights is zero or not finite, so there is nothing to learn.
    """
    plain = replace(
        case, recipe=case.recipe.model_copy(update={"clip_gradient_norm": None, "augmentation": Augmentation()})
    )
    trainer = plain.trainer(backend)
    try:
        batches: Sequence[Batch] = plain.batches(0)
        if case.opponent is None:
            batches = [replace(b, labels=trainer.predict(b.inputs).argmin(axis=1)) for b in batches]
        result = trainer.step(batches, 0.0, case.total(0), 0, keep_gradients=True)
    finally:
        trainer.close()
    gradients = {name: array.astype(np.float64) for name, array in (result.gradients or {}).items()}
    start: dict[str, Array] = {name: array.astype(np.float64) for name, array in case.weights.items()}
    if case.opponent is None:
        state = case.with_curvature(TrainingState(start), 0)
        return replace(case, recipe=_fitted(case.graph.name, case.recipe, state, gradients, result.loss))
    own, others = zip(map(TrainingState, divided(start)), divided(gradients), strict=True)
    guess = 2 * math.log(2)  # the discriminator's loss for a guess
    recipe = _fitted(case.graph.name, case.recipe, *own, result.loss)
    theirs = _fitted(case.opponent.graph.name, case.opponent.recipe, *others, guess)
    return replace(case, recipe=recipe, opponent=replace(case.opponent, recipe=theirs))


def _fitted(name: str, rule: Recipe, start: TrainingState, gradients: Mapping[str, Array], loss: float) -> Recipe:
    """The recipe with a rate, and a norm for clipping, that fit these gradients in a state in float64."""
    recipe = rule.model_copy(update={"clip_gradient_norm": None})
    if rule.clip_gradient_norm is not None:
        # Random labels have smaller gradients than the least likely ones; at a quarter, most are still clipped.
        norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
        recipe = recipe.model_copy(update={"clip_gradient_norm": norm / 4 or None})
    rate = SHARE * loss / _decrease(recipe, start, gradients) if math.isfinite(loss) else math.nan
    if not 0 < rate < math.inf:
        raise VerificationError(
            f"{name}: at the weights of the check the loss is {loss:.3g} and has no gradient to follow, so training "
            "proves nothing"
        )
    return with_rate(recipe, float(f"{rate:.1e}"))


def _decrease(recipe: Recipe, start: TrainingState, gradients: Mapping[str, Array]) -> float:
    """The decrease of the loss in the first step at a rate of 1, to first order and without decay; NaN for none."""
    without_decay = recipe.optimizer.model_copy(update={"weight_decay": 0.0})
    rule = recipe.model_copy(update={"optimizer": without_decay, "weight_average": None})
    after = update(rule, start, gradients, 1.0).weights
    return sum(float(np.vdot(g, start.weights[name] - after[name])) for name, g in gradients.items()) or math.nan
