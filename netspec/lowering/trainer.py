"""The interface between the training loop and a backend: optimizer steps, predictions, import and export of state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from netspec.errors import BackendError, WeightsError
from netspec.graph import Graph, Normalization
from netspec.lowering.batch import Batch
from netspec.ops.base import Array
from netspec.recipe import Recipe
from netspec.types import DType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "bfloat16"]
ITERATE: Final = "iterate"  # the slot of the trained weights, where `weights` are their averages
PATIENCE = 600.0  # how long processes wait for one another, at the start and at each collective. Units: seconds


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
class InputGradients:
    """How the loss of samples depends on the input of the network.

    Attributes:
        loss: the sum of the losses of all samples.
        wrong: as in `StepResult`.
        inputs: by batch, the gradient of this sum in the input. Shapes: (N, …), canonical, after any normalization.
    """

    loss: float
    wrong: float
    inputs: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Everything that an optimizer step changes, in canonical layout: the same in every backend.

    Attributes:
        weights: all weights by canonical name, running statistics included.
        slots: the optimizer's arrays by slot, then by weight: `velocity` for sgd with momentum, in the recipe's form;
            `first_moment` and `second_moment` for adam and adamw; `second_moment`, and with momentum `velocity`, for
            rmsprop; `curvature` for diagonal_levenberg_marquardt. If the recipe averages the weights, `weights` are the
            averages, and the slot `iterate` holds the weights that are trained.
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

    def require_fit(self, graph: Graph) -> None:
        """Check that a network can be trained with these settings.

        Raises:
            BackendError: no weight is trainable, the precision is for another dtype, or the normalization is for images
                of another size.
        """
        if not any(weight.trainable for weight in graph.weights.values()):
            raise BackendError(f"{graph.name} has no weights to train")
        if self.precision == "bfloat16" and graph.dtype is not DType.FLOAT32:
            raise BackendError(
                f"precision bfloat16 is for float32 networks, received {graph.dtype}",
                "leave the precision out, or the dtype",
            )
        (value,) = graph.inputs
        features = value.type.features
        for name, array in self.normalization._asdict().items() if self.normalization else ():
            if len(features) != 3 or array.shape not in {features, (features[0], 1, 1)}:
                raise BackendError(
                    f"the normalization's {name} of shape {array.shape} does not fit the input {value.type}"
                )

    def head_weights(self, graph: Graph) -> tuple[float, ...]:
        """The weight of each auxiliary output's loss in the total loss, in the order of the graph's heads.

        Raises:
            BackendError: the recipe lacks the weight of an auxiliary output, or has one for an unknown output.
        """
        weights = self.recipe.label_loss.auxiliary
        heads = [head.name for head in graph.heads]
        if sorted(weights) != sorted(heads):
            received = ", ".join(weights) or "none"
            raise BackendError(
                f"{graph.name}: expected weights in the loss for the auxiliary outputs {', '.join(heads) or 'none'}, "
                f"received {received}"
            )
        return tuple(weights[name] for name in heads)


def out_of_memory(device: str) -> BackendError:
    """The error of a batch that does not fit into the memory of a device."""
    return BackendError(
        f"{device} does not have the memory for this batch",
        "halve training.batch_size and double training.accumulate: the step stays the same",
    )


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

    def outputs(self, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
        """The main output in training mode, by batch: batch statistics, and the dropout of a step with this key.

        Nothing changes, running statistics included. A step on the same batches and key computes the same outputs.

        Raises:
            BackendError: a batch does not fit the network; or the trainer is one of several processes, or of a backend
                without this.
        """
        del batches, key
        raise BackendError("this trainer does not give outputs in training mode: adversarial training needs them")

    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        """The losses of a step in training mode, and their gradients in the input. Nothing changes, as in `outputs`.

        Args:
            batches: as for `step`.
            key: the seed of the framework's dropout.

        Raises:
            BackendError: as for `outputs`.
        """
        del batches, key
        raise BackendError("this trainer does not give gradients in its input: adversarial training needs them")

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

    def largest(self, value: int) -> int:
        """The largest of a number over all processes."""
        return value

    def close(self) -> None:  # noqa: B027 # most trainers have no group
        """Leave the process group of the training, if there is one. Called once, at the end or on failure."""
