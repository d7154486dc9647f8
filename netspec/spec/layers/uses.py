"""A layer that is a block: which one, what it is given, and how often it is stacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from netspec.ops import OPS
from netspec.spec.expressions.expression import UNKNOWN, Names, Unknown, Value
from netspec.spec.expressions.hints import INDEX
from netspec.spec.layers.blocks import LAYER_KEYS, BlockSpec
from netspec.spec.parameters.declarations import scalar_hint
from netspec.spec.parameters.values import Substitution, value_of
from netspec.spec.text.document import (
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    describe,
    is_broken,
    quote,
    scalars_in,
    text_of,
)
from netspec.spec.text.hints import did_you_mean, nearest, suggest

MAX_LAYERS: Final = 100_000
Arguments = Mapping[str, Value]


_STACK: Final = "`repeat: 3` stacks a block three times"


class Use(NamedTuple):
    """What a layer with `block:` says.

    Attributes:
        block: the block; None where it cannot be known.
        instances: the arguments of each instance; None where they cannot be known.
        stacked: whether `repeat` makes a stack of it, be it of one.
    """

    block: BlockSpec | None
    instances: tuple[Arguments, ...] | None
    stacked: bool


def gives_misnamed(node: MappingNode, blocks: Mapping[str, BlockSpec]) -> bool:
    """Whether a layer gives its block a parameter that is named like a key of a layer: the name was reported there."""
    block = blocks.get(text_of(node.entries["block"].value)) if "block" in node.entries else None
    return block is not None and any(key in node.entries for key in block.parameters if key in LAYER_KEYS)


def read_use(entry: Entry, node: MappingNode, blocks: Mapping[str, BlockSpec], names: Names, problems: Problems) -> Use:
    """The use that a layer states; what is wrong with it is recorded."""
    substitution = Substitution(names, problems)
    block = _read_block(substitution.apply(node.entries["block"].value), blocks, problems)
    stacked = "repeat" in node.entries
    if not stacked:
        for key in ("first", "last"):
            if key in node.entries:
                problems.add(node.entries[key].at, f"`{key}` is of a stack, and this layer has no `repeat`", _STACK)
    count = _read_repeat(substitution.apply(node.entries["repeat"].value), problems) if stacked else 1
    if block is None or count is None:
        return Use(block, None, stacked)
    variants = _variants(node, problems)
    arguments = _Arguments(entry.at, block, names, problems)
    instances = list(_read_instances(arguments, variants, count)) if stacked else [arguments.read(variants[0])]
    whole = [instance for instance in instances if instance is not None]
    return Use(block, tuple(whole) if len(whole) == count else None, stacked)


def _read_block(node: DocumentNode, blocks: Mapping[str, BlockSpec], problems: Problems) -> BlockSpec | None:
    if isinstance(node, ScalarNode) and isinstance(node.value, str):
        if node.value in blocks:
            return blocks[node.value]
        hint = f"`op: {node.value}` is an op" if node.value in OPS else suggest(node.value, blocks, "there are")
        hint = hint or "`blocks: {…}` in the spec defines them"
        problems.add(node.at, f"there is no block {quote(node.value)}", hint)
    elif not is_broken(node):
        problems.add(node.at, f"expected the name of a block, received {describe(node)}")
    return None


def _read_repeat(node: DocumentNode, problems: Problems) -> int | None:
    if is_broken(node):
        return None
    count = node.value if isinstance(node, ScalarNode) else None
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        message = f"expected how often the block is stacked, 0 or more, received {describe(node)}"
        problems.add(node.at, message, scalar_hint(node, "integer"))
        return None
    if count > MAX_LAYERS:
        problems.add(node.at, f"{count:,} times: at most {MAX_LAYERS:,} are taken")
        return None
    return count


Stated = Mapping[str, Entry]


def _variants(node: MappingNode, problems: Problems) -> list[Stated]:
    """What an instance is given: one in the middle, the first, the last, and one that is both."""
    common = {key: entry for key, entry in node.entries.items() if key not in LAYER_KEYS}
    own: dict[str, Stated] = {}
    for key in ("first", "last"):
        stated = node.get(key)
        if isinstance(stated, MappingNode):
            own[key] = stated.entries
        elif stated is not None and not is_broken(stated):
            problems.add(stated.at, f"expected a mapping of arguments, received {describe(stated)}")
    first, last = own.get("first", {}), own.get("last", {})
    return [common, {**common, **first}, {**common, **last}, {**common, **first, **last}]


def _read_instances(arguments: _Arguments, variants: list[Stated], count: int) -> Iterator[Arguments | None]:
    """Each instance's arguments; those that do not depend on the index are read once."""
    read: dict[int, Arguments | None] = {}
    for index in range(count):
        which = (1 if index == 0 else 0) + (2 if index == count - 1 else 0)
        if any(uses_index(entry.value) for entry in variants[which].values()):
            yield arguments.read(variants[which], index)
        else:
            if which not in read:
                read[which] = arguments.read(variants[which], index)
            yield read[which]


