"""The interface between the training loop and a backend: optimizer steps, predictions, import and export of state."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from netspec.errors import BackendError, WeightsError
from netspec.graph import Graph, Normalization
from netspec.ops import BatchNorm
from netspec.ops.base import Array
from netspec.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
ITERATE: Final = "iterate"  # the slot of the trained weights, where `weights` are their averages
UNLABELLED: Final = -1  # the label of a pixel whose class is unknown; it is left out of the loss
PATIENCE = 600.0  # how long processes wait for one another, at the start and at each collective. Units: seconds


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that go through the network together.

    Attributes:
        inputs: images (N, H, W, C), already augmented, in uint8, or in float32 if augmentation gave fractions; or
            features, floating-point in canonical layout (N, …). Units: of images, pixel values.
        labels: class numbers. Shape: (N,); for segmentation (N, H, W), with H and W of the logits, and `UNLABELLED`
            where the class is unknown. For two mixed samples, the class with the larger share; `StepResult.wrong`
            counts by it.
        rows: the index of each sample among all samples of the optimizer step, over batches and ranks. Shape: (N,).
        shifts: offsets added to every pixel of an image before normalization, or None. Shape: (N, C). Units: pixel
            values.
        masks: dropout masks by name of the dropout node, 1 where a value is kept, in canonical layout (N, …); None
            if the framework's generator is to draw them.
        partners: for mixed samples, the class with the smaller share; None if nothing is mixed. Shape: (N,).
        shares: the share of `labels` in the targets; `partners` have the rest. Shape: (N,). Units: 0.5 to 1.
        weights: for segmentation, a factor for each pixel's loss; None for 1. Shape: (N, H, W).

    Raises:
        BackendError: only one of partners and shares is given, or one has the wrong shape.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    shifts: NDArray[np.float32] | None = None
    masks: Mapping[str, NDArray[np.bool_]] | None = None
    partners: NDArray[np.int64] | None = None
    shares: NDArray[np.float64] | None = None
    weights: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        shapes = [None if array is None else array.shape for array in (self.partners, self.shares)]
        expected = [self.labels.shape, self.labels.shape[:1]]
        if shapes not in ([None, None], expected):
            raise BackendError(
                f"partners and shares: expected neither, or shapes {expected[0]} and {expected[1]}, received "
                f"{shapes[0]} and {shapes[1]}"
            )

    def require_targets(self, classes: int, size: Sequence[int]) -> None:
        """Check the shapes of labels and pixel weights, and that labels and partners are class numbers.

        Args:
            classes: the number of classes in the logits.
            size: height and width of the logits for segmentation, else empty.

        Raises:
            BackendError: a shape is wrong, or a label is not a class number.
        """
        expected = (len(self.inputs), *size)
        for name, array in (("labels", self.labels), ("weights of pixels", self.weights)):
            if array is not None and array.shape != expected:
                raise BackendError(f"{name}: expected shape {expected}, received {array.shape}")
        least = UNLABELLED if size else 0
        for labels in (self.labels, self.partners):
            if labels is not None and labels.size and not (labels.min() >= least and labels.max() < classes):
                bad = labels[(labels < least) | (labels >= classes)][0]
                raise BackendError(f"expected labels 0 to {classes - 1}, received {bad}")

    def part(self, samples: slice) -> Batch:
        """The batch of some of the samples."""
        return Batch(
            self.inputs[samples],
            self.labels[samples],
            self.rows[samples],
            None if self.shifts is None else self.shifts[samples],
            None if self.masks is None else {name: mask[samples] for name, mask in self.masks.items()},
            None if self.partners is None else self.partners[samples],
            None if self.shares is None else self.shares[samples],
            None if self.weights is None else self.weights[samples],
        )


def require_statistics(graph: Graph, samples: int) -> None:
    """Check that a batch of this many samples, over all ranks, has a variance in every batch normalization.

    A channel with a single value has none. PyTorch raises an error then; Keras divides by 0 or returns the bias.

    Raises:
        BackendError: a batch normalization would have a single value of each channel.
    """
    if samples != 1:
        return
    for node in graph.nodes:
        if isinstance(node.op, BatchNorm) and math.prod(graph.type_of(node.inputs[0]).features[1:]) == 1:
            raise BackendError(
                f"{node.name}: batch normalization in training needs more than one value of each channel, and a batch "
                "of one sample has one",
                "--set training.last_batch=drop, or another training.batch_size",
            )


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of an optimizer step, over all batches and ranks.

    Attributes:
        loss: the mean over the step's samples, before the update. In segmentation, the loss of a sample is the mean
            over its labelled pixels of weight times cross-entropy, or 0 if none is labelled. (Equation 1 of Ronneberger
            et al. 2015 is the sum. With the mean, the learning rate depends neither on the size of the map nor on the
            number of unlabelled pixels.)
        wrong: the number of misclassified samples; in segmentation, the sum of the misclassified shares of the
            labelled pixels of each.
        gradients: the gradients of the loss by canonical weight name, before clipping and decay; None unless asked for.
    """

    loss: float
    wrong: float
    gradients: dict[str, Array] | None = None


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that an optimizer step changes, in canonical layout: the same in every backend.

    Attributes:
        weights: all weights by canonical name, running statistics included.
        slots: the optimizer's arrays by slot, then by weight: `velocity` for sgd with momentum, in the recipe's form;
            `first_moment` and `second_moment` for adam and adamw; `second_moment`, and with momentum `velocity`, for
            rmsprop. If the recipe averages the weights, `weights` are the averages, and the slot `iterate` holds the
            weights that are trained.
        updates: the number of optimizer steps taken, which Adam's bias correction needs.
    """

    weights: dict[str, Array]
    slots: dict[str, dict[str, Array]] = field(default_factory=dict)
    updates: int = 0

    @property
    def trained(self) -> dict[str, Array]:
        """The weights at which the next gradient is taken: `weights`, or `iterate` if those are averages."""
        return self.weights | self.slots.get(ITERATE, {})

    def require_slots(self, keeps: Collection[str], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Check the names of the slots and the shapes of their arrays.

        Args:
            keeps: the slots of the optimizer.
            shapes: the shape of each trainable weight by name.

        Raises:
            WeightsError: the slots are another optimizer's, or the arrays another network's.
        """
        if foreign := sorted(set(self.slots) - set(keeps)):
            expected = ", ".join(keeps) or "none"
            raise WeightsError(f"expected the optimizer's slots {expected}, received {', '.join(foreign)}")
        for slot, arrays in self.slots.items():
            for name, array in arrays.items():
                if shapes.get(name) != array.shape:
                    expected = f"shape {shapes[name]}" if name in shapes else "no trainable weight of this name"
                    raise WeightsError(f"{slot} of {name}: expected {expected}, received {array.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerSettings:
    """How the processes of a divided network find one another.

    Attributes:
        towers: the number of devices over which the network is divided, one process each.
        timeout: how long the processes wait for one another. Units: seconds.
        meeting: the URL of a rendezvous file, new for each group, for processes on one machine; None to use the
            environment's MASTER_ADDR and MASTER_PORT.
    """

    towers: int = 1
    timeout: float = PATIENCE
    meeting: str | None = None


@dataclass(frozen=True, slots=True)
class TrainerSettings(TowerSettings):
    """The settings of a trainer.

    Attributes:
        recipe: the trainer uses its loss, optimizer, overrides and clipping; schedule and data are the loop's.
        normalization: the normalization of images; None if the inputs are features, which are used unchanged.
        device: `auto` is the first CUDA device if there is one, else the CPU.
        precision: with `bfloat16`, layers compute in it while weights and updates stay in the graph's dtype.
        must_agree: further settings, by name, that have to be equal in all processes that train together.
    """

    recipe: Recipe
    normalization: Normalization | None = None
    device: Device = "auto"
    precision: Precision = "float32"
    must_agree: Mapping[str, str] = field(default_factory=dict)

    def head_weights(self, graph: Graph) -> tuple[float, ...]:
        """The weight of each auxiliary output's loss in the total loss, in the order of the graph's heads.

        Raises:
            BackendError: the recipe lacks the weight of an auxiliary output, or has one for an unknown output.
        """
        weights = self.recipe.loss.auxiliary
        heads = [head.name for head in graph.heads]
        if sorted(weights) != sorted(heads):
            received = ", ".join(weights) or "none"
            raise BackendError(
                f"{graph.name}: expected weights in the loss for the auxiliary outputs {', '.join(heads) or 'none'}, "
                f"received {received}"
            )
        return tuple(weights[name] for name in heads)


class Trainer(ABC):
    """An emitted network in its framework, with the recipe's loss and optimizer. Created by `Backend.trainer`.

    Attributes:
        native: the emitted model.
        rank, world: which share of the samples this process takes, of how many. The towers of a network have the same.
        processes: the number of processes that train together. All of them call `export_state` and `export_to_leader`.
        leads: whether this process writes the files and the log.
        device: the name of the device, for the log.
        notes: remarks for the log, on precision, determinism and threads.
    """

    native: Any
    rank: int = 0
    world: int = 1
    processes: int = 1
    leads: bool = True
    device: str = "cpu"
    notes: tuple[str, ...] = ()

    @abstractmethod
    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        """Take one optimizer step on the loss summed over all samples, divided by `total`.

        If the loss is not finite, weights, running statistics and slots stay unchanged.

        Args:
            batches: this rank's batches, whose gradients are accumulated for a single update.
            rate: the learning rate of this step; may be 0.
            total: the number of samples of the step, over all batches and ranks.
            key: the seed of the framework's dropout: the same key draws the same masks.
            keep_gradients: whether to return the gradients too.
        """

    @abstractmethod
    def predict(self, inputs: NDArray[Any]) -> Array:
        """Logits at inference, computed with the averaged weights if the recipe averages them.

        Shapes: as `Batch.inputs` → (N, classes), or (N, classes, H, W).
        """

    @abstractmethod
    def export_state(self) -> TrainingState:
        """Return a copy of the state. Training continues bit for bit after `import_state` of it."""

    def export_to_leader(self) -> TrainingState | None:
        """Like `export_state`, but only the leading process gets the state, the others None. All of them call it."""
        state = self.export_state()
        return state if self.leads else None

    @abstractmethod
    def import_state(self, state: TrainingState) -> None:
        """Load a state of this or another backend. Missing slots become 0; a missing `iterate` becomes the weights."""

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of an array over all ranks."""
        return values

    def any(self, value: bool) -> bool:
        """Whether the value is true in any of the processes."""
        return value

    def close(self) -> None:  # noqa: B027 # most trainers have no group
        """Leave the process group of the training, if there is one. Called once, at the end or on failure."""
