"""Which layer reads which: names resolved, and every value read by someone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netspec.spec.document import (
    DocumentNode,
    Position,
    Problems,
    ScalarNode,
    SequenceNode,
    describe,
    is_broken,
    quote,
)
from netspec.spec.hints import suggest
from netspec.spec.layers import DraftLayer, Reading
from netspec.spec.model import LayerSpec


class Connected(NamedTuple):
    """Layers that are whole, the names of those that are not, and the outputs."""

    layers: tuple[LayerSpec, ...]
    failed: frozenset[str]
    outputs: tuple[str, ...]


def connect(
    drafts: Sequence[DraftLayer],
    inputs: Mapping[str, Position],
    outputs: DocumentNode | None,
    problems: Problems,
) -> Connected:
    """Resolve what every layer reads, and what the network gives."""
    layers = {draft.name: draft for draft in drafts}
    known: dict[str, Position | DraftLayer] = {**inputs, **layers}
    reads: dict[str, tuple[str, ...]] = {}
    before: str | None = None
    for draft in drafts:
        names = _read_by(draft, before, inputs, known, problems)
        if names is not None:
            reads[draft.name] = names
        before = draft.name
    given = _outputs(outputs, drafts, inputs, problems)
    if len(reads) == len(drafts) and given:  # else what is read is not known for sure
        _check_read({name for names in reads.values() for name in names} | set(given), known, problems)
    whole = tuple(
        LayerSpec(d.name, d.op, reads[d.name], d.at, d.attributes, d.default_initializers)
        for d in drafts
        if d.op is not None and d.attributes is not None and d.name in reads
    )
    return Connected(whole, frozenset(layers) - {layer.name for layer in whole}, given)


def _read_by(
    draft: DraftLayer,
    before: str | None,
    inputs: Mapping[str, Position],
    known: Mapping[str, object],
    problems: Problems,
) -> tuple[str, ...] | None:
    """The names that a layer reads, or None if that cannot be known."""
    if draft.broken:
        return None
    if draft.inputs is not None:
        unknown = [reading for reading in draft.inputs if reading.name not in known]
        for reading in unknown:
            _report_unknown(reading, known, problems)
        return None if unknown else tuple(reading.name for reading in draft.inputs)
    if draft.op is not None and draft.op.inputs == (0, 0):
        return ()
    if before is not None:
        return (before,)
    if len(inputs) > 1:
        hint = f"`inputs: {next(iter(inputs))}`, or a list of several"
        why = f"it is the first layer, and the network has {len(inputs)} inputs"
        message = f"{quote(draft.name)} must state its `inputs`: {why}"
        problems.add(draft.at, message, hint)
        return None
    return tuple(inputs) or None


def _report_unknown(reading: Reading, known: Mapping[str, object], problems: Problems) -> None:
    hint = suggest(reading.name, known, "there are")
    problems.add(reading.at, f"there is no layer or input {quote(reading.name)}", hint)


def _outputs(
    node: DocumentNode | None,
    drafts: Sequence[DraftLayer],
    inputs: Mapping[str, Position],
    problems: Problems,
) -> tuple[str, ...]:
    """The names of the outputs; empty if they cannot be known."""
    if node is None:
        return (drafts[-1].name,) if drafts else ()
    if not isinstance(node, SequenceNode) or not node.items:
        if not is_broken(node):
            received = "an empty list" if isinstance(node, SequenceNode) else describe(node)
            problems.add(node.at, f"expected a list of layers, received {received}", "for example `outputs: [fc8]`")
        return ()
    names: dict[str, None] = {}
    layers = {draft.name: draft for draft in drafts}
    bad = False
    for item in node.items:
        name = item.value if isinstance(item, ScalarNode) else None
        if isinstance(name, str) and name in layers and name not in names:
            names[name] = None
            continue
        bad = True
        if not isinstance(name, str):
            if not is_broken(item):
                problems.add(item.at, f"expected the name of a layer, received {describe(item)}")
        elif name in names:
            problems.add(item.at, f"the output {quote(name)} is listed twice")
        elif name in inputs:
            problems.add(item.at, f"{quote(name)} is an input: an output is a layer's value")
        else:
            problems.add(item.at, f"there is no layer {quote(name)}", suggest(name, layers, "there are"))
    return () if bad else tuple(names)


def _check_read(read: set[str], known: Mapping[str, Position | DraftLayer], problems: Problems) -> None:
    for name, value in known.items():
        if name in read:
            continue
        if isinstance(value, DraftLayer):
            hint = "remove it, name it in the `inputs:` of a layer, or list it under `outputs:`"
            problems.add(value.at, f"the layer {quote(name)} is never read", hint)
        else:
            problems.add(value, f"the input {quote(name)} is never read", "a layer names it in its `inputs:`")
