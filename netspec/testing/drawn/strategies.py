"""Hypothesis strategies that draw small networks as spec documents, over every op, valid by construction.

Shapes are inferred while a network is drawn, so that each layer fits its inputs. A document is returned with the graph
that it must elaborate to, which is built without the front end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
MOST_ELEMENTS = 600  # in a value; a layer whose output would be larger is replaced by an identity
HIGHEST_DEGREE = 3  # of a value as a polynomial in the inputs: beyond it, float32 could overflow for pixel values
# Names that clash with those of frameworks or of the emitted source.
NAMES = ("x", "self_", "torch", "nn", "F", "keras", "layers", "ops", "forward", "super", "weight", "print", "Tensor")


@dataclass(frozen=True)
class DrawnSpec:
    """A spec document, and the graph that it describes."""

    document: dict[str, Any]
    graph: Graph

    @property
    def text(self) -> str:
        """The document as YAML, with one layer per line."""
        return "".join(_entry(key, value) for key, value in self.document.items())


_DUMPER = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper  # the first is several times faster


def _entry(key: str, value: Any, indent: str = "") -> str:
    """Format a key of a spec or block. Each layer, block and input starts a new line."""
    if key == "blocks":
        blocks = ((name, "".join(_entry(k, v, "    ") for k, v in block.items())) for name, block in value.items())
        return f"{key}:\n" + "".join(f"  {name}:\n{text}" for name, text in blocks)
    if key in {"layers", "defaults"} or (key == "inputs" and isinstance(value, dict)):
        return f"{indent}{key}:\n" + "".join(f"{indent}  {_flow({k: v})[1:-1]}\n" for k, v in value.items())
    return f"{indent}{_flow({key: value})[1:-1]}\n"


def _flow(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_DUMPER, default_flow_style=True, sort_keys=False, width=2**31 - 1)
    return text.removesuffix("\n")


@st.composite
def specs(draw: Draw, most_layers: int = 10, multiple: int = 1) -> DrawnSpec:
    """Draw a spec of up to two inputs and `most_layers` layers, with branches, blocks, defaults and parameters.

    The widths of inputs and of layers of filters are multiples of `multiple`, which so many towers can divide.
    """
    inputs = draw(_inputs(multiple))
    drawn = _Drawing(draw, inputs, multiple)
    drawn.add_layer()
    for _ in range(most_layers - 1):
        if not draw(st.integers(0, 15)):  # drawn before each layer, so that the shrinker can remove both together
            break
        drawn.add_layer()
    graph = drawn.graph()
    parts: dict[str, Any] = {"layers": drawn.layers}
    if draw(st.booleans()):
        parts, graph = draw(with_blocks(drawn.layers, graph))
    elif graph.outputs != (graph.nodes[-1].name,) or draw(st.booleans()):
        parts["outputs"] = list(graph.outputs)
    parts["layers"] = _with_shape_expressions(draw, parts["layers"], graph)
    shapes = {value.name: {"shape": list(value.type.features)} for value in inputs}
    single = len(inputs) == 1 and inputs[0].name == "input"
    document = {"name": graph.name, **({"input": shapes["input"]} if single else {"inputs": shapes}), **parts}
    return DrawnSpec(draw(sugared(document)), graph)


def _with_shape_expressions(draw: Draw, layers: dict[str, Any], graph: Graph) -> dict[str, Any]:
    """Replace the `filters` or `units` of some layers by expressions over the input's shape: `${channels + 2}`."""
    rewritten = {}
    for name, layer in layers.items():
        node = graph.values.get(name)
        types = node.input_types if "op" in layer and isinstance(node, Node) else ()
        key = next((key for key in ("filters", "units") if isinstance(layer.get(key), int)), "")
        if key and types and not draw(st.integers(0, 2)):
            size_name, size = (
                ("channels", types[0].features[0]) if types[0].rank == 4 else ("shape[-1]", types[0].features[-1])
            )
            rewritten[name] = {**layer, key: f"${{{size_name} + {layer[key] - size}}}".replace("+ -", "- ")}
        else:
            rewritten[name] = layer
    return rewritten


