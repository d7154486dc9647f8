"""Document → ModelSpec: checks each field on its own, and resolves names. Shapes are checked by elaboration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from netspec.graph import Input
from netspec.spec.check_blocks import check_blocks
from netspec.spec.crops import check_crops
from netspec.spec.expressions.expression import Names, Unknown
from netspec.spec.fields.messages import Model, Subject, validate
from netspec.spec.heads import check_heads
from netspec.spec.layers.blocks import read_blocks
from netspec.spec.layers.connect import connect
from netspec.spec.layers.drafts import DraftLayer
from netspec.spec.layers.environment import Environment, names_with_shapes, names_without_shapes
from netspec.spec.layers.layers import read_defaults
from netspec.spec.layers.network import read_network
from netspec.spec.meant import KEYS
from netspec.spec.model import MAX_AXES, MAX_ELEMENTS, Checked, InputSpec, ModelSpec, PlacementSpec, Published
from netspec.spec.parameters.comparisons import check_comparisons
from netspec.spec.parameters.declarations import MAX_NAME, name_hint, name_problem
from netspec.spec.parameters.values import read_parameters, substitute
from netspec.spec.preprocessing import read_preprocessing
from netspec.spec.spec_hints import is_one_level_deeper, key_hint, other_kind
from netspec.spec.text.document import (
    DocumentNode,
    Entry,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    SequenceNode,
    describe,
    is_broken,
    plain,
    quote,
)
from netspec.spec.weight_patterns import positions_of_overrides
from netspec.types import TensorType

if TYPE_CHECKING:
    from netspec.recipe import Recipe

MANY = 6  # fields: so many are not listed in a message
NAME_PATTERN = r"[A-Za-z][A-Za-z0-9_-]*"


def validate_document(document: MappingNode, problems: Problems) -> Checked:
    """The spec of a document. Problems are recorded, and the result has all parts without problems."""
    start = document.at._replace(trail=None)
    _check_keys(document, problems)
    values = read_parameters(document.get("parameters"), document.get("presets"), problems)
    check_comparisons(document, problems)
    document = substitute(document, values, problems)
    entries = document.entries
    name = _read_name(document, start, problems)
    inputs, positions = _read_inputs(entries, start, problems)
    defaults = read_defaults(document.get("defaults"), problems)
    blocks = check_blocks(read_blocks(document.get("blocks"), problems), values, defaults, problems)
    training = _read_recipe(entries, problems)
    spec = ModelSpec(
        name=name,
        inputs=inputs,
        layers=(),
        outputs=(),
        source=_read_text(document, "source", problems),
        parameters={name: value for name, value in values.items() if not isinstance(value, Unknown)},
        training=training,
        published=_read_part(Published, entries, "published", problems),
        blocks=blocks,
        defaults=defaults,
        placement=_read_part(PlacementSpec, entries, "placement", problems),
        placed_at=entries["placement"].value.at if "placement" in entries else None,
        layers_at=entries["layers"].at if "layers" in entries else None,
        training_at=entries["training"].at if "training" in entries else None,
        overrides_at=positions_of_overrides(entries),
        loss_at=entries["training"].within("loss") if "training" in entries else None,
    )
    environment = Environment(_names(inputs, positions, values), defaults, blocks, positions)
    drafts = _read_layers(entries, start, environment, values, spec, problems)
    connected = connect(drafts, positions, document.get("outputs"), problems, auxiliary=document.get("auxiliary"))
    spec = replace(spec, layers=connected.layers, outputs=connected.outputs, auxiliary=connected.auxiliary)
    if training is not None:
        if training.adversarial is None:  # a generator's images are the inputs of its discriminator
            check_crops(training, inputs, entries["training"], problems)
        check_heads(training, entries, connected.heads, problems)
    return Checked(spec, connected.failed)


def _read_layers(
    entries: Mapping[str, Entry],
    start: Position,
    environment: Environment,
    values: Names,
    spec: ModelSpec,
    problems: Problems,
) -> list[DraftLayer]:
    if "layers" not in entries:
        if not is_one_level_deeper("layers", entries, KEYS):
            hint = "for example `layers: {fc: {op: dense, units: 10}}`"
            problems.add(start, "the spec needs 'layers': a mapping of names to layers", hint)
        return []
    return read_network(entries["layers"].value, environment, values, spec, problems)


def _names(inputs: tuple[Input, ...], positions: Mapping[str, Position], values: Names) -> Names:
    """What the expressions of all of the network's layers see: its parameters, and the shapes of its inputs."""
    if len(inputs) < len(positions):
        return names_without_shapes(values, positions)
    return names_with_shapes(values, {value.name: value.type for value in inputs})


