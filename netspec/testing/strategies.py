"""Hypothesis strategies that draw small networks as spec documents, over every op, valid by construction.

Shapes are inferred while a network is drawn, so that each layer is one that its inputs allow. What is drawn comes
with the graph that it must elaborate to, built without the front end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from netspec import ops
from netspec.graph import Graph, Input, Node, make_node
from netspec.ops import OPS, Op
from netspec.ops.attributes import extent
from netspec.testing.blocks import with_blocks
from netspec.testing.sugar import sugared
from netspec.types import TensorType

Attributes = dict[str, Any]
Draw = st.DrawFn
Value = Input | Node

MOST_CHANNELS = 8
MOST_POSITIONS = 12
MOST_ELEMENTS = 600  # a value; what would be larger is made an identity
HIGHEST_DEGREE = 3  # of products of inputs: beyond it float32 could overflow at the scale of pixels
# Layers may be called what frameworks and emitted source call their own things.
NAMES = ("x", "self_", "torch", "nn", "F", "keras", "layers", "ops", "forward", "super", "weight", "print", "Tensor")


@dataclass(frozen=True)
class DrawnSpec:
    """A spec document, and the graph that it describes."""

    document: dict[str, Any]
    graph: Graph

    @property
    def text(self) -> str:
        """The document as YAML."""
        return yaml.safe_dump(self.document, sort_keys=False, default_flow_style=None, width=110)


@st.composite
def specs(draw: Draw, most_layers: int = 10) -> DrawnSpec:
    """A spec of one or two inputs and up to `most_layers` layers, with branches, blocks, defaults and parameters."""
    inputs = draw(_inputs())
    drawn = _Drawing(draw, inputs)
    for _ in range(draw(st.integers(1, most_layers))):
        drawn.add_layer()
    graph = drawn.graph()
    parts: dict[str, Any] = {"layers": drawn.layers}
    if draw(st.booleans()):
        parts, graph = draw(with_blocks(drawn.layers, graph))
    elif graph.outputs != (graph.nodes[-1].name,) or draw(st.booleans()):
        parts["outputs"] = list(graph.outputs)
    stated = {value.name: {"shape": list(value.type.features)} for value in inputs}
    single = len(inputs) == 1 and inputs[0].name == "input"
    document = {"name": graph.name, **({"input": stated["input"]} if single else {"inputs": stated}), **parts}
    return DrawnSpec(draw(sugared(document)), graph)


def _inputs() -> st.SearchStrategy[tuple[Input, ...]]:
    size = st.integers(3, MOST_POSITIONS)
    maps = st.tuples(st.integers(1, MOST_CHANNELS), size, size)
    tokens = st.tuples(st.integers(1, 6), st.integers(2, MOST_CHANNELS))
    features = st.tuples(st.integers(2, MOST_POSITIONS))
    one = maps.map(lambda shape: (Input("input", TensorType.of(*shape)),))
    return one | st.tuples(maps, maps | tokens | features).map(
        lambda shapes: tuple(
            Input(name, TensorType.of(*shape)) for name, shape in zip(("image", "facts"), shapes, strict=True)
        )
    )


class _Drawing:
    """A network while it is drawn: the values so far, and the layers as a spec says them."""

    def __init__(self, draw: Draw, inputs: Sequence[Input]) -> None:
        self._draw = draw
        self._inputs = tuple(inputs)
        self._values: dict[str, Value] = {value.name: value for value in inputs}
        self._degrees = dict.fromkeys(self._values, 1)
        self.layers: dict[str, Any] = {}

    def add_layer(self) -> None:
        """Append a layer that its inputs allow; it reads the one before, or any other value."""
        draw = self._draw
        values = list(self._values.values())
        first = values[-1] if draw(st.integers(0, 3)) else draw(st.sampled_from(values))
        kinds = _KINDS[first.type.rank]
        kind = draw(st.sampled_from([k for k in kinds if k != "group_norm"] if first.type.size == 1 else kinds))
        reads = [first, *self._partners(kind, first)]
        attributes = RULES[kind].attributes(draw, first.type)
        if not self._small_enough(kind, attributes, reads):
            kind, reads, attributes = "identity", [first], {}
        self._append(kind, attributes, reads)

    def _partners(self, kind: str, first: Value) -> list[Value]:
        """What else a merging layer reads, one value or two; the same one again where nothing else fits."""
        if kind not in MERGES:
            return []
        fits = _joins if kind == "concat" else _broadcasts
        found = [value for value in self._values.values() if fits(first.type, value.type)]
        return self._draw(st.lists(st.sampled_from(found), min_size=1, max_size=2))

    def _small_enough(self, kind: str, attributes: Attributes, reads: Sequence[Value]) -> bool:
        types = [value.type for value in reads]
        if kind in MERGES and not _merge_together(kind, types):
            return False
        op = OPS[kind].model_validate(attributes)
        return make_node("_", op, reads).type.size <= MOST_ELEMENTS and self._degree(kind, reads) <= HIGHEST_DEGREE

    def _degree(self, kind: str, reads: Sequence[Value]) -> int:
        degrees = [self._degrees[value.name] for value in reads]
        if kind in BOUNDED:
            return 0
        return sum(degrees) if kind == "multiply" else max(degrees)

    def _append(self, kind: str, attributes: Attributes, reads: Sequence[Value]) -> None:
        free = [name for name in NAMES if name not in self._values]
        number = len(self.layers) + 1
        name = self._draw(st.sampled_from(free)) if free and not self._draw(st.integers(0, 3)) else f"{kind}_{number}"
        previous = next(reversed(self._values))
        implied = [value.name for value in reads] == [previous] and (bool(self.layers) or len(self._inputs) == 1)
        stated: Attributes = {} if implied else {"inputs": [value.name for value in reads]}
        if len(reads) == 1 and stated and self._draw(st.booleans()):
            stated = {"inputs": reads[0].name}
        self.layers[name] = {"op": kind, **stated, **attributes}
        self._degrees[name] = self._degree(kind, reads)
        self._values[name] = make_node(name, OPS[kind].model_validate(attributes), reads)

    def graph(self) -> Graph:
        """The graph; what nobody reads is an output, and sometimes a value that is read too."""
        used = {name for value in self._values.values() if isinstance(value, Node) for name in value.inputs}
        for value in self._inputs:
            if value.name not in used:  # only layers can be outputs
                self._append("silu", {}, [value])
        nodes = tuple(value for value in self._values.values() if isinstance(value, Node))
        read = {name for node in nodes for name in node.inputs}
        shown = [name for name in self._values if name not in read]
        if not self._draw(st.integers(0, 3)):
            inner = [node.name for node in nodes if node.name in read]
            shown += [self._draw(st.sampled_from(inner))] if inner else []
        return Graph("drawn", self._inputs, nodes, tuple(shown)).check()


def _broadcasts(a: TensorType, b: TensorType) -> bool:
    return a.rank == b.rank and all(x == y or 1 in (x, y) for x, y in zip(a.features, b.features, strict=True))


def _joins(a: TensorType, b: TensorType) -> bool:
    return a.rank == b.rank and a.features[1:] == b.features[1:]


def _merge_together(kind: str, types: Sequence[TensorType]) -> bool:
    """Whether all of them fit one another; each fits the first."""
    return kind == "concat" or all(_broadcasts(a, b) for a in types for b in types)


MERGES = frozenset({"add", "multiply", "concat"})
# Whatever comes in, what goes out is of the order of one.
BOUNDED = frozenset({"tanh", "sigmoid", "softmax", "layer_norm", "group_norm"})


@dataclass(frozen=True)
class Rule:
    """Which inputs an op takes, by rank with the batch counted; its attributes for one of them; how often it comes."""

    ranks: frozenset[int]
    attributes: Callable[[Draw, TensorType], Attributes]
    weight: int = 1


def _divisors(number: int) -> list[int]:
    return [d for d in range(1, number + 1) if number % d == 0]


def _sides(draw: Draw, most: tuple[int, int]) -> int | dict[str, int]:
    """Padding: one number, or each side apart; a side left out is none. `most` is of rows, of columns."""
    if draw(st.booleans()):
        return draw(st.integers(0, min(most)))
    sides = {
        side: draw(st.integers(0, most[axis])) for axis, side in ((0, "top"), (0, "bottom"), (1, "left"), (1, "right"))
    }
    return {side: number for side, number in sides.items() if number}


def _size(height: int, width: int) -> int | dict[str, int]:
    return height if height == width else {"height": height, "width": width}


def _conv2d(draw: Draw, x: TensorType) -> Attributes:
    channels, *size = x.features
    groups = draw(st.sampled_from(_divisors(channels)))
    kernel = [draw(st.integers(1, min(3, length))) for length in size]
    fitting = ([d for d in (1, 2) if extent(k, d) <= length] for k, length in zip(kernel, size, strict=True))
    dilation = [draw(st.sampled_from(choices)) for choices in fitting]
    stride = [draw(st.integers(1, 3)) for _ in size]
    named = ["tf", "lower", *(["torch"] if stride == [1, 1] else [])]
    sides = draw(st.booleans())
    return {
        "filters": groups * draw(st.integers(1, max(1, MOST_CHANNELS // groups))),
        "kernel_size": _size(*kernel),
        "stride": _size(*stride),
        "padding": _sides(draw, (2, 2)) if sides else {"same": draw(st.sampled_from(named))},
        "dilation": _size(*dilation),
        "groups": groups,
        "bias": draw(st.booleans()),
        "round": draw(st.sampled_from(["floor", "ceil"])),
    }


def _dense(draw: Draw, x: TensorType) -> Attributes:
    groups = draw(st.sampled_from([d for d in _divisors(x.features[-1]) if d <= 3]))
    return {"units": groups * draw(st.integers(1, 4)), "groups": groups, "bias": draw(st.booleans())}


def _pool(draw: Draw, x: TensorType) -> Attributes:
    kernel = [draw(st.integers(1, min(3, length))) for length in x.features[1:]]
    stride = {"stride": _size(*(draw(st.integers(1, 3)) for _ in kernel))} if draw(st.booleans()) else {}
    sides = draw(st.booleans())
    return {
        "kernel_size": _size(*kernel),
        **stride,
        "padding": _sides(draw, (kernel[0] - 1, kernel[1] - 1)) if sides else {"same": "tf"},
        "round": draw(st.sampled_from(["floor", "ceil"])),
    }


def _avg_pool2d(draw: Draw, x: TensorType) -> Attributes:
    return {**_pool(draw, x), "divisor": draw(st.sampled_from(["window", "window_in_padded", "valid_only"]))}


def _local_response_norm(draw: Draw, x: TensorType) -> Attributes:
    region = draw(st.sampled_from(["channels", "map"]))
    return {
        "size": draw(st.integers(1, 5)),
        "alpha": draw(st.sampled_from([1e-4, 0.02])),
        "beta": draw(st.sampled_from([0.75, 0.5, 0.6])),
        "k": draw(st.sampled_from([1, 2.0])),
        "convention": draw(st.sampled_from(["sum", "mean"])),
        "groups": draw(st.sampled_from(_divisors(x.features[0]))) if region == "channels" else 1,
        "region": region,
    }


def _normalization(draw: Draw) -> Attributes:
    return {"epsilon": draw(st.sampled_from([1e-5, 1e-3])), "affine": draw(st.booleans())}


def _batch_norm(draw: Draw, x: TensorType) -> Attributes:
    del x
    return {
        **_normalization(draw),
        "update_rate": draw(st.sampled_from([0.1, 0.01])),
        "running_variance": draw(st.sampled_from(["biased", "unbiased"])),
    }


def _layer_norm(draw: Draw, x: TensorType) -> Attributes:
    axes = draw(st.lists(st.sampled_from(range(1, x.rank)), min_size=1, unique=True))
    return {**_normalization(draw), "axes": axes}


def _group_norm(draw: Draw, x: TensorType) -> Attributes:
    several = [groups for groups in _divisors(x.features[0]) if groups < x.size]
    return {**_normalization(draw), "groups": draw(st.sampled_from(several))}


def _reshape(draw: Draw, x: TensorType) -> Attributes:
    first = draw(st.sampled_from(_divisors(x.size)))
    second = draw(st.sampled_from(_divisors(x.size // first)))
    shape = draw(st.sampled_from([[x.size], [first, -1], [first, second, -1], [*reversed(x.features)]]))
    return {"shape": shape}


def _permute(draw: Draw, x: TensorType) -> Attributes:
    return {"axes": draw(st.permutations(range(1, x.rank)))}


def _pad2d(draw: Draw, x: TensorType) -> Attributes:
    if draw(st.booleans()):
        return {"padding": _sides(draw, (2, 2)), "value": draw(st.sampled_from([0.0, -1.5]))}
    return {"padding": _sides(draw, (min(2, x.features[1] - 1), min(2, x.features[2] - 1))), "mode": "reflect"}


def _of(**choices: Sequence[Any]) -> Callable[[Draw, TensorType], Attributes]:
    """Attributes that do not depend on the input."""
    return lambda draw, x: {name: draw(st.sampled_from(values)) for name, values in choices.items()}


def _axis(draw: Draw, x: TensorType) -> Attributes:
    return {"axis": draw(st.sampled_from([-1, *range(1, x.rank)]))}


_MAP = frozenset({4})
_ANY = frozenset({2, 3, 4})
_RULES: dict[type[Op], Rule] = {
    ops.Conv2d: Rule(_MAP, _conv2d, 5),
    ops.Dense: Rule(frozenset({2, 3}), _dense, 3),
    ops.MaxPool2d: Rule(_MAP, _pool, 3),
    ops.AvgPool2d: Rule(_MAP, _avg_pool2d, 3),
    ops.GlobalAvgPool2d: Rule(_MAP, _of(keepdims=[False, True])),
    ops.AdaptiveAvgPool2d: Rule(_MAP, _of(output_size=[1, 3, {"height": 2, "width": 5}])),
    ops.LocalResponseNorm: Rule(_MAP, _local_response_norm, 5),
    ops.BatchNorm: Rule(_ANY, _batch_norm),
    ops.LayerNorm: Rule(_ANY, _layer_norm),
    ops.GroupNorm: Rule(frozenset({3, 4}), _group_norm),
    ops.Relu: Rule(_ANY, _of()),
    ops.LeakyRelu: Rule(_ANY, _of(negative_slope=[0.01, 0.3])),
    ops.Tanh: Rule(_ANY, _of()),
    ops.Sigmoid: Rule(_ANY, _of()),
    ops.Gelu: Rule(_ANY, _of(form=["erf", "tanh"])),
    ops.Silu: Rule(_ANY, _of()),
    ops.Softmax: Rule(_ANY, _axis),
    ops.Dropout: Rule(_ANY, _of(rate=[0.0, 0.25, 0.5], mode=["inverted", "standard"])),
    ops.Flatten: Rule(_ANY, _of()),
    ops.Reshape: Rule(_ANY, _reshape),
    ops.Permute: Rule(_ANY, _permute),
    ops.Pad2d: Rule(_MAP, _pad2d, 2),
    ops.Add: Rule(_ANY, _of(), 2),
    ops.Multiply: Rule(_ANY, _of(), 2),
    ops.Concat: Rule(_ANY, _of(), 2),
    ops.Identity: Rule(_ANY, _of()),
}
RULES = {op.kind: rule for op, rule in _RULES.items()}
"""How each op is drawn, by kind: every op of the language has a rule."""
_KINDS = {
    rank: [kind for kind, rule in RULES.items() if rank in rule.ranks for _ in range(rule.weight)] for rank in _ANY
}
