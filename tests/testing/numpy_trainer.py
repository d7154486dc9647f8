"""A backend that trains in NumPy: values from the definitions of the ops, gradients by hand for the suite's network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from netspec import reference
from netspec.errors import BackendError
from netspec.graph import Graph, Node
from netspec.graph.weights import check_weights
from netspec.lowering import (
    Artifact,
    Backend,
    Batch,
    Gradients,
    InputGradients,
    Lowerings,
    Model,
    StepResult,
    Trainer,
    TrainerSettings,
    TrainingState,
)
from netspec.lowering.batch import UNLABELLED, require_inputs, require_masks, require_statistics
from netspec.lowering.trainer import ITERATE
from netspec.ops import Add, BatchNorm, Conv2d, Dense, Flatten, LocalResponseNorm, Op, Relu, Tanh
from netspec.ops.base import Array, Weights
from netspec.ops.dropout import Dropping
from netspec.training.loss import targets
from netspec.training.update import slot_names, update
from netspec.types import DType
from netspec.weights import stream

Masks = Mapping[str, "Array"]


class NumPyModel(Model):
    """A model for inference only, which is all that the suite needs."""

    def __init__(self, artifact: Artifact, weights: Weights) -> None:
        self.artifact, self.native = artifact, dict(weights)

    def forward(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return reference.evaluate(self.artifact.graph, self.native, inputs)

    def forward_training(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        raise BackendError("numpy models infer alone")

    def gradients(self, inputs: Mapping[str, Array], cotangents: Mapping[str, Array]) -> Gradients:
        raise BackendError("numpy models infer alone")

    def weights(self) -> dict[str, Array]:
        return {name: array.copy() for name, array in self.native.items()}


class NumPyTrainer(Trainer):
    """A trainer that never changes an array in place, so that exported arrays stay as they were."""

    notes = ("NumPy",)

    def __init__(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> None:
        if settings.precision != "float32":
            raise BackendError(f"NumPy has no {settings.precision}")
        self.graph, self.settings, self.dtype = graph, settings, graph.dtype.numpy
        settings.require_fit(graph)
        settings.head_weights(graph)
        self.logits = graph.type_of(graph.outputs[0]).features
        self.classes = self.logits[0]
        self.import_state(TrainingState(dict(weights)))

    def step(
        self, batches: Sequence[Batch], rate: float, total: int, key: int, *, keep_gradients: bool = False
    ) -> StepResult:
        if not any(len(batch.labels) for batch in batches):
            raise BackendError("a step needs at least one sample, received none")
        before, loss, wrong = self.state, 0.0, 0
        gradients = {n: np.zeros_like(before.weights[n]) for n, w in self.graph.weights.items() if w.trainable}
        for position, batch in enumerate(batches):
            if not len(batch.labels):
                continue
            batch.require_targets(self.logits[0], self.logits[1:])
            require_statistics(self.graph, len(batch.labels))
            result, statistics = self.differentiate(batch, self.masks(batch, key, position), total)
            loss, wrong = loss + result.loss, wrong + result.wrong
            gradients = {name: array + result.gradients.get(name, 0) for name, array in gradients.items()}
            self.state = replace(self.state, weights=self.state.weights | statistics)
        self.state = self.update(gradients, rate) if math.isfinite(loss) else before
        return StepResult(loss, wrong, gradients if keep_gradients else None)

    def predict(self, inputs: Array) -> Array:
        x = self.input(inputs)
        if not len(x):
            return np.zeros((0, *self.logits), self.dtype)
        (logits,) = reference.evaluate(self.graph, self.state.weights, {self.graph.inputs[0].name: x}).values()
        return logits.astype(self.dtype)

    def outputs(self, batches: Sequence[Batch], key: int) -> tuple[Array, ...]:
        outputs = []
        for position, batch in enumerate(batches):
            x = self.input(batch.inputs, batch.shifts, training=True)
            values, _ = self.forward(x, self.masks(batch, key, position))
            outputs.append(values[self.graph.outputs[0]])
        return tuple(outputs)

    def input_gradients(self, batches: Sequence[Batch], key: int) -> InputGradients:
        loss, wrong, gradients = 0.0, 0.0, []
        for position, batch in enumerate(batches):
            masks = self.masks(batch, key, position)
            values, _ = self.forward(self.input(batch.inputs, batch.shifts, training=True), masks)
            own, slopes = self.losses(values, batch, 1)
            loss, wrong = loss + own, wrong + self.missed(values[self.graph.outputs[0]], batch)
            gradients.append(self.pulled_back(values, masks, slopes)[0][self.graph.inputs[0].name])
        return InputGradients(loss, wrong, tuple(gradients))

    def export_state(self) -> TrainingState:
        slots = {slot: dict(arrays) for slot, arrays in self.state.slots.items()}
        return TrainingState(dict(self.state.weights), slots, self.state.updates)

    def import_state(self, state: TrainingState) -> None:
        check_weights(self.graph, state.weights)
        names = slot_names(self.settings.recipe)
        trained = {name: w.shape for name, w in self.graph.weights.items() if w.trainable}
        state.require_slots(names, trained)
        weights = {name: state.weights[name].astype(self.dtype) for name in self.graph.weights}
        zeros = {name: np.zeros_like(weights[name]) for name in trained}
        absent = {slot: {name: weights[name] for name in zeros} if slot == ITERATE else zeros for slot in names}
        given = {slot: absent[slot] | dict(state.slots.get(slot, {})) for slot in names}
        slots = {slot: {name: array.astype(self.dtype) for name, array in own.items()} for slot, own in given.items()}
        self.state = TrainingState(weights, slots, state.updates)

    def update(self, gradients: Weights, rate: float) -> TrainingState:
        return update(self.settings.recipe, self.state, gradients, rate)

    def input(self, inputs: Array, shifts: Array | None = None, *, training: bool = False) -> Array:
        fixed = self.settings.normalization
        require_inputs(self.graph.inputs[0], inputs, shifts, images=fixed is not None, in_training=training)
        if fixed is None:
            return inputs.astype(self.dtype)
        pixels = inputs.transpose(0, 3, 1, 2).astype(self.dtype)
        if shifts is not None:
            pixels += shifts[:, :, None, None].astype(self.dtype)
        return (pixels - fixed.mean.astype(self.dtype)) * fixed.factor.astype(self.dtype)

    def masks(self, batch: Batch, key: int, position: int) -> Masks:
        """Return the masks of the batch, or draw them for this batch of this step."""
        drops = {node.name: node for node in self.graph.nodes if isinstance(node.op, Dropping)}
        shapes = {name: (len(batch.labels), *n.op.mask_features(n.type)) for name, n in drops.items()}
        if batch.masks is None:
            drawn = {name: stream(key, str(position), name).random(shape) for name, shape in shapes.items()}
            return {name: (array >= drops[name].op.rate).astype(self.dtype) for name, array in drawn.items()}
        require_masks(batch.masks, shapes)
        return {name: mask.astype(self.dtype) for name, mask in batch.masks.items()}

    def differentiate(self, batch: Batch, masks: Masks, total: int) -> tuple[StepResult, dict[str, Array]]:
        """Return what a batch adds to the loss and its gradient, and the new running statistics."""
        with np.errstate(invalid="ignore"):  # a loss that is not finite is a case of its own
            values, statistics = self.forward(self.input(batch.inputs, batch.shifts, training=True), masks)
        loss, slopes = self.losses(values, batch, total)
        gradients = self.backward(values, masks, slopes)
        return StepResult(loss, self.missed(values[self.graph.outputs[0]], batch), gradients), statistics

    def losses(self, values: Mapping[str, Array], batch: Batch, total: int) -> tuple[float, dict[str, Array]]:
        """Return the loss of all outputs, and its gradient in each of them."""
        if batch.cotangents is not None:
            output = self.graph.outputs[0]
            return float((values[output] * batch.cotangents).sum()) / total, {output: batch.cotangents / total}
        loss, slopes = 0.0, {}
        for name, weight in self.counted().items():
            own, slopes[name] = self.loss(values[name], batch, total, self.settings.recipe.label_loss.label_smoothing)
            loss, slopes[name] = loss + weight * own, weight * slopes[name]
        return loss, slopes

    def missed(self, logits: Array, batch: Batch) -> float:
        """Count the samples whose largest logit is not the label's; of a map, the share of such labelled pixels."""
        if batch.cotangents is not None:
            return 0.0
        return float((self.shares(batch.labels) * (logits.argmax(axis=1) != batch.labels)).sum())

    def shares(self, labels: Array) -> Array:
        """Return the weight of each label in its sample: 1, or one over the number of labelled pixels."""
        known = (labels != UNLABELLED).astype(self.dtype)
        pixels = tuple(range(1, labels.ndim))
        return known / np.maximum(known.sum(axis=pixels, keepdims=True), 1)

    def counted(self) -> dict[str, float]:
        """Return the outputs whose losses count, with the weight of each."""
        return dict(zip(self.graph.outputs, (1.0, *self.settings.head_weights(self.graph)), strict=True))

    def loss(self, logits: Array, batch: Batch, total: int, smoothing: float) -> tuple[float, Array]:
        """Return what an output adds to the loss, and the gradient in its logits."""
        logarithms = logits - logits.max(axis=1, keepdims=True)
        logarithms = logarithms - np.log(np.exp(logarithms).sum(axis=1, keepdims=True))
        wanted = np.moveaxis(self.targets(batch, smoothing).astype(self.dtype), -1, 1)
        shares = self.shares(batch.labels) * (1 if batch.weights is None else batch.weights) / total
        return -float((shares[:, None] * wanted * logarithms).sum()), shares[:, None] * (np.exp(logarithms) - wanted)

    def targets(self, batch: Batch, smoothing: float) -> Array:
        return targets(batch, self.classes, smoothing)

    def forward(self, x: Array, masks: Masks) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return every value of a forward pass in training by name, and the new running statistics."""
        values, statistics = {self.graph.inputs[0].name: x}, {}
        for node in self.graph.nodes:
            inputs = [values[name] for name in node.inputs]
            result = node.op.reference_training(self.own(node), *inputs, mask=masks.get(node.name))
            values[node.name] = result.output
            statistics |= {f"{node.name}.{name}": array for name, array in result.updates.items()}
        return values, statistics

    def backward(self, values: Mapping[str, Array], masks: Masks, slopes: Mapping[str, Array]) -> dict[str, Array]:
        """Return the gradient of each weight that the loss depends on, given those in the logits of each output."""
        return self.pulled_back(values, masks, slopes)[1]

    def pulled_back(
        self, values: Mapping[str, Array], masks: Masks, slopes: Mapping[str, Array]
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return the gradients of values and of weights, given those in each output."""
        of_values, of_weights = dict(slopes), {}
        for node in reversed(self.graph.nodes):
            if node.name not in of_values:
                continue
            if isinstance(node.op, Add):
                of_values |= {name: of_values.get(name, 0) + of_values[node.name] for name in node.inputs}
                continue
            (name,), g = node.inputs, of_values[node.name]
            back, own = pull_back(node.op, self.own(node), values[name], values[node.name], masks.get(node.name), g)
            of_values[name] = of_values.get(name, 0) + back
            of_weights |= {f"{node.name}.{weight}": array for weight, array in own.items()}
        return of_values, of_weights

    def own(self, node: Node) -> dict[str, Array]:
        return {name: self.state.trained[f"{node.name}.{name}"] for name in node.weights}


