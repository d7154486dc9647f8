"""Weights and inputs on which a wrong function shows: at the scale at which the network lives."""

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
from netspec.preprocessing import normalize
from netspec.types import DType, TensorType
from netspec.weights import stream

SATURATING: Final = (Softmax, Sigmoid, Tanh)
KERNELS: Final = (Conv2d, ConvTranspose2d, Dense)
SHAPING: Final = (MatMul, Flatten, Permute, Rescale, Reshape, Slice)  # what these make of small values is small
PIXEL_STD = 60.0  # of pixels 0 to 255 with their mean subtracted: the scale of AlexNet's input
MID_GRAY = 127.5  # the middle of pixels 0 to 255
MOST_VALUES = 1 << 30  # that layers give for a batch, 8 GiB in float64: what a framework holds at once goes with them


@dataclass(frozen=True, slots=True)
class Case:
    """A graph at some input size, and arrays for its inputs at some batch, float32 values."""

    graph: Graph
    inputs: Mapping[str, Array]

    @property
    def label(self) -> str:
        """Batch and sizes, `2 × 3x224x224`."""
        sizes = ["x".join(map(str, array.shape[1:])) for array in self.inputs.values()]
        batch = len(next(iter(self.inputs.values())))
        return f"{batch} × {' + '.join(sizes)}"


def require_numbers(case: Case, weights: Mapping[str, Array], expected: Mapping[str, Array]) -> None:
    """VerificationError where the reference itself gives NaN or infinity: no backend can be held to that."""
    if all(np.isfinite(value).all() for value in expected.values()):
        return

    def require(node: Node, values: Sequence[Array]) -> None:
        if bad := [name for name, value in zip(node.inputs, values, strict=True) if not np.isfinite(value).all()]:
            _refuse(case.graph, bad[0], case.label)

    outputs = reference.evaluate(case.graph, weights, case.inputs, require)
    _refuse(case.graph, next(name for name, value in outputs.items() if not np.isfinite(value).all()), case.label)


def require_range(case: Case, weights: Mapping[str, Array], dtype: DType) -> None:
    """VerificationError where a value of the reference is beyond what a dtype holds: no backend can be held to that."""
    limit = float(np.finfo(dtype.numpy).max)

    def require(name: str, value: Array) -> None:
        largest = float(np.abs(value).max(initial=0))
        if largest > limit:
            raise VerificationError(
                f"{case.graph.name}: {_shown(case.graph, name)} has values of {largest:.0e} in the reference, "
                f"at {case.label}: {dtype} holds none beyond {limit:.0e}",
                "an exponential, a power, a quotient by almost 0: bound what it reads, as by `clip` or `rescale`, "
                "or check with weights that were trained, `--weights FILE`",
            )

    def before(node: Node, values: Sequence[Array]) -> None:
        for name, value in zip(node.inputs, values, strict=True):
            require(name, value)

    for name, value in reference.evaluate(case.graph, weights, case.inputs, before).items():
        require(name, value)


def _refuse(graph: Graph, name: str, label: str) -> NoReturn:
    raise VerificationError(
        f"{graph.name}: {_shown(graph, name)} is NaN or infinite in the reference itself, at {label}: "
        "nothing can be held to it",
        "a root of a negative number, a quotient by 0, a large power: bound what it reads, as by `clip` or `rescale`",
    )


def _shown(graph: Graph, name: str) -> str:
    value = graph.values[name]
    return f"{name} ({value.op.kind})" if isinstance(value, Node) else name


