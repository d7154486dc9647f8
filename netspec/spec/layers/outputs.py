"""`outputs:` and `auxiliary:`: which values a network, or a block, gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netspec.spec.expressions.expression import has_expression
from netspec.spec.layers.drafts import DraftLayer, Reading
from netspec.spec.layers.readings import Known, value_read
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

_CHOSEN = """a last layer can choose: `{op: identity, inputs: "${'a' if … else 'b'}"}`"""


def read_outputs(
    node: DocumentNode | None,
    drafts: Sequence[DraftLayer],
    known: Known,
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


def read_heads(
    node: DocumentNode | None,
    known: Known,
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
    known: Known,
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
    base = layer_of(name)
    if base in layers:
        value = value_read(Reading(name, item.at), known, problems)
        if value is None or value not in listed:
            return value
        problems.add(item.at, f"the output {quote(name)} is listed twice")
    elif base in known:
        problems.add(
            item.at,
            f"{quote(name)} is an input: an output is a layer's value",
            f"a layer `{{op: identity, inputs: {name}}}` hands it on",
        )
    else:
        problems.add(item.at, f"there is no layer {quote(base)}", suggest(base, layers, "there are"))
    return None
