"""Random weights and inputs for checks, at a realistic scale, so that a wrong function shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NoReturn

import numpy as np

from netspec import reference
from netspec.errors import ShapeError, VerificationError
from netspec.graph import Graph, Input, MeanImage, Node, Preprocessing, make_node
from netspec.ops import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Cos,
    Dense,
    Exp,
    Flatten,
    MatMul,
    Permute,
    Rescale,
    Reshape,
    ScaledDotProductAttention,
    Sigmoid,
    Sin,
    Slice,
    Softmax,
    Tanh,
)
from netspec.ops.base import Array
from netspec.ops.initializers import draw
from netspec.preprocessing import normalize
from netspec.types import DType, TensorType
from netspec.weights import stream

SATURATING: Final = (Softmax, Sigmoid, Tanh)
KERNELS: Final = (Conv2d, ConvTranspose2d, Dense)
SHAPING: Final = (MatMul, Flatten, Permute, Rescale, Reshape, Slice)  # ops whose outputs are small if their inputs are
PIXEL_STD = 60.0  # of pixel values 0 to 255 without their mean: the scale of AlexNet's input
MID_GRAY = 127.5  # the middle of the pixel values 0 to 255
MOST_VALUES = 1 << 30  # of all layers' outputs for a batch, 8 GiB in float64: a bound on the memory of a framework


@dataclass(frozen=True, slots=True)
class Case:
    """A graph at one input size, and arrays for its inputs with one batch size, float32."""

    graph: Graph
    inputs: Mapping[str, Array]

    @property
    def label(self) -> str:
        """The batch size and the input sizes, `2 × 3x224x224`."""
        sizes = ["x".join(map(str, array.shape[1:])) for array in self.inputs.values()]
        batch = len(next(iter(self.inputs.values())))
        return f"{batch} × {' + '.join(sizes)}"


def require_numbers(case: Case, weights: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """Raise VerificationError if the reference gives NaN or infinity, which leaves nothing to compare backends with."""
    if all(np.isfinite(value).all() for value in expected.values()):
        return

    def require_inputs(node: Node, values: Sequence[Array]) -> None:
        if bad := [name for name, value in zip(node.inputs, values, strict=True) if not np.isfinite(value).all()]:
            _refuse(case.graph, bad[0], case.label)

    outputs = reference.evaluate(case.graph, weights, case.inputs, require_inputs)
    _refuse(case.graph, next(name for name, value in outputs.items() if not np.isfinite(value).all()), case.label)


def require_range(case: Case, weights: Mapping[str, Array], dtype: DType) -> None:
    """Raise VerificationError if a value of the reference overflows a dtype, in which no backend can then match it."""
    limit = float(np.finfo(dtype.numpy).max)

    def require(name: str, value: Array) -> None:
        largest = float(np.abs(value).max(initial=0))
        if largest > limit:
            raise VerificationError(
                f"{case.graph.name}: {_with_kind(case.graph, name)} has values of {largest:.0e} in the reference, "
                f"at {case.label}: {dtype} holds none beyond {limit:.0e}",
                "an exponential, a power, a quotient by almost 0: bound its input, as by `clip` or `rescale`, "
                "or check with weights that were trained, `--weights FILE`",
            )

    def require_inputs(node: Node, values: Sequence[Array]) -> None:
        for name, value in zip(node.inputs, values, strict=True):
            require(name, value)

    for name, value in reference.evaluate(case.graph, weights, case.inputs, require_inputs).items():
        require(name, value)


def _refuse(graph: Graph, name: str, label: str) -> NoReturn:
    raise VerificationError(
        f"{graph.name}: {_with_kind(graph, name)} is NaN or infinite in the reference itself, at {label}: "
        "there is nothing to compare with",
        "a root of a negative number, a quotient by 0, a large power: bound its input, as by `clip` or `rescale`",
    )


def _with_kind(graph: Graph, name: str) -> str:
    value = graph.values[name]
    return f"{name} ({value.op.kind})" if isinstance(value, Node) else name


def check_weights_of(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Random weights for a check, float32.

    Kernels are He-scaled, which keeps the scale of the input through any depth; with a paper's N(0, 0.01) the signal
    would vanish, and a wrong alpha in a normalization would change nothing. No weight is exactly zero or one.
    """
    weights: dict[str, Array] = {}
    for name, weight in graph.weights.items():
        random = stream(seed, "verify", name)
        if weight.fixed:
            values = draw(weight.initializer, weight.shape, 0, 0, random)
        elif weight.fan_in and len(weight.shape) > 1:
            values = random.standard_normal(weight.shape, np.float32) * np.float32(np.sqrt(2.0 / weight.fan_in))
        elif name.endswith(("variance", ".weight")):
            values = random.random(weight.shape, np.float32) + np.float32(0.5)
        else:
            values = random.standard_normal(weight.shape, np.float32)
        weights[name] = values
    return weights


