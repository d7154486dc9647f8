"""`layers:` and `defaults:`: each layer's op with its attributes checked, before names are resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from netspec.ops import OPS, Op
from netspec.spec.document import (
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
)
from netspec.spec.hints import did_you_mean, nearest
from netspec.spec.merge import merge_attributes
from netspec.spec.messages import Subject, validate
from netspec.spec.parameters import name_problem

MAX_LAYERS = 100_000
MAX_NUMBER = 2**31
# Keys of a layer that are the language's, not the op's.
_LAYER_KEYS = ("op", "inputs", "after")
# What the language is to have, said plainly to who tries it.
LATER_KEYS = ("blocks", "block", "repeat", "when", "presets", "placement")


class Reading(NamedTuple):
    """A value that a layer says it reads, and where it says so."""

    name: str
    at: Position


class DraftLayer(NamedTuple):
    """A layer whose op may have failed to validate (`op` None), its inputs not yet resolved.

    `inputs` is None for a layer that reads the one before; `broken` if what it reads cannot be known.
    """

    name: str
    at: Position
    op: Op | None = None
    inputs: tuple[Reading, ...] | None = None
    broken: bool = False
    attributes: MappingNode | None = None
    default_initializers: frozenset[str] = frozenset()


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
            problems.add(entry.at, f"{quote(kind)} is not an op", did_you_mean(kind, OPS) or _OPS_HINT)
        elif isinstance(entry.value, MappingNode):
            defaults[kind] = entry.value
            if _numbers_in_range(entry.value, problems):
                validate(OPS[kind], Subject(entry.value, entry.at, kind), problems, partial=True)
        elif not is_broken(entry.value):
            problems.add(entry.value.at, f"expected a mapping of attributes, received {describe(entry.value)}")
    return defaults


_OPS_HINT = "`netspec ops` lists them"


def read_layers(
    node: DocumentNode, defaults: Mapping[str, MappingNode], taken: Mapping[str, object], problems: Problems
) -> list[DraftLayer]:
    """Every layer, in the order of the file. `taken` are the names of the inputs."""
    if not isinstance(node, MappingNode):
        hint = "each layer has a name: `conv1: {op: conv2d, …}`" if isinstance(node, SequenceNode) else ""
        problems.add(node.at, f"expected a mapping of names to layers, received {describe(node)}", hint)
        return []
    if not node.entries:
        problems.add(node.at, "there are no layers: expected at least one")
    if len(node.entries) > MAX_LAYERS:
        problems.fail(node.at, f"{len(node.entries):,} layers: at most {MAX_LAYERS:,} are taken")
    drafts = []
    for name, entry in node.entries.items():
        _check_name(name, entry.at, taken, problems)
        draft = _read_layer(name, entry, defaults, problems)
        drafts.append(draft._replace(op=None) if name in taken else draft)
    return drafts


def _check_name(name: str, at: Position, taken: Mapping[str, object], problems: Problems) -> None:
    if name in LATER_KEYS:
        problems.add(at, f"{quote(name)} is not in this version of the language, and names no layer")
    elif wrong := name_problem(name):
        if not problems.is_known(at):
            problems.add(at, f"{quote(name)} cannot name a layer: {wrong}", _name_hint(name))
    elif name in taken:
        problems.add(at, f"{quote(name)} is already the name of an input", "rename the layer")


def _name_hint(name: str) -> str:
    repaired = re.sub("[^A-Za-z0-9]+", "_", name[:60]).strip("_")
    if not repaired or not name.isascii():
        return ""
    if not repaired[0].isalpha():
        repaired = f"layer_{repaired}"
    return f"for example {quote(repaired if repaired != name else f'{name}_layer')}"


def _read_layer(name: str, entry: Entry, defaults: Mapping[str, MappingNode], problems: Problems) -> DraftLayer:
    node = entry.value
    if not isinstance(node, MappingNode):
        if not is_broken(node):
            problems.add(*_not_a_layer(entry))
        return DraftLayer(name, entry.at, broken=True)
    inputs = _read_inputs(node.entries["inputs"].value, problems) if "inputs" in node.entries else None
    draft = DraftLayer(name, entry.at, inputs=inputs, broken=inputs is None and "inputs" in node.entries)
    misplaced = _refuse_keys(node, problems)
    kind = _read_kind(name, entry.at, node, problems)
    if kind is None:
        return draft
    own = MappingNode({k: e for k, e in node.entries.items() if k not in (*_LAYER_KEYS, *LATER_KEYS)}, node.at)
    attributes = merge_attributes(defaults[kind], own) if kind in defaults else own
    op = None
    if _numbers_in_range(attributes, problems):
        op = validate(OPS[kind], Subject(attributes, entry.at, kind), problems)
    stated = {key: node.entries[key] for key in _LAYER_KEYS if key in node.entries}
    return draft._replace(
        op=None if misplaced else op,
        attributes=MappingNode({**stated, **attributes.entries}, node.at),
        default_initializers=_only_default(defaults.get(kind), own),
    )


def _refuse_keys(node: MappingNode, problems: Problems) -> bool:
    """Whether a layer has keys of the language that have no meaning here, each reported."""
    if "after" in node.entries:
        hint = "here the order of the file is the order of the layers"
        problems.add(node.entries["after"].at, "`after` is for a file that extends another", hint)
    later = [key for key in LATER_KEYS if key in node.entries]
    for key in later:
        problems.add(node.entries[key].at, f"`{key}` is not in this version of the language")
    return bool(later)


def _not_a_layer(entry: Entry) -> tuple[Position, str, str]:
    if is_null(entry.value):
        hint = "`{op: …}` makes a layer; null removes one, in a file that extends another"
        return entry.at, "the layer says nothing", hint
    return entry.value.at, f"expected a mapping with `op`, received {describe(entry.value)}", ""


def _read_kind(name: str, at: Position, node: MappingNode, problems: Problems) -> str | None:
    if "op" not in node.entries:
        if "<<" not in node.entries:
            near = nearest(name.rstrip("0123456789_"), OPS)
            hint = f"perhaps `op: {near}`" if near else _OPS_HINT
            problems.add(at, f"{quote(name)} needs 'op': what the layer computes", hint)
        return None
    op = node.entries["op"].value
    if isinstance(op, ScalarNode) and isinstance(op.value, str):
        if op.value in OPS:
            return op.value
        problems.add(op.at, f"{quote(op.value)} is not an op", did_you_mean(op.value, OPS) or _OPS_HINT)
    elif not is_broken(op):
        problems.add(op.at, f"expected the name of an op, received {describe(op)}", _OPS_HINT)
    return None


def _read_inputs(node: DocumentNode, problems: Problems) -> tuple[Reading, ...] | None:
    """The names that `inputs:` lists, or None after a problem is recorded."""
    items = node.items if isinstance(node, SequenceNode) else (node,)
    readings = [Reading(i.value, i.at) for i in items if isinstance(i, ScalarNode) and isinstance(i.value, str)]
    if len(readings) == len(items) and readings:
        return tuple(readings)
    if not items:
        problems.add(node.at, "expected the names of what the layer reads, received an empty list")
    for item in items:
        if not is_broken(item) and not (isinstance(item, ScalarNode) and isinstance(item.value, str)):
            problems.add(item.at, f"expected the name of a layer or input, received {describe(item)}")
    return None


def _only_default(default: MappingNode | None, own: MappingNode) -> frozenset[str]:
    """The weights that `defaults` initializes and the layer does not."""
    names = [_initialized(node) for node in (default, own) if node is not None]
    return frozenset(names[0] - names[1]) if len(names) == 2 else frozenset()


def _initialized(node: MappingNode) -> set[str]:
    value = node.entries["initialize"].value if "initialize" in node.entries else None
    return set(value.entries) if isinstance(value, MappingNode) else set()


def _numbers_in_range(node: DocumentNode, problems: Problems) -> bool:
    """Whether no number is so large that computing with it could take memory or time."""
    if isinstance(node, ScalarNode):
        number = node.value
        if isinstance(number, int) and abs(number) > MAX_NUMBER:
            problems.add(node.at, f"{number:,} is beyond what a layer can have: at most {MAX_NUMBER:,}")
            return False
        return True
    items = node.items if isinstance(node, SequenceNode) else [e.value for e in node.entries.values()]
    in_range = [_numbers_in_range(item, problems) for item in items]  # each is looked at
    return all(in_range)