def uses_index(node: DocumentNode) -> bool:
    """Whether the number of an instance may be seen by a value."""
    return any(INDEX in text_of(scalar) for scalar in scalars_in(node))


class _Arguments:
    """Reads what the instances of a block are given."""

    def __init__(self, at: Position, block: BlockSpec, names: Names, problems: Problems) -> None:
        self._at = at
        self._block = block
        self._names = names
        self._problems = problems

    def read(self, stated: Stated, index: int | None = None) -> Arguments | None:
        """The arguments by name, or None after a problem is recorded, or where one is not known."""
        names: dict[str, Any] = dict(self._names)
        if index is not None:
            names[INDEX] = index
        substitution = Substitution(names, self._problems)
        values: dict[str, Value | Unknown] = {}
        known = self._block.parameters
        absent = [d for name, d in known.items() if d.default is None and name not in stated]
        misspelt = {nearest(key, known) for key in stated if key not in known}
        unsaid = [d for d in absent if d.name not in misspelt]
        unknown = [key for key in stated if key not in known and not nearest(key, known)]
        perhaps = unsaid[0].name if len(unsaid) == len(unknown) == 1 else ""
        for key, entry in stated.items():
            if key in known:
                values[key] = value_of(substitution.apply(entry.value), known[key], self._problems)
            else:
                hint = _unknown_key(key, entry.value, self._block, perhaps if key in unknown else "")
                self._problems.add(entry.at, f"the block {quote(self._block.name)} has no parameter {quote(key)}", hint)
                values[key] = UNKNOWN
        if unsaid and not perhaps:
            wanted = ", ".join(f"{quote(d.name)} ({d.expected})" for d in unsaid)
            self._problems.add(self._at, f"the block {quote(self._block.name)} needs {wanted}")
        whole = {name: value for name, value in values.items() if not isinstance(value, Unknown)}
        return whole if len(whole) == len(values) and not absent else None


def _unknown_key(key: str, node: DocumentNode, block: BlockSpec, perhaps: str) -> str:
    """What the writer meant by a key that is no parameter: one that is, or what any layer may say."""
    known = block.parameters
    alike = [own for own in LAYER_KEYS if own[:1] == key[:1].lower()]  # `rate` is no `after`
    if near := did_you_mean(key, known) or (did_you_mean(key, alike) if key not in LAYER_KEYS else ""):
        return near
    if isinstance(node, MappingNode) and node.entries and all(own in known for own in node.entries):
        return f"arguments stand beside `block`: `{{block: {block.name}, {next(iter(node.entries))}: …}}`"
    if key in LAYER_KEYS:
        return f"`first` and `last` are arguments alone: {', '.join(known) or 'the block has no parameters'}"
    if perhaps:
        return f"it needs {quote(perhaps)}: perhaps that is meant"
    return suggest(key, known, f"{block.name} has") or f"{block.name} has no parameters"
