"""Reads `layers:` and `defaults:`: the op or block of each layer, with its attributes checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netspec.ops import OPS
from netspec.spec.fields.messages import Subject, validate
from netspec.spec.layers.blocks import LAYER_KEYS
from netspec.spec.layers.drafts import DraftLayer, Reference
from netspec.spec.layers.environment import Environment
from netspec.spec.layers.hints import OPS_HINT, missing_op_hint, op_hint
from netspec.spec.layers.uses import MAX_LAYERS, gives_reserved_parameter, read_use
from netspec.spec.parameters.declarations import name_hint, name_problem
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
    is_null,
    quote,
    scalars_in,
    text_of,
)
from netspec.spec.text.merge import merge_attributes
from netspec.spec.text.scalars import lookalike, out_of_range


def read_defaults(node: DocumentNode | None, problems: Problems) -> dict[str, MappingNode]:
    """The default attributes by op. All are checked, whether or not a layer has that op."""
    defaults: dict[str, MappingNode] = {}
    if node is None:
        return defaults
    if not isinstance(node, MappingNode):
        problems.add(node.at, f"expected a mapping of ops to attributes, received {describe(node)}")
        return defaults
    for kind, entry in node.entries.items():
        if kind not in OPS:
            problems.add(entry.at, f"{quote(kind)} is not an op", _default_hint(kind))
        elif isinstance(entry.value, MappingNode):
            defaults[kind] = entry.value
            if _numbers_in_range(entry.value, problems):
                validate(OPS[kind], Subject(entry.value, entry.at, kind), problems, partial=True)
        elif not is_broken(entry.value):
            problems.add(entry.value.at, f"expected a mapping of attributes, received {describe(entry.value)}")
    return defaults


def _default_hint(kind: str) -> str:
    """A hint at what a key of `defaults` that is no op may have meant."""
    op = next((op for op in OPS if kind in OPS[op].model_fields), "")
    return f"attributes stand under their op: `{op}: {{{kind}: …}}`" if op else op_hint(kind, ())


def read_layers(node: DocumentNode, environment: Environment, problems: Problems) -> list[DraftLayer]:
    """The layers of a block, in the order of the file."""
    entries = layers_in(node, problems)
    environment = environment._replace(beside=entries.keys())
    return [read_layer(name, entry, environment, problems) for name, entry in entries.items()]


def layers_in(node: DocumentNode, problems: Problems) -> Mapping[str, Entry]:
    """The entries of the layers, by name. That there is at least one, and not too many, is checked."""
    if not isinstance(node, MappingNode):
        if not is_broken(node):
            hint = "each layer has a name: `conv1: {op: conv2d, …}`"
            problems.add(node.at, f"expected a mapping of names to layers, received {describe(node)}", hint)
        return {}
    if not node.entries:
        problems.add(node.at, "there are no layers: expected at least one")
    if len(node.entries) > MAX_LAYERS:
        problems.fail(node.at, f"{len(node.entries):,} layers: at most {MAX_LAYERS:,} are taken")
    return node.entries


def read_layer(name: str, entry: Entry, environment: Environment, problems: Problems) -> DraftLayer:
    """One layer, with its references unresolved. Problems are recorded."""
    _check_name(name, entry.at, environment.inputs, problems)
    draft = _read_layer(name, entry, environment, problems)
    return draft._replace(op=None, use=None) if name in environment.inputs else draft


def _check_name(name: str, at: Position, inputs: Collection[str], problems: Problems) -> None:
    if reason := name_problem(name):
        if not problems.is_known(at):
            problems.add(at, f"{quote(name)} cannot name a layer: {reason}", name_hint(name))
    elif name in inputs:
        problems.add(at, f"{quote(name)} is already the name of an input", "rename the layer")


def _read_layer(name: str, entry: Entry, environment: Environment, problems: Problems) -> DraftLayer:
    node = entry.value
    if not isinstance(node, MappingNode):
        if not is_broken(node) and not problems.is_known(entry.at):
            problems.add(*_not_a_layer(entry))
        return DraftLayer(name, entry.at, broken=True, outputs=None)
    if gives_reserved_parameter(node, environment.blocks):
        return DraftLayer(name, entry.at, broken=True, outputs=None)
    substitution = environment.substitution(problems)
    inputs = None
    if "inputs" in node.entries:
        inputs = read_inputs(substitution.apply(node.entries["inputs"].value), problems)
    draft = DraftLayer(name, entry.at, inputs=inputs, broken=inputs is None and "inputs" in node.entries)
    kept: bool | None = True
    if "when" in node.entries:
        kept = _read_condition(substitution.apply(node.entries["when"].value), environment.names, problems)
    if kept is False:
        return draft._replace(dropped=True)
    misplaced = _refuse_keys(node, problems) or kept is None
    if "block" in node.entries:
        return _read_block(draft, entry, node, environment, problems, misplaced)
    attributes = MappingNode({key: e for key, e in node.entries.items() if key not in LAYER_KEYS}, node.at)
    return _read_op(draft, substitution.apply_entries(attributes), node, environment, problems, misplaced)


def _read_condition(node: DocumentNode, names: Collection[str], problems: Problems) -> bool | None:
    """Whether a layer is kept; None if that is not known."""
    if isinstance(node, ScalarNode) and isinstance(node.value, bool):
        return node.value
    if not is_broken(node):
        text = text_of(node)
        bare = text.strip("${} ")
        hint = f"write `${{{bare}}}`" if bare in names else lookalike(text, number=False) or "compare: `${stride > 1}`"
        problems.add(node.at, f"expected true or false, received {describe(node)}", hint)
    return None


def _read_block(
    draft: DraftLayer, entry: Entry, node: MappingNode, environment: Environment, problems: Problems, misplaced: bool
) -> DraftLayer:
    use = read_use(entry, node, environment.blocks, environment.names, problems)
    outputs = use.block.outputs if use.block is not None and use.block.outputs else None
    valid = use.block is not None and use.instances is not None and not misplaced
    return draft._replace(
        use=use if valid else None,
        block=use.block.name if use.block is not None else "",
        outputs=outputs,
        attributes=node,
        dropped=use.instances == () and use.stacked,
    )


def _read_op(
    draft: DraftLayer,
    stated: MappingNode,
    node: MappingNode,
    environment: Environment,
    problems: Problems,
    misplaced: bool,
) -> DraftLayer:
    kind = _read_kind(draft.name, draft.at, node, environment, problems)
    if kind is None:
        return draft._replace(broken=draft.broken or (draft.inputs is None and _is_unknown_op(node, environment)))
    defaults = environment.defaults
    attributes = merge_attributes(defaults[kind], stated) if kind in defaults else stated
    op = None
    if _numbers_in_range(attributes, problems):
        op = validate(OPS[kind], Subject(attributes, draft.at, kind, LAYER_KEYS, environment.names.keys()), problems)
    keys = {key: node.entries[key] for key in LAYER_KEYS if key in node.entries}
    return draft._replace(
        op=None if misplaced else op,
        kind=kind,
        attributes=MappingNode({**keys, **attributes.entries}, node.at),
        default_initializers=_initialized(defaults.get(kind)) - _initialized(stated),
    )


def _refuse_keys(node: MappingNode, problems: Problems) -> bool:
    """Report the keys of layers that have no meaning in this layer. Returns whether there are such keys."""
    misplaced = {}
    if "after" in node.entries:
        hint = "here the order of the file is the order of the layers"
        problems.add(node.entries["after"].at, "`after` is for a file that extends another", hint)
    if "op" in node.entries and "block" not in node.entries:
        hint = "a stack of ops is a block: `blocks: {name: {layers: {…}}}`"
        message = "`{}` is for a block, and this layer is an op"
        misplaced = {key: (message.format(key), hint) for key in ("repeat", "first", "last") if key in node.entries}
    elif "op" in node.entries and "block" in node.entries:
        misplaced = {"op": ("a layer is an op or a block, and this one states both", "")}
    for key, (message, hint) in misplaced.items():
        problems.add(node.entries[key].at, message, hint)
    return bool(misplaced)


def _not_a_layer(entry: Entry) -> tuple[Position, str, str]:
    """The position, the message and the hint for an entry of `layers:` that is no mapping."""
    if is_null(entry.value):
        hint = "`{op: …}` makes a layer; null removes one, in a file that extends another"
        return entry.at, "the layer is empty", hint
    value = entry.value.value if isinstance(entry.value, ScalarNode) else None
    hint = f"write `{{op: {value}}}`" if value in OPS else "`{op: …}` makes a layer"
    return entry.value.at, f"expected a mapping with `op`, received {describe(entry.value)}", hint


def _read_kind(name: str, at: Position, node: MappingNode, environment: Environment, problems: Problems) -> str | None:
    if "op" not in node.entries:
        if "<<" not in node.entries:
            hint = missing_op_hint(name, node, environment.blocks)
            problems.add(at, f"{quote(name)} needs 'op': what the layer computes", hint)
        return None
    op = environment.substitution(problems).apply(node.entries["op"].value)
    if isinstance(op, ScalarNode) and isinstance(op.value, str):
        if op.value in OPS:
            return op.value
        problems.add(op.at, f"{quote(op.value)} is not an op", op_hint(op.value, environment.blocks))
    elif not is_broken(op):
        problems.add(op.at, f"expected the name of an op, received {describe(op)}", OPS_HINT)
    return None


def _is_unknown_op(node: MappingNode, environment: Environment) -> bool:
    """Whether the op is an expression that has no value yet. It may then be an op without inputs."""
    return "op" in node.entries and is_broken(environment.substitution(Problems()).apply(node.entries["op"].value))


def read_inputs(node: DocumentNode, problems: Problems) -> tuple[Reference, ...] | None:
    """The values that `inputs:` lists, or None after a problem."""
    items = node.items if isinstance(node, SequenceNode) else (node,)
    references: list[Reference] = []
    for item in items:
        if isinstance(item, ScalarNode) and isinstance(item.value, str):
            references.append(Reference(item.value, item.at))
        elif not is_broken(item):
            hint = "a list, in the order of what the block receives: `inputs: [a, b]`"
            message = f"expected the name of a layer or input, received {describe(item)}"
            problems.add(item.at, message, hint if isinstance(item, MappingNode) else "")
    if not items:
        problems.add(node.at, "expected the names of what the layer reads, received an empty list")
    return tuple(references) if references and len(references) == len(items) else None


def _initialized(node: MappingNode | None) -> frozenset[str]:
    """The names of the weights that attributes give an initializer."""
    value = node.get("initialize") if node is not None else None
    return frozenset(value.entries) if isinstance(value, MappingNode) else frozenset()


def _numbers_in_range(node: DocumentNode, problems: Problems) -> bool:
    """Whether all numbers are small enough to compute with, and representable in float32; others are reported."""
    numbers = [(each.at, each.value) for each in scalars_in(node) if isinstance(each.value, int | float)]
    messages = [(at, message) for at, number in numbers if (message := out_of_range(number))]
    for at, message in messages:
        problems.add(at, message)
    return not messages
