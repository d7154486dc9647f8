"""Reads the layers of the network, whose expressions may see the shapes of values.

Most specs have no such expressions: their layers are read in the order of the file. Otherwise layers are read and
elaborated in topological order, so that the shapes that an expression sees are known. This elaboration is for the
shapes alone: its problems are discarded, and reported when the network is elaborated.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from netspec.errors import SpecError
from netspec.graph import Input, Node
from netspec.spec.elaborate import Elaboration
from netspec.spec.expressions.expression import UNKNOWN, Names, Unknown, Value
from netspec.spec.expressions.hints import SIZES
from netspec.spec.layers.drafts import DraftLayer
from netspec.spec.layers.environment import Environment, arriving_shapes, shape_of
from netspec.spec.layers.layers import layers_in, read_inputs, read_layer
from netspec.spec.layers.order import cycle_from, topological_order
from netspec.spec.layers.references import Known, resolve_inputs, takes_no_input
from netspec.spec.layers.uses import uses_index
from netspec.spec.model import ModelSpec, layer_of
from netspec.spec.parameters.values import Substitution, names_seen
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, Problems, quote, text_of

_SHAPES: Final = (*SIZES, "shape")


def read_network(
    node: DocumentNode, environment: Environment, values: Names, spec: ModelSpec, problems: Problems
) -> list[DraftLayer]:
    """The layers of the network, in the order of the file.

    Args:
        node: the value of `layers:`.
        environment: environment of every layer.
        values: values of the parameters, which hide shapes of the same name.
        spec: the spec without its layers.
        problems: collects the problems of the layers.
    """
    entries = layers_in(node, problems)
    invalid_inputs = set(environment.inputs) - {value.name for value in spec.inputs}
    shapes = {*_SHAPES, *entries, *invalid_inputs} - set(values)
    used = {name: names_seen(entry.value) & shapes for name, entry in entries.items()}
    waiting = {name: names for name, names in used.items() if names}
    if not waiting:
        return [read_layer(name, entry, environment, problems) for name, entry in entries.items()]
    return _NetworkReader(entries, waiting, environment, values, spec, problems).read()


class _NetworkReader:
    """Reads layers in topological order, so that those whose expressions see shapes are read once these are known.

    Args:
        entries: the layers.
        waiting: for each layer whose expressions see shapes, the names by which they do.
        environment: environment of every layer.
        values: values of the parameters.
        spec: the spec without its layers.
        problems: collects the problems of the layers.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        waiting: Mapping[str, set[str]],
        environment: Environment,
        values: Names,
        spec: ModelSpec,
        problems: Problems,
    ) -> None:
        self._entries = entries
        self._waiting = waiting
        self._environment = environment
        self._problems = problems
        # The names that all layers see, and those that a layer sees if the shapes that arrive are not known.
        self._fixed = {
            name: value for name, value in environment.names.items() if name in values or name in environment.inputs
        }
        self._unknown = {**dict.fromkeys((*_SHAPES, *entries, *environment.inputs), UNKNOWN), **values}
        self._elaboration = Elaboration(spec, Problems())
        self._values: dict[str, Input | Node] = {value.name: value for value in spec.inputs}
        self._before = dict(zip(entries, [None, *entries], strict=False))
        self._drafts: dict[str, DraftLayer] = {}
        self._known: Known = ChainMap[str, Any](self._drafts, dict(environment.inputs))

    def read(self) -> list[DraftLayer]:
        """The layers, in the order of the file."""
        for name, entry in self._entries.items():
            draft = self._read_references(name, entry) if name in self._waiting else None
            self._drafts[name] = draft or read_layer(name, entry, self._environment, self._problems)
        order = topological_order({name: [*self._reads(name), *self._sees(name)] for name in self._entries})
        for cycle in order.cycles:
            if any(name in self._waiting for name in cycle):
                self._report_cycle(cycle)
        for name in order.names:
            if name in self._waiting:
                self._drafts[name] = self._read(name, self._names(name))
            self._elaborate(name)
        ordered = set(order.names)
        for name in self._waiting:
            if name not in ordered:  # in a cycle, or behind one
                self._drafts[name] = self._read(name, self._unknown)
        return [self._drafts[name] for name in self._entries]

    def _read_references(self, name: str, entry: Entry) -> DraftLayer | None:
        """A draft of a waiting layer that has only its `inputs:`; None if the entry is no mapping."""
        if not isinstance(entry.value, MappingNode):
            return None
        draft = DraftLayer(name, entry.at, outputs=None)
        if "inputs" not in entry.value.entries:
            return draft
        inputs = entry.value.entries["inputs"].value
        if names_seen(inputs) & self._waiting[name]:
            message = "`inputs:` cannot depend on a shape: which shapes arrive is known only once the inputs are"
            self._problems.add(inputs.at, message, "a parameter may choose them, or `when:` drop what is between")
            return draft._replace(broken=True)
        references = read_inputs(Substitution(self._fixed, self._problems).apply(inputs), self._problems)
        return draft._replace(inputs=references, broken=references is None)

    def _reads(self, name: str) -> list[str]:
        """The layers that a layer reads."""
        draft, before = self._drafts[name], self._before[name]
        if draft.inputs is not None:
            return [layer_of(reference.name) for reference in draft.inputs]
        return [] if before is None or draft.broken or self._takes_no_input(draft) else [before]

    def _takes_no_input(self, draft: DraftLayer) -> bool:
        node = self._entries[draft.name].value
        stated = node.get("op") if isinstance(node, MappingNode) else None
        return takes_no_input(draft.kind or (text_of(stated) if stated else ""))

    def _sees(self, name: str) -> list[str]:
        """The layers whose shapes the expressions of a layer use by name."""
        return sorted(other for other in self._waiting.get(name, ()) if other in self._entries)

    def _report_cycle(self, cycle: tuple[str, ...]) -> None:
        """Report a cycle at its first layer in the file: which layer reads, or sees the shape of, the next."""
        names = cycle_from(cycle, min(cycle, key=lambda name: self._entries[name].at.rank))
        reads = [producer in self._reads(name) for name, producer in pairwise(names)]
        steps = [
            f"{'reads' if is_read else 'sees the shape of'} {producer}"
            for is_read, producer in zip(reads, names[1:], strict=True)
        ]
        needed = "output" if all(reads) else "shape"
        message = f"{quote(names[0])} needs its own {needed}: {' '.join([names[0], *steps])}"
        hint = "a network has no loops" if all(reads) else "a layer sees the shapes of what does not depend on it"
        self._problems.add(self._entries[names[0]].at, message, hint)

    def _read(self, name: str, names: Names) -> DraftLayer:
        """A waiting layer, read with the names that its expressions see."""
        draft = read_layer(name, self._entries[name], self._environment._replace(names=names), self._problems)
        if draft.attributes is not None and draft.use is not None:  # `write_spec` writes its arguments evaluated
            draft = draft._replace(attributes=_evaluated(draft.attributes, names))
        return draft._replace(broken=True) if self._drafts[name].broken else draft

    def _names(self, name: str) -> Names:
        """What the expressions of a layer see: parameters, the shapes that arrive, and those of layers by name."""
        arriving = self._arriving(name)
        if arriving is None:
            return self._unknown
        shapes = arriving_shapes({read: value.type for read, value in arriving})
        sizes: dict[str, Value] = {key: shapes[key] for key in _SHAPES if key in shapes}
        layers: dict[str, Value | Unknown] = {other: self._shapes_of(other) for other in self._sees(name)}
        return {**layers, **sizes, **self._fixed}

    def _arriving(self, name: str) -> list[tuple[str, Input | Node]] | None:
        """The values that a layer reads, with their names, in order; None if one of them is not known."""
        before = self._before[name]
        draft = self._drafts[name]
        if draft.inputs is None and self._takes_no_input(draft):
            return []
        last = self._drafts[before] if before is not None else None
        reads = resolve_inputs(draft, last, self._environment.inputs, self._known, Problems())
        arriving = [(read, value) for read in reads or () if (value := self._value(read)) is not None]
        return arriving if reads is not None and len(arriving) == len(reads) else None

    def _value(self, read: str) -> Input | Node | None:
        """The value of a name. An output of a dropped layer is the value that the layer reads."""
        return self._values.get(read, self._values.get(layer_of(read)))

    def _shapes_of(self, name: str) -> Value | Unknown:
        """The shape of a layer's value, or the shapes of a block's outputs by name if there are several."""
        outputs = self._drafts[name].outputs or ()
        if self._drafts[name].dropped and name not in self._values:
            message = f"{quote(name)} is dropped here, and has no shape: it does not read exactly one value"
            self._problems.add(self._drafts[name].at, message)
        if len(outputs) < 2 or name in self._values:
            return shape_of(self._values[name].type) if name in self._values else UNKNOWN
        values = {output: self._values.get(f"{name}.{output}") for output in outputs}
        shapes: dict[str, Value] = {key: shape_of(value.type) for key, value in values.items() if value is not None}
        return shapes if len(shapes) == len(outputs) else UNKNOWN

    def _elaborate(self, name: str) -> None:
        """Elaborate a layer for its shape. The value of a dropped layer is the one that it reads."""
        draft, arriving = self._drafts[name], self._arriving(name)
        if arriving is None:
            return
        if draft.dropped:
            if len(arriving) == 1:
                self._values[name] = arriving[0][1]
        elif draft.is_valid:
            layer = draft.connected(tuple(read for read, _ in arriving))
            inputs = dict(arriving)
            try:
                values = self._elaboration.make([layer], inputs, "")
            except SpecError:  # it has too many layers, which is reported when the network is elaborated
                return
            self._values |= {key: value for key, value in values.items() if key not in inputs}


def _evaluated(node: MappingNode, names: Names) -> MappingNode:
    """The attributes of a layer with its expressions evaluated, except those that use the index of an instance."""
    substitution = Substitution(names, Problems())
    entries = {
        key: entry if uses_index(entry.value) else Entry(entry.at, substitution.apply(entry.value))
        for key, entry in node.entries.items()
    }
    return MappingNode(entries, node.at)
