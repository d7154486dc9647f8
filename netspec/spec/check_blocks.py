"""The check of blocks, before anything uses them: what is wrong whatever they are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from netspec.spec.expressions.expression import UNKNOWN, Names
from netspec.spec.layers.blocks import BlockSpec, broken_block
from netspec.spec.layers.connect import connect
from netspec.spec.layers.drafts import DraftLayer
from netspec.spec.layers.layers import read_layers
from netspec.spec.layers.order import cycle_from, topological_order
from netspec.spec.layers.surroundings import Surroundings, not_yet_known
from netspec.spec.layers.uses import MAX_LAYERS
from netspec.spec.parameters.values import names_seen
from netspec.spec.text.document import MappingNode, Problems, quote


def check_blocks(
    blocks: Mapping[str, BlockSpec], values: Names, defaults: Mapping[str, MappingNode], problems: Problems
) -> dict[str, BlockSpec]:
    """The blocks, those marked in which something is wrong whatever they are given: each is looked at, used or not."""
    checked = dict(blocks)
    unknown = {name for name, value in values.items() if value is UNKNOWN}  # each was reported
    uses: dict[str, list[DraftLayer]] = {}
    for name, block in blocks.items():
        own = Problems()
        around = Surroundings(not_yet_known(block, values), defaults, blocks, block.inputs)
        drafts = read_layers(block.layers, around, own) if block.layers is not None else []
        if drafts:
            given = connect(drafts, block.inputs, block.node.get("outputs"), own, in_block=True).outputs
            if len(given) < len(block.outputs) and own:
                checked[name] = replace(block, outputs=())  # which it has is not known
        uses[name] = drafts
        if own:
            problems.take(own)
        if own or (unknown and names_seen(block.node) & unknown - block.parameters.keys()):
            checked[name] = broken_block(checked[name])
    order = topological_order({name: _blocks_in(drafts) for name, drafts in uses.items()})
    for cycle in order.cycles:
        first = min(cycle, key=list(blocks).index)
        problems.add(blocks[first].at, *contains_itself(cycle_from(cycle, first)))
        for name in cycle:
            checked[name] = broken_block(blocks[name])
    for name in _too_large({name: uses[name] for name in order.names}, blocks, problems):
        checked[name] = broken_block(blocks[name])
    return checked


def _blocks_in(drafts: Sequence[DraftLayer]) -> list[str]:
    return list(dict.fromkeys(draft.block for draft in drafts if draft.block))


def _too_large(
    uses: Mapping[str, Sequence[DraftLayer]], blocks: Mapping[str, BlockSpec], problems: Problems
) -> Iterator[str]:
    """The blocks that have too many layers whatever they are given; `uses` has each after those that it uses."""
    least: dict[str, int] = {}
    for name, drafts in uses.items():
        inner = [(draft, least[draft.block]) for draft in drafts if draft.block]
        least[name] = len(drafts) + sum(_least_instances(draft) * size for draft, size in inner)
        if least[name] > MAX_LAYERS:
            if all(size <= MAX_LAYERS for _, size in inner):  # else what it uses is reported
                message = f"the block {quote(name)} has {least[name]:,} layers, those of its blocks counted"
                problems.add(blocks[name].at, message, f"at most {MAX_LAYERS:,} are taken")
            yield name


def _least_instances(draft: DraftLayer) -> int:
    """How many instances of a block a layer has at least."""
    if draft.use is not None and draft.use.instances is not None:
        return len(draft.use.instances)
    stated = draft.attributes.entries if draft.attributes is not None else {}
    return 0 if draft.dropped or "when" in stated or "repeat" in stated else 1


def contains_itself(names: list[str]) -> tuple[str, str]:
    """The message for a block that contains itself: its name, those on the way back to it, and it again."""
    message = f"the block {quote(names[0])} contains itself: {' uses '.join(names)}"
    return message, "`repeat:` stacks a block; a block is made of others, never of itself"
