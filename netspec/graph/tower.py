"""The graph that one tower computes: its share of every divided layer, with the exchanges as nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from netspec.graph.crossing import Crossing
from netspec.graph.graph import Graph, Hint, Input, Node, make_node
from netspec.graph.localize import local_op
from netspec.graph.placement import Placement
from netspec.graph.places import DIVIDED, PARTIAL, WHOLE, Place, Read, reads
from netspec.graph.scopes import Scope, ancestors, parent_of
from netspec.graph.towers import axis_of, width
from netspec.ops import Slice
from netspec.ops.base import Weights
from netspec.ops.collective import COLLECTIVES, Collective


def tower_graph(placement: Placement) -> Graph:
    """The graph that each tower computes. It is the same in all towers, which differ only in their weights.

    Nodes and weights keep their names. An exchange is named after its kind and the value, as `gather_pool2`, and
    follows the value. If only one instance of a block reads the result, the exchange is instead the first node of that
    instance, and named after the block's own name for the value, as `stage1.1.gather_input`. Outputs are whole.
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
    outputs = tuple(build.read(name, WHOLE).name for name in graph.outputs)
    heads = tuple(head._replace(value=build.read(head.value, WHOLE).name) for head in graph.heads)
    nodes = tuple(value for value in build.values.values() if isinstance(value, Node))
    scopes = tuple(build.scope(scope, {*outputs, *(head.value for head in heads)}) for scope in graph.scopes)
    tower = replace(graph, name=f"{graph.name}_tower", nodes=nodes, outputs=outputs, heads=heads, scopes=scopes)
    # Like auxiliary outputs, exchanges only for them come last: inference does without them.
    if not heads:
        return tower
    return replace(tower, nodes=tuple(sorted(nodes, key=lambda node: node.name in tower.training_only)))


def tower_weights(placement: Placement, weights: Weights, tower: int) -> Weights:
    """A tower's share of canonical weights; a weight that is not divided is the same array."""
    return {w.name: weights[w.name][w.part(tower, placement.towers)] for w in placement.weights}


