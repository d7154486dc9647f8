"""Which layer reads which: names resolved, and every value read by someone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netspec.spec.layers.drafts import DraftLayer
from netspec.spec.layers.order import topological_order
from netspec.spec.layers.outputs import read_heads, read_outputs
from netspec.spec.layers.readings import Known, read_by
from netspec.spec.model import LayerSpec, UseSpec, layer_of
from netspec.spec.text.document import DocumentNode, Position, Problems, quote


class Connected(NamedTuple):
    """Layers that are whole, the names of those that are not, and the outputs.

    Attributes:
        auxiliary: outputs in training alone.
        heads: all that `auxiliary` names, dropped layers included, with places; None where that cannot be known.
    """

    layers: tuple[LayerSpec | UseSpec, ...]
    failed: frozenset[str]
    outputs: tuple[str, ...]
    auxiliary: tuple[str, ...] = ()
    heads: Mapping[str, Position] | None = None


def connect(
    drafts: Sequence[DraftLayer],
    inputs: Mapping[str, Position],
    outputs: DocumentNode | None,
    problems: Problems,
    *,
    in_block: bool = False,
    auxiliary: DocumentNode | None = None,
) -> Connected:
    """Resolve what every layer reads, and what the network, or the block, gives.

    A layer's value is `conv1`, one of the outputs of a block is `stem.skip`. What reads a layer that is dropped reads
    what that one reads.
    """
    layers = {draft.name: draft for draft in drafts}
    known: dict[str, Position | DraftLayer] = {**inputs, **layers}
    reads: dict[str, tuple[str, ...]] = {}
    before: DraftLayer | None = None
    for draft in drafts:
        names = read_by(draft, before, inputs, known, problems, in_block=in_block)
        if names is not None:
            reads[draft.name] = names
        before = draft
    given = read_outputs(outputs, drafts, known, problems, in_block=in_block)
    kept = _Kept(layers, reads, problems)
    given = tuple(name for each in given for name in kept.resolve((each,)) or ())
    if not in_block:  # a block gives as many values as it says, some of which may be one
        given = tuple(dict.fromkeys(given))
    heads = read_heads(auxiliary, known, given, problems)
    # A head that is dropped is none: what it reads is no class scores.
    extra = tuple(name for name in heads or () if not layers[layer_of(name)].dropped)
    # Else what is read is not known for sure.
    if given and heads is not None and len(reads) == len(drafts) and not kept.unresolved:
        read = {layer_of(name) for names in (*kept.reads.values(), given, heads) for name in names}
        sources = {name: [layer_of(value) for value in own] for name, own in kept.reads.items()}
        cycles = topological_order(sources).cycles
        _check_read(read | (set(inputs) if cycles else set()), kept.known(known, reads), problems)
    whole = tuple(layers[name].connected(names) for name, names in kept.reads.items() if layers[name].is_whole)
    failed = {name for name, draft in layers.items() if not draft.dropped} - {layer.name for layer in whole}
    return Connected(whole, frozenset(failed), given, extra, heads)


class _Kept:
    """What the layers that stay read, past those that are dropped."""

    def __init__(
        self, layers: Mapping[str, DraftLayer], reads: Mapping[str, tuple[str, ...]], problems: Problems
    ) -> None:
        self._layers = layers
        self._all = reads
        self._problems = problems
        resolved = {name: self.resolve(names) for name, names in reads.items() if not layers[name].dropped}
        self.reads = {name: names for name, names in resolved.items() if names is not None}
        self.unresolved = len(self.reads) < len(resolved)

    def resolve(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """The same values, each of a dropped layer replaced by what that reads; None where that cannot be."""
        found = [self._source(name) for name in names]
        return None if None in found else tuple(name for name in found if name is not None)

    def _source(self, name: str) -> str | None:
        passed = set()
        while (layer := self._layers.get(layer_of(name))) is not None and layer.dropped:
            reads = self._all.get(layer.name)
            if reads is None:
                return None
            if len(reads) != 1 or layer.name in passed:
                self._problems.add(layer.at, *_cannot_pass(layer.name, len(reads)))
                return None
            passed.add(layer.name)
            (name,) = reads
        return name

    def known(self, known: Known, reads: Mapping[str, tuple[str, ...]]) -> dict[str, Position | DraftLayer]:
        """What must be read by someone: layers that stay, and inputs that no layer names, be it a dropped one."""
        named = {name for names in reads.values() for name in names}
        return {
            name: value
            for name, value in known.items()
            if not (value.dropped if isinstance(value, DraftLayer) else name in named)
        }


def _cannot_pass(name: str, count: int) -> tuple[str, str]:
    message = f"{quote(name)} is dropped here, and reads {count} values: its readers cannot be joined to one of them"
    choice = """`inputs: "${'a' if … else 'b'}"`"""
    return message, f"put it into a block with what it reads, and drop that; or let them choose, {choice}"


def _check_read(read: set[str], known: Known, problems: Problems) -> None:
    for name, value in known.items():
        if name in read or problems.is_known(value.at if isinstance(value, DraftLayer) else value):
            continue
        if isinstance(value, DraftLayer):
            hint = "remove it, name it in the `inputs:` of a layer, or list it under `outputs:`"
            problems.add(value.at, f"the layer {quote(name)} is never read", hint)
        else:
            problems.add(value, f"the input {quote(name)} is never read", "a layer names it in its `inputs:`")