def pull_back(op: Op, own: Weights, x: Array, y: Array, mask: Array | None, g: Array) -> tuple[Array, dict[str, Array]]:
    """Return the gradients in the input x and in the weights of an op, given the gradient g in its output y."""
    match op:
        case Dense():
            return g @ own["weight"], {"weight": g.T @ x, "bias": g.sum(axis=0)}
        case Flatten():
            return g.reshape(x.shape), {}
        case Relu():
            return g * (x > 0), {}
        case Tanh():
            return g * (1 - y**2), {}
        case Dropping():
            return g * mask * op.training_scale, {}
        case LocalResponseNorm():
            return of_response_norm(op, x, g), {}
        case BatchNorm():
            return of_batch_norm(op, own, x, g)
        case Conv2d():
            return of_convolution(own, x, g)
    raise NotImplementedError(op.kind)


def of_response_norm(op: LocalResponseNorm, x: Array, g: Array) -> Array:
    """Return g · d^−β − 2·a·β·x · Σ (g · x · d^(−β−1)) with d = k + a · Σ x²; both sums are over neighbors."""
    channel = np.arange(x.shape[1])
    near = (abs(channel[:, None] - channel) <= op.size // 2).astype(x.dtype)
    d = op.k + op.alpha * np.einsum("nchw,cd->ndhw", x**2, near)
    met = np.einsum("nchw,cd->ndhw", g * x * d ** (-op.beta - 1), near)
    return g * d**-op.beta - 2 * op.alpha * op.beta * x * met


def of_batch_norm(op: BatchNorm, own: Weights, x: Array, g: Array) -> tuple[Array, dict[str, Array]]:
    """Return the gradients, considering that mean and variance depend on x (Ioffe & Szegedy 2015, section 3)."""
    axes = (0, 2, 3)
    deviation = np.sqrt(x.var(axis=axes, keepdims=True) + op.epsilon)
    normal = (x - x.mean(axis=axes, keepdims=True)) / deviation
    slopes = {"weight": (g * normal).sum(axis=axes), "bias": g.sum(axis=axes)}
    h = g * own["weight"][:, None, None]
    rest = h.mean(axis=axes, keepdims=True) + normal * (h * normal).mean(axis=axes, keepdims=True)
    return (h - rest) / deviation, slopes


def of_convolution(own: Weights, x: Array, g: Array) -> tuple[Array, dict[str, Array]]:
    """Return the gradients for stride 1 without padding: each element of a kernel is applied to one window of x."""
    kernels, (rows, columns) = own["weight"], g.shape[2:]
    back, slopes = np.zeros_like(x), np.zeros_like(kernels)
    for i, j in np.ndindex(*kernels.shape[2:]):
        window = (..., slice(i, i + rows), slice(j, j + columns))
        slopes[:, :, i, j] = np.tensordot(g, x[window], ((0, 2, 3), (0, 2, 3)))
        back[window] += np.einsum("nohw,oc->nchw", g, kernels[:, :, i, j])
    return back, {"weight": slopes, "bias": g.sum(axis=(0, 2, 3))}


class NumPyBackend(Backend):
    """A backend that is not registered. Tests replace `trainer_class` by faulty trainers."""

    name = "numpy"
    requires: ClassVar[dict[str, str]] = {}
    dtypes = frozenset(DType)
    trains = True
    lowerings = Lowerings("numpy")

    def __init__(self, trainer_class: type[NumPyTrainer] = NumPyTrainer) -> None:
        self.trainer_class = trainer_class

    def lower(self, graph: Graph) -> Artifact:
        return Artifact(self.name, graph, "", graph.name, ())

    def load(self, artifact: Artifact, weights: Weights) -> Model:
        return NumPyModel(artifact, weights)

    def write(self, artifact: Artifact, weights: Weights, folder: Path) -> list[Path]:
        return []

    def trainer(self, graph: Graph, weights: Weights, settings: TrainerSettings) -> Trainer:
        return self.trainer_class(graph, weights, settings)
