"""A graph as text, a node a line; and the hash of that text, which identifies the function."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from netspec.graph.graph import Graph, Input, Node
from netspec.graph.mean import MeanImage


def print_graph(graph: Graph) -> str:
    """Every fact of a graph that its values depend on, deterministic and comparable line by line.

    >>> from netspec.graph import Graph, Input, make_node
    >>> from netspec.ops import Dense, Relu
    >>> from netspec.types import TensorType
    >>> x = Input("x", TensorType.of(4))
    >>> fc = make_node("fc", Dense(units=3), [x])
    >>> print(print_graph(Graph("small", (x,), (fc, make_node("act", Relu(), [fc])), ("act",))))
    graph small float32
    x: (N, 4)
    fc: (N, 3) = dense(x) units=3 groups=1 bias=true
    act: (N, 3) = relu(fc)
    return act
    """
    lines = [f"graph {graph.name} {graph.dtype}{' inference' if graph.inference else ''}"]
    lines += [_input(value) for value in graph.inputs]
    lines += [print_node(node) for node in graph.nodes]
    training = f" and in training {', '.join(graph.auxiliary)}" if graph.heads else ""
    return "\n".join([*lines, f"return {', '.join(graph.main)}{training}"])


def print_node(node: Node) -> str:
    """One node on one line: name, type, op, what it reads, attributes."""
    attributes = [f"{key}={print_value(getattr(node.op, key))}" for key in sorted_fields(node)]
    call = f"{node.op.kind}({', '.join(node.inputs)})"
    return " ".join([f"{node.name}: {node.type} = {call}", *attributes, *sorted(node.hints)])


def sorted_fields(node: Node) -> list[str]:
    """The attributes in the order of the class; `initialize` last, and only where it says something."""
    fields = list(type(node.op).model_fields)
    own = [f for f in fields if f != "initialize"]
    return [*own, "initialize"] if getattr(node.op, "initialize", None) else own


def spec_hash(graph: Graph) -> str:
    """SHA-256 of the graph's text, in hexadecimal: equal for equal functions of equal names, on every machine."""
    return hashlib.sha256(print_graph(graph).encode()).hexdigest()


def _input(value: Input) -> str:
    line = f"{value.name}: {value.type}"
    line += f" preprocessing={print_value(value.preprocessing)}" if value.preprocessing else ""
    return " ".join([line, *sorted(value.hints)])


def print_value(value: object) -> str:
    """An attribute on one line: JSON, or the words that its class has for it."""
    if isinstance(value, BaseModel):
        if type(value).__str__ is not BaseModel.__str__:
            return str(value).replace(" ", "")
        value = _fields(value)
    elif isinstance(value, dict):
        value = {k: v.model_dump(mode="json") if isinstance(v, BaseModel) else v for k, v in value.items()}
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def _fields(model: BaseModel) -> dict[str, Any]:
    """A model as JSON, except for a mean image, which has a form of its own."""
    return model.model_dump(mode="json") | {name: str(value) for name, value in model if isinstance(value, MeanImage)}
