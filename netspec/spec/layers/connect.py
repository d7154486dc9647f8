"""Connects layers: resolves what each reads, bypasses dropped layers, and checks that every value is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netspec.spec.layers.drafts import DraftLayer
from netspec.spec.layers.order import topological_order
from netspec.spec.layers.outputs import read_heads, read_outputs
from netspec.spec.layers.references import Known, resolve_inputs
from netspec.spec.model import LayerSpec, UseSpec, layer_of
from netspec.spec.text.document import DocumentNode, Position, Problems, quote


class Connected(NamedTuple):
    """The connected layers of a network or block.

    Attributes:
        layers: layers without problems.
        failed: names of the other layers, which were reported.
        outputs: names of the output values.
        auxiliary: names of the outputs that exist only in training.
        heads: names under `auxiliary:`, dropped layers included, with their positions; None if they cannot be known.
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
    """Resolve which values each layer reads, and which are the outputs of the network or block.

    The value of a layer is named `conv1`, an output of a block `stem.skip`. A reader of a dropped layer reads what
    that layer reads.
    """
    layers = {draft.name: draft for draft in drafts}
    known: dict[str, Position | DraftLayer] = {**inputs, **layers}
    reads: dict[str, tuple[str, ...]] = {}
    before: DraftLayer | None = None
    for draft in drafts:
        names = resolve_inputs(draft, before, inputs, known, problems, in_block=in_block)
        if names is not None:
            reads[draft.name] = names
        before = draft
    kept = _KeptLayers(layers, reads, problems)
    stated = read_outputs(outputs, drafts, known, problems, in_block=in_block)
    values = tuple(value for name in stated for value in kept.bypass((name,)) or ())
    if not in_block:  # two outputs of a block may be the same value
        values = tuple(dict.fromkeys(values))
    heads = read_heads(auxiliary, known, values, problems)
    # A dropped head is not bypassed: the value that it reads is no class scores.
    kept_heads = tuple(name for name in heads or () if not layers[layer_of(name)].dropped)
    if values and heads is not None and len(reads) == len(drafts) and kept.resolved:  # all readers are known
        read = {layer_of(name) for names in (*kept.reads.values(), values, heads) for name in names}
        sources = {name: [layer_of(value) for value in names] for name, names in kept.reads.items()}
        if not topological_order(sources).cycles:  # which are reported later, and leave unread what they should read
            _check_read(read, kept.to_be_read(known), problems, in_block)
    connected = tuple(layers[name].connected(names) for name, names in kept.reads.items() if layers[name].is_valid)
    failed = {name for name, draft in layers.items() if not draft.dropped} - {layer.name for layer in connected}
    return Connected(connected, frozenset(failed), values, kept_heads, heads)


class _KeptLayers:
    """The layers that are not dropped, and the values that they read once dropped layers are bypassed.

    Args:
        layers: all layers, by name.
        reads: the values that each layer reads, as stated; layers where they cannot be known are absent.
        problems: collects the problems of layers that cannot be bypassed.

    Attributes:
        reads: the values that each kept layer reads.
        resolved: whether every dropped layer that is read could be bypassed.
    """

    def __init__(
        self, layers: Mapping[str, DraftLayer], reads: Mapping[str, tuple[str, ...]], problems: Problems
    ) -> None:
        self._layers = layers
        self._stated = reads
        self._problems = problems
        bypassed = {name: self.bypass(names) for name, names in reads.items() if not layers[name].dropped}
        self.reads = {name: names for name, names in bypassed.items() if names is not None}
        self.resolved = len(self.reads) == len(bypassed)

    def bypass(self, names: tuple[str, ...]) -> tuple[str, ...] | None:
        """The values, with each of a dropped layer replaced by the one that it reads; None after a problem."""
        sources = [self._source(name) for name in names]
        return None if None in sources else tuple(name for name in sources if name is not None)

    def _source(self, name: str) -> str | None:
        bypassed = set()
        while (layer := self._layers.get(layer_of(name))) is not None and layer.dropped:
            reads = self._stated.get(layer.name)
            if reads is None:
                return None
            if len(reads) != 1 or layer.name in bypassed:
                self._problems.add(layer.at, *_cannot_bypass(layer.name, len(reads)))
                return None
            bypassed.add(layer.name)
            (name,) = reads
        return name

    def to_be_read(self, known: Known) -> dict[str, Position | DraftLayer]:
        """The layers and inputs that have to be read, without dropped layers and what those read."""
        named = {name for names in self._stated.values() for name in names}
        return {
            name: value
            for name, value in known.items()
            if not (value.dropped if isinstance(value, DraftLayer) else name in named)
        }


def _cannot_bypass(name: str, count: int) -> tuple[str, str]:
    message = f"{quote(name)} is dropped here, and reads {count} values: its readers cannot be joined to one of them"
    choice = f"""`inputs: "${{'{name}' if … else …}}"`"""
    return message, f"let them choose, {choice}; or put it into a block that reads one value, and drop that"


def _check_read(read: set[str], known: Known, problems: Problems, in_block: bool) -> None:
    for name, value in known.items():
        if name in read or problems.is_known(value.at if isinstance(value, DraftLayer) else value):
            continue
        if isinstance(value, DraftLayer):
            hint = "remove it, name it in the `inputs:` of a layer, or list it under `outputs:`"
            problems.add(value.at, f"the layer {quote(name)} is never read", hint)
        else:
            hint = "a layer names it in its `inputs:`"
            if in_block:  # whose expressions may read its shape
                hint += '; a shape alone is a parameter, `size: "${layer.height}"` where the block is used'
            problems.add(value, f"the input {quote(name)} is never read", hint)
