"""The checks of the conformance suite. Each raises a VerificationError if the backend violates it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from netspec import reference
from netspec.errors import VerificationError
from netspec.lowering import Backend, Model
from netspec.ops import BatchNorm, Sample
from netspec.ops.base import Array, Weights
from netspec.ops.dropout import Dropping
from netspec.testing.cases import BATCHES, WEIGHT, Corner, SampleCase
from netspec.types import DType, TensorType
from netspec.verify.compare import require_close
from netspec.weights import stream

# Central differences of the float64 reference have errors of 1e-9 to 1e-8, relative to the largest derivative.
DERIVATIVE_TOLERANCE = 1e-6
DERIVATIVE_STEP = 1e-5


def load(backend: Backend, case: SampleCase, dtype: DType) -> Model:
    """Load the graph of a case into a backend, with the weights of the case."""
    return backend.load(backend.lower(case.graph.astype(dtype)), case.weights())


def check_forward(backend: Backend, case: SampleCase, dtype: DType, model: Model | None = None) -> None:
    """Check that values, shapes and dtype agree with the reference at every batch size.

    Args:
        backend: the backend.
        case: the case.
        dtype: the dtype in which to compute.
        model: what `load` returns for these, if it has been loaded already; so too for the checks below.
    """
    model = model or load(backend, case, dtype)
    tolerance = case.sample.tolerance64 if dtype is DType.FLOAT64 else case.sample.tolerance32
    for batch in BATCHES:
        inputs = case.inputs(batch)
        actual = model.forward(inputs)
        for name, expected in reference.evaluate(case.graph, case.weights(), inputs).items():
            require_close(actual[name], expected, tolerance, f"{backend.name}: {case} at batch {batch}", dtype)


def check_training(backend: Backend, case: SampleCase, model: Model | None = None) -> None:
    """Check outputs and running statistics in training mode, in float64; for dropout, what is dropped and how often.

    It changes running statistics in the model.
    """
    model = model or load(backend, case, DType.FLOAT64)
    inputs = case.inputs(batch=5)
    (actual,) = model.forward_training(inputs).values()
    op = case.node.op
    label = f"{backend.name}: {case} in training"
    arrays = [inputs[name].astype(np.float64) for name in case.node.inputs]
    weights = {name.split(".", 1)[1]: a.astype(np.float64) for name, a in case.weights().items()}
    if isinstance(op, Dropping):
        check_dropped(actual, arrays[0], op, case.node.type, label)
        check_share(model, case, op, label)
        return
    result = op.reference_training(weights, *arrays)
    output = np.broadcast_to(result.output, case.node.type.concrete(5))
    require_close(actual, output, case.sample.tolerance64, label, DType.FLOAT64)
    if isinstance(op, BatchNorm):
        after = model.weights()
        for name, expected in result.updates.items():
            updated = after[f"{case.node.name}.{name}"]
            require_close(updated, expected, case.sample.tolerance64, f"{label}: {name}", DType.FLOAT64)


def check_dropped(actual: Array, x: Array, op: Dropping, type: TensorType, label: str) -> None:
    """Check that every element is 0 or x at the training scale, and that units are dropped as a whole.

    The unit is what one element of the mask drops: an element, a sample, or the batch.
    """
    kept = np.isclose(actual, x * op.training_scale, rtol=1e-12, atol=0.0)
    if not (kept | (actual == 0)).all():
        raise VerificationError(f"{label}: an element is neither dropped nor x times {op.training_scale}")
    if not _drops_elements(op, type):
        samples = (actual != 0).reshape(len(x), -1).any(axis=1, keepdims=True)
        mask = samples.any(axis=0, keepdims=True) if op.whole_batch else samples
        if ((actual == 0) & (x != 0) & mask.reshape(-1, *(1,) * (x.ndim - 1))).any():
            raise VerificationError(f"{label}: a part of a sample is dropped, or a part of a batch")


def check_share(model: Model, case: SampleCase, op: Dropping, label: str) -> None:
    """Check that the share of dropped units is the dropout rate, over enough forward passes to tell."""
    dropped: list[float] = []
    elementwise = _drops_elements(op, case.node.type)
    passes, batch = (1, 5) if elementwise else (80, 5) if op.whole_batch else (8, 50)
    for _ in range(passes):
        inputs = case.inputs(batch)
        (actual,) = model.forward_training(inputs).values()
        (x,) = inputs.values()
        if elementwise:
            dropped += (actual[x != 0] == 0).tolist()
        else:
            dropped_samples = (actual == 0).reshape(len(x), -1).all(axis=1)
            dropped += dropped_samples[:1].tolist() if op.whole_batch else dropped_samples.tolist()
    share = float(np.mean(dropped))
    # Six standard deviations of a binomial share: a correct dropout fails one run in 10^9.
    slack = 6 * np.sqrt(op.rate * (1 - op.rate) / len(dropped))
    if abs(share - op.rate) > slack:
        raise VerificationError(f"{label}: {share:.2f} of the elements are dropped, expected {op.rate} ± {slack:.2f}")


def _drops_elements(op: Dropping, type: TensorType) -> bool:
    """Whether elements are dropped independently, instead of whole samples or batches."""
    return op.mask_features(type) == type.features


def check_gradients(backend: Backend, case: SampleCase, model: Model | None = None) -> None:
    """Compare gradients of every trainable weight and input, in float64, with differences of the reference."""
    inputs = case.inputs(batch=2, zeros=False)
    cotangent = _cotangent(case)
    model = model or load(backend, case, DType.FLOAT64)
    gradients = model.gradients(inputs, {case.node.name: cotangent})
    of_weights, of_inputs = gradients.weights, gradients.inputs
    trainable = {name for name, w in case.graph.weights.items() if w.trainable}
    if set(of_weights) != trainable or set(of_inputs) != set(inputs):
        raise VerificationError(f"{backend.name}: {case}: gradients of {sorted(of_weights)}, {sorted(of_inputs)}")
    derivatives = _derivatives(case)
    for name, actual in {**of_weights, **of_inputs}.items():
        label = f"{backend.name}: {case}: gradient of {name}"
        require_close(actual, derivatives[name], DERIVATIVE_TOLERANCE, label, DType.FLOAT64)


def check_corner(backend: Backend, corner: Corner) -> None:
    """Check the gradient at a corner, in float64, in each sample of a batch."""
    least, _ = corner.op.inputs
    case = SampleCase.of(Sample(corner.op, ((len(corner.x),),) * least))
    inputs = {value.name: np.array([corner.x] * 2) for value in case.graph.inputs}
    weights = {name: np.full(weight.shape, WEIGHT, np.float32) for name, weight in case.graph.weights.items()}
    model = backend.load(backend.lower(case.graph.astype(DType.FLOAT64)), weights)
    cotangent = np.ones(case.node.type.concrete(2))
    for actual in model.gradients(inputs, {case.node.name: cotangent}).inputs.values():
        if not np.array_equal(actual, [corner.slopes] * 2):
            raise VerificationError(f"{backend.name}: {corner}: expected the slopes {corner.slopes}, got {actual[0]}")


def _cotangent(case: SampleCase) -> Array:
    return stream(0, "cotangent").standard_normal(case.node.type.concrete(2))


@cache
def _derivatives(case: SampleCase) -> Mapping[str, Array]:
    """The central differences of Σ output · cotangent for each trainable weight and each input, of any backend."""
    weights = {name: array.astype(np.float64) for name, array in case.weights().items()}
    inputs = {name: array.astype(np.float64) for name, array in case.inputs(batch=2, zeros=False).items()}
    trainable = [name for name, weight in case.graph.weights.items() if weight.trainable]
    of_weights = {name: _of_weight(case, weights, inputs, name) for name in trainable}
    return of_weights | {name: _of_input(case, weights, inputs, name) for name in inputs}


def _of_weight(case: SampleCase, weights: Weights, inputs: Weights, name: str) -> Array:
    """The differences for a weight, an element at a time."""
    slopes, cotangent = np.zeros_like(weights[name]), _cotangent(case)
    for index in np.ndindex(slopes.shape):
        sums = []
        for step in (DERIVATIVE_STEP, -DERIVATIVE_STEP):
            moved = weights[name].copy()
            moved[index] += step
            (output,) = reference.evaluate(case.graph, {**weights, name: moved}, inputs).values()
            sums.append(float((output * cotangent).sum()))
        slopes[index] = (sums[0] - sums[1]) / (2 * DERIVATIVE_STEP)
    return slopes


def _of_input(case: SampleCase, weights: Weights, inputs: Weights, name: str) -> Array:
    """The differences for an input, all elements in one batch: of its copies, each has one element moved."""
    step, array = DERIVATIVE_STEP * case.sample.scale, inputs[name]
    moves = np.concatenate([np.eye(array.size), -np.eye(array.size)]).reshape(-1, *array.shape) * step
    copied = {n: np.broadcast_to(a, (len(moves), *a.shape)) for n, a in inputs.items()}
    copied[name] = array + moves
    batch = {n: a.reshape(-1, *a.shape[2:]) for n, a in copied.items()}
    (output,) = reference.evaluate(case.graph, weights, batch).values()
    cotangent = _cotangent(case)
    sums = (output.reshape(len(moves), *cotangent.shape) * cotangent).reshape(len(moves), -1).sum(axis=1)
    above, below = sums.reshape(2, *array.shape)
    slopes: Array = (above - below) / (2 * step)
    return slopes


def check_weights_return(backend: Backend, case: SampleCase, model: Model | None = None) -> None:
    """Check that loaded weights are returned unchanged, by canonical name and in canonical layout."""
    expected = case.weights()
    actual = (model or load(backend, case, DType.FLOAT32)).weights()
    if list(actual) != list(expected):
        raise VerificationError(f"{backend.name}: {case}: expected the weights {list(expected)}, got {list(actual)}")
    for name, array in expected.items():
        require_close(actual[name], array, 0.0, f"{backend.name}: {case}: {name} as it came back", DType.FLOAT32)


def check_lowering_is_pure(backend: Backend, case: SampleCase) -> None:
    """Check that lowering twice gives the same artifact, with exactly one binding for each weight."""
    first, second = backend.lower(case.graph), backend.lower(case.graph)
    if first != second:
        raise VerificationError(f"{backend.name}: {case}: two lowerings of one graph differ")
    bound = [binding.weight for binding in first.bindings]
    if sorted(bound) != sorted(case.graph.weights):
        raise VerificationError(f"{backend.name}: {case}: bindings for {bound}, expected {list(case.graph.weights)}")
    paths = [binding.path for binding in first.bindings]
    if len(set(paths)) != len(paths):
        raise VerificationError(f"{backend.name}: {case}: two weights are bound to one path: {paths}")
