"""Twenty optimizer steps in which a wrong update shows: what is trained, by which rule, at which rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.errors import NetspecError, VerificationError
from netspec.graph import Graph, Preprocessing
from netspec.lowering import Backend, Batch, Normalization, TrainerSettings, TrainingState
from netspec.lowering.trainer import UNLABELLED
from netspec.ops.base import Array
from netspec.preprocessing import normalization
from netspec.recipe import AdamW, Augmentation, MultistepSchedule, Recipe, Sgd, Span, WeightAverage, WeightOverride
from netspec.training.data.mixing import Mixes, draw_mixes, mix
from netspec.training.data.samples import Memory
from netspec.training.dropout_masks import with_masks
from netspec.training.network import classes_of, map_size, training_graph
from netspec.training.schedule import Schedule
from netspec.training.update import update
from netspec.types import DType
from netspec.verify.cases import MID_GRAY, PIXEL_STD, with_some_mean
from netspec.weights import stream

STEPS, DROP = 20, 10  # optimizer steps, and after how many of them the rate is divided by ten
EPOCH, BATCH = 5, 4  # steps of an epoch, and samples of a batch; the last one of an epoch has one sample fewer
UNKNOWN = 0.1  # of the pixels of a map of labels
SHIFT = 10.0  # of a color from image to image, standard deviation. Units: pixel values
# Of the loss, what the first step takes away, to first order. With momentum AlexNet's weights then move by 2e-7 to 2e-3
# of their largest in twenty steps, far more than 1e-9. In float32, at this rate, its losses differ by 4e-5: a ReLU or a
# maximum that rounding switches leads to another gradient, and steps carry it on. What steps do to a loss goes with the
# rate, what is switched with its square: at a tenth of the rate they differ by 1e-6, and fall by hundredths.
SHARE, IN_FLOAT32 = 0.01, 0.1
DECAY = 5e-4  # the paper's: 2e-6 to 1e-1 of the gradients of these weights, so that 1e-9 is a sharp look at it
DECOUPLED_DECAY = 1.0  # AdamW's is no part of a gradient: it shows in a weight alone, beside steps of the rate itself

HEAD_WEIGHT = 0.3  # Szegedy et al. 2015, section 5

# Krizhevsky et al. 2012, section 5, and the code of that year: biases at twice the rate, without decay.
PAPER = Recipe(
    batch_size=BATCH,
    steps=STEPS,
    last_batch="keep",
    optimizer=Sgd(name="sgd", learning_rate=1.0, momentum=0.9, weight_decay=DECAY),
    overrides={"*.bias": WeightOverride(lr_scale=2.0, decay_scale=0.0)},
    schedule=MultistepSchedule(name="multistep", at=(Span(steps=DROP),), factor=0.1),
)


def graph_to_train(graph: Graph) -> Graph:
    """The part of a network that is trained.

    Raises:
        NetspecError: no loss can be taken of it; what can be compared of it nevertheless is in the hint.
    """
    try:
        return training_graph(graph)
    except NetspecError as error:
        other = "its outputs and gradients need no loss: --level gradient"
        raise NetspecError(error.message, f"{error.hint}; {other}" if error.hint else other) from error


def check_recipes(own: Recipe | None, heads: Sequence[str] = ()) -> list[Recipe]:
    """The paper's rule, and a spec's own where that is another: what is going to be run is what is proved.

    Its loss, optimizer, overrides, clipping, average of weights, accumulation and mixing of samples are taken over; the
    schedule, the length, the rate and the decay are the check's, and where it has no overrides biases go without decay,
    so that there is something to see.
    The losses of auxiliary `heads` count by the spec's weights, or by GoogLeNet's where it has no recipe.
    """
    weights = own.loss.auxiliary if own else dict.fromkeys(heads, HEAD_WEIGHT)
    paper = PAPER.model_copy(update={"loss": PAPER.loss.model_copy(update={"auxiliary": weights})})
    if own is None:
        return [paper]
    decay = DECOUPLED_DECAY if isinstance(own.optimizer, AdamW) else DECAY
    rule = PAPER.model_copy(
        update={
            "loss": own.loss,
            "optimizer": own.optimizer.model_copy(update={"learning_rate": 1.0, "weight_decay": decay}),
            "overrides": own.overrides or PAPER.overrides,
            "clip_gradient_norm": own.clip_gradient_norm,
            "weight_average": _begun(own.weight_average),
            "accumulate": min(own.accumulate, 2),
            "augmentation": own.augmentation.mixing,
        }
    )
    return [paper] if rule == paper else [paper, rule]


def _begun(average: WeightAverage | None) -> WeightAverage | None:
    """The average, begun within the check where a run begins it later."""
    return average and average.model_copy(update={"start": min(average.start, EPOCH)})


@dataclass(frozen=True)
class TrainingCase:
    """A network, weights to begin with, and a recipe for twenty steps on random samples.

    Attributes:
        graph: its one output are logits.
        weights: canonical, float32 values.
        recipe: of `check_recipes`; its learning rate is that of the first step.
        seed: of samples, labels and dropout masks.
    """

    graph: Graph
    weights: Mapping[str, Array]
    recipe: Recipe
    seed: int = 0

    @property
    def label(self) -> str:
        """Length, rule, batch and size, `20 steps of sgd, 4 × 3x224x224`."""
        size = "x".join(map(str, self.graph.inputs[0].type.features))
        batch = f"{self.recipe.accumulate} × {BATCH}" if self.recipe.accumulate > 1 else f"{BATCH}"
        return f"{STEPS} steps of {self.recipe.optimizer.name}, {batch} × {size}"

    @property
    def rule(self) -> str:
        """The update as the recipe has it, `sgd: learning_rate 4.3e-07, momentum 0.9, …; *.bias: lr_scale 2.0, …`."""
        recipe = self.recipe
        parts: dict[str, dict[str, Any]] = {
            recipe.optimizer.name: recipe.optimizer.model_dump(exclude={"name"}, exclude_defaults=True)
        }
        parts |= {pattern: own.model_dump(exclude_defaults=True) for pattern, own in recipe.overrides.items()}
        average = recipe.weight_average
        parts |= {"weight_average": average.model_dump(exclude_defaults=True)} if average else {}
        parts |= recipe.augmentation.model_dump(include={"mixup", "cutmix"}, exclude_none=True)
        return "; ".join(f"{key}: {', '.join(f'{k} {v}' for k, v in part.items())}" for key, part in parts.items())

    @cached_property
    def normalization(self) -> Normalization | None:
        """Of images of one or three channels, mid-gray subtracted where the spec says nothing; None for features."""
        value = self.graph.inputs[0]
        shape = value.type.features
        if len(shape) != 3 or shape[0] not in (1, 3):
            return None
        return normalization(with_some_mean(value.preprocessing or Preprocessing(mean=(MID_GRAY,)), shape), shape)

    def in_dtype(self, dtype: DType) -> TrainingCase:
        """The case in another dtype; in float32 at a tenth of the rate."""
        factor = IN_FLOAT32 if dtype is DType.FLOAT32 else 1.0
        rate = self.recipe.optimizer.learning_rate * factor
        optimizer = self.recipe.optimizer.model_copy(update={"learning_rate": rate})
        recipe = self.recipe.model_copy(update={"optimizer": optimizer})
        return replace(self, graph=self.graph.astype(dtype), recipe=recipe)

    @property
    def settings(self) -> TrainerSettings:
        """How a trainer is to compute: on the CPU, as the other levels of the proof do."""
        return TrainerSettings(self.recipe, self.normalization, "cpu")

    @cached_property
    def _schedule(self) -> Schedule:
        return Schedule(self.recipe, EPOCH)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self._schedule.rate(step)

    def total(self, step: int) -> int:
        """Samples of a step."""
        return BATCH * self.recipe.accumulate - (step % EPOCH == EPOCH - 1)

    def batches(self, step: int) -> tuple[Batch, ...]:
        """What a step is taken on, dropout masks included: random pixels or features, random labels, mixed as asked.

        For segmentation, random pixel weights too.
        """
        total = self.total(step)
        random = stream(self.seed, "verify", "training", str(step))
        shape = self.graph.inputs[0].type.features
        shifts = None
        if self.normalization is not None:
            inputs = random.integers(0, 256, (total, *shape[1:], shape[0]), np.uint8)
            if shape[0] == 3:
                shifts = random.standard_normal((total, 3), np.float32) * np.float32(SHIFT)
        else:
            scale = np.float32(PIXEL_STD if len(shape) == 3 else 1.0)
            inputs = random.standard_normal((total, *shape), np.float32) * scale
        labels, rows = random.integers(0, classes_of(self.graph), total), np.arange(total)
        whole = Batch(inputs, labels, rows, shifts)
        if (size := map_size(self.graph)) is not None:
            whole = _with_maps(whole, classes_of(self.graph), size, random)
        elif (mixes := self._mixes(step, rows)) is not None:
            whole = mix(whole, mixes, 1, Memory())
        parts = tuple(whole.part(slice(start, start + BATCH)) for start in range(0, total, BATCH))
        return with_masks(self.graph, parts, self.seed, step)

    def _mixes(self, step: int, rows: NDArray[np.int64]) -> Mixes | None:
        """How the samples of a step are mixed: as those of an epoch of one step each."""
        asked, shape = self.recipe.augmentation, self.graph.inputs[0].type.features
        if self.normalization is None:  # features, which have no boxes
            return draw_mixes(self.seed, step, rows, rows, asked.model_copy(update={"cutmix": None}), None)
        return draw_mixes(self.seed, step, rows, rows, asked, (shape[1], shape[2]))


def _with_maps(batch: Batch, classes: int, size: tuple[int, int], random: np.random.Generator) -> Batch:
    """The samples with a label and a weight for each pixel; of a tenth of the pixels nothing is known."""
    shape = (len(batch.labels), *size)
    labels = np.where(random.random(shape) < UNKNOWN, UNLABELLED, random.integers(0, classes, shape))
    weights = random.exponential(1.0, shape).astype(np.float32)
    return replace(batch, labels=labels, weights=weights)


def measured(case: TrainingCase, backend: Backend) -> TrainingCase:
    """The case at the scale of its gradients, which a step of rate 0 tells: its rate, and the norm to clip at.

    The gradient is that of the least likely labels, so that it is one: logits at scale leave nothing to learn where
    the label drawn happens to be the best.

    Raises:
        VerificationError: there is nothing to learn at these weights, or nothing finite.
    """
    recipe = case.recipe.model_copy(update={"clip_gradient_norm": None})
    trainer = backend.trainer(case.graph, case.weights, replace(case.settings, recipe=recipe))
    plain = replace(case, recipe=recipe.model_copy(update={"augmentation": Augmentation()}))
    try:
        given = [replace(b, labels=trainer.predict(b.inputs).argmin(axis=1)) for b in plain.batches(0)]
        result = trainer.step(given, 0.0, case.total(0), 0, keep_gradients=True)
    finally:
        trainer.close()
    gradients = {name: array.astype(np.float64) for name, array in (result.gradients or {}).items()}
    if case.recipe.clip_gradient_norm is not None:  # other labels have lower gradients, and most are to be clipped
        norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
        recipe = recipe.model_copy(update={"clip_gradient_norm": norm / 4 or None})
    finite = math.isfinite(result.loss)
    rate = SHARE * result.loss / _fall(recipe, case.weights, gradients) if finite else math.nan
    if not 0 < rate < math.inf:
        raise VerificationError(
            f"{case.graph.name}: at the weights of the check the loss is {result.loss:.3g} and has no gradient to "
            "follow, so training proves nothing"
        )
    optimizer = recipe.optimizer.model_copy(update={"learning_rate": float(f"{rate:.1e}")})
    return replace(case, recipe=recipe.model_copy(update={"optimizer": optimizer}))


def _fall(recipe: Recipe, weights: Mapping[str, Array], gradients: Mapping[str, Array]) -> float:
    """By how much the first step lowers the loss for a rate of 1, to first order, its decay left out."""
    still = recipe.optimizer.model_copy(update={"weight_decay": 0.0})
    start = TrainingState({name: weights[name].astype(np.float64) for name in gradients})
    rule = recipe.model_copy(update={"optimizer": still, "weight_average": None})
    after = update(rule, start, gradients, 1.0).weights
    return sum(float(np.vdot(g, start.weights[name] - after[name])) for name, g in gradients.items()) or math.nan