class _Build:
    """The values of the tower's graph so far, and the name of each form of a value."""

    def __init__(self, placement: Placement, crossings: Mapping[str, list[Crossing]]) -> None:
        self._placement, self._crossings = placement, crossings
        self.values: dict[str, Input | Node] = {value.name: value for value in placement.graph.inputs}
        self._forms: dict[str, dict[Read, str]] = {}  # by value and form, the exchange that gives it
        self._instances = {scope.path: scope for scope in placement.graph.scopes if not scope.is_stack}
        self._entering: dict[str, list[Input | Node]] = {}  # the values whose exchanges begin an instance
        self._begun: set[str] = set()

    def read(self, name: str, form: Read) -> Input | Node:
        """A value in the form in which it is read."""
        return self.values[self._forms.get(name, {}).get(form, name)]

    def add(self, node: Node) -> None:
        """Add the tower's share of a node, and the exchanges of its value."""
        for path in ancestors(node.name):
            self._begun.add(path)
            for value in self._entering.pop(path, ()):
                names = {given: name for name, given in self._instances[path].inputs}
                self._exchange(value, path, names.get(value.name))
        place = self._placement.place_of[node.name]
        op = local_op(node.op, self._placement.towers) if place.divided else node.op
        forms = {name: self.read(name, form) for name, form in reads(node, place).items()}
        local = make_node(node.name, op, [forms[name] for name in node.inputs])
        hints = node.hints
        if any(value.name != name for name, value in forms.items()):
            hints -= {Hint.IN_PLACE}  # an exchange's result may share memory with another value
        local = replace(local, hints=hints, type=local.type.astype(node.type.dtype))
        self.values[node.name] = local
        if place.way == "halo":
            self._narrow(local, place)
        self.exchange(local)

    def _narrow(self, node: Node, place: Place) -> None:
        """Add the slice of a value to the tower's channels, which readers of that share take in its place."""
        before, after = place.reach
        axis = axis_of(node.type)
        own = Slice(axis=axis, start=before, stop=width(node.type) - after)
        name = self._free(parent_of(node.name), f"share_{node.name.rpartition('.')[2]}")
        self.values[name] = make_node(name, own, [node])
        self._forms.setdefault(node.name, {})[DIVIDED] = name

    def exchange(self, value: Input | Node) -> None:
        """Add the exchanges of a value, here or, later, in the one instance that reads them."""
        instance = self._only_reader(value.name)
        if instance:
            self._entering.setdefault(instance, []).append(value)
        else:
            self._exchange(value, parent_of(value.name))

    def _only_reader(self, name: str) -> str:
        """The innermost instance of a block that holds all readers of a value's exchanges, if it is still to come."""
        crossings = self._crossings.get(name, ())
        if not crossings or name in self._placement.graph.outputs:
            return ""
        around = [set(ancestors(reader)) for crossing in crossings for reader in crossing.readers]
        return max((set.intersection(*around) & self._instances.keys()) - self._begun, key=len, default="")

    def _exchange(self, value: Input | Node, path: str, name: str | None = None) -> None:
        """Add the exchanges of a value in their order: what is spread may have been collected before."""
        for crossing in self._crossings.get(value.name, ()):
            spreads = crossing.kind in {"spread", "spread_group"}
            source = self.read(value.name, WHOLE if spreads else DIVIDED)
            op = _exchange_op(crossing, axis_of(value.type))
            local = name or value.name.rpartition(".")[2]
            node = make_node(self._free(path, f"{crossing.kind}_{local}"), op, [source])
            self.values[node.name] = node
            self._forms.setdefault(value.name, {})[_result(crossing)] = node.name

    def scope(self, scope: Scope, shown: AbstractSet[str]) -> Scope:
        """The scope with every form of a value that it reads or gives. Outputs of the network are `shown`."""
        within = f"{scope.path}."
        read: set[str] = set()
        read_outside = set(shown)
        for node in self.values.values():
            if isinstance(node, Node):
                (read if node.name.startswith(within) else read_outside).update(node.inputs)
        inputs: list[tuple[str, str]] = []
        for name, value in scope.inputs:
            received = [
                (suffix, form)
                for suffix, form in self._named_forms(value)
                if form in read and not form.startswith(within)
            ]
            inputs += [(f"{name}_{suffix}" if index else name, form) for index, (suffix, form) in enumerate(received)]
        outputs: list[tuple[str, str]] = []
        for name, value in scope.outputs:
            forms = {value: "", **{form: suffix for suffix, form in self._named_forms(value)}}
            given = [form for form in forms if form in read_outside and form.startswith(within)] or [value]
            outputs += [(f"{name}_{forms[form]}" if index else name, form) for index, form in enumerate(given)]
        return replace(scope, inputs=tuple(inputs), outputs=tuple(outputs))

    def _named_forms(self, value: str) -> Iterable[tuple[str, str]]:
        """The forms of a value in one order, so that instances that read the same forms are equal.

        Each has a suffix for the block's name of the value, which tells it from the first, and its name in the graph.
        """
        place = self._placement.place_of.get(value)
        plain = DIVIDED if place is not None and place.divided else WHOLE
        forms = {plain: value, **self._forms.get(value, {})}
        suffixes = {"whole": "whole", "partial": "spread", "divided": "share"}
        for form in sorted(forms, key=lambda form: form.order):
            numbered = "_".join(map(str, [f"{form.form}{form.groups}", *filter(None, form.reach)]))
            yield suffixes.get(form.form, numbered), forms[form]

    def _free(self, path: str, local: str) -> str:
        """A name in a scope that no value has."""
        name = f"{path}.{local}" if path else local
        while name in self.values or name in self._placement.graph.values:
            name += "_"
        return name


def _exchange_op(crossing: Crossing, axis: int) -> Collective:
    attributes: dict[str, Any] = {"towers": crossing.towers, "axis": axis}
    if crossing.kind in {"gather_group", "spread_group", "halo"}:
        attributes["groups"] = crossing.groups
    if crossing.kind == "halo":
        attributes["before"], attributes["after"] = crossing.reach
    return COLLECTIVES[crossing.kind](**attributes)


def _result(crossing: Crossing) -> Read:
    """The form that an exchange gives."""
    match crossing.kind:
        case "collect":
            return WHOLE
        case "gather" | "spread":
            return PARTIAL
        case "gather_group" | "spread_group":
            return Read("group", crossing.groups)
        case "halo":
            return Read("halo", crossing.groups, crossing.reach)
        case "share":
            return DIVIDED