def _inputs(multiple: int) -> st.SearchStrategy[tuple[Input, ...]]:
    def width(least: int, most: int) -> st.SearchStrategy[int]:
        return st.integers(-(-least // multiple), max(1, most // multiple)).map(lambda count: count * multiple)

    size = st.integers(3, MOST_POSITIONS) | st.integers(1, 2)
    maps = st.tuples(width(1, MOST_CHANNELS), size, size)
    tokens = st.tuples(st.integers(1, 6), width(2, MOST_CHANNELS))
    features = st.tuples(width(2, MOST_POSITIONS))
    volumes = st.tuples(width(1, 4), *(st.integers(1, 4),) * 3)
    any_shape = st.integers(0, 7).flatmap(lambda n: {5: tokens, 6: features, 7: volumes}.get(n, maps))
    one = any_shape.map(lambda shape: (Input("input", TensorType.of(*shape)),))
    return one | st.tuples(maps, any_shape).map(
        lambda shapes: tuple(
            Input(name, TensorType.of(*shape)) for name, shape in zip(("image", "facts"), shapes, strict=True)
        )
    )


class _Drawing:
    """A network that is being drawn: its values so far, and its layers as in a spec."""

    def __init__(self, draw: Draw, inputs: Sequence[Input], multiple: int) -> None:
        self._draw, self._multiple = draw, multiple
        self._inputs = tuple(inputs)
        self._values: dict[str, Value] = {value.name: value for value in inputs}
        self._degrees = dict.fromkeys(self._values, 1)
        self.layers: dict[str, Any] = {}

    def add_layer(self) -> None:
        """Append a layer that fits its inputs: the layer before it, or any other value."""
        draw = self._draw
        values = list(self._values.values())
        # Shrunk, it is the layer before: what reads an earlier value cannot be shrunk together with the layers between.
        first = draw(st.sampled_from(values)) if draw(st.integers(0, 3)) == 3 else values[-1]
        kinds = _KINDS[first.type.rank]
        kind = draw(st.sampled_from([k for k in kinds if allows(k, first.type)]))
        attributes = self._widened(RULES[kind].attributes(draw, first.type))
        reads = [] if OPS[kind].inputs == (0, 0) else [first, *self._partners(kind, first, attributes)]
        if not self._small_enough(kind, attributes, reads):
            kind, reads, attributes = "identity", [first], {}
        if needs_positive(kind, attributes):
            reads[-1] = self._positive(reads[-1])
        self._append(kind, attributes, reads)

    def _widened(self, attributes: Attributes) -> Attributes:
        """Round the width of a layer of filters up to a multiple of its groups and of the spec's multiple."""
        step = math.lcm(self._multiple, attributes.get("groups", 1))
        widths = {key: -(-attributes[key] // step) * step for key in ("filters", "units") if key in attributes}
        return attributes | widths

    def _positive(self, value: Value) -> Value:
        """Append two layers that make a value positive and keep it away from 0."""
        magnitude = self._append("abs", {}, [value])
        return self._append("rescale", {"offset": 0.5}, [magnitude])

    def _partners(self, kind: str, first: Value, attributes: Attributes) -> list[Value]:
        """Draw the further inputs of a merge. The first input always fits, and may be drawn again."""
        if kind not in MERGES:
            return []
        rules = {"matmul": _multiplies, "scaled_dot_product_attention": _equals}
        fits = _joins(attributes.get("axis", 1)) if kind == "concat" else rules.get(kind, _broadcasts)
        fitting = [value for value in self._values.values() if fits(first.type, value.type)]
        least, most = (OF_EQUALS[kind] - 1,) * 2 if kind in OF_EQUALS else (1, 1 if OPS[kind].inputs == (2, 2) else 2)
        if kind == "scaled_dot_product_attention" and first.type.features[-1] == first.type.features[-2]:
            most += 1  # the attention scores have this shape too, so it may also have a bias
        return self._draw(st.lists(st.sampled_from(fitting), min_size=least, max_size=most))

    def _small_enough(self, kind: str, attributes: Attributes, reads: Sequence[Value]) -> bool:
        types = [value.type for value in reads]
        if kind in MERGES and not _merge_together(kind, types):
            return False
        op = OPS[kind].model_validate(attributes)
        return make_node("_", op, reads).type.size <= MOST_ELEMENTS and self._degree(op, reads) <= HIGHEST_DEGREE

    def _degree(self, op: Op, reads: Sequence[Value]) -> int:
        """Return the degree of an op's output as a polynomial in the inputs; 0 if it is of the order of 1."""
        degrees = [self._degrees[value.name] for value in reads]
        if op.kind in BOUNDED:
            return 0
        match op:
            case Exp():  # only of values of the order of 1; degree 1 prevents a second exponential
                return 1 if not max(degrees) else HIGHEST_DEGREE + 1
            case Sin() | Cos():  # likewise: the rounding error of a large value would be a different angle
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
        inputs: Attributes = {} if implied else {"inputs": [value.name for value in reads]}
        if len(reads) == 1 and inputs and self._draw(st.booleans()):
            inputs = {"inputs": reads[0].name}
        self.layers[name] = {"op": kind, **inputs, **attributes}
        node = make_node(name, OPS[kind].model_validate(attributes), reads)
        self._degrees[name] = self._degree(node.op, reads)
        self._values[name] = node
        return node

    def graph(self) -> Graph:
        """Return the graph. Its outputs are all values without a reader, and sometimes one that has readers."""
        used = {name for value in self._values.values() if isinstance(value, Node) for name in value.inputs}
        for value in self._inputs:
            if value.name not in used:  # only layers can be outputs
                self._append("silu", {}, [value])
        nodes = tuple(value for value in self._values.values() if isinstance(value, Node))
        read = {name for node in nodes for name in node.inputs}
        outputs = [name for name in self._values if name not in read]
        if not self._draw(st.integers(0, 3)):
            inner = [node.name for node in nodes if node.name in read]
            outputs += [self._draw(st.sampled_from(inner))] if inner else []
        return Graph("drawn", self._inputs, nodes, tuple(outputs)).check()


def _broadcasts(a: TensorType, b: TensorType) -> bool:
    return a.rank == b.rank and all(x == y or 1 in (x, y) for x, y in zip(a.features, b.features, strict=True))


def _equals(a: TensorType, b: TensorType) -> bool:
    return a == b


def _multiplies(a: TensorType, b: TensorType) -> bool:
    """Whether the matrices are of one shape, and the axes before them broadcast."""
    return _broadcasts(a, b) and a.features[-2:] == b.features[-2:]


def _joins(axis: int) -> Callable[[TensorType, TensorType], bool]:
    """Whether two types are equal except for an axis, as a function."""

    def fits(a: TensorType, b: TensorType) -> bool:
        others = [[size for at, size in enumerate(x.shape) if at != axis % x.rank] for x in (a, b)]
        return a.rank == b.rank and others[0] == others[1]

    return fits


def _merge_together(kind: str, types: Sequence[TensorType]) -> bool:
    """Whether all inputs of a merge fit one another, given that each fits the first."""
    return kind == "concat" or kind in OF_EQUALS or all(_broadcasts(a, b) for a in types for b in types)


_KINDS = {
    rank: [kind for kind, rule in RULES.items() if rank in rule.ranks for _ in range(rule.weight)] for rank in ANY
}
