"""Which layer reads which: names resolved, and every value read by someone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netspec.ops import OPS
from netspec.spec.document import (
    DocumentNode,
    Position,
    Problems,
    ScalarNode,
    SequenceNode,
    describe,
    is_broken,
    quote,
    text_of,
)
from netspec.spec.expression import has_expression
from netspec.spec.hints import nearest, suggest
from netspec.spec.layers import DraftLayer, Reading
from netspec.spec.model import LayerSpec, UseSpec
from netspec.spec.order import topological_order

_CHOSEN = """a last layer can choose: `{op: identity, inputs: "${'a' if … else 'b'}"}`"""


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
    given = _outputs(outputs, drafts, known, problems, in_block=in_block)
    kept = _Kept(layers, reads, problems)
    given = tuple(name for each in given for name in kept.resolve((each,)) or ())
    if not in_block:  # a block gives as many values as it says, some of which may be one
        given = tuple(dict.fromkeys(given))
    heads = _heads(auxiliary, known, given, problems)
    # A head that is dropped is none: what it reads is no class scores.
    extra = tuple(name for name in heads or () if not layers[name.partition(".")[0]].dropped)
    # Else what is read is not known for sure.
    if given and heads is not None and len(reads) == len(drafts) and not kept.unresolved:
        read = {name.partition(".")[0] for names in (*kept.reads.values(), given, heads) for name in names}
        sources = {name: [value.partition(".")[0] for value in own] for name, own in kept.reads.items()}
        circles = topological_order(sources).circles
        _check_read(read | (set(inputs) if circles else set()), kept.known(known, reads), problems)
    whole = tuple(whole_layer(layers[name], names) for name, names in kept.reads.items() if is_whole(layers[name]))
    failed = {name for name, draft in layers.items() if not draft.dropped} - {layer.name for layer in whole}
    return Connected(whole, frozenset(failed), given, extra, heads)


def is_whole(draft: DraftLayer) -> bool:
    """Whether nothing is wrong with what a layer says of itself."""
    return (draft.op is not None or draft.use is not None) and draft.attributes is not None


def whole_layer(draft: DraftLayer, reads: tuple[str, ...]) -> LayerSpec | UseSpec:
    """The layer that a whole draft is, and what it reads."""
    assert draft.attributes is not None  # noqa: S101 # _is_whole says so
    if (use := draft.use) is not None and use.instances is not None:
        return UseSpec(draft.name, draft.block, use.instances, use.stacked, reads, draft.at, draft.attributes)
    assert draft.op is not None  # noqa: S101
    return LayerSpec(draft.name, draft.op, reads, draft.at, draft.attributes, draft.default_initializers)


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
        while (layer := self._layers.get(name.partition(".")[0])) is not None and layer.dropped:
            reads = self._all.get(layer.name)
            if reads is None:
                return None
            if len(reads) != 1 or layer.name in passed:
                self._problems.add(layer.at, *_cannot_pass(layer.name, len(reads)))
                return None
            passed.add(layer.name)
            (name,) = reads
        return name

    def known(
        self, known: Mapping[str, Position | DraftLayer], reads: Mapping[str, tuple[str, ...]]
    ) -> dict[str, Position | DraftLayer]:
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


def read_by(
    draft: DraftLayer,
    before: DraftLayer | None,
    inputs: Mapping[str, Position],
    known: Mapping[str, Position | DraftLayer],
    problems: Problems,
    *,
    in_block: bool = False,
) -> tuple[str, ...] | None:
    """The values that a layer reads, or None if that cannot be known."""
    if draft.broken:
        return None
    if draft.inputs is not None:
        found = [_value(reading, known, problems, in_block=in_block) for reading in draft.inputs]
        return None if None in found else tuple(name for name in found if name is not None)
    if draft.kind and OPS[draft.kind].inputs == (0, 0):
        return ()
    if before is not None:
        if before.outputs is None or len(before.outputs) <= 1:
            return (before.name,)
        message = f"{quote(draft.name)} must state its `inputs`: {quote(before.name)} before it has several outputs"
        problems.add(draft.at, message, _choices(before))
        return None
    if len(inputs) > 1:
        hint = f"`inputs: {next(iter(inputs))}`, or a list of several"
        why = f"it is the first layer, and there are {len(inputs)} inputs"
        message = f"{quote(draft.name)} must state its `inputs`: {why}"
        problems.add(draft.at, message, hint)
        return None
    return tuple(inputs) or None


def _choices(layer: DraftLayer) -> str:
    return f"`inputs: {layer.name}.{(layer.outputs or ('',))[0]}`; it has {', '.join(layer.outputs or ())}"


def _value(
    reading: Reading, known: Mapping[str, Position | DraftLayer], problems: Problems, *, in_block: bool = False
) -> str | None:
    """The value that a name means: an input, a layer, or one of the outputs of a block; None after a problem."""
    name, _, output = reading.name.partition(".")
    layer = known.get(name)
    if layer is None:
        hint = suggest(name, known, "there are")
        if in_block and not nearest(name, known):
            hint = f"a block sees its own layers and inputs alone: a value from outside is one of its `inputs:`; {hint}"
        problems.add(reading.at, f"there is no layer or input {quote(name)}", hint)
        return None
    outputs = layer.outputs if isinstance(layer, DraftLayer) else ()
    if outputs is None or (isinstance(layer, DraftLayer) and layer.dropped):
        return reading.name
    if not output and len(outputs) > 1 and isinstance(layer, DraftLayer):
        problems.add(reading.at, f"{quote(name)} has several outputs: which of them is read?", _choices(layer))
        return None
    if output and output not in outputs:
        hint = suggest(output, outputs, "it has") if outputs else f"an op has one value: write `{name}`"
        if output[0].isdigit() and outputs:
            hint = f"of a stack the last instance is read: `{name}`, or one of its outputs, {', '.join(outputs)}"
        problems.add(reading.at, f"{quote(name)} has no output {quote(output)}", hint)
        return None
    return reading.name if len(outputs) > 1 else name


def _outputs(
    node: DocumentNode | None,
    drafts: Sequence[DraftLayer],
    known: Mapping[str, Position | DraftLayer],
    problems: Problems,
    *,
    in_block: bool,
) -> tuple[str, ...]:
    """The values of the outputs; empty if they cannot be known."""
    if node is None:
        if not drafts:
            return ()
        last = drafts[-1]
        if last.outputs is not None and len(last.outputs) > 1:
            what = "block" if in_block else "network"
            problems.add(last.at, f"{quote(last.name)} is the last layer, and has several outputs", _stated(what, last))
            return ()
        return (last.name,)
    if not isinstance(node, SequenceNode) or not node.items:
        if not is_broken(node):
            received = "an empty list" if isinstance(node, SequenceNode) else describe(node)
            bare = text_of(node)
            hint = f"write `[{bare}]`" if bare else "for example `outputs: [fc8]`"
            problems.add(node.at, f"expected a list of layers, received {received}", hint)
        return ()
    names: dict[str, None] = {}
    bad = False
    for item in node.items:
        name = _output(item, known, names, problems)
        bad = bad or name is None
        if name is not None:
            names[name] = None
    return () if bad else tuple(names)


def _heads(
    node: DocumentNode | None,
    known: Mapping[str, Position | DraftLayer],
    outputs: tuple[str, ...],
    problems: Problems,
) -> dict[str, Position] | None:
    """What `auxiliary` names, with places; None if it cannot be known. An empty list is what a derived spec may say."""
    if node is None:
        return {}
    if not isinstance(node, SequenceNode):
        if not is_broken(node):
            bare = text_of(node)
            hint = f"write `[{bare}]`" if bare else "for example `auxiliary: [aux1, aux2]`"
            problems.add(node.at, f"expected a list of layers, received {describe(node)}", hint)
        return None
    names: dict[str, Position] = {}
    for item in node.items:
        name = _output(item, known, dict.fromkeys((*outputs, *names)), problems)
        if name is not None:
            names[name] = item.at
    return names if len(names) == len(node.items) else None


def _stated(what: str, last: DraftLayer) -> str:
    return f"the {what} states its `outputs`: [{', '.join(f'{last.name}.{each}' for each in last.outputs or ())}]"


def _output(
    item: DocumentNode,
    known: Mapping[str, Position | DraftLayer],
    listed: Mapping[str, None],
    problems: Problems,
) -> str | None:
    """The value that an item of `outputs` names, or None after a problem is recorded."""
    layers = {name: value for name, value in known.items() if isinstance(value, DraftLayer)}
    name = item.value if isinstance(item, ScalarNode) else None
    if not isinstance(name, str):
        if not is_broken(item):
            problems.add(item.at, f"expected the name of a layer, received {describe(item)}")
        return None
    if has_expression(name):
        problems.add(item.at, f"an output is a name, received the expression {quote(name)}", _CHOSEN)
        return None
    base = name.partition(".")[0]
    if base in layers:
        value = _value(Reading(name, item.at), known, problems)
        if value is None or value not in listed:
            return value
        problems.add(item.at, f"the output {quote(name)} is listed twice")
    elif base in known:
        problems.add(item.at, f"{quote(name)} is an input: an output is a layer's value")
    else:
        problems.add(item.at, f"there is no layer {quote(base)}", suggest(base, layers, "there are"))
    return None


def _check_read(read: set[str], known: Mapping[str, Position | DraftLayer], problems: Problems) -> None:
    for name, value in known.items():
        if name in read or problems.is_known(value.at if isinstance(value, DraftLayer) else value):
            continue
        if isinstance(value, DraftLayer):
            hint = "remove it, name it in the `inputs:` of a layer, or list it under `outputs:`"
            problems.add(value.at, f"the layer {quote(name)} is never read", hint)
        else:
            problems.add(value, f"the input {quote(name)} is never read", "a layer names it in its `inputs:`")
