"""Checks blocks before they are used: finds the problems that they have with any arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from netspec.spec.expressions.expression import UNKNOWN, Names
from netspec.spec.layers.blocks import BlockSpec
from netspec.spec.layers.connect import connect
from netspec.spec.layers.drafts import DraftLayer
from netspec.spec.layers.environment import Environment, names_in_unused_block
from netspec.spec.layers.layers import read_layers
from netspec.spec.layers.order import cycle_from, topological_order
from netspec.spec.layers.uses import MAX_LAYERS
from netspec.spec.parameters.values import names_seen
from netspec.spec.text.document import MappingNode, Problems, quote


def check_blocks(
    blocks: Mapping[str, BlockSpec], values: Names, defaults: Mapping[str, MappingNode], problems: Problems
) -> dict[str, BlockSpec]:
    """The blocks, with those marked invalid that have a problem with any arguments. Unused blocks are checked too."""
    checked = dict(blocks)
    unknown = {name for name, value in values.items() if value is UNKNOWN}  # parameters whose values were reported
    layers: dict[str, list[DraftLayer]] = {}
    for name, block in blocks.items():
        found = Problems()
        environment = Environment(names_in_unused_block(block, values), defaults, blocks, block.inputs)
        drafts = read_layers(block.layers, environment, found) if block.layers is not None else []
        if drafts:
            outputs = connect(drafts, block.inputs, block.node.get("outputs"), found, in_block=True).outputs
            if len(outputs) < len(block.outputs) and found:
                checked[name] = replace(block, outputs=())  # they are not known
        layers[name] = drafts
        problems.take(found)
        if found or (unknown and names_seen(block.node) & unknown - block.parameters.keys()):
            checked[name] = replace(checked[name], valid=False)
    order = topological_order({name: _blocks_in(drafts) for name, drafts in layers.items()})
    for cycle in order.cycles:
        first = min(cycle, key=lambda name: blocks[name].at.rank)
        problems.add(blocks[first].at, *contains_itself(cycle_from(cycle, first)))
        for name in cycle:
            checked[name] = replace(blocks[name], valid=False)
    for name in _too_large({name: layers[name] for name in order.names}, blocks, problems):
        checked[name] = replace(blocks[name], valid=False)
    return checked


def _blocks_in(drafts: Sequence[DraftLayer]) -> list[str]:
    return list(dict.fromkeys(draft.block for draft in drafts if draft.block))


def _too_large(
    layers: Mapping[str, Sequence[DraftLayer]], blocks: Mapping[str, BlockSpec], problems: Problems
) -> Iterator[str]:
    """The blocks that have too many layers with any arguments, each reported.

    Args:
        layers: layers by block, in topological order: each block after those that it uses.
        blocks: all blocks.
        problems: collects the problems.
    """
    sizes: dict[str, int] = {}  # least number of layers
    for name, drafts in layers.items():
        inner = [(draft, sizes[draft.block]) for draft in drafts if draft.block]
        sizes[name] = len(drafts) + sum(_least_instances(draft) * size for draft, size in inner)
        if sizes[name] > MAX_LAYERS:
            if all(size <= MAX_LAYERS for _, size in inner):  # else the inner block was reported
                message = f"the block {quote(name)} has {sizes[name]:,} layers, those of its blocks counted"
                problems.add(blocks[name].at, message, f"at most {MAX_LAYERS:,} are taken")
            yield name


def _least_instances(draft: DraftLayer) -> int:
    """The least number of instances of a block that a layer makes."""
    if draft.use is not None and draft.use.instances is not None:
        return len(draft.use.instances)
    stated = draft.attributes.entries if draft.attributes is not None else {}
    return 0 if draft.dropped or "when" in stated or "repeat" in stated else 1


def contains_itself(names: list[str]) -> tuple[str, str]:
    """The message and the hint for a block that contains itself. `names` is the cycle, from the block to itself."""
    message = f"the block {quote(names[0])} contains itself: {' uses '.join(names)}"
    return message, "`repeat:` stacks a block; a block is made of others, never of itself"