def with_statistics(graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    """The weights, rescaled to the values that each normalization and each gate reads, as training would leave them.

    Running statistics drawn at a variance of one would not normalize: the signal would grow with every sum of a
    residual network until its gates read values in the thousands, where float32 rounding is no longer small beside the
    outputs. The same happens to gates that read pixels through unscaled kernels: a gate that is open for one sample is
    closed for the next, and a few such layers amplify rounding without bound. A sigmoid that is closed for all samples
    is 0 in float32.
    """
    gated = _kernels_before_gates(graph)
    if not gated and not any(isinstance(node.op, BatchNorm) for node in graph.nodes):
        return weights
    scaled = dict(weights)

    def rescale(node: Node, values: Sequence[Array]) -> None:
        if isinstance(node.op, BatchNorm):
            mean, std = float(values[0].mean()), float(values[0].std()) or 1.0
            for name, scale, offset in (("running_mean", 0.1 * std, mean), ("running_variance", std**2, 0.0)):
                drawn = weights[f"{node.name}.{name}"]
                scaled[f"{node.name}.{name}"] = (drawn * scale + offset).astype(np.float32)
        elif (gain := gated.get(node.name)) is not None:
            size = max(1.0, float(np.sqrt(np.square(values[0]).mean())))
            for name, scale in (("weight", gain * size), ("bias", gain)):
                if (full := f"{node.name}.{name}") in weights:
                    scaled[full] = (weights[full] / scale).astype(np.float32)

    reference.evaluate(graph, scaled, inputs, before=rescale)  # each node then computes with its rescaled weights
    return scaled


def _kernels_before_gates(graph: Graph) -> dict[str, float]:
    """The layers with kernels that only a gate reads, directly or through shaping ops, with the gain in between.

    The gain is the factor by which `rescale` ops enlarge the layer's output, at least 1: SIREN's sines read their
    kernels' outputs times 30.

    Gates are the saturating ops; sine and cosine, where rounding a thousand radians gives another angle; and
    exponentials, which overflow float32 above 88. A layer before an exponential counts even if other nodes read it too:
    a variational autoencoder computes deviation, variance and divergence from one log-variance.
    """
    gains: dict[str, float] = {}
    seen: set[str] = set()
    gates = sorted(graph.nodes, key=lambda node: isinstance(node.op, Exp))  # popped from the end: exponentials first
    pending = [(name, isinstance(node.op, Exp), 1.0) for node in gates for name in _gate_inputs(node)]
    while pending:
        name, shared, gain = pending.pop()
        value = graph.values[name]
        if not isinstance(value, Node) or name in seen or not (shared or len(graph.readers[name]) == 1):
            continue
        seen.add(name)
        if isinstance(value.op, KERNELS):
            gains[name] = max(1.0, gain)
        elif isinstance(value.op, SHAPING):
            total = gain * abs(value.op.scale) if isinstance(value.op, Rescale) else gain
            pending += ((source, shared, total) for source in value.inputs)
    return gains


def _gate_inputs(node: Node) -> tuple[str, ...]:
    if isinstance(node.op, ScaledDotProductAttention):
        return node.inputs[:2]  # queries and keys, the inputs of its softmax
    return node.inputs if isinstance(node.op, (*SATURATING, Exp, Sin, Cos)) else ()


def cases_of(graph: Graph, batches: tuple[int, ...] = (), seed: int = 0) -> Iterator[Case]:
    """The graph at each batch size; and, if its weights allow other input sizes, at an odd, non-square one.

    Args:
        graph: the network.
        batches: the batch sizes; by default 1, 2 and 7, or 3 instead of 7 if seven samples would need too much memory.
        seed: the seed of the inputs.
    """
    for batch in batches or (1, 2, _odd_batch(graph)):
        yield Case(graph, {value.name: input_of(value, batch, seed) for value in graph.inputs})
    if (other := with_other_sizes(graph)) is not None:
        yield Case(other, {value.name: input_of(value, 2, seed) for value in other.inputs})


def _odd_batch(graph: Graph) -> int:
    return 7 if 7 * sum(node.type.size for node in graph.nodes) <= MOST_VALUES else 3


def input_of(value: Input, batch: int, seed: int = 0) -> Array:
    """Random input values of both signs at a realistic scale, float32, some of them exactly 0.

    With a preprocessing in the spec, they are preprocessed pixels of 0 to 255; otherwise normally distributed, with a
    standard deviation of 60 for maps and of 1 for features.
    """
    random = stream(seed, "verify", value.name)
    shape = value.type.concrete(batch)
    if value.preprocessing is not None:
        pixels = random.integers(0, 256, shape).astype(np.float32)
        values: Array = normalize(pixels, with_some_mean(value.preprocessing, shape[1:]))
    else:
        scale = PIXEL_STD if value.type.rank == 4 else 1.0
        values = random.standard_normal(shape, np.float32) * np.float32(scale)
    values[random.random(shape) < 0.02] = 0.0
    return values


def with_some_mean(preprocessing: Preprocessing, shape: tuple[int, ...]) -> Preprocessing:
    """The preprocessing with a mean that can be applied to images of this shape.

    A mean to be computed from training data becomes mid-gray, and a mean image of another shape its mean per channel.
    """
    match preprocessing.mean:
        case str():
            mean: tuple[float, ...] = (MID_GRAY,)
        case MeanImage() as image if image.shape != shape:
            mean = tuple(image.array.mean(axis=(1, 2)).tolist())
        case _:
            return preprocessing
    return preprocessing.model_copy(update={"mean": mean})


def weights_for(case: Case, seed: int = 0) -> Mapping[str, Array]:
    """Weights for a check of a case's graph, with running statistics that fit its inputs."""
    return with_statistics(case.graph, check_weights_of(case.graph, seed), case.inputs)


def with_other_sizes(graph: Graph) -> Graph | None:
    """The graph with inputs of an odd, non-square size; None if its shapes or weights do not allow one."""
    if any(value.type.rank != 4 for value in graph.inputs):
        return None
    values: dict[str, Input | Node] = {}
    for value in graph.inputs:
        channels, height, width = value.type.features
        features = (channels, height + 1 + height % 2, width + 3 + width % 2)
        values[value.name] = Input(value.name, TensorType.of(*features, dtype=graph.dtype), value.preprocessing)
    try:
        for node in graph.nodes:
            values[node.name] = make_node(node.name, node.op, [values[name] for name in node.inputs])
    except ShapeError:
        return None
    inputs = tuple(value for value in values.values() if isinstance(value, Input))
    nodes = tuple(value for value in values.values() if isinstance(value, Node))
    other = replace(graph, inputs=inputs, nodes=nodes)
    return other if other.weights == graph.weights else None
