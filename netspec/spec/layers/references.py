"""Resolves the values that a layer reads among the layers and inputs of its network or block."""

from __future__ import annotations

from collections.abc import Mapping

from netspec.ops import OPS
from netspec.spec.layers.drafts import DraftLayer, Reference
from netspec.spec.text.document import Position, Problems, quote
from netspec.spec.text.hints import nearest, suggest

Known = Mapping[str, Position | DraftLayer]  # by name: a layer, or the position of an input's name


def resolve_inputs(
    draft: DraftLayer,
    before: DraftLayer | None,
    inputs: Mapping[str, Position],
    known: Known,
    problems: Problems,
    *,
    in_block: bool = False,
) -> tuple[str, ...] | None:
    """The values that a layer reads, or None if they cannot be known.

    Args:
        draft: the layer.
        before: the layer before it, which it reads unless it lists `inputs:`.
        inputs: inputs of the network or block.
        known: layers and inputs that it can read.
        problems: collects the problems.
        in_block: whether the layer is one of a block.
    """
    if draft.broken:
        return None
    if draft.inputs is not None:
        values = [resolve_reference(each, known, problems, in_block=in_block) for each in draft.inputs]
        return None if None in values else tuple(value for value in values if value is not None)
    if takes_no_input(draft.kind):
        return ()
    if before is not None:
        if before.outputs is None or len(before.outputs) <= 1:
            return (before.name,)
        message = f"{quote(draft.name)} must state its `inputs`: {quote(before.name)} before it has several outputs"
        problems.add(draft.at, message, _outputs_hint(before))
        return None
    if len(inputs) > 1:
        hint = f"`inputs: {next(iter(inputs))}`, or a list of several"
        reason = f"it is the first layer, and there are {len(inputs)} inputs"
        problems.add(draft.at, f"{quote(draft.name)} must state its `inputs`: {reason}", hint)
        return None
    return tuple(inputs) or None


def takes_no_input(kind: str) -> bool:
    """Whether an op has no inputs, so that a layer of it does not read the layer before it."""
    return kind in OPS and OPS[kind].inputs == (0, 0)


def _outputs_hint(layer: DraftLayer) -> str:
    return f"`inputs: {layer.name}.{(layer.outputs or ('',))[0]}`; it has {', '.join(layer.outputs or ())}"


def resolve_reference(reference: Reference, known: Known, problems: Problems, *, in_block: bool = False) -> str | None:
    """The value that a reference means: an input, a layer or an output of a block; None after a problem."""
    name, _, output = reference.name.partition(".")
    layer = known.get(name)
    if layer is None:
        hint = suggest(name, known, "there are")
        if in_block and not nearest(name, known):
            hint = f"a block sees its own layers and inputs alone: a value from outside is one of its `inputs:`; {hint}"
        problems.add(reference.at, f"there is no layer or input {quote(name)}", hint)
        return None
    outputs = layer.outputs if isinstance(layer, DraftLayer) else ()
    if outputs is None or (isinstance(layer, DraftLayer) and layer.dropped):
        return reference.name
    if not output and len(outputs) > 1 and isinstance(layer, DraftLayer):
        problems.add(reference.at, f"{quote(name)} has several outputs: which of them is read?", _outputs_hint(layer))
        return None
    if output and output not in outputs:
        hint = suggest(output, outputs, "it has") if outputs else f"an op has one value: write `{name}`"
        if output[0].isdigit() and outputs:
            hint = f"of a stack the last instance is read: `{name}`, or one of its outputs, {', '.join(outputs)}"
        problems.add(reference.at, f"{quote(name)} has no output {quote(output)}", hint)
        return None
    return reference.name if len(outputs) > 1 else name
