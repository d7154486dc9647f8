"""`blocks:`: named subgraphs with parameters, checked as far as they can be before anything uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from netspec.graph import Formula
from netspec.spec.expressions.expression import expression_in, has_expression
from netspec.spec.expressions.hints import INDEX
from netspec.spec.parameters.declarations import Declaration, name_hint, name_problem, read_declarations
from netspec.spec.spec_hints import is_said_otherwise, key_hint, layers_below
from netspec.spec.text.document import (
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    SequenceNode,
    describe,
    is_broken,
    quote,
    text_of,
)

KEYS: Final = ("parameters", "inputs", "layers", "outputs")
# Keys of a layer that are the language's: no attribute of an op, and no parameter of a block has such a name.
LAYER_KEYS: Final = ("op", "block", "inputs", "after", "when", "repeat", "first", "last")
INPUT: Final = "input"


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """A block as the spec defines it.

    Attributes:
        inputs: the names of what it receives, in order, and where they stand.
        outputs: the names, among its layers, of what it gives; empty if they cannot be known.
        node: all that the spec says of it.
        whole: False for one in which something is wrong, which was reported: nothing is made of it.
    """

    name: str
    at: Position = field(compare=False, repr=False)
    parameters: Mapping[str, Declaration] = field(compare=False, repr=False)
    inputs: Mapping[str, Position] = field(compare=False)
    outputs: tuple[str, ...]
    node: MappingNode = field(repr=False)
    whole: bool = True

    @property
    def layers(self) -> DocumentNode | None:
        """Its layers, not yet read: they are read for each instance, as its values say."""
        return self.node.get("layers")


def read_blocks(node: DocumentNode | None, problems: Problems) -> dict[str, BlockSpec]:
    """The blocks by name: all but their layers is checked."""
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        problems.add(node.at, f"expected a mapping of names to blocks, received {describe(node)}")
        return {}
    found = {}
    for name, entry in node.entries.items():
        if wrong := name_problem(name):
            problems.add(entry.at, f"{quote(name)} cannot name a block: {wrong}", name_hint(name, "block"))
        found[name] = _read_block(name, entry, problems)
    return found


def _read_block(name: str, entry: Entry, problems: Problems) -> BlockSpec:
    node = entry.value
    if not isinstance(node, MappingNode):
        if not is_broken(node):
            problems.add(node.at, f"expected a mapping with `layers`, received {describe(node)}")
        return BlockSpec(name, entry.at, {}, {}, (), MappingNode({}, entry.at), whole=False)
    for key, own in node.entries.items():
        if key not in KEYS and not problems.is_known(own.at):
            problems.add(own.at, f"a block has no key {quote(key)}", key_hint(key, own.value, KEYS))
    stated = {key: node.entries[key].value for key in KEYS if key in node.entries}
    layers = stated.get("layers")
    if layers is None and not (is_said_otherwise("layers", node.entries, KEYS) or layers_below(node.entries, KEYS)):
        problems.add(entry.at, f"the block {quote(name)} needs 'layers': a mapping of names to layers")
    parameters = read_declarations(stated.get("parameters"), problems, reserved=(*LAYER_KEYS, INDEX))
    inputs = {INPUT: entry.at}
    if "inputs" in stated:
        inputs = dict(_names(stated["inputs"], problems))
        for given, at in inputs.items():
            if wrong := name_problem(given):
                problems.add(at, f"{quote(given)} cannot name an input: {wrong}", name_hint(given, "input"))
    outputs: tuple[str, ...] = ()
    if "outputs" in stated:
        outputs = tuple(dict(_names(stated["outputs"], Problems())))  # what is wrong is seen when they are connected
    elif isinstance(layers, MappingNode) and layers.entries:
        outputs = (list(layers.entries)[-1],)
    return BlockSpec(name, entry.at, parameters, inputs, outputs, node, whole=isinstance(layers, MappingNode))


def _names(node: DocumentNode, problems: Problems) -> Iterator[tuple[str, Position]]:
    """The names that a list holds, and where; what is no name is recorded."""
    if not isinstance(node, SequenceNode) or not node.items:
        if not is_broken(node):
            received = "an empty list" if isinstance(node, SequenceNode) else describe(node)
            bare = text_of(node)
            hint = f"write `[{bare}]`" if bare else ""
            problems.add(node.at, f"expected a list of names, received {received}", hint)
            if bare:
                yield bare, node.at
        return
    seen = set()
    for item in node.items:
        name = item.value if isinstance(item, ScalarNode) else None
        if isinstance(name, str) and name not in seen:
            seen.add(name)
            yield name, item.at
        elif isinstance(name, str):
            problems.add(item.at, f"{quote(name)} is listed twice")
        elif not is_broken(item):
            problems.add(item.at, f"expected a name, received {describe(item)}")


def formulas_of(block: BlockSpec) -> Iterator[Formula]:
    """What a block says by expressions: of its parameters, numbers too, then of its layers."""
    for name, declaration in block.parameters.items():
        default = declaration.default
        if isinstance(default, ScalarNode) and _is_plain(default.value):
            yield Formula("", name, repr(default.value))
        elif default is not None:
            yield from (Formula("", name, code) for code in _expressions_in(default))
    layers = block.layers.entries if isinstance(block.layers, MappingNode) else {}
    for name, layer in layers.items():
        stated = layer.value.entries if isinstance(layer.value, MappingNode) else {}
        for attribute, entry in stated.items():
            yield from (Formula(name, attribute, code) for code in _expressions_in(entry.value))
            if isinstance(entry.value, MappingNode):
                for part, own in entry.value.entries.items():
                    # What the ends of a stack are given is said as what all of it is.
                    stated_of = part if attribute in ("first", "last") else f"{attribute}.{part}"
                    yield from (Formula(name, stated_of, code) for code in _expressions_in(own.value))


def _is_plain(value: object) -> bool:
    """Whether a default is a number or a word, and no expression."""
    return isinstance(value, bool | int | float) or (isinstance(value, str) and not has_expression(value))


def _expressions_in(node: DocumentNode) -> Iterator[str]:
    """The values that are one expression, and those in lists; one in a mapping says no more than a part of a value."""
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _expressions_in(item)
    elif isinstance(node, ScalarNode) and isinstance(node.value, str) and (code := expression_in(node.value)):
        yield code


def broken_block(block: BlockSpec) -> BlockSpec:
    """The same block, of which nothing is made."""
    return replace(block, whole=False)
