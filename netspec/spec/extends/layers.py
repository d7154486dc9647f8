"""Merges layers: a derived file changes, replaces, removes and inserts layers of its base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from netspec.spec.layers.references import takes_no_input
from netspec.spec.model import layer_of
from netspec.spec.text.document import (
    BROKEN,
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    ScalarValue,
    SequenceNode,
    describe,
    is_null,
    quote,
    text_of,
)
from netspec.spec.text.hints import did_you_mean
from netspec.spec.text.merge import merge_attributes


def merge_layers(
    base: MappingNode, derived: MappingNode, first_input: str, problems: Problems
) -> tuple[MappingNode, Removals]:
    """The layers of the base with the changes of the derived file, and the removals among them."""
    editor = _Editor(base.entries, first_input, problems)
    for name, entry in derived.entries.items():
        if name not in base.entries:
            editor.insert(name, entry)
        elif is_null(entry.value):
            editor.removed[name] = entry
        else:
            editor.change(name, entry)
    removals = Removals(dict(editor.ordered()), editor.removed, first_input, problems)
    return MappingNode(removals.rewired_layers(), derived.at), removals


class _Editor:
    """Applies the changes of a derived file to the layers of its base.

    Attributes:
        removed: the entries that remove a layer, by its name.
    """

    def __init__(self, base: Mapping[str, Entry], first_input: str, problems: Problems) -> None:
        self.removed: dict[str, Entry] = {}
        self._layers = dict(base)
        self._base = base
        self._first_input = first_input
        self._problems = problems
        self._unplaced: list[str] = []  # new layers without a valid `after`
        self._after: dict[str, list[str]] = defaultdict(list)  # new layers, in order, by the layer that they follow

    def change(self, name: str, entry: Entry) -> None:
        """Merge an entry into a layer of the base, or replace the layer if the entry states an op or block."""
        above, below = entry.value, self._base[name].value
        if not isinstance(above, MappingNode):
            self._layers[name] = entry
            return
        if "after" in above.entries:
            at = above.entries["after"].at
            message = f"`after` places a new layer, and {quote(name)} has its place in the base"
            self._problems.add(at, message, "remove `after`, or give the new layer a name of its own")
            above = _without_after(above)
        if isinstance(below, MappingNode) and not is_complete(above):
            above = merge_attributes(below, above)
        self._layers[name] = Entry(entry.at, above)

    def insert(self, name: str, entry: Entry) -> None:
        """Insert a new layer after the one that its `after` names."""
        value = entry.value
        if isinstance(value, MappingNode):
            predecessor = self._predecessor(name, entry.at, value)
            if predecessor is not None:
                self._layers[name] = Entry(entry.at, _without_after(value))
                self._after[predecessor].append(name)
                return
        elif is_null(value):
            hint = did_you_mean(name, self._base)
            self._problems.add(entry.at, f"there is no layer {quote(name)} in the base to remove", hint)
            return
        else:
            hint = "`{op: …, after: …}` adds a layer, null removes one"
            self._problems.add(value.at, f"expected a mapping with `op`, received {describe(value)}", hint)
        # The name stays known, so that its readers are not reported as well.
        self._layers[name] = Entry(entry.at, ScalarNode(BROKEN, value.at))
        self._unplaced.append(name)

    def _predecessor(self, name: str, at: Position, layer: MappingNode) -> str | None:
        """The layer or input that a new layer follows; None after a problem."""
        if "after" not in layer.entries:
            if is_complete(layer):
                hint = f"for example `after: {list(self._base)[-1]}`" if self._base else ""
                self._problems.add(at, f"the new layer {quote(name)} needs `after`: the layer that it follows", hint)
            else:
                hint = did_you_mean(name, self._base) or "a new layer states its `op` and `after`"
                self._problems.add(at, f"there is no layer {quote(name)} in the base to change", hint)
            return None
        after = layer.entries["after"].value
        predecessor = after.value if isinstance(after, ScalarNode) else None
        if not isinstance(predecessor, str):
            self._problems.add(after.at, f"expected the name of a layer, received {describe(after)}")
        elif predecessor not in self._layers and predecessor != self._first_input:
            hint = did_you_mean(predecessor, self._layers) or "name a layer of the base, or a new one above this"
            self._problems.add(after.at, f"there is no layer {quote(predecessor)} to come after", hint)
        else:
            return predecessor
        return None

    def ordered(self) -> Iterator[tuple[str, Entry]]:
        """All layers, also those removed, each followed by those that were inserted after it."""
        first = self._after.get(self._first_input, [])
        pending = [*first, *self._base, *self._unplaced][::-1]
        while pending:
            name = pending.pop()
            yield name, self._layers[name]
            pending += reversed(self._after.get(name, ()))


def is_complete(layer: MappingNode) -> bool:
    """Whether a layer states an op or block, and so needs nothing from its base."""
    return "op" in layer.entries or "block" in layer.entries


def _without_after(layer: MappingNode) -> MappingNode:
    return MappingNode({key: e for key, e in layer.entries.items() if key != "after"}, layer.at)


class Removals:
    """Rewires the readers of removed layers: each reads what the removed layer read.

    Args:
        layers: all layers in order, also those removed.
        removed: the entries that remove a layer, by its name.
        first_input: input that the first layer reads.
        problems: collects the problems of layers whose readers cannot be rewired.
    """

    def __init__(
        self,
        layers: Mapping[str, Entry],
        removed: Mapping[str, Entry],
        first_input: str,
        problems: Problems,
    ) -> None:
        self._layers = layers
        self._removed = removed
        self._problems = problems
        self._before = dict(zip(layers, [first_input, *layers], strict=False))

    def __bool__(self) -> bool:
        return bool(self._removed)

    def rewired_layers(self) -> dict[str, Entry]:
        """The layers that are kept, rewired so that none reads a removed one."""
        if not self._removed:
            return dict(self._layers)
        kept: dict[str, Entry] = {}
        last = ""  # not the first input: with several inputs, a layer has to name the one it reads
        for name, entry in self._layers.items():
            if name not in self._removed:
                kept[name] = Entry(entry.at, self._rewired_layer(name, entry.value, last))
                last = name
        return kept

    def _rewired_layer(self, name: str, layer: DocumentNode, last: str) -> DocumentNode:
        """A layer that is kept, rewired. `last` is the kept layer before it."""
        if not isinstance(layer, MappingNode):
            return layer
        inputs = layer.entries.get("inputs")
        if inputs is not None:
            value = self.rewire(inputs.value)
            return MappingNode({**layer.entries, "inputs": Entry(inputs.at, value)}, layer.at)
        before = self._before[name]
        if before not in self._removed or _takes_no_input(layer):
            return layer
        source = self._source(ScalarNode(before, self._removed[before].at))
        if source.value == last:
            return layer
        return MappingNode({**layer.entries, "inputs": Entry(source.at, source)}, layer.at)

    def rewire(self, names: DocumentNode) -> DocumentNode:
        """The value of `inputs:` or `outputs:`, with each removed layer replaced by what it read."""
        if isinstance(names, SequenceNode):
            items = (self._source(item) if isinstance(item, ScalarNode) else item for item in names.items)
            return SequenceNode(tuple(items), names.at)
        return self._source(names) if isinstance(names, ScalarNode) else names

    def kept_names(self, names: DocumentNode) -> DocumentNode:
        """The value of `auxiliary:` without removed layers: a head has no readers that could read something else."""
        if not isinstance(names, SequenceNode):
            return names
        kept = (item for item in names.items if layer_of(text_of(item)) not in self._removed)
        return SequenceNode(tuple(kept), names.at)

    def kept_keys(self, node: DocumentNode, path: Sequence[str]) -> DocumentNode:
        """A mapping, with that at `path` in it without the keys that name removed layers.

        Those that the file which removes the layer states itself are kept: they are its own mistakes.
        """
        if not isinstance(node, MappingNode):
            return node
        if path:
            key, *rest = path
            inner = node.entries.get(key)
            changed = {key: Entry(inner.at, self.kept_keys(inner.value, rest))} if inner is not None else {}
            return MappingNode({**node.entries, **changed}, node.at)
        kept = dict(node.entries)
        for key, entry in node.entries.items():
            removal = self._removed.get(layer_of(key))
            if removal is not None and removal.at.source.order != entry.at.source.order:
                del kept[key]
        return MappingNode(kept, node.at)

    def _source(self, reference: ScalarNode) -> ScalarNode:
        """A reference to a kept layer or an input in place of one that may be to a removed layer."""
        name = reference.value
        while isinstance(name, str) and (layer := layer_of(name)) in self._removed:
            reads = self._reads(layer)
            if len(reads) != 1:
                self._problems.add(self._removed[layer].at, *_cannot_join(layer, len(reads)))
                return ScalarNode(BROKEN, reference.at)
            name = reads[0]
        return ScalarNode(name, reference.at)

    def _reads(self, name: str) -> list[ScalarValue]:
        """The names of the values that a layer reads."""
        layer = self._layers[name].value
        if not isinstance(layer, MappingNode) or "inputs" not in layer.entries:
            return [] if _takes_no_input(layer) else [self._before[name]]
        inputs = layer.entries["inputs"].value
        items = inputs.items if isinstance(inputs, SequenceNode) else (inputs,)
        return [item.value if isinstance(item, ScalarNode) else BROKEN for item in items]


def _takes_no_input(layer: DocumentNode) -> bool:
    """Whether a layer is known to be an op without inputs, so that it does not read the layer before it."""
    stated = layer.get("op") if isinstance(layer, MappingNode) else None
    return stated is not None and takes_no_input(text_of(stated))


def _cannot_join(name: str, count: int) -> tuple[str, str]:
    if count == 0:
        message = f"{quote(name)} reads no layer: its readers have nothing to read instead of it"
        return message, "restate the `inputs` of its readers, or remove them as well"
    message = f"{quote(name)} reads {count} layers: its readers cannot be joined to one of them"
    return message, "replace it by stating another `op`, or restate the `inputs` of its readers"
