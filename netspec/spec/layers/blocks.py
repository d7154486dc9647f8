"""Reads `blocks:`, the named subgraphs with parameters. Their layers are read for each use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from netspec.graph import Formula
from netspec.spec.expressions.expression import expression_in, has_expression
from netspec.spec.expressions.hints import INDEX
from netspec.spec.meant import as_meant, is_layer
from netspec.spec.parameters.declarations import Declaration, name_hint, name_problem, read_declarations
from netspec.spec.spec_hints import is_one_level_deeper, key_hint
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
# Keys of any layer. No attribute of an op and no parameter of a block has such a name.
LAYER_KEYS: Final = ("op", "block", "inputs", "after", "when", "repeat", "first", "last")
INPUT: Final = "input"


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """The definition of a block.

    Attributes:
        at: position of the block's name.
        parameters: declarations of its parameters, by name.
        inputs: names of its inputs, in order, with their positions.
        outputs: names of its outputs, each a value of one of its layers; empty if they cannot be known.
        node: the definition in the document.
        valid: whether no problem was found in it. Invalid blocks are not expanded.
    """

    name: str
    at: Position = field(compare=False, repr=False)
    parameters: Mapping[str, Declaration] = field(compare=False, repr=False)
    inputs: Mapping[str, Position] = field(compare=False)
    outputs: tuple[str, ...]
    node: MappingNode = field(repr=False)
    valid: bool = True

    @property
    def layers(self) -> DocumentNode | None:
        """The layers as they stand in the document: they are read for each instance, with its arguments."""
        return self.node.get("layers")


def read_blocks(node: DocumentNode | None, problems: Problems) -> dict[str, BlockSpec]:
    """The blocks by name. All of a block but its layers is checked."""
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        problems.add(node.at, f"expected a mapping of names to blocks, received {describe(node)}")
        return {}
    layers = node.get("layers")
    if isinstance(layers, MappingNode) and any(is_layer(entry.value) for entry in layers.entries.values()):
        hint = "for example `blocks: {unit: {layers: …}}`: the line of the name is missing above"
        problems.add(node.entries["layers"].at, "these are the keys of a block, which has a name", hint)
        return {}
    blocks = {}
    for name, entry in node.entries.items():
        if reason := name_problem(name):
            problems.add(entry.at, f"{quote(name)} cannot name a block: {reason}", name_hint(name, "block"))
        blocks[name] = _read_block(name, entry, problems)
    return blocks


def _read_block(name: str, entry: Entry, problems: Problems) -> BlockSpec:
    node = entry.value
    if not isinstance(node, MappingNode):
        if not is_broken(node):
            problems.add(node.at, f"expected a mapping with `layers`, received {describe(node)}")
        return BlockSpec(name, entry.at, {}, {}, (), MappingNode({}, entry.at), valid=False)
    node = as_meant(node, KEYS, "a block", problems)
    for key, unknown in node.entries.items():
        if key not in KEYS and not problems.is_known(unknown.at):
            problems.add(unknown.at, f"a block has no key {quote(key)}", key_hint(key, unknown.value, KEYS))
    stated = {key: node.entries[key].value for key in KEYS if key in node.entries}
    layers = stated.get("layers")
    if layers is None and not is_one_level_deeper("layers", node.entries, KEYS):
        problems.add(entry.at, f"the block {quote(name)} needs 'layers': a mapping of names to layers")
    parameters = read_declarations(stated.get("parameters"), problems, reserved=(*LAYER_KEYS, INDEX))
    inputs = {INPUT: entry.at}
    if "inputs" in stated:
        inputs = dict(_names(stated["inputs"], problems))
        for input_name, at in inputs.items():
            if reason := name_problem(input_name):
                problems.add(at, f"{quote(input_name)} cannot name an input: {reason}", name_hint(input_name, "input"))
    outputs: tuple[str, ...] = ()
    if "outputs" in stated:
        outputs = tuple(dict(_names(stated["outputs"], Problems())))  # `connect` reports the problems
    elif isinstance(layers, MappingNode) and layers.entries:
        outputs = (list(layers.entries)[-1],)
    return BlockSpec(name, entry.at, parameters, inputs, outputs, node, valid=isinstance(layers, MappingNode))


def _names(node: DocumentNode, problems: Problems) -> Iterator[tuple[str, Position]]:
    """The names in a list, with their positions. Items that are no names are reported."""
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
    """The expressions of a block: defaults of its parameters, also those that are constants, then its layers'."""
    for name, declaration in block.parameters.items():
        default = declaration.default
        if isinstance(default, ScalarNode) and _is_constant(default.value):
            yield Formula("", name, repr(default.value))
        elif default is not None:
            yield from (Formula("", name, code) for code in _expressions_in(default))
    layers = block.layers.entries if isinstance(block.layers, MappingNode) else {}
    for name, layer in layers.items():
        stated = layer.value.entries if isinstance(layer.value, MappingNode) else {}
        for attribute, entry in stated.items():
            yield from (Formula(name, attribute, code) for code in _expressions_in(entry.value))
            if isinstance(entry.value, MappingNode):
                for part, item in entry.value.entries.items():
                    # Arguments of the first or last instance of a stack are named as those of all.
                    path = part if attribute in ("first", "last") else f"{attribute}.{part}"
                    yield from (Formula(name, path, code) for code in _expressions_in(item.value))


def _is_constant(value: object) -> bool:
    """Whether a default is a number, a boolean or a string without an expression."""
    return isinstance(value, bool | int | float) or (isinstance(value, str) and not has_expression(value))


def _expressions_in(node: DocumentNode) -> Iterator[str]:
    """The expressions that make up a whole value, or a whole item of a list. Mappings are not searched."""
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _expressions_in(item)
    elif isinstance(node, ScalarNode) and isinstance(node.value, str) and (code := expression_in(node.value)):
        yield code
