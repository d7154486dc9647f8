"""Reads `outputs:` and `auxiliary:`, the values that a network or a block gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from netspec.spec.expressions.expression import has_expression
from netspec.spec.layers.drafts import DraftLayer, Reference
from netspec.spec.layers.references import Known, resolve_reference
from netspec.spec.model import layer_of
from netspec.spec.text.document import (
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
from netspec.spec.text.hints import suggest

_CHOICE_HINT = """a last layer can choose: `{op: identity, inputs: "${'a' if … else 'b'}"}`"""


def read_outputs(
    node: DocumentNode | None,
    drafts: Sequence[DraftLayer],
    known: Known,
    problems: Problems,
    *,
    in_block: bool,
) -> tuple[str, ...]:
    """The names of the outputs; empty if they cannot be known. If `outputs:` is left out, it is the last layer."""
    if node is None:
        if not drafts:
            return ()
        last = drafts[-1]
        if last.outputs is not None and len(last.outputs) > 1:
            owner = "block" if in_block else "network"
            hint = f"the {owner} states its `outputs`: [{', '.join(f'{last.name}.{each}' for each in last.outputs)}]"
            problems.add(last.at, f"{quote(last.name)} is the last layer, and has several outputs", hint)
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
    for item in node.items:
        name = _read_output(item, known, names, problems)
        if name is not None:
            names[name] = None
    return tuple(names) if len(names) == len(node.items) else ()


def read_heads(
    node: DocumentNode | None,
    known: Known,
    outputs: tuple[str, ...],
    problems: Problems,
) -> dict[str, Position] | None:
    """The names of the auxiliary outputs, with their positions; None if they cannot be known.

    The list may be empty: a derived file may take all of its base's away.
    """
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
        name = _read_output(item, known, (*outputs, *names), problems)
        if name is not None:
            names[name] = item.at
    return names if len(names) == len(node.items) else None


def _read_output(item: DocumentNode, known: Known, listed: Collection[str], problems: Problems) -> str | None:
    """The value that an item names, unless it is `listed` already; None after a problem is recorded."""
    layers = {name: value for name, value in known.items() if isinstance(value, DraftLayer)}
    name = item.value if isinstance(item, ScalarNode) else None
    if not isinstance(name, str):
        if not is_broken(item):
            problems.add(item.at, f"expected the name of a layer, received {describe(item)}")
        return None
    if has_expression(name):
        problems.add(item.at, f"an output is a name, received the expression {quote(name)}", _CHOICE_HINT)
        return None
    base = layer_of(name)
    if base in layers:
        value = resolve_reference(Reference(name, item.at), known, problems)
        if value is None or value not in listed:
            return value
        problems.add(item.at, f"the output {quote(name)} is listed twice")
    elif base in known:
        problems.add(
            item.at,
            f"{quote(name)} is an input: an output is a layer's value",
            f"a layer `{{op: identity, inputs: {name}}}` passes it on",
        )
    else:
        problems.add(item.at, f"there is no layer {quote(base)}", suggest(base, layers, "there are"))
    return None
