"""Reads a layer that uses a block: which block, with which arguments, stacked how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from netspec.ops import OPS
from netspec.spec.expressions.expression import UNKNOWN, Names, Unknown, Value
from netspec.spec.expressions.hints import INDEX
from netspec.spec.layers.blocks import LAYER_KEYS, BlockSpec
from netspec.spec.parameters.declarations import scalar_hint
from netspec.spec.parameters.values import Substitution, names_seen, value_of
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
    text_of,
)
from netspec.spec.text.hints import did_you_mean, nearest, suggest

MAX_LAYERS: Final = 100_000
Arguments = Mapping[str, Value]  # of an instance, by parameter
Stated = Mapping[str, Entry]  # arguments as they stand in the document


class Use(NamedTuple):
    """The use of a block by a layer.

    Attributes:
        block: the block; None if it cannot be known.
        instances: arguments of each instance; None if they cannot be known.
        stacked: whether `repeat` makes a stack of it, even of one instance.
    """

    block: BlockSpec | None
    instances: tuple[Arguments, ...] | None
    stacked: bool


def gives_reserved_parameter(node: MappingNode, blocks: Mapping[str, BlockSpec]) -> bool:
    """Whether the block of a layer has a parameter named like a key of layers, which the layer states.

    The parameter was reported. The meaning of the key is then ambiguous, and the layer is not read.
    """
    block = blocks.get(text_of(node.entries["block"].value)) if "block" in node.entries else None
    return block is not None and any(key in node.entries for key in block.parameters if key in LAYER_KEYS)


def read_use(entry: Entry, node: MappingNode, blocks: Mapping[str, BlockSpec], names: Names, problems: Problems) -> Use:
    """The use of a block by a layer. Problems are recorded."""
    substitution = Substitution(names, problems)
    block = _read_block(substitution.apply(node.entries["block"].value), blocks, problems)
    stacked = "repeat" in node.entries
    if not stacked:
        for key in ("first", "last"):
            if key in node.entries:
                message = f"`{key}` is for a stack, and this layer has no `repeat`"
                problems.add(node.entries[key].at, message, "`repeat: 3` stacks a block three times")
    count = _read_repeat(substitution.apply(node.entries["repeat"].value), problems) if stacked else 1
    if block is None or count is None:
        return Use(block, None, stacked)
    variants = _variants(node, problems)
    arguments = _Arguments(entry.at, block, names, problems)
    instances = list(_read_instances(arguments, variants, count)) if stacked else [arguments.read(variants[0])]
    known = [instance for instance in instances if instance is not None]
    return Use(block, tuple(known) if len(known) == count else None, stacked)


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
        message = f"expected the number of instances in the stack, 0 or more, received {describe(node)}"
        problems.add(node.at, message, scalar_hint(node, "integer"))
        return None
    if count > MAX_LAYERS:
        problems.add(node.at, f"{count:,} times: at most {MAX_LAYERS:,} are taken")
        return None
    return count


def _variants(node: MappingNode, problems: Problems) -> list[Stated]:
    """The arguments of an instance in the middle of a stack, of the first, of the last, and of one that is both."""
    common = {key: entry for key, entry in node.entries.items() if key not in LAYER_KEYS}
    ends: dict[str, Stated] = {}
    for key in ("first", "last"):
        stated = node.get(key)
        if isinstance(stated, MappingNode):
            ends[key] = stated.entries
        elif stated is not None and not is_broken(stated):
            problems.add(stated.at, f"expected a mapping of arguments, received {describe(stated)}")
    first, last = ends.get("first", {}), ends.get("last", {})
    return [common, {**common, **first}, {**common, **last}, {**common, **first, **last}]


def _read_instances(arguments: _Arguments, variants: list[Stated], count: int) -> Iterator[Arguments | None]:
    """The arguments of each instance of a stack. A variant whose arguments do not use the index is read once."""
    indexed = [any(uses_index(entry.value) for entry in variant.values()) for variant in variants]
    read: dict[int, Arguments | None] = {}
    for index in range(count):
        number = (1 if index == 0 else 0) + (2 if index == count - 1 else 0)
        if indexed[number] or number not in read:
            read[number] = arguments.read(variants[number], index)
        yield read[number]


def uses_index(node: DocumentNode) -> bool:
    """Whether an expression below a node uses the number of an instance."""
    return INDEX in names_seen(node)


class _Arguments:
    """Reads the arguments that a layer gives to the instances of a block.

    Args:
        at: position of the layer's name.
        block: the block.
        names: values that expressions of the layer see.
        problems: collects the problems.
    """

    def __init__(self, at: Position, block: BlockSpec, names: Names, problems: Problems) -> None:
        self._at = at
        self._block = block
        self._names = names
        self._problems = problems

    def read(self, stated: Stated, index: int | None = None) -> Arguments | None:
        """The arguments of an instance by name; None after a problem, or if one is not known yet."""
        names: dict[str, Any] = dict(self._names)
        if index is not None:
            names[INDEX] = index
        substitution = Substitution(names, self._problems)
        values: dict[str, Value | Unknown] = {}
        known = self._block.parameters
        required = [parameter for name, parameter in known.items() if parameter.default is None and name not in stated]
        meant = {key: nearest(key, known) for key in stated if key not in known}
        absent = [parameter for parameter in required if parameter.name not in meant.values()]
        unknown = [key for key, near in meant.items() if not near]
        perhaps = absent[0].name if len(absent) == len(unknown) == 1 else ""
        for key, entry in stated.items():
            if key in known:
                values[key] = value_of(substitution.apply(entry.value), known[key], self._problems, names)
            else:
                hint = _key_hint(key, entry.value, self._block, perhaps if key in unknown else "")
                self._problems.add(entry.at, f"the block {quote(self._block.name)} has no parameter {quote(key)}", hint)
                values[key] = UNKNOWN
        if absent and not perhaps:
            listed = ", ".join(f"{quote(parameter.name)} ({parameter.expected})" for parameter in absent)
            self._problems.add(self._at, f"the block {quote(self._block.name)} needs {listed}")
        arguments = {name: value for name, value in values.items() if not isinstance(value, Unknown)}
        return arguments if len(arguments) == len(values) and not required else None


def _key_hint(key: str, node: DocumentNode, block: BlockSpec, perhaps: str) -> str:
    """A hint at the parameter, or the key of layers, that was probably meant by a key that is neither.

    `perhaps` is the only parameter that is missing, if any, where the key is the only unknown one.
    """
    known = block.parameters
    similar = [name for name in LAYER_KEYS if name[:1] == key[:1].lower()]  # `rate` is not meant for `after`
    if near := did_you_mean(key, known) or (did_you_mean(key, similar) if key not in LAYER_KEYS else ""):
        return near
    if isinstance(node, MappingNode) and node.entries and all(name in known for name in node.entries):
        return f"arguments stand beside `block`: `{{block: {block.name}, {next(iter(node.entries))}: …}}`"
    if key in LAYER_KEYS:
        return f"`first` and `last` are arguments alone: {', '.join(known) or 'the block has no parameters'}"
    if perhaps:
        return f"it needs {quote(perhaps)}: perhaps that is meant"
    return suggest(key, known, f"{block.name} has") or f"{block.name} has no parameters"
