"""Which values a layer reads: what its names mean among the layers and inputs around it."""

from __future__ import annotations

from collections.abc import Mapping

from netspec.ops import OPS
from netspec.spec.layers.drafts import DraftLayer, Reading
from netspec.spec.text.document import Position, Problems, quote
from netspec.spec.text.hints import nearest, suggest

Known = Mapping[str, Position | DraftLayer]  # by name: an input, as the place of its name, or a layer


def read_by(
    draft: DraftLayer,
    before: DraftLayer | None,
    inputs: Mapping[str, Position],
    known: Known,
    problems: Problems,
    *,
    in_block: bool = False,
) -> tuple[str, ...] | None:
    """The values that a layer reads, or None if that cannot be known."""
    if draft.broken:
        return None
    if draft.inputs is not None:
        found = [value_read(reading, known, problems, in_block=in_block) for reading in draft.inputs]
        return None if None in found else tuple(name for name in found if name is not None)
    if reads_nothing(draft.kind):
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


def reads_nothing(kind: str) -> bool:
    """Whether a kind is that of an op without inputs: a layer of it does not read the one before."""
    return kind in OPS and OPS[kind].inputs == (0, 0)


def _choices(layer: DraftLayer) -> str:
    return f"`inputs: {layer.name}.{(layer.outputs or ('',))[0]}`; it has {', '.join(layer.outputs or ())}"


def value_read(reading: Reading, known: Known, problems: Problems, *, in_block: bool = False) -> str | None:
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