def _check_keys(document: MappingNode, problems: Problems) -> None:
    kind, hint = other_kind(document.entries)
    if kind:
        problems.fail(Position(document.at.source, 0, 0), f"this is {kind}, not a spec", hint)
    for key, entry in document.entries.items():
        if problems.is_known(entry.at):
            continue
        if key not in KEYS:
            problems.add(entry.at, f"a spec has no key {quote(key)}", key_hint(key, entry.value, KEYS))


def _read_name(document: MappingNode, start: Position, problems: Problems) -> str:
    entries = document.entries
    if "name" not in entries:
        if is_one_level_deeper("name", entries, KEYS):
            return ""
        reason = ": a file that extends another describes a network of its own" if "extends" in entries else ""
        problems.add(start, f"the spec needs 'name'{reason}", "for example `name: alexnet`")
        return ""
    name = _read_text(document, "name", problems)
    if name and not re.fullmatch(NAME_PATTERN, name):
        message = f"{quote(name)} cannot name a network: expected letters of A to Z, digits, _ and -, a letter first"
        problems.add(entries["name"].value.at, message, name_hint(name, "net"))
    elif len(name) > MAX_NAME:
        message = f"{quote(name)} cannot name a network: expected at most {MAX_NAME} characters, received {len(name):,}"
        problems.add(entries["name"].value.at, message)
    return name


def _read_text(document: MappingNode, key: str, problems: Problems) -> str:
    node = document.get(key)
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value:
        return node.value
    if node is not None and not is_broken(node):
        is_number = isinstance(node, ScalarNode) and isinstance(node.value, int | float)
        hint = "quotes make it a string" if is_number and key == "source" else ""
        problems.add(node.at, f"expected a string, received {describe(node)}", hint)
    return ""


def _read_recipe(entries: Mapping[str, Entry], problems: Problems) -> Recipe | None:
    if "training" not in entries:
        return None
    from netspec.recipe import Recipe  # noqa: PLC0415 # twenty classes, for specs that have a recipe

    return _read_part(Recipe, entries, "training", problems)


def _read_part(model: type[Model], entries: Mapping[str, Entry], key: str, problems: Problems) -> Model | None:
    if key not in entries:
        return None
    at, node = entries[key]
    if isinstance(node, MappingNode):
        return validate(model, Subject(node, at, key), problems)
    if not is_broken(node):
        from netspec.spec.fields.expectation import Member, expectation  # noqa: PLC0415 # only for the error

        expected = expectation([Member(model, ())]) if len(model.model_fields) < MANY else "a mapping"
        problems.add(node.at, f"expected {expected}, received {describe(node)}")
    return None


