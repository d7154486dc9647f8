"""A graph as text, with one node per line, and the hash of this text, which identifies the function."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from netspec.graph.graph import Graph, Input, Node
from netspec.graph.mean import MeanImage


def print_graph(graph: Graph) -> str:
    """Return everything that the values of a graph depend on, as text that can be compared line by line.

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
    """Return a node as one line: name, type, op, inputs and attributes."""
    attributes = [f"{key}={print_value(getattr(node.op, key))}" for key in sorted_fields(node)]
    call = f"{node.op.kind}({', '.join(node.inputs)})"
    return " ".join([f"{node.name}: {node.type} = {call}", *attributes, *sorted(node.hints)])


def sorted_fields(node: Node) -> list[str]:
    """Return the names of the op's attributes in the order of its class, with `initialize` last and only if set."""
    fields = [name for name in type(node.op).model_fields if name != "initialize"]
    return [*fields, "initialize"] if getattr(node.op, "initialize", None) else fields


def spec_hash(graph: Graph) -> str:
    """Return the SHA-256 of the graph's text in hexadecimal, which is the same on every machine."""
    return hashlib.sha256(print_graph(graph).encode()).hexdigest()


def _input(value: Input) -> str:
    line = f"{value.name}: {value.type}"
    line += f" preprocessing={print_value(value.preprocessing)}" if value.preprocessing else ""
    return " ".join([line, *sorted(value.hints)])


def print_value(value: object) -> str:
    """Return an attribute's value on one line, as JSON or by the `str` of its class."""
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
    """Return the fields of a model as JSON values, with a mean image as its hash."""
    return model.model_dump(mode="json") | {name: str(value) for name, value in model if isinstance(value, MeanImage)}
