"""Differences between two graphs: layers are matched by name and compared attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netspec.graph.graph import Graph, Input, Node
from netspec.graph.text import print_value


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A changed field of a layer, or of the graph's interface, with both values as text."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.field}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A layer of both graphs, and its changed fields: op, inputs, shape or attributes."""

    name: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class GraphDiff:
    """The differences between two graphs. `interface` has the changes of inputs and outputs."""

    removed: tuple[Node, ...]
    added: tuple[Node, ...]
    changed: tuple[NodeChange, ...]
    interface: tuple[FieldChange, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.changed or self.interface)


def diff_graphs(before: Graph, after: Graph) -> GraphDiff:
    """Return the layers removed, added and changed. Layers of the same name are taken as the same layer."""
    old = {node.name: node for node in before.nodes}
    new = {node.name: node for node in after.nodes}
    common = [(old[name], node) for name, node in new.items() if name in old]
    changes = [NodeChange(node.name, tuple(_node_changes(previous, node))) for previous, node in common]
    return GraphDiff(
        removed=tuple(node for name, node in old.items() if name not in new),
        added=tuple(node for name, node in new.items() if name not in old),
        changed=tuple(change for change in changes if change.fields),
        interface=tuple(_interface_changes(before, after)),
    )


def attributes_of(node: Node) -> dict[str, str]:
    """Return a layer's attributes as text, by name."""
    return {name: print_value(getattr(node.op, name)) for name in type(node.op).model_fields}


def _node_changes(before: Node, after: Node) -> Iterator[FieldChange]:
    same_op = before.op.kind == after.op.kind
    yield from _changes(*(_fields(node, with_attributes=same_op) for node in (before, after)))


def _fields(node: Node, *, with_attributes: bool) -> dict[str, str]:
    fields = {"op": node.op.kind, "inputs": ", ".join(node.inputs), "shape": str(node.type)}
    return fields | attributes_of(node) if with_attributes else fields


def _interface_changes(before: Graph, after: Graph) -> Iterator[FieldChange]:
    inputs = [{value.name: _input(value) for value in graph.inputs} for graph in (before, after)]
    yield from _changes(*inputs)
    if inputs[0].keys() == inputs[1].keys():  # a call passes them in order
        yield from _changes(*({"inputs": ", ".join(names)} for names in inputs))
    yield from _changes(*(_outputs(graph) for graph in (before, after)))


def _outputs(graph: Graph) -> dict[str, str]:
    return {"outputs": ", ".join(graph.main), "auxiliary": ", ".join(graph.auxiliary) or "none"}


def _input(value: Input) -> str:
    preprocessing = f" preprocessing={print_value(value.preprocessing)}" if value.preprocessing else ""
    return f"{value.type}{preprocessing}"


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[FieldChange]:
    for field in before | after:
        old, new = before.get(field, "none"), after.get(field, "none")
        if old != new:
            yield FieldChange(field, old, new)
