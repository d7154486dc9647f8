"""Layers over layers: a derived file merges into, replaces, removes and inserts the layers of its base."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from netspec.spec.layers.references import takes_no_input
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
    """The base's layers as the derived file changes them, in their order, and what was removed."""
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
    """The layers while a derived file changes them."""

    def __init__(self, base: Mapping[str, Entry], first_input: str, problems: Problems) -> None:
        self.removed: dict[str, Entry] = {}
        self._layers = dict(base)
        self._base = base
        self._first_input = first_input
        self._problems = problems
        self._unplaced: list[str] = []
        self._after: dict[str, list[str]] = defaultdict(list)  # new layers, in order, by what they follow

    def change(self, name: str, entry: Entry) -> None:
        """Merge into a layer, or replace it if the new one states its op or block."""
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
        """Add a new layer after the one that it names."""
        value = entry.value
        if isinstance(value, MappingNode):
            follows = self._place_of(name, entry.at, value)
            if follows is not None:
                self._layers[name] = Entry(entry.at, _without_after(value))
                self._after[follows].append(name)
                return
        elif is_null(value):
            hint = did_you_mean(name, self._base)
            self._problems.add(entry.at, f"there is no layer {quote(name)} in the base to remove", hint)
            return
        else:
            hint = "`{op: …, after: …}` adds a layer, null removes one"
            self._problems.add(value.at, f"expected a mapping with `op`, received {describe(value)}", hint)
        # It stays known by name, so that its readers are not reported as well.
        self._layers[name] = Entry(entry.at, ScalarNode(BROKEN, value.at))
        self._unplaced.append(name)

    def _place_of(self, name: str, at: Position, layer: MappingNode) -> str | None:
        if "after" not in layer.entries:
            if is_complete(layer):
                hint = f"for example `after: {list(self._base)[-1]}`" if self._base else ""
                self._problems.add(at, f"the new layer {quote(name)} needs `after`: the layer that it follows", hint)
            else:
                hint = did_you_mean(name, self._base) or "a new layer states its `op` and `after`"
                self._problems.add(at, f"there is no layer {quote(name)} in the base to change", hint)
            return None
        after = layer.entries["after"].value
        follows = after.value if isinstance(after, ScalarNode) else None
        if not isinstance(follows, str):
            self._problems.add(after.at, f"expected the name of a layer, received {describe(after)}")
        elif follows not in self._layers and follows != self._first_input:
            hint = did_you_mean(follows, self._layers) or "name a layer of the base, or a new one above this"
            self._problems.add(after.at, f"there is no layer {quote(follows)} to come after", hint)
        else:
            return follows
        return None

    def ordered(self) -> Iterator[tuple[str, Entry]]:
        """The layers, each followed by those that were inserted after it."""
        first = self._after.get(self._first_input, [])
        pending = [*first, *self._base, *self._unplaced][::-1]
        while pending:
            name = pending.pop()
            yield name, self._layers[name]
            pending += reversed(self._after.get(name, ()))


def is_complete(layer: MappingNode) -> bool:
    """Whether a layer says what it is, and so stands for itself."""
    return "op" in layer.entries or "block" in layer.entries


def _without_after(layer: MappingNode) -> MappingNode:
    return MappingNode({key: e for key, e in layer.entries.items() if key != "after"}, layer.at)


class Removals:
    """Layers that are gone, and what their readers read instead: what the removed layer read.

    Args:
        layers: all layers in order, those removed still among them.
        removed: where each is removed.
        first_input: what the first layer reads.
        problems: where a removal that cannot be is recorded.
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
        """The layers that stay, none of them reading one that is gone."""
        if not self._removed:
            return dict(self._layers)
        kept: dict[str, Entry] = {}
        last = ""  # of several inputs the first is read by name alone
        for name, entry in self._layers.items():
            if name not in self._removed:
                kept[name] = Entry(entry.at, self._rewired_layer(name, entry.value, last))
                last = name
        return kept

    def _rewired_layer(self, name: str, layer: DocumentNode, last: str) -> DocumentNode:
        """A layer that stays; `last` is the one that now stands before it."""
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
        """The same names, each that is gone replaced by what it read."""
        if isinstance(names, SequenceNode):
            items = (self._source(n) if isinstance(n, ScalarNode) else n for n in names.items)
            return SequenceNode(tuple(items), names.at)
        return self._source(names) if isinstance(names, ScalarNode) else names

    def _source(self, reading: ScalarNode) -> ScalarNode:
        name = reading.value
        while isinstance(name, str) and name in self._removed:
            reads = self._reads(name)
            if len(reads) != 1:
                self._problems.add(self._removed[name].at, *_cannot_join(name, len(reads)))
                return ScalarNode(BROKEN, reading.at)
            name = reads[0]
        return ScalarNode(name, reading.at)

    def _reads(self, name: str) -> list[ScalarValue]:
        layer = self._layers[name].value
        if not isinstance(layer, MappingNode) or "inputs" not in layer.entries:
            return [] if _takes_no_input(layer) else [self._before[name]]
        inputs = layer.entries["inputs"].value
        items = inputs.items if isinstance(inputs, SequenceNode) else (inputs,)
        return [item.value if isinstance(item, ScalarNode) else BROKEN for item in items]


def _takes_no_input(layer: DocumentNode) -> bool:
    """Whether a layer's op is known to take no input: it does not read the layer before it."""
    stated = layer.get("op") if isinstance(layer, MappingNode) else None
    return stated is not None and takes_no_input(text_of(stated))


def _cannot_join(name: str, count: int) -> tuple[str, str]:
    if count == 0:
        message = f"{quote(name)} reads no layer: its readers have nothing to read instead of it"
        return message, "restate the `inputs` of its readers, or remove them as well"
    message = f"{quote(name)} reads {count} layers: its readers cannot be joined to one of them"
    return message, "replace it by stating another `op`, or restate the `inputs` of its readers"