def _read_inputs(
    entries: Mapping[str, Entry], start: Position, problems: Problems
) -> tuple[tuple[Input, ...], dict[str, Position]]:
    """The inputs without problems, and the position of the name of every input."""
    named: Mapping[str, Entry] = {}
    if "input" in entries and "inputs" in entries:
        problems.add(entries["inputs"].at, "the spec has both 'input' and 'inputs'", "`inputs:` is for several")
    if "input" in entries:
        named = {"input": entries["input"]}
    elif "inputs" in entries:
        node = entries["inputs"].value
        if isinstance(node, MappingNode) and node.entries:
            named = node.entries
        elif not is_broken(node):
            received = "an empty mapping" if isinstance(node, MappingNode) else describe(node)
            hint = "for example `inputs: {image: {shape: [3, 224, 224]}, facts: {shape: [10]}}`"
            problems.add(node.at, f"expected a mapping of names to inputs, received {received}", hint)
    elif not is_one_level_deeper("input", entries, KEYS):
        problems.add(start, "the spec needs 'input'", "for example `input: {shape: [3, 224, 224]}`: C, H, W")
    inputs = (_read_input(name, entry, problems) for name, entry in named.items())
    positions = {name: entry.at for name, entry in named.items()} or {"input": start}
    return tuple(value for value in inputs if value is not None), positions


def _shape_hint(name: str, node: DocumentNode) -> str:
    """A hint at how to write an input, with the shape that stands in its place."""
    if not isinstance(node, SequenceNode):
        return "for example `{shape: [3, 224, 224]}`"
    shape = ", ".join(str(plain(item)) for item in node.items)
    return f"`input: {{shape: [{shape}]}}` is an input" if name == "shape" else f"write `{{shape: [{shape}]}}`"


def _read_input(name: str, entry: Entry, problems: Problems) -> Input | None:
    """The input of an entry; None after a problem."""
    if reason := name_problem(name):
        problems.add(entry.at, f"{quote(name)} cannot name an input: {reason}", name_hint(name, "input"))
    node = entry.value
    if not isinstance(node, MappingNode):
        if not is_broken(node):
            message = f"expected a mapping with 'shape', received {describe(node)}"
            problems.add(node.at, message, _shape_hint(name, node))
        return None
    if _names_several(name, node, problems) or _has_batch(node.get("shape"), problems):
        return None
    spec = validate(InputSpec, Subject(node, entry.at, name), problems)
    if spec is None or not _is_within_size(TensorType.of(*spec.shape), node.entries["shape"].value.at, problems):
        return None
    return Input(name, TensorType.of(*spec.shape), read_preprocessing(spec, node, problems))


def _names_several(name: str, node: MappingNode, problems: Problems) -> bool:
    """Report an `input:` with named inputs in it, as `inputs:` has. Returns whether it is one."""
    if name != "input" or "shape" in node.entries:
        return False
    for key, entry in node.entries.items():
        if isinstance(entry.value, MappingNode) and key not in InputSpec.model_fields:
            hint = f"`inputs: {{{key}: {{shape: …}}}}` names inputs"
            problems.add(entry.at, f"`input` is one input, and {quote(key)} names one", hint)
            return True
    return False


def _has_batch(shape: DocumentNode | None, problems: Problems) -> bool:
    """Report a shape that begins with the batch, as other libraries have it. Returns whether it does."""
    if not isinstance(shape, SequenceNode) or len(shape.items) != 4:
        return False
    batch, *features = shape.items
    if plain(batch) not in (None, "N", "B", "batch", -1):
        return False
    message = f"an input's shape has no batch, received {describe(batch)} as its first axis"
    problems.add(batch.at, message, f"write `[{', '.join(str(plain(item)) for item in features)}]`")
    return True


def _is_within_size(type: TensorType, at: Position, problems: Problems) -> bool:
    """Whether an input has few enough axes and elements; if not, a problem is recorded."""
    if type.rank > MAX_AXES:
        message = f"an input of {type} has {type.rank} axes"
        problems.add(at, message, f"at most {MAX_AXES} axes are taken, the batch among them")
        return False
    if type.size > MAX_ELEMENTS:
        gib = type.size * 4 / 2**30
        message = f"an input of {type} has {type.size:,} elements a sample, {gib:,.1f} GiB in float32"
        problems.add(at, message, f"at most {MAX_ELEMENTS:,} elements are taken")
        return False
    return True
