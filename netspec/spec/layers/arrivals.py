"""The network's own layers, whose `${…}` may see shapes: such a layer is read once those shapes are known.

Most specs have none, and are read as they stand. Where there are some, the layers are gone through in the order of what
depends on what, and made for their shapes alone: what is wrong with them is reported when the network is made.
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
from netspec.spec.layers.connect import Connected
from netspec.spec.layers.drafts import DraftLayer
from netspec.spec.layers.layers import layers_in, read_inputs, read_layer
from netspec.spec.layers.order import cycle_from, topological_order
from netspec.spec.layers.readings import Known, read_by, reads_nothing
from netspec.spec.layers.surroundings import Surroundings, incoming, shape_of
from netspec.spec.layers.uses import uses_index
from netspec.spec.model import ModelSpec, layer_of
from netspec.spec.parameters.values import Substitution, names_seen
from netspec.spec.text.document import DocumentNode, Entry, MappingNode, Problems, quote, text_of

_SHAPES: Final = (*SIZES, "shape")


def read_network(
    node: DocumentNode, around: Surroundings, values: Names, spec: ModelSpec, problems: Problems
) -> list[DraftLayer]:
    """Every layer of the network, in the order of the file.

    Args:
        node: what stands under `layers:`.
        around: what every layer sees.
        values: the parameters, which hide shapes of the same name.
        spec: all of the network but its layers.
        problems: where those of the layers are recorded.
    """
    entries = layers_in(node, problems)
    shapes = {*_SHAPES, *entries} - set(values)
    shapes |= set(around.inputs) - {value.name for value in spec.inputs} - set(values)  # an input that is not whole
    seen = {name: names_seen(entry.value) & shapes for name, entry in entries.items()}
    waiting = {name: names for name, names in seen.items() if names}
    if not waiting:
        return [read_layer(name, entry, around, problems) for name, entry in entries.items()]
    return _Arrivals(entries, waiting, around, values, spec, problems).read()


class _Arrivals:
    """Reads layers, those that wait for shapes when these are known.

    Args:
        entries: the layers.
        waiting: those that see shapes, with the names by which they do.
        around: what every layer sees.
        values: the parameters.
        spec: all of the network but its layers.
        problems: where those of the layers are recorded.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        waiting: Mapping[str, set[str]],
        around: Surroundings,
        values: Names,
        spec: ModelSpec,
        problems: Problems,
    ) -> None:
        self._entries = entries
        self._waiting = waiting
        self._around = around
        self._problems = problems
        self._fixed = {name: value for name, value in around.names.items() if name in values or name in around.inputs}
        self._unknown = {**dict.fromkeys((*_SHAPES, *entries, *around.inputs), UNKNOWN), **values}
        self._elaboration = Elaboration(spec, Problems())
        self._values: dict[str, Input | Node] = {value.name: value for value in spec.inputs}
        self._before = dict(zip(entries, [None, *entries], strict=False))
        self._drafts: dict[str, DraftLayer] = {}
        self._known: Known = ChainMap[str, Any](self._drafts, dict(around.inputs))

    def read(self) -> list[DraftLayer]:
        """Every layer, in the order of the file."""
        for name, entry in self._entries.items():
            draft = self._begin(name, entry) if name in self._waiting else None
            self._drafts[name] = draft or read_layer(name, entry, self._around, self._problems)
        order = topological_order({name: [*self._reads(name), *self._sees(name)] for name in self._entries})
        for cycle in order.cycles:
            if any(name in self._waiting for name in cycle):
                self._report_cycle(cycle)
        for name in order.names:
            if name in self._waiting:
                self._drafts[name] = self._read(name, self._names(name))
            self._make(name)
        for name in self._waiting.keys() - set(order.names):
            self._drafts[name] = self._read(name, self._unknown)
        return [self._drafts[name] for name in self._entries]

    def _begin(self, name: str, entry: Entry) -> DraftLayer | None:
        """A layer of which only that is known which others it reads; None if it is none."""
        if not isinstance(entry.value, MappingNode):
            return None
        draft = DraftLayer(name, entry.at, outputs=None)
        if "inputs" not in entry.value.entries:
            return draft
        inputs = entry.value.entries["inputs"].value
        if names_seen(inputs) & self._waiting[name]:
            message = "which values a layer reads cannot depend on a shape: what arrives is known only then"
            self._problems.add(inputs.at, message, "a parameter may choose them, or `when:` drop what is between")
            return draft._replace(broken=True)
        read = read_inputs(Substitution(self._fixed, self._problems).apply(inputs), self._problems)
        return draft._replace(inputs=read, broken=read is None)

    def _reads(self, name: str) -> list[str]:
        """The layers that a layer reads."""
        draft, before = self._drafts[name], self._before[name]
        if draft.inputs is not None:
            return [layer_of(reading.name) for reading in draft.inputs]
        return [] if before is None or draft.broken or self._reads_nothing(draft) else [before]

    def _reads_nothing(self, draft: DraftLayer) -> bool:
        node = self._entries[draft.name].value
        stated = node.get("op") if isinstance(node, MappingNode) else None
        return reads_nothing(draft.kind or (text_of(stated) if stated else ""))

    def _sees(self, name: str) -> list[str]:
        """The layers whose shapes the expressions of a layer name."""
        return sorted(seen for seen in self._waiting.get(name, ()) if seen in self._entries)

    def _report_cycle(self, cycle: tuple[str, ...]) -> None:
        """At the first layer of the cycle in the file, from there around: what it reads, or sees the shape of."""
        names = cycle_from(cycle, min(cycle, key=list(self._entries).index))
        reads = [after in self._reads(name) for name, after in pairwise(names)]
        if all(reads) and not any(self._waiting.get(name) for name in cycle):
            return
        steps = [
            f"{'reads' if own else 'sees the shape of'} {after}" for own, after in zip(reads, names[1:], strict=True)
        ]
        what = "output" if all(reads) else "shape"
        message = f"{quote(names[0])} needs its own {what}: {' '.join([names[0], *steps])}"
        hint = "a network has no loops" if all(reads) else "a layer sees the shapes of what does not depend on it"
        self._problems.add(self._entries[names[0]].at, message, hint)

    def _read(self, name: str, names: Names) -> DraftLayer:
        draft = self._drafts[name]
        read = read_layer(name, self._entries[name], self._around._replace(names=names), self._problems)
        if read.attributes is not None and read.use is not None:  # a written spec has no dropped layers to name
            read = read._replace(attributes=_evaluated(read.attributes, names))
        return read._replace(broken=True) if draft.broken else read

    def _names(self, name: str) -> Names:
        """What the expressions of a layer see: parameters, what arrives, and the shapes of values that they name."""
        reads = self._arriving(name)
        if reads is None:
            return self._unknown
        own = incoming({read: value.type for read, value in reads})
        shapes: dict[str, Value] = {key: own[key] for key in _SHAPES if key in own}
        layers: dict[str, Value | Unknown] = {seen: self._shapes_of(seen) for seen in self._sees(name)}
        return {**layers, **shapes, **self._fixed}

    def _arriving(self, name: str) -> list[tuple[str, Input | Node]] | None:
        """The values that a layer reads, by name, one perhaps twice; None where one of them is not known."""
        before = self._before[name]
        draft = self._drafts[name]
        if draft.inputs is None and self._reads_nothing(draft):
            return []
        last = self._drafts[before] if before is not None else None
        reads = read_by(draft, last, self._around.inputs, self._known, Problems())
        found = [(read, value) for read in reads or () if (value := self._value(read)) is not None]
        return found if reads is not None and len(found) == len(reads) else None

    def _value(self, read: str) -> Input | Node | None:
        """The value of that name; of a dropped layer what it reads."""
        return self._values.get(read, self._values.get(layer_of(read)))

    def _shapes_of(self, name: str) -> Value | Unknown:
        """The shape of a layer's value; of a block with several outputs by their names."""
        outputs = self._drafts[name].outputs or ()
        if self._drafts[name].dropped and name not in self._values:
            message = f"{quote(name)} is dropped here, and does not read one value that its shape could be of"
            self._problems.add(self._drafts[name].at, message)
        if len(outputs) < 2 or name in self._values:
            return shape_of(self._values[name].type) if name in self._values else UNKNOWN
        values = {output: self._values.get(f"{name}.{output}") for output in outputs}
        shapes: dict[str, Value] = {key: shape_of(value.type) for key, value in values.items() if value is not None}
        return shapes if len(shapes) == len(outputs) else UNKNOWN

    def _make(self, name: str) -> None:
        """Make a layer of what it reads, as far as its shape needs; of a dropped one, what it reads is its value."""
        draft, reads = self._drafts[name], self._arriving(name)
        if reads is None:
            return
        if draft.dropped:
            if len(reads) == 1:
                self._values[name] = reads[0][1]
        elif draft.is_whole:
            whole = draft.connected(tuple(read for read, _ in reads))
            try:
                made = self._elaboration.make(Connected((whole,), frozenset(), ()), dict(reads), "")
            except SpecError:  # it grows beyond bounds, which is reported when the network is made
                return
            self._values |= {key: value for key, value in made.items() if key not in dict(reads)}


def _evaluated(node: MappingNode, names: Names) -> MappingNode:
    """What a layer says, with the values of its expressions, but of those that each instance of a stack has its own."""
    substitution = Substitution(names, Problems())
    entries = {
        key: entry if uses_index(entry.value) else Entry(entry.at, substitution.apply(entry.value))
        for key, entry in node.entries.items()
    }
    return MappingNode(entries, node.at)
