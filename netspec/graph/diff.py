"""What differs between two graphs: layers by name, each attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netspec.graph.graph import Graph, Node
from netspec.graph.text import print_value


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One fact of a layer, or of the graph, before and after, as text."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.field}: {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A layer that both graphs have, and what differs: op, inputs, attributes, shape."""

    name: str
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class GraphDiff:
    """What turns one graph into another. `interface` is what differs in inputs and outputs."""

    removed: tuple[Node, ...]
    added: tuple[Node, ...]
    changed: tuple[NodeChange, ...]
    interface: tuple[FieldChange, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added or self.changed or self.interface)


def diff_graphs(before: Graph, after: Graph) -> GraphDiff:
    """The layers removed, added and changed; layers are the same where their names are."""
    old = {node.name: node for node in before.nodes}
    new = {node.name: node for node in after.nodes}
    both = [(old[name], node) for name, node in new.items() if name in old]
    changes = [NodeChange(node.name, tuple(_node_changes(previous, node))) for previous, node in both]
    return GraphDiff(
        removed=tuple(node for name, node in old.items() if name not in new),
        added=tuple(node for name, node in new.items() if name not in old),
        changed=tuple(change for change in changes if change.fields),
        interface=tuple(_interface_changes(before, after)),
    )


def attributes_of(node: Node) -> dict[str, str]:
    """A layer's attributes as text, by name."""
    return {name: print_value(getattr(node.op, name)) for name in type(node.op).model_fields}


def _node_changes(before: Node, after: Node) -> Iterator[FieldChange]:
    facts = [_facts(before), _facts(after)]
    if before.op.kind == after.op.kind:
        facts = [own | attributes_of(node) for own, node in zip(facts, (before, after), strict=True)]
    yield from _changes(*facts)


def _facts(node: Node) -> dict[str, str]:
    return {"op": node.op.kind, "inputs": ", ".join(node.inputs), "shape": str(node.type)}


def _interface_changes(before: Graph, after: Graph) -> Iterator[FieldChange]:
    facts = [
        {value.name: _input(value.type, value.preprocessing) for value in graph.inputs}
        | {"outputs": ", ".join(graph.main), "auxiliary": ", ".join(graph.auxiliary) or "none"}
        for graph in (before, after)
    ]
    yield from _changes(*facts)


def _input(type: object, preprocessing: object) -> str:
    return f"{type} preprocessing={print_value(preprocessing)}" if preprocessing else str(type)


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[FieldChange]:
    for field in before | after:
        old, new = before.get(field, "none"), after.get(field, "none")
        if old != new:
            yield FieldChange(field, old, new)
