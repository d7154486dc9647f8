"""`layers:` and `defaults:`: each layer's op with its attributes checked, before names are resolved."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from netspec.ops import OPS
from netspec.spec.fields.messages import Subject, validate
from netspec.spec.layers.blocks import LAYER_KEYS
from netspec.spec.layers.drafts import DraftLayer, Reading
from netspec.spec.layers.hints import OPS_HINT, missing_op_hint, op_hint
from netspec.spec.layers.surroundings import Surroundings
from netspec.spec.layers.uses import MAX_LAYERS, gives_misnamed, read_use
from netspec.spec.parameters.declarations import name_hint, name_problem
from netspec.spec.parameters.values import Substitution
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
    """`defaults:` by op, each attribute checked whether or not a layer has that op."""
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
    """What a key of `defaults` that is no op may have meant."""
    having = next((op for op in OPS if kind in OPS[op].model_fields), "")
    return f"attributes stand under their op: `{having}: {{{kind}: …}}`" if having else op_hint(kind, ())


def read_layers(node: DocumentNode, around: Surroundings, problems: Problems) -> list[DraftLayer]:
    """Every layer, in the order of the file."""
    entries = layers_in(node, problems)
    around = around._replace(beside=entries.keys())
    return [read_layer(name, entry, around, problems) for name, entry in entries.items()]


def layers_in(node: DocumentNode, problems: Problems) -> Mapping[str, Entry]:
    """The layers by name, not yet read."""
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


def read_layer(name: str, entry: Entry, around: Surroundings, problems: Problems) -> DraftLayer:
    """One layer; what is wrong with it is recorded."""
    _check_name(name, entry.at, around.inputs, problems)
    draft = _read_layer(name, entry, around, problems)
    return draft._replace(op=None, use=None) if name in around.inputs else draft


def _check_name(name: str, at: Position, taken: Mapping[str, object], problems: Problems) -> None:
    if wrong := name_problem(name):
        if not problems.is_known(at):
            problems.add(at, f"{quote(name)} cannot name a layer: {wrong}", name_hint(name))
    elif name in taken:
        problems.add(at, f"{quote(name)} is already the name of an input", "rename the layer")


def _read_layer(name: str, entry: Entry, around: Surroundings, problems: Problems) -> DraftLayer:
    node = entry.value
    if not isinstance(node, MappingNode):
        if not is_broken(node) and not problems.is_known(entry.at):
            problems.add(*_not_a_layer(entry))
        return DraftLayer(name, entry.at, broken=True, outputs=None)
    if gives_misnamed(node, around.blocks):
        return DraftLayer(name, entry.at, broken=True, outputs=None)
    substitution = around.substitution(problems)
    inputs = None
    if "inputs" in node.entries:
        inputs = read_inputs(substitution.apply(node.entries["inputs"].value), problems)
    draft = DraftLayer(name, entry.at, inputs=inputs, broken=inputs is None and "inputs" in node.entries)
    kept: bool | None = True
    if "when" in node.entries:
        kept = _read_condition(substitution.apply(node.entries["when"].value), around.names, problems)
    if kept is False:
        return draft._replace(dropped=True)
    misplaced = _refuse_keys(node, problems) or kept is None
    if "block" in node.entries:
        return _read_block(draft, entry, node, around, problems, misplaced)
    own = MappingNode({k: e for k, e in node.entries.items() if k not in LAYER_KEYS}, node.at)
    return _read_op(draft, substitution.apply_entries(own), node, around, problems, misplaced)


def _read_condition(node: DocumentNode, names: Collection[str], problems: Problems) -> bool | None:
    """Whether a layer stays; None where that is not known."""
    if isinstance(node, ScalarNode) and isinstance(node.value, bool):
        return node.value
    if not is_broken(node):
        text = text_of(node)
        bare = text.strip("${} ")
        hint = f"write `${{{bare}}}`" if bare in names else lookalike(text) or "compare: `${stride > 1}`"
        problems.add(node.at, f"expected true or false, received {describe(node)}", hint)
    return None


def _read_block(
    draft: DraftLayer, entry: Entry, node: MappingNode, around: Surroundings, problems: Problems, misplaced: bool
) -> DraftLayer:
    use = read_use(entry, node, around.blocks, around.names, problems)
    outputs = use.block.outputs if use.block is not None and use.block.outputs else None
    whole = use.block is not None and use.instances is not None and not misplaced
    return draft._replace(
        use=use if whole else None,
        block=use.block.name if use.block is not None else "",
        outputs=outputs,
        attributes=node,
        dropped=use.instances == () and use.stacked,
    )


def _read_op(
    draft: DraftLayer, own: MappingNode, node: MappingNode, around: Surroundings, problems: Problems, misplaced: bool
) -> DraftLayer:
    kind = _read_kind(draft.name, draft.at, node, around, problems)
    if kind is None:
        return draft._replace(broken=draft.broken or (draft.inputs is None and _is_unknown_op(node, around)))
    defaults = around.defaults
    attributes = merge_attributes(defaults[kind], own) if kind in defaults else own
    op = None
    if _numbers_in_range(attributes, problems):
        op = validate(OPS[kind], Subject(attributes, draft.at, kind, LAYER_KEYS, around.names.keys()), problems)
    stated = {key: node.entries[key] for key in LAYER_KEYS if key in node.entries}
    return draft._replace(
        op=None if misplaced else op,
        kind=kind,
        attributes=MappingNode({**stated, **attributes.entries}, node.at),
        default_initializers=_only_default(defaults.get(kind), own),
    )


def _refuse_keys(node: MappingNode, problems: Problems) -> bool:
    """Whether a layer has keys of the language that have no meaning here, each reported."""
    wrong = {}
    if "after" in node.entries:
        hint = "here the order of the file is the order of the layers"
        problems.add(node.entries["after"].at, "`after` is for a file that extends another", hint)
    if "block" not in node.entries:
        hint = "a stack of ops is a block: `blocks: {name: {layers: {…}}}`"
        wrong = {key: (f"`{key}` is of a block, and this layer is an op", hint) for key in ("repeat", "first", "last")}
    elif "op" in node.entries:
        wrong = {"op": ("a layer is an op or a block, and this one says both", "")}
    found = [key for key in wrong if key in node.entries]
    for key in found:
        problems.add(node.entries[key].at, *wrong[key])
    return bool(found)


def _not_a_layer(entry: Entry) -> tuple[Position, str, str]:
    if is_null(entry.value):
        hint = "`{op: …}` makes a layer; null removes one, in a file that extends another"
        return entry.at, "the layer says nothing", hint
    value = entry.value.value if isinstance(entry.value, ScalarNode) else None
    hint = f"write `{{op: {value}}}`" if value in OPS else "`{op: …}` makes a layer"
    return entry.value.at, f"expected a mapping with `op`, received {describe(entry.value)}", hint


def _read_kind(name: str, at: Position, node: MappingNode, around: Surroundings, problems: Problems) -> str | None:
    if "op" not in node.entries:
        if "<<" not in node.entries:
            hint = missing_op_hint(name, node, around.blocks)
            problems.add(at, f"{quote(name)} needs 'op': what the layer computes", hint)
        return None
    op = around.substitution(problems).apply(node.entries["op"].value)
    if isinstance(op, ScalarNode) and isinstance(op.value, str):
        if op.value in OPS:
            return op.value
        problems.add(op.at, f"{quote(op.value)} is not an op", op_hint(op.value, around.blocks))
    elif not is_broken(op):
        problems.add(op.at, f"expected the name of an op, received {describe(op)}", OPS_HINT)
    return None


def _is_unknown_op(node: MappingNode, around: Surroundings) -> bool:
    """Whether an expression that has no value yet says which op it is, which then may be one that reads nothing."""
    return "op" in node.entries and is_broken(Substitution(around.names, Problems()).apply(node.entries["op"].value))


def read_inputs(node: DocumentNode, problems: Problems) -> tuple[Reading, ...] | None:
    """The names that `inputs:` lists, or None after a problem is recorded."""
    items = node.items if isinstance(node, SequenceNode) else (node,)
    readings = [Reading(i.value, i.at) for i in items if isinstance(i, ScalarNode) and isinstance(i.value, str)]
    if len(readings) == len(items) and readings:
        return tuple(readings)
    if not items:
        problems.add(node.at, "expected the names of what the layer reads, received an empty list")
    for item in items:
        if not is_broken(item) and not (isinstance(item, ScalarNode) and isinstance(item.value, str)):
            hint = "a list, in the order of what the block receives: `inputs: [a, b]`"
            problems.add(
                item.at,
                f"expected the name of a layer or input, received {describe(item)}",
                hint if isinstance(item, MappingNode) else "",
            )
    return None


def _only_default(default: MappingNode | None, own: MappingNode) -> frozenset[str]:
    """The weights that `defaults` initializes and the layer does not."""
    names = [_initialized(node) for node in (default, own) if node is not None]
    return frozenset(names[0] - names[1]) if len(names) == 2 else frozenset()


def _initialized(node: MappingNode) -> set[str]:
    value = node.get("initialize")
    return set(value.entries) if isinstance(value, MappingNode) else set()


def _numbers_in_range(node: DocumentNode, problems: Problems) -> bool:
    """Whether no number is so large that computing with it could take memory or time, nor beyond what float32 holds."""
    numbers = [(each.at, each.value) for each in scalars_in(node) if isinstance(each.value, int | float)]
    wrong = [(at, found) for at, number in numbers if (found := out_of_range(number))]
    for at, found in wrong:
        problems.add(at, found)
    return not wrong
