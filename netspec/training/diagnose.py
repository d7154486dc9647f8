"""Diagnosis of a loss that is NaN or infinite: the first weight, input or activation that is not finite."""

from __future__ import annotations

import numpy as np

from netspec.errors import NetspecError
from netspec.graph import Graph, Normalization
from netspec.lowering import Backend, Batch
from netspec.ops.base import Array, Weights
from netspec.training.adversarial import divided
from netspec.training.network import network_inputs
from netspec.words import counted

REMEDY = (
    "try a lower training.optimizer.learning_rate, a training.warmup, or training.clip_gradient_norm: "
    "--set training.clip_gradient_norm=1"
)


class DivergedError(NetspecError):
    """The loss became NaN or infinite."""


def diverged(
    step: int,
    loss: float,
    graph: Graph,
    backend: Backend,
    weights: Weights,
    batches: tuple[Batch, ...],
    normalization: Normalization | None,
) -> DivergedError:
    """Return an error that names the origin of the divergence, found from the weights and the batches of the step.

    Args:
        step: the step, counted from 1.
        loss: the loss, NaN or infinite.
        graph: the training graph; in adversarial training the discriminator's.
        backend: the backend that computed the loss; it computes the activations too.
        weights: canonical weights before the step; after it if the loss is that of a validation. In adversarial
            training those of both networks.
        batches: the samples of the step; empty if the loss is that of the validation after it.
        normalization: the normalization of images; None for features.
    """
    cause = _bad_weight(weights)
    if not cause and not batches:
        cause = "the weights after it are finite, but so large that the validation overflows"
    generator, judge = divided(weights)
    cause = cause or _bad_activation(graph, backend, judge or generator, batches, normalization)
    rest = "every activation is finite, but the logits are too large for the loss"
    of_real = "the discriminator's activations are finite for real samples: the generated ones, or the logits, are not"
    cause = cause or (of_real if judge else rest)
    return DivergedError(f"the loss became {loss} in step {step}: {cause}", REMEDY)


def _bad_weight(weights: Weights) -> str:
    for name, array in weights.items():
        if not np.isfinite(array).all():
            return f"the weight {name} went bad in an earlier update: it holds {_kinds(array)}"
    return ""


def _bad_activation(
    graph: Graph,
    backend: Backend,
    weights: Weights,
    batches: tuple[Batch, ...],
    normalization: Normalization | None,
) -> str:
    model = backend.load(backend.lower(graph.with_outputs(node.name for node in graph.nodes)), weights)
    for batch in batches:
        inputs = network_inputs(batch.inputs, batch.shifts, normalization)
        bad = np.flatnonzero(~np.isfinite(inputs.reshape(len(inputs), -1)).all(axis=1))
        if len(bad):
            return f"the data hold {_kinds(inputs[bad])}, in {counted(len(bad), 'sample')} of the step"
        outputs = model.forward_training({graph.inputs[0].name: inputs})
        for node in graph.nodes:
            if not np.isfinite(outputs[node.name]).all():
                largest = max(_largest(outputs.get(name, inputs)) for name in node.inputs)
                return (
                    f"the output of {node.name} ({node.op.kind}) is the first to hold {_kinds(outputs[node.name])}; "
                    f"its input reaches {largest:.3g}"
                )
    return ""


def _kinds(array: Array) -> str:
    kinds = [name for name, test in (("NaN", np.isnan), ("infinity", np.isinf)) if test(array).any()]
    return " and ".join(kinds)


def _largest(array: Array) -> float:
    return float(np.abs(array).max()) if array.size else 0.0