def check_weights_of(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Weights for a check, float32: He-scaled kernels keep the input's scale through any depth; nothing is zero or one.

    With a paper's own N(0, 0.01) the signal dies on the way, and a wrong alpha in a normalization moves nothing.
    """
    weights: dict[str, Array] = {}
    for name, weight in graph.weights.items():
        random = stream(seed, "verify", name)
        if weight.fan_in and len(weight.shape) > 1:
            values = random.standard_normal(weight.shape, np.float32) * np.float32(np.sqrt(2.0 / weight.fan_in))
        elif name.endswith(("variance", ".weight")):
            values = random.random(weight.shape, np.float32) + np.float32(0.5)
        else:
            values = random.standard_normal(weight.shape, np.float32)
        weights[name] = values
    return weights


def with_statistics(graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array]) -> Mapping[str, Array]:
    """The weights, at the scale of what each normalization and each gate reads, as training leaves them.

    Running statistics drawn alone, at a variance of one, do not normalize: the signal grows with every sum of a
    residual network, its gates see thousands, and what float32 rounds there is no longer small beside the outputs. Nor
    is it where kernels give gates what they are given, pixels: what is open for one sample is shut for the next, and a
    few such layers make of rounding whatever can be. A sigmoid that is shut for all samples is 0 in float32.
    """
    gated = _before_gates(graph)
    if not gated and not any(isinstance(node.op, BatchNorm) for node in graph.nodes):
        return weights
    found = dict(weights)

    def lay_around(node: Node, values: Sequence[Array]) -> None:
        if isinstance(node.op, BatchNorm):
            mean, std = float(values[0].mean()), float(values[0].std()) or 1.0
            for name, scale, offset in (("running_mean", 0.1 * std, mean), ("running_variance", std**2, 0.0)):
                drawn = weights[f"{node.name}.{name}"]
                found[f"{node.name}.{name}"] = (drawn * scale + offset).astype(np.float32)
        elif (gain := gated.get(node.name)) is not None:
            size = max(1.0, float(np.sqrt(np.square(values[0]).mean())))
            for name, scale in (("weight", gain * size), ("bias", gain)):
                if (full := f"{node.name}.{name}") in weights:
                    found[full] = (weights[full] / scale).astype(np.float32)

    reference.evaluate(graph, found, inputs, before=lay_around)
    return found


def _before_gates(graph: Graph) -> dict[str, float]:
    """The layers with kernels that a gate alone reads, at once or in other shapes, and the scale that it reads them at.

    Of what is scaled down on the way that is 1; SIREN's sines read 30 times what its kernels give.

    A gate is what saturates; a sine, for which a thousand radians, rounded, are another angle; and an exponential,
    which overflows: float32 has none of 89. That one counts whoever else reads what it does: of a variance's logarithm
    an autoencoder takes the deviation, the variance and a divergence.
    """
    found: dict[str, float] = {}
    seen: set[str] = set()
    gates = sorted(graph.nodes, key=lambda node: isinstance(node.op, Exp))  # read from the end: exponentials first
    pending = [(name, isinstance(node.op, Exp), 1.0) for node in gates for name in _gate_inputs(node)]
    while pending:
        name, shared, gain = pending.pop()
        value = graph.values[name]
        if not isinstance(value, Node) or name in seen or not (shared or len(graph.readers[name]) == 1):
            continue
        seen.add(name)
        if isinstance(value.op, KERNELS):
            found[name] = max(1.0, gain)
        elif isinstance(value.op, SHAPING):
            further = gain * abs(value.op.scale) if isinstance(value.op, Rescale) else gain
            pending += ((source, shared, further) for source in value.inputs)
    return found


def _gate_inputs(node: Node) -> tuple[str, ...]:
    if isinstance(node.op, ScaledDotProductAttention):
        return node.inputs[:2]  # queries and keys; values are not what saturates
    return node.inputs if isinstance(node.op, (*SATURATING, Exp, Sin, Cos)) else ()


def cases_of(graph: Graph, batches: tuple[int, ...] = (), seed: int = 0) -> Iterator[Case]:
    """The graph at each batch; then, where its weights allow other input sizes, at odd and non-square ones.

    Args:
        graph: the network.
        batches: 1, 2 and an odd one where none are given: 7, or 3 where the maps of seven samples would fill a machine.
        seed: of the inputs.
    """
    for batch in batches or (1, 2, _odd_batch(graph)):
        yield Case(graph, {value.name: input_of(value, batch, seed) for value in graph.inputs})
    if (other := with_other_sizes(graph)) is not None:
        yield Case(other, {value.name: input_of(value, 2, seed) for value in other.inputs})


def _odd_batch(graph: Graph) -> int:
    return 7 if 7 * sum(node.type.size for node in graph.nodes) <= MOST_VALUES else 3


def input_of(value: Input, batch: int, seed: int = 0) -> Array:
    """Signed values at their real scale, float32, some of them exactly 0.

    Pixels of 0 to 255 through the spec's preprocessing; a map without one gets a standard deviation of 60, features 1.
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
    """Mid-gray for a mean that training is to find, and by channel that of an image of another shape."""
    match preprocessing.mean:
        case str():
            mean: tuple[float, ...] = (MID_GRAY,)
        case MeanImage() as image if image.shape != shape:
            mean = tuple(image.array.mean(axis=(1, 2)).tolist())
        case _:
            return preprocessing
    return preprocessing.model_copy(update={"mean": mean})


def weights_for(case: Case, seed: int = 0) -> Mapping[str, Array]:
    """Weights for a check of a case's graph, with running statistics as they are at its inputs."""
    return with_statistics(case.graph, check_weights_of(case.graph, seed), case.inputs)


def with_other_sizes(graph: Graph) -> Graph | None:
    """The graph on inputs of an odd, non-square size, or None where shapes or weights forbid one."""
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
    made = list(values.values())
    inputs = tuple(v for v in made if isinstance(v, Input))
    nodes = tuple(v for v in made if isinstance(v, Node))
    other = replace(graph, inputs=inputs, nodes=nodes)
    return other if other.weights == graph.weights else None
