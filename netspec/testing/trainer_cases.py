"""Test cases for trainers: small networks in float64, recipes, batches and masks, and a reference forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netspec.graph import Graph, Head, Normalization, Scope, make_node
from netspec.lowering import Batch, Trainer, TrainingState
from netspec.lowering.batch import UNLABELLED
from netspec.ops import Dense
from netspec.ops.base import Array
from netspec.ops.dropout import Dropping
from netspec.recipe import Recipe
from netspec.recipe.optimizer import CURVATURE
from netspec.testing.networks import Chain
from netspec.types import DType

SGD = {"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.01}
MOMENTUM = SGD | {"momentum": 0.9}
NESTEROV = MOMENTUM | {"nesterov": True}
ADAM = {"name": "adam", "learning_rate": 0.1, "weight_decay": 0.01, "epsilon": 1e-4}
RMSPROP = {"name": "rmsprop", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01, "epsilon": 1e-2}
LEVENBERG = {"name": "diagonal_levenberg_marquardt", "learning_rate": 0.1, "damping": 0.5, "weight_decay": 0.01}
OVERRIDES = {"*.bias": {"lr_scale": 2, "decay_scale": 0}, "fc1.*": {"lr_scale": 0}}
# Fields of a recipe by name: every update rule and form, per-weight overrides, weight averages and gradient clipping.
RULES: Mapping[str, Mapping[str, Any]] = {
    "paper": {"optimizer": MOMENTUM},
    "paper, nesterov": {"optimizer": NESTEROV},
    "torch": {"optimizer": MOMENTUM | {"form": "torch"}},
    "torch, nesterov": {"optimizer": NESTEROV | {"form": "torch"}},
    "no momentum": {"optimizer": SGD},
    "adam": {"optimizer": ADAM},
    "adamw": {"optimizer": ADAM | {"name": "adamw", "beta1": 0.8}},
    "rmsprop": {"optimizer": RMSPROP},
    "rmsprop, torch": {"optimizer": RMSPROP | {"form": "torch"}},
    "rmsprop, no momentum": {"optimizer": RMSPROP | {"momentum": 0.0}},
    "rmsprop, torch, no momentum": {"optimizer": RMSPROP | {"momentum": 0.0, "form": "torch"}},
    "levenberg-marquardt": {"optimizer": LEVENBERG},
    "overrides, levenberg-marquardt": {"optimizer": LEVENBERG, "overrides": OVERRIDES},
    "averaged, levenberg-marquardt": {"optimizer": LEVENBERG, "weight_average": {"decay": 0.6}},
    "overrides, rmsprop": {"optimizer": RMSPROP, "overrides": OVERRIDES},
    "overrides": {"optimizer": MOMENTUM, "overrides": OVERRIDES},
    "overrides, adamw": {"optimizer": ADAM | {"name": "adamw"}, "overrides": OVERRIDES},
    "overrides, torch": {"optimizer": MOMENTUM | {"form": "torch"}, "overrides": OVERRIDES},
    "overrides, nesterov": {"optimizer": NESTEROV, "overrides": OVERRIDES},
    "averaged": {"optimizer": MOMENTUM, "weight_average": {"decay": 0.6}},
    "averaged, adamw": {"optimizer": ADAM | {"name": "adamw"}, "weight_average": {"decay": 0.6}},
    "averaged, uniform": {"optimizer": MOMENTUM, "weight_average": {"form": "uniform", "start": 3}},
    "clipping": {"optimizer": MOMENTUM, "clip_gradient_norm": 1.0},
    "clipping, nesterov": {"optimizer": NESTEROV, "clip_gradient_norm": 1.0},
}


@cache
def network() -> Graph:
    """A classifier with batch norm, dropout, a layer with biases of its own rate, and a layer that nothing reads.

    It is small, for a framework takes most of a test's time to trace a step.
    """
    return (
        Chain("small", image=(3, 9, 8))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("batch", "batch_norm")
        .add("relu", "relu")
        .add("flatten", "flatten")
        .add("drop", "dropout", rate=0.5, mode="standard")
        .add("fc1", "dense", units=5)
        .add("tanh", "tanh")
        .add("dead", "dense", reads="flatten", units=2)
        .add("fc2", "dense", reads="tanh", units=3)
        .graph("fc2")
        .astype(DType.FLOAT64)
    )


@cache
def larger_network() -> Graph:
    """`network` with LRN, all kinds of dropout, and a stack of blocks, for tests of what a step computes."""
    return (
        Chain("larger", image=(3, 9, 8))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("norm", "local_response_norm", size=3, alpha=1e-2, beta=0.75, k=2, convention="sum")
        .add("batch", "batch_norm")
        .add("relu", "relu")
        .add("units.0.conv", "conv2d", filters=4, kernel_size=1)
        .add("units.0.drop", "stochastic_depth", rate=0.25)
        .add("units.0.sum", "add", reads=("units.0.drop", "relu"))
        .add("units.1.conv", "conv2d", filters=4, kernel_size=1)
        .add("units.1.drop", "stochastic_depth", rate=0.5)
        .add("units.1.sum", "add", reads=("units.1.drop", "units.0.sum"))
        .add("drop_map", "dropout", rate=0.25)
        .add("flatten", "flatten")
        .add("drop", "dropout", rate=0.5, mode="standard")
        .add("fc1", "dense", units=5)
        .add("tanh", "tanh")
        .add("dead", "dense", reads="flatten", units=2)
        .add("fc2", "dense", reads="tanh", units=3)
        .graph("fc2", scopes=(Scope("units"), *(Scope(f"units.{i}", "unit") for i in range(2))))
        .astype(DType.FLOAT64)
    )


@cache
def network_with_head() -> Graph:
    """`network` with an auxiliary head: a second dense layer on the flattened map."""
    plain = network()
    head = make_node("head", Dense(units=3), [plain.values["flatten"]])
    outputs = (*plain.outputs, "head")
    return replace(plain, nodes=(*plain.nodes, head), outputs=outputs, heads=(Head("side", "head"),)).check()


@cache
def network_of_maps() -> Graph:
    """A segmentation network whose logits are smaller than its input."""
    return (
        Chain("maps", image=(3, 9, 8))
        .add("conv", "conv2d", filters=4, kernel_size=3)
        .add("batch", "batch_norm")
        .add("relu", "relu")
        .add("drop", "dropout", rate=0.25)
        .add("pixels", "conv2d", filters=3, kernel_size=1)
        .graph()
        .astype(DType.FLOAT64)
    )


def start(graph: Graph | None = None) -> dict[str, Array]:
    """Return initial weights of a graph, by default of `network`."""
    random = np.random.default_rng(1)
    weights = {name: random.standard_normal(w.shape) / 4 for name, w in (graph or network()).weights.items()}
    return {name: np.abs(a) + 0.5 if name.endswith("variance") else a for name, a in weights.items()}


def normalization() -> Normalization:
    """Return a normalization with a mean for each pixel and a factor for each channel."""
    random = np.random.default_rng(2)
    mean = random.uniform(90, 150, (3, 9, 8)).astype(np.float32)
    return Normalization(mean, np.array([1 / 50, 1 / 60, 1 / 70], np.float32).reshape(3, 1, 1))


def recipe(
    label_smoothing: float = 0.0,
    optimizer: Mapping[str, object] | None = None,
    auxiliary: Mapping[str, float] | None = None,
    **fields: object,
) -> Recipe:
    """Return a recipe. `momentum` and `weight_decay` configure SGD, all other fields belong to the recipe."""
    sgd_fields = {name: fields.pop(name) for name in ("momentum", "weight_decay") if name in fields}
    optimizer = optimizer or {"name": "sgd", "learning_rate": 0.1} | sgd_fields
    loss = {"name": "softmax_cross_entropy", "label_smoothing": label_smoothing, "auxiliary": auxiliary or {}}
    return Recipe.model_validate({"batch_size": 8, "steps": 50, "loss": loss, "optimizer": optimizer, **fields})


def begun(state: TrainingState, slots: Iterable[str]) -> TrainingState:
    """Return an initial state; if the optimizer only reads a curvature, with a random one."""
    random = np.random.default_rng(4)
    drawn = {name: random.exponential(1.0, array.shape) for name, array in trained(state).items()}
    curvature = {name: array.astype(state.weights[name].dtype) for name, array in drawn.items()}
    return replace(state, slots={**state.slots, CURVATURE: curvature}) if CURVATURE in slots else state


def rate_of(step: int) -> float:
    """Return the learning rate of a step: two drops by a factor of 10 in 50 steps."""
    return 0.1 * 0.1 ** ((step >= 20) + (step >= 35))


def batch_of(samples: int, seed: int = 0, shifts: bool = False) -> Batch:
    """Return random images and labels."""
    random = np.random.default_rng((samples, seed))
    pixels = random.integers(0, 256, (samples, 9, 8, 3), dtype=np.uint8)
    shift = random.normal(0, 9, (samples, 3)).astype(np.float32) if shifts else None
    return Batch(pixels, random.integers(0, 3, samples), np.arange(samples), shift)


def batch_of_maps(samples: int, seed: int = 0, *, weighted: bool = True) -> Batch:
    """Return random images and maps of labels, with dropout masks. A quarter of the pixels, and the last map, have no
    label.
    """
    random = np.random.default_rng((11, samples, seed))
    shape = (samples, 7, 6)
    labels = np.where(random.random(shape) < 0.25, UNLABELLED, random.integers(0, 3, shape))
    labels[-1:] = UNLABELLED
    weights = random.exponential(1.0, shape).astype(np.float32) if weighted else None
    masks = {"drop": random.random((samples, 4, 7, 6)) >= 0.25}
    pixels = random.integers(0, 256, (samples, 9, 8, 3), dtype=np.uint8)
    return Batch(pixels, labels, np.arange(samples), masks=masks, weights=weights)


def mixed_batch_of(samples: int, seed: int = 0) -> Batch:
    """Return float32 images with two labels each, of which `labels` have the larger shares."""
    plain, random = batch_of(samples, seed), np.random.default_rng((samples, seed, 1))
    pixels = random.uniform(0, 255, plain.inputs.shape).astype(np.float32)
    shares = random.uniform(1 / 2, 1, samples)
    return replace(plain, inputs=pixels, partners=(plain.labels + random.integers(0, 3, samples)) % 3, shares=shares)


def parts_of(step: int, accumulate: int) -> list[Batch]:
    """Return the batches of a step, of unequal sizes, with dropout masks."""
    return [with_masks(batch_of(3 + part, seed=step), step) for part in range(accumulate)]


def with_masks(batch: Batch, seed: int = 0, graph: Graph | None = None) -> Batch:
    """Return the batch with a mask for every dropout node of a graph, by default of `network`."""
    return replace(batch, masks=masks_of(batch, seed, graph))


def masks_of(batch: Batch, seed: int = 0, graph: Graph | None = None) -> dict[str, NDArray[np.bool_]]:
    """Return a mask for every dropout node of a graph, by default of `network`."""
    random = np.random.default_rng((7, seed))
    drops = [(node, node.op) for node in (graph or network()).nodes if isinstance(node.op, Dropping)]
    shapes = {node.name: (len(batch.labels), *op.mask_features(node.type)) for node, op in drops}
    return {node.name: random.random(shapes[node.name]) >= op.rate for node, op in drops}


def images(batch: Batch) -> Array:
    """Return the normalized input of the network. Shape: (N, C, H, W)."""
    pixels = batch.inputs.astype(np.float64).transpose(0, 3, 1, 2)
    shifts = 0.0 if batch.shifts is None else batch.shifts.astype(np.float64)[:, :, None, None]
    fixed = normalization()
    normalized: Array = (pixels + shifts - fixed.mean.astype(np.float64)) * fixed.factor.astype(np.float64)
    return normalized


def logits_of(batch: Batch) -> tuple[Array, dict[str, Array]]:
    """Return the logits of `larger_network` for a batch with masks in training mode, and the new statistics."""
    values, updates = values_of(larger_network(), batch, start(larger_network()))
    return values["fc2"], updates


def values_of(graph: Graph, batch: Batch, weights: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Evaluate a network in training mode by the ops' NumPy meanings: every value, and the updated statistics."""
    masks = {name: mask.astype(np.float64) for name, mask in (batch.masks or {}).items()}
    values, updates = {"image": images(batch)}, dict[str, Array]()
    for node in graph.nodes:
        node_weights = {name: weights[f"{node.name}.{name}"] for name in node.weights}
        inputs = [values[name] for name in node.inputs]
        result = node.op.reference_training(node_weights, *inputs, mask=masks.get(node.name))
        values[node.name] = result.output
        updates |= {f"{node.name}.{name}": array for name, array in result.updates.items()}
    return values, updates


def trained(state: TrainingState, graph: Graph | None = None) -> dict[str, Array]:
    """Return the trainable weights of a graph, by default of `network`."""
    return {name: state.weights[name] for name, weight in (graph or network()).weights.items() if weight.trainable}


def slope_of_loss(trainer: Trainer, batch: Batch, direction: Mapping[str, Array], total: int) -> float:
    """Return the central difference of the loss along a direction, at the trainer's current weights."""
    begin, losses = trainer.export_state(), []
    for shift in (1e-5, -1e-5):
        weights = begin.weights | {name: begin.weights[name] + shift * d for name, d in direction.items()}
        trainer.import_state(replace(begin, weights=weights))
        # With gradients, for then a trainer that traces its steps has traced this one before.
        losses.append(trainer.step([batch], 0.0, total, key=0, keep_gradients=True).loss)
    return (losses[0] - losses[1]) / 2e-5


def bits(state: TrainingState) -> dict[str, bytes]:
    """Return all arrays of a state as bytes, to compare states bit for bit."""
    parts = {"": state.weights, **state.slots}
    return {f"{part} {name}": array.tobytes() for part, arrays in parts.items() for name, array in arrays.items()}
