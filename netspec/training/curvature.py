"""The diagonal of the second derivatives of the loss, for the rates of `diagonal_levenberg_marquardt`.

It is the diagonal of the Gauss-Newton matrix, back-propagated through the network as its gradient is, but with every
partial derivative squared, and with no terms off the diagonal (`Op.curvature`). It begins at the logits z with
∂²E/∂z_i² = p_i (1 − p_i), where p is their softmax: label smoothing and mixed labels do not change that.

It is computed here, in NumPy and in float64, for all backends, so that they train at the same rates. Values are those
of inference: dropout has its mean effect.

Source: Becker & LeCun 1988; LeCun et al. 1998, section III.B and appendix C, equations 21 to 25.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from netspec.graph import Graph, Node, Normalization
from netspec.lowering import Batch, TrainingState
from netspec.lowering.batch import UNLABELLED
from netspec.ops.base import Array, Weights
from netspec.recipe import DiagonalLevenbergMarquardt, Recipe
from netspec.recipe.optimizer import CURVATURE
from netspec.training.data.batches import StepBatch
from netspec.training.network import network_inputs

BLOCK = 1 << 24  # elements of the values that are kept at a time: 128 MiB
Total = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def with_curvature(
    state: TrainingState,
    graph: Graph,
    recipe: Recipe,
    normalization: Normalization | None,
    steps: Iterable[StepBatch],
    total: Total = lambda values: values,
    done: Callable[[int], None] = lambda _: None,
) -> TrainingState:
    """The state with the curvature at its trained weights in the optimizer's slot; unchanged for other optimizers.

    Args:
        state: the state; its weights are those of the whole network.
        graph: the training graph.
        recipe: the source of the optimizer and of the weights of auxiliary losses.
        normalization: the normalization of images; None for features.
        steps: the next steps, with this process's batches; the first samples of all processes are taken.
        total: sums an array over the processes that share the samples.
        done: called after some samples, with their number; it may raise to stop.
    """
    if not isinstance(recipe.optimizer, DiagonalLevenbergMarquardt):
        return state
    heads = [1.0, *(recipe.label_loss.auxiliary[head.name] for head in graph.heads)]
    batches = first_samples(steps, recipe.optimizer.samples)
    means = curvatures(graph, state.trained, batches, normalization, heads, total, done)
    slot = {name: array.astype(state.weights[name].dtype) for name, array in means.items()}
    return replace(state, slots={**state.slots, CURVATURE: slot})


def first_samples(steps: Iterable[StepBatch], samples: int) -> Iterator[Batch]:
    """This process's share of the first so many samples of some steps, which are not read further than needed."""
    left = samples
    for step in steps:
        for batch in step.batches:
            part = batch.part(slice(0, int(np.searchsorted(batch.rows, left))))
            if len(part.labels):
                yield part
        left -= step.total
        if left <= 0:
            return


def curvatures(
    graph: Graph,
    weights: Weights,
    batches: Iterable[Batch],
    normalization: Normalization | None,
    heads: Sequence[float],
    total: Total = lambda values: values,
    done: Callable[[int], None] = lambda _: None,
) -> dict[str, Array]:
    """The mean over samples of the curvature of the loss in each trained weight, float64, by canonical name.

    Args:
        graph: the training graph. Every node on the way to its outputs has the rule.
        weights: canonical arrays.
        batches: the samples of this process.
        normalization: the normalization of images; None for features.
        heads: the weight of each output's loss, in the order of the outputs.
        total: sums an array over the processes that share the samples.
        done: called after some samples, with their number.
    """
    trained = {name: weight for name, weight in graph.weights.items() if weight.trainable}
    sums = {name: np.zeros(weight.shape) for name, weight in trained.items()}
    size = sum(value.type.size for value in graph.values.values())
    step, samples = max(1, BLOCK // size), 0
    for batch in batches:
        for start in range(0, len(batch.labels), step):
            part = batch.part(slice(start, start + step))
            inputs = network_inputs(part.inputs, part.shifts, normalization).astype(np.float64)
            _add_block(sums, graph, weights, inputs, part, heads)
            samples += len(part.labels)
            done(len(part.labels))
    count = float(total(np.array([float(samples)]))[0])
    return {name: total(array.reshape(-1)).reshape(array.shape) / count for name, array in sums.items()}


def _add_block(
    sums: Mapping[str, Array], graph: Graph, weights: Weights, inputs: Array, batch: Batch, heads: Sequence[float]
) -> None:
    """Add the curvatures of some samples: one pass forward, one back."""
    values: dict[str, Array] = {graph.inputs[0].name: inputs}
    needed = graph.needed(graph.outputs)
    nodes = [node for node in graph.nodes if node.name in needed]
    for node in nodes:
        value = node.op.reference(_own(node, weights), *(values[name] for name in node.inputs))
        values[node.name] = value if node.inputs else np.broadcast_to(value, node.type.concrete(len(inputs)))
    pending = {
        output: factor * _of_loss(values[output], batch) for output, factor in zip(graph.outputs, heads, strict=True)
    }
    for node in reversed(nodes):
        output, h = values.pop(node.name), pending.pop(node.name, None)
        if h is None:
            continue
        result = node.op.curvature(_own(node, weights), [values[name] for name in node.inputs], output, h)
        for name, array in zip(node.inputs, result.inputs, strict=True):
            if isinstance(graph.values[name], Node):
                pending[name] = pending[name] + array if name in pending else array
        for name, array in result.weights.items():
            sums[f"{node.name}.{name}"][...] += array


def _own(node: Node, weights: Weights) -> dict[str, Array]:
    return {name: np.asarray(weights[f"{node.name}.{name}"], np.float64) for name in node.weights}


def _of_loss(logits: Array, batch: Batch) -> Array:
    """The second derivative of each sample's loss in each of its logits. Shape: that of the logits."""
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = exp / exp.sum(axis=1, keepdims=True)
    curvature: Array = p * (1 - p)
    if batch.labels.ndim > 1:  # a map: the mean over its labelled pixels
        known = batch.labels != UNLABELLED
        share = known if batch.weights is None else known * batch.weights.astype(np.float64)
        labelled = np.maximum(known.sum(axis=(1, 2), keepdims=True), 1)
        curvature *= (share / labelled)[:, None]
    return curvature


def rates(recipe: Recipe, state: TrainingState, rate: float) -> tuple[float, float]:
    """The smallest and the largest rate of a single weight at a learning rate, by the curvatures of a state."""
    rule = recipe.optimizer
    if not isinstance(rule, DiagonalLevenbergMarquardt):
        return rate, rate
    bounds = [
        rate * recipe.override_of(name).lr_scale / (rule.damping + bound)
        for name, array in state.slots[CURVATURE].items()
        for bound in (float(array.max()), float(array.min()))
    ]
    return min(bounds, default=math.nan), max(bounds, default=math.nan)
