"""What the training loop asks of a backend: a step, a prediction, and its state, out and in."""

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
ITERATE: Final = "iterate"  # the slot of what is trained, where the weights are its average
UNLABELLED: Final = -1  # in a map of labels: nothing is known of this pixel, and it has no part in the loss
PATIENCE = 600.0  # to find one another, and for the slowest to come to where the others wait. Units: seconds


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples that go through the network together.

    Attributes:
        inputs: images (N, H, W, C), already cropped and flipped: uint8, or float32 where what was done to them left no
            whole numbers; or features, floating and canonical (N, …). Units: of images, pixel values.
        labels: class numbers. Shape: (N,); for segmentation (N, H, W), with H and W of the logits, and `UNLABELLED`
            where the class is unknown. Of two samples that are mixed, the class with the larger share, by which
            `StepResult.wrong` counts.
        rows: each sample's place among all samples of the optimizer step, over batches and ranks. Shape: (N,).
        shifts: added to every pixel of an image before normalization, or None. Shape: (N, C). Units: pixel values.
        masks: by name of a dropout node, what is kept: zeros and ones, canonical (N, …); None leaves that to the
            framework's own generator.
        partners: of two samples that are mixed, the class with the smaller share; None where nothing is mixed.
            Shape: (N,).
        shares: the share of `labels` in the targets; `partners` have the rest. Shape: (N,). Units: 0.5 to 1.
        weights: for segmentation, the factor on each pixel's loss; None for 1. Shape: (N, H, W).

    Raises:
        BackendError: of partners and shares one is missing, or not there for each sample.
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
        """That labels, partners and weights of pixels are one a sample, or one a pixel of a map, and labels classes.

        Args:
            classes: that the logits tell apart.
            size: height and width of a map of logits; nothing of others.

        Raises:
            BackendError: they are others, or another number of them.
        """
        expected = (len(self.inputs), *size)
        for what, array in (("labels", self.labels), ("weights of pixels", self.weights)):
            if array is not None and array.shape != expected:
                raise BackendError(f"{what}: expected shape {expected}, received {array.shape}")
        least = UNLABELLED if size else 0
        for labels in (self.labels, self.partners):
            if labels is not None and labels.size and not (labels.min() >= least and labels.max() < classes):
                bad = labels[(labels < least) | (labels >= classes)][0]
                raise BackendError(f"expected labels 0 to {classes - 1}, received {bad}")

    def part(self, samples: slice) -> Batch:
        """Some of the samples."""
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
    """That a batch of so many samples, over all ranks, has a variance for each batch normalization: one value has none.

    Frameworks part here: PyTorch refuses it, Keras divides by 0 or gives the bias.

    Raises:
        BackendError: of a channel, one has a single value.
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
    """What an optimizer step tells, over all batches and ranks.

    Attributes:
        loss: the mean over the step's samples, before the update. The loss of a map of labels is the mean, over its
            labelled pixels, of weight times cross-entropy; it is 0 where none is labelled. (Equation 1 of Ronneberger
            et al. 2015 is the sum; with the mean, neither the size of the map nor unlabelled pixels change the rate.)
        wrong: how many samples were classified wrongly; a map counts as the share of its labelled pixels that were.
        gradients: of the loss by canonical name of each trainable weight, before clipping and decay; when asked for.
    """

    loss: float
    wrong: float
    gradients: dict[str, Array] | None = None


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that an optimizer step changes, canonical: the same in every backend.

    Attributes:
        weights: all of them by canonical name, running statistics included.
        slots: what the optimizer keeps for each trainable weight, by slot. `velocity` for sgd with momentum, as the
            recipe's form defines it; `first_moment` and `second_moment` for adam and adamw;
            `second_moment`, and with momentum `velocity`, for rmsprop. Where the recipe averages the weights, `weights`
            are the averages, and the slot `iterate` has the weights that are trained.
        updates: optimizer steps taken, which Adam's bias correction needs.
    """

    weights: dict[str, Array]
    slots: dict[str, dict[str, Array]] = field(default_factory=dict)
    updates: int = 0

    @property
    def trained(self) -> dict[str, Array]:
        """The weights at which the next gradient is taken: `weights`, or where those are averages, `iterate`."""
        return self.weights | self.slots.get(ITERATE, {})

    def require_slots(self, keeps: Collection[str], shapes: Mapping[str, tuple[int, ...]]) -> None:
        """That the slots are some of those that an optimizer keeps, and each array is of a weight with these shapes.

        Raises:
            WeightsError: they are another optimizer's, or another network's.
        """
        if foreign := sorted(set(self.slots) - set(keeps)):
            expected = ", ".join(keeps) or "none"
            raise WeightsError(f"expected the optimizer's slots {expected}, received {', '.join(foreign)}")
        for slot, arrays in self.slots.items():
            for name, array in arrays.items():
                if shapes.get(name) != array.shape:
                    expected = f"shape {shapes[name]}" if name in shapes else "no such weight to be trained"
                    raise WeightsError(f"{slot} of {name}: expected {expected}, received {array.shape}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerSettings:
    """How one of several processes finds the others.

    Attributes:
        towers: devices that the network lies on; each process is one of them.
        timeout: how long the processes wait for one another. Units: seconds.
        meeting: the URL of a file, new for each group, where those of one machine find one another; None where the
            environment's MASTER_ADDR and MASTER_PORT say.
    """

    towers: int = 1
    timeout: float = PATIENCE
    meeting: str | None = None


@dataclass(frozen=True, slots=True)
class TrainerSettings(TowerSettings):
    """How a trainer is to compute.

    Attributes:
        recipe: its loss, optimizer, overrides and clipping; schedule and data are the loop's.
        normalization: of images; None where the inputs are features, taken as they are.
        device: `auto` is the first CUDA device where there is one.
        precision: `bfloat16` computes layers in it while weights and updates stay in the graph's dtype.
        alike: what else has to be the same in all processes that train together, by name.
    """

    recipe: Recipe
    normalization: Normalization | None = None
    device: Device = "auto"
    precision: Precision = "float32"
    alike: Mapping[str, str] = field(default_factory=dict)

    def head_weights(self, graph: Graph) -> tuple[float, ...]:
        """The weight of each auxiliary output's loss in the total, in the order of the training graph.

        Raises:
            BackendError: the recipe has no weight for one, or one for an output that is not there.
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
    """An emitted network in its framework, with the recipe's loss and optimizer. Made by `Backend.trainer`.

    Attributes:
        native: the emitted model itself.
        rank, world: this process's share of the samples. Towers of one network have the same one.
        processes: all that train together; then `export_state` and `export_to_leader` are called in all of them.
        leads: whether this is the one that writes and is heard.
        device: what it computes on, for the log.
        notes: what a reader of the log has to know: precision, determinism, threads.
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
        """One optimizer step on the loss summed over all samples, divided by `total`.

        A loss that is not finite changes nothing: neither weights, running statistics nor slots.

        Args:
            batches: this rank's share, forward and backward one after the other, updated once.
            rate: the learning rate of this step; 0 is legal.
            total: samples of the step over all batches and ranks.
            key: seed of the framework's own dropout: the same key draws the same masks.
            keep_gradients: whether to return the gradients too.
        """

    @abstractmethod
    def predict(self, inputs: NDArray[Any]) -> Array:
        """Logits at inference, by the averages of the weights where the recipe has them.

        Shapes: as `Batch.inputs` → (N, classes), or (N, classes, H, W).
        """

    @abstractmethod
    def export_state(self) -> TrainingState:
        """A copy of the state, from which `import_state` continues bit for bit."""

    def export_to_leader(self) -> TrainingState | None:
        """The same in the process that leads, and None in the others; called in all of them."""
        state = self.export_state()
        return state if self.leads else None

    @abstractmethod
    def import_state(self, state: TrainingState) -> None:
        """Take over a state of this or another backend. Slots that it lacks become zero, and iterates the weights."""

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of an array over all ranks."""
        return values

    def any(self, value: bool) -> bool:
        """Whether any of all processes says so."""
        return value

    def close(self) -> None:  # noqa: B027 # most have nothing to leave
        """Leave the group of processes that train together, if there is one. Called once, at the end or on failure."""
