"""One tower's own graph: its share of every divided layer, and the exchanges with the others as nodes."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from netspec.graph.graph import Graph, Hint, Input, Node, make_node
from netspec.graph.localize import local_op
from netspec.graph.placement import Crossing, Placement, Read, reads
from netspec.graph.scopes import Scope, ancestors, parent_of
from netspec.graph.towers import axis_of
from netspec.ops.base import Weights
from netspec.ops.collective import COLLECTIVES

# In which order a block receives the forms of a value, so that instances that read the same of them are alike; what
# those are called behind the first of them.
FORMS: Final[dict[Read, str]] = {"whole": "whole", "partial": "spread", "divided": "share"}


def tower_graph(placement: Placement) -> Graph:
    """The graph that each tower computes: the same in all of them, for they differ by their weights alone.

    Nodes keep their names, and so do weights. A node that exchanges is called after what it does and whose value it is,
    as `gather_pool2`, and stands right after it; or first in the instance of a block that alone reads the value so,
    called after what the block calls it, as `stage1.1.gather_input`. Outputs are whole.
    """
    crossings: dict[str, list[Crossing]] = {}
    for crossing in placement.crossings:
        crossings.setdefault(crossing.value, []).append(crossing)
    build = _Build(placement, crossings)
    graph = placement.graph
    for value in graph.inputs:
        build.exchange(value)
    for node in graph.nodes:
        build.add(node)
    outputs = tuple(build.read(name, "whole").name for name in graph.outputs)
    heads = tuple(head._replace(value=build.read(head.value, "whole").name) for head in graph.heads)
    nodes = tuple(value for value in build.values.values() if isinstance(value, Node))
    scopes = tuple(build.scope(scope, {*outputs, *(head.value for head in heads)}) for scope in graph.scopes)
    made = replace(graph, name=f"{graph.name}_tower", nodes=nodes, outputs=outputs, heads=heads, scopes=scopes)
    # What is exchanged for auxiliary outputs alone is there in training alone, as they are.
    return replace(made, nodes=tuple(sorted(nodes, key=lambda node: node.name in made.for_heads))) if heads else made


def tower_weights(placement: Placement, weights: Weights, tower: int) -> Weights:
    """A tower's share of canonical weights; of one that is not divided, the array itself."""
    return {w.name: weights[w.name][w.part(tower, placement.towers)] for w in placement.weights}


class _Build:
    """The values of the tower's graph so far, and under what name each value is read in each way."""

    def __init__(self, placement: Placement, crossings: Mapping[str, list[Crossing]]) -> None:
        self._placement, self._crossings = placement, crossings
        self.values: dict[str, Input | Node] = {value.name: value for value in placement.graph.inputs}
        self._names: dict[tuple[str, str], str] = {}
        self._instances = {scope.path: scope for scope in placement.graph.scopes if not scope.is_stack}
        self._entering: dict[str, list[Input | Node]] = {}  # what an instance exchanges before all else
        self._begun: set[str] = set()

    def read(self, name: str, way: str) -> Input | Node:
        """The value as it is read: divided, whole for a share of the work, or whole."""
        return self.values[self._names.get((name, way), name)]

    def add(self, node: Node) -> None:
        """The tower's share of a node, and what becomes of its value."""
        for path in ancestors(node.name):
            self._begun.add(path)
            for value in self._entering.pop(path, ()):
                called = {given: name for name, given in self._instances[path].inputs}
                self._exchange(value, path, called.get(value.name))
        own = self._placement.place_of[node.name]
        op = local_op(node.op, self._placement.towers) if own.divided else node.op
        inputs = [self.read(name, way) for name, way in reads(node, own).items()]
        by_name = dict(zip(reads(node, own), inputs, strict=True))
        made = make_node(node.name, op, [by_name[name] for name in node.inputs])
        hints = node.hints
        if any(value.name != name for name, value in by_name.items()):
            hints -= {Hint.IN_PLACE}  # what an exchange gives may be another value's memory
        self.values[node.name] = made = replace(made, hints=hints, type=made.type.astype(node.type.dtype))
        self.exchange(made)

    def exchange(self, value: Input | Node) -> None:
        """What crosses of a value, here or in the instance that reads it."""
        instance = self._only_reader(value.name)
        if instance:
            self._entering.setdefault(instance, []).append(value)
        else:
            self._exchange(value, parent_of(value.name))

    def _only_reader(self, name: str) -> str:
        """The innermost instance of a block, still to come, that holds all to which a value crosses; or empty."""
        crossings = self._crossings.get(name, ())
        if not crossings or name in self._placement.graph.outputs:
            return ""
        around = [set(ancestors(reader)) for crossing in crossings for reader in crossing.readers]
        return max((set.intersection(*around) & self._instances.keys()) - self._begun, key=len, default="")

    def _exchange(self, value: Input | Node, path: str, name: str | None = None) -> None:
        """What is collected first, for the rest may be made of that."""
        ways = {"gather": "partial", "collect": "whole", "spread": "partial", "share": "divided"}
        for crossing in self._crossings.get(value.name, ()):
            source = self.read(value.name, "whole") if crossing.kind == "spread" else value
            op = COLLECTIVES[crossing.kind](towers=self._placement.towers, axis=axis_of(value.type))
            local = name or value.name.rpartition(".")[2]
            node = make_node(self._free(path, f"{crossing.kind}_{local}"), op, [source])
            self.values[node.name] = node
            self._names[value.name, ways[crossing.kind]] = node.name

    def scope(self, scope: Scope, shown: AbstractSet[str]) -> Scope:
        """The scope with all forms in which it receives what it reads, and gives what others read; some are `shown`."""
        within = f"{scope.path}."
        read: set[str] = set()
        read_outside = set(shown)
        for node in self.values.values():
            if isinstance(node, Node):
                (read if node.name.startswith(within) else read_outside).update(node.inputs)
        inputs: list[tuple[str, str]] = []
        for name, value in scope.inputs:
            place = self._placement.place_of.get(value)
            plain = "divided" if place is not None and place.divided else "whole"
            forms = {form: self._names.get((value, form), value if form == plain else "") for form in FORMS}
            found = [(FORMS[form], own) for form, own in forms.items() if own in read and not own.startswith(within)]
            inputs += [(f"{name}_{form}" if index else name, own) for index, (form, own) in enumerate(found)]
        outputs: list[tuple[str, str]] = []
        for name, value in scope.outputs:
            suffixes = {self._names.get((value, form), value): suffix for form, suffix in FORMS.items()}
            given = [own for own in {value: "", **suffixes} if own in read_outside and own.startswith(within)]
            outputs += [(f"{name}_{suffixes[own]}" if index else name, own) for index, own in enumerate(given)]
            outputs += [] if given else [(name, value)]
        return replace(scope, inputs=tuple(inputs), outputs=tuple(outputs))

    def _free(self, path: str, local: str) -> str:
        found = f"{path}.{local}" if path else local
        while found in self.values or found in self._placement.graph.values:
            found += "_"
        return found
