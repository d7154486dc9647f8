"""Hypothesis strategies that draw small networks as spec documents, over every op, valid by construction.

Shapes are inferred while a network is drawn, so that each layer is one that its inputs allow. What is drawn comes
with the graph that it must elaborate to, built without the front end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from netspec.graph import Graph, Input, Node, make_node
from netspec.ops import OPS, Cos, Divide, Exp, MatMul, Multiply, Op, Power, Sin
from netspec.testing.drawn.blocks import with_blocks
from netspec.testing.drawn.rule import ANY, MOST_CHANNELS, Attributes, Draw
from netspec.testing.drawn.rules import BOUNDED, MERGES, OF_EQUALS, RULES, allows, needs_positive
from netspec.testing.drawn.sugar import sugared
from netspec.types import TensorType

Value = Input | Node

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
        """The document as YAML, each layer on a line."""
        return "".join(_entry(key, value) for key, value in self.document.items())


def _entry(key: str, value: Any, indent: str = "") -> str:
    """A key of a spec or of a block, and what it holds: the names of layers, blocks and inputs begin lines."""
    if key == "blocks":
        named = ((name, "".join(_entry(k, v, "    ") for k, v in own.items())) for name, own in value.items())
        return f"{key}:\n" + "".join(f"  {name}:\n{text}" for name, text in named)
    if key in {"layers", "defaults"} or (key == "inputs" and isinstance(value, dict)):
        return f"{indent}{key}:\n" + "".join(f"{indent}  {_flow({k: v})[1:-1]}\n" for k, v in value.items())
    return f"{indent}{_flow({key: value})[1:-1]}\n"


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=2**31).removesuffix("\n")


@st.composite
def specs(draw: Draw, most_layers: int = 10) -> DrawnSpec:
    """A spec of one or two inputs and up to `most_layers` layers, with branches, blocks, defaults and parameters."""
    inputs = draw(_inputs())
    drawn = _Drawing(draw, inputs)
    drawn.add_layer()
    for _ in range(most_layers - 1):
        if not draw(st.integers(0, 15)):  # asked before each layer: the shrinker takes one out with its question
            break
        drawn.add_layer()
    graph = drawn.graph()
    parts: dict[str, Any] = {"layers": drawn.layers}
    if draw(st.booleans()):
        parts, graph = draw(with_blocks(drawn.layers, graph))
    elif graph.outputs != (graph.nodes[-1].name,) or draw(st.booleans()):
        parts["outputs"] = list(graph.outputs)
    parts["layers"] = _seeing_shapes(draw, parts["layers"], graph)
    stated = {value.name: {"shape": list(value.type.features)} for value in inputs}
    single = len(inputs) == 1 and inputs[0].name == "input"
    document = {"name": graph.name, **({"input": stated["input"]} if single else {"inputs": stated}), **parts}
    return DrawnSpec(draw(sugared(document)), graph)


def _seeing_shapes(draw: Draw, layers: dict[str, Any], graph: Graph) -> dict[str, Any]:
    """The layers, with some numbers of those that are no blocks said by the shape that arrives."""
    found = {}
    for name, layer in layers.items():
        node = graph.values.get(name)
        types = node.input_types if "op" in layer and isinstance(node, Node) else ()
        key = next((key for key in ("filters", "units") if isinstance(layer.get(key), int)), "")
        if key and types and not draw(st.integers(0, 2)):
            seen, size = (
                ("channels", types[0].features[0]) if types[0].rank == 4 else ("shape[-1]", types[0].features[-1])
            )
            found[name] = {**layer, key: f"${{{seen} + {layer[key] - size}}}".replace("+ -", "- ")}
        else:
            found[name] = layer
    return found


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
        kind = draw(st.sampled_from([k for k in kinds if allows(k, first.type)]))
        reads = [] if OPS[kind].inputs == (0, 0) else [first, *self._partners(kind, first)]
        attributes = RULES[kind].attributes(draw, first.type)
        if not self._small_enough(kind, attributes, reads):
            kind, reads, attributes = "identity", [first], {}
        if needs_positive(kind, attributes):
            reads[-1] = self._positive(reads[-1])
        self._append(kind, attributes, reads)

    def _positive(self, value: Value) -> Value:
        """The value made positive by two layers, of which nothing is near 0."""
        size = self._append("abs", {}, [value])
        return self._append("rescale", {"offset": 0.5}, [size])

    def _partners(self, kind: str, first: Value) -> list[Value]:
        """What else a merging layer reads, one value or two; the same one again where nothing else fits."""
        if kind not in MERGES:
            return []
        fits = {"concat": _joins, **dict.fromkeys(OF_EQUALS, _equals)}.get(kind, _broadcasts)
        found = [value for value in self._values.values() if fits(first.type, value.type)]
        least, most = (OF_EQUALS[kind] - 1,) * 2 if kind in OF_EQUALS else (1, 1 if OPS[kind].inputs == (2, 2) else 2)
        if kind == "scaled_dot_product_attention" and first.type.features[-1] == first.type.features[-2]:
            most += 1  # scores of this shape too, and so a bias
        return self._draw(st.lists(st.sampled_from(found), min_size=least, max_size=most))

    def _small_enough(self, kind: str, attributes: Attributes, reads: Sequence[Value]) -> bool:
        types = [value.type for value in reads]
        if kind in MERGES and not _merge_together(kind, types):
            return False
        op = OPS[kind].model_validate(attributes)
        return make_node("_", op, reads).type.size <= MOST_ELEMENTS and self._degree(op, reads) <= HIGHEST_DEGREE

    def _degree(self, op: Op, reads: Sequence[Value]) -> int:
        degrees = [self._degrees[value.name] for value in reads]
        if op.kind in BOUNDED:
            return 0
        match op:
            case Exp():  # of what is of the order of one; as what comes of it is not, no other follows
                return 1 if not max(degrees) else HIGHEST_DEGREE + 1
            case Sin() | Cos():  # of the same: rounding what is large makes another angle of it
                return 0 if not max(degrees) else HIGHEST_DEGREE + 1
            case Power(exponent=exponent):
                return max(0, math.ceil(exponent * degrees[0]))
            case Divide():
                return degrees[0]
            case Multiply() | MatMul():
                return sum(degrees)
        return max(degrees, default=1)

    def _append(self, kind: str, attributes: Attributes, reads: Sequence[Value]) -> Node:
        free = [name for name in NAMES if name not in self._values]
        number = len(self.layers) + 1
        name = self._draw(st.sampled_from(free)) if free and not self._draw(st.integers(0, 3)) else f"{kind}_{number}"
        previous = next(reversed(self._values))
        implied = not reads or (
            [value.name for value in reads] == [previous] and (bool(self.layers) or len(self._inputs) == 1)
        )
        stated: Attributes = {} if implied else {"inputs": [value.name for value in reads]}
        if len(reads) == 1 and stated and self._draw(st.booleans()):
            stated = {"inputs": reads[0].name}
        self.layers[name] = {"op": kind, **stated, **attributes}
        node = make_node(name, OPS[kind].model_validate(attributes), reads)
        self._degrees[name] = self._degree(node.op, reads)
        self._values[name] = node
        return node

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


def _equals(a: TensorType, b: TensorType) -> bool:
    return a == b


def _joins(a: TensorType, b: TensorType) -> bool:
    return a.rank == b.rank and a.features[1:] == b.features[1:]


def _merge_together(kind: str, types: Sequence[TensorType]) -> bool:
    """Whether all of them fit one another; each fits the first."""
    return kind == "concat" or kind in OF_EQUALS or all(_broadcasts(a, b) for a in types for b in types)


_KINDS = {
    rank: [kind for kind, rule in RULES.items() if rank in rule.ranks for _ in range(rule.weight)] for rank in ANY
}
