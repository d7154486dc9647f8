"""`parameters:` of a spec or of a block: types, defaults and choices."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from typing import Final, NamedTuple

from netspec.spec.expressions.expression import FUNCTIONS, expression_beside_text, has_expression
from netspec.spec.text.document import (
    BROKEN,
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
    text_of,
)
from netspec.spec.text.hints import did_you_mean, expression_hint, foreign_letter, integer_hint, nearest
from netspec.spec.text.merge import removes
from netspec.spec.text.scalars import lookalike, scalar_text

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
MAX_NAME = 100
TYPES: Final = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "string": "a string",
    "list": "a list",
    "mapping": "a mapping",
}
_OTHER_TYPES: Final = {"float": "number", "dict": "mapping", "object": "mapping", "array": "list", "tuple": "list"}
_KEYS = ("type", "default", "choices")
_GIVEN = "="  # internal key of a declaration: the value that `with_value` sets


def name_problem(name: str) -> str:
    """Why a name cannot be an identifier in emitted source code; empty if it can."""
    if not _NAME.fullmatch(name):
        return "expected letters of A to Z, digits and _, beginning with a letter"
    if keyword.iskeyword(name):
        return "Python reserves this word"
    if len(name) > MAX_NAME:
        return f"expected at most {MAX_NAME} characters"
    return ""


def name_hint(name: str, kind: str = "layer") -> str:
    """A hint for an invalid name of a layer, input, …: a valid name like it, or the character that is wrong."""
    if foreign := foreign_letter(name):
        return foreign
    if before := re.fullmatch(r"(\w+)[^\w{]*\{.*", name):  # `conv1= {op: …}`, whose key ends at the colon after `op`
        return f"a key is followed by a colon and a space: `{before[1]}: {{…}}`"
    repaired = re.sub("[^A-Za-z0-9]+", "_", name[:60]).strip("_")
    if not repaired:
        return ""
    if not repaired[0].isalpha():
        repaired = f"{kind}_{repaired}"
    return f"for example {quote(repaired if repaired != name else f'{name}_{kind}')}"


class Declaration(NamedTuple):
    """The declaration of a parameter.

    Attributes:
        type: a key of `TYPES`; empty if any type is accepted.
        at: position of the name.
        default: value if nothing else sets it; None for a required parameter.
        choices: the only values it may have; empty if all values of the type are accepted.
        given: value from `--set` or from a derived file, which no preset changes.
    """

    name: str
    type: str
    at: Position
    default: DocumentNode | None = None
    choices: tuple[object, ...] = ()
    given: DocumentNode | None = None

    @property
    def expected(self) -> str:
        """The values that the parameter may have, in words."""
        if self.choices:
            return f"one of {', '.join(map(scalar_text, self.choices))}"
        return TYPES.get(self.type, "any value")

    def accept(self, node: DocumentNode, problems: Problems, names: Collection[str] = ()) -> bool:
        """Whether the parameter may have a value; if not, a problem is recorded. `names` are those of expressions."""
        if is_broken(node):
            return False
        kind = kind_of(node)
        if kind == "" or kind not in {self.type or kind, *_SUBTYPES.get(self.type, ())}:
            expected = TYPES.get(self.type, "a number, a boolean, a string, a list or a mapping")
            hint = scalar_hint(node, self.type, names)
            default = self.default.value if isinstance(self.default, ScalarNode) else None
            if isinstance(default, str) and default in TYPES and node is not self.default:
                hint = f"`{self.name}: {default}` gives it that word as its default: `{{type: {default}}}` declares it"
            problems.add(node.at, f"expected {expected} for {quote(self.name)}, received {describe(node)}", hint)
            return False
        if self.choices and identity_of(plain(node)) not in map(identity_of, self.choices):
            message = f"expected {self.expected} for {quote(self.name)}, received {describe(node)}"
            text, texts = scalar_text(plain(node)), list(map(scalar_text, self.choices))
            hint = lookalike(text) if text in texts and isinstance(plain(node), str) else did_you_mean(text, texts)
            problems.add(node.at, message, hint)
            return False
        return True


_SUBTYPES = {"number": ("integer",)}


def unlike_type(value: object, type: str) -> bool:
    """Whether a scalar cannot equal any value of a type; False for the empty type, which is any."""
    return bool(type) and identity_of(value)[0] != ("number" if type == "integer" else type)


def identity_of(value: object) -> tuple[str, object]:
    """A key by which values are compared: 1 equals 1.0, and neither true nor "1"."""
    kind = "boolean" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"
    return (kind, value) if isinstance(value, str | int | float) else ("", value)


def scalar_hint(node: DocumentNode, type: str, names: Collection[str] = ()) -> str:
    """A hint at how to write the number or the boolean that was probably meant; empty if there is none."""
    value = node.value if isinstance(node, ScalarNode) else None
    if isinstance(node, ScalarNode) and isinstance(value, str) and type in ("integer", "number", "boolean"):
        if code := expression_beside_text(node.expression):
            return f"what stands beside it makes it a text: write `${{{code}}}` alone"
        return expression_hint(value, names) or lookalike(value, boolean=type == "boolean", number=type != "boolean")
    return integer_hint(node) if isinstance(node, ScalarNode) and type == "integer" else ""


def kind_of(node: DocumentNode) -> str:
    """The type of a node, as `type:` names it; empty for null, and for values that were reported."""
    if isinstance(node, SequenceNode | MappingNode):
        return "list" if isinstance(node, SequenceNode) else "mapping"
    match node.value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
    return ""


def read_declarations(
    node: DocumentNode | None, problems: Problems, reserved: Collection[str] = ()
) -> dict[str, Declaration]:
    """The declarations of the parameters, by name.

    A mapping declares a parameter by `type`, `default` and `choices`; any other value is the default. No parameter
    may have one of the `reserved` names.
    """
    if node is None:
        return {}
    if not isinstance(node, MappingNode):
        hint = "for example `{width: 64}`, or `{width: {type: integer}}` for what has to be given"
        problems.add(node.at, f"expected a mapping of names to values, received {describe(node)}", hint)
        names = [plain(item) for item in node.items] if isinstance(node, SequenceNode) else []
        broken = ScalarNode(BROKEN, node.at)  # so that uses of these names are not reported as well
        return {name: Declaration(name, "", node.at, broken) for name in names if isinstance(name, str)}
    declarations = {}
    for name, entry in node.entries.items():
        if reason := _parameter_name_problem(name, reserved):
            problems.add(entry.at, f"{quote(name)} cannot name a parameter: {reason}", name_hint(name, "parameter"))
        declarations[name] = _declaration(name, entry, problems)
    return declarations


def with_value(parameters: MappingNode, name: str, given: Entry) -> MappingNode:
    """The parameters with a value for one of them, which no preset changes."""
    stated = parameters.entries[name]
    declaration = stated.value.entries if isinstance(stated.value, MappingNode) else {"default": stated}
    value = MappingNode({**declaration, _GIVEN: given}, stated.value.at)
    return MappingNode({**parameters.entries, name: Entry(stated.at, value)}, parameters.at)


def merge_parameters(below: MappingNode, above: MappingNode) -> MappingNode:
    """Merge `parameters:`: a value sets a parameter of `below`, a declaration replaces it, and `null` removes it."""
    merged = below
    for name, entry in above.entries.items():
        if removes(entry, name, merged.entries):
            merged = MappingNode({key: kept for key, kept in merged.entries.items() if key != name}, merged.at)
        elif name in merged.entries and not isinstance(entry.value, MappingNode):
            merged = with_value(merged, name, entry)
        else:
            merged = MappingNode({**merged.entries, name: entry}, merged.at)
    return merged


def default_of(node: DocumentNode) -> DocumentNode | None:
    """The value of a parameter as its declaration states it (given, or the default), or None if it states none."""
    if not isinstance(node, MappingNode):
        return node
    return next((node.entries[key].value for key in (_GIVEN, "default") if key in node.entries), None)


def _parameter_name_problem(name: str, reserved: Collection[str]) -> str:
    if name in FUNCTIONS:
        return "expressions have a function of this name"
    return "this key of a layer means something else" if name in reserved else name_problem(name)


def _declaration(name: str, entry: Entry, problems: Problems) -> Declaration:
    node = entry.value
    if not isinstance(node, MappingNode):
        return Declaration(name, _type_of_default(node), entry.at, node)
    if node.entries and not any(key in (*_KEYS, _GIVEN) or nearest(key, _KEYS) for key in node.entries):
        values = [plain(item.value) for item in node.entries.values()]
        type = next((value for value in values if isinstance(value, str) and value in TYPES), "")
        hint = f"`{name}: {{type: {type}}}`" if type else f"`{name}: {{type: mapping, default: {{…}}}}`"
        problems.add(entry.at, "a parameter whose value is a mapping states it under `default`", hint)
        return Declaration(name, "", entry.at, ScalarNode(BROKEN, node.at))
    for key, stated in node.entries.items():
        if key not in (*_KEYS, _GIVEN):
            hint = did_you_mean(key, _KEYS) or "a mapping as the value is a `default` of `type: mapping`"
            problems.add(stated.at, f"a parameter has no {quote(key)}", hint)
    default = node.get("default")
    given = node.get(_GIVEN)
    type = _read_type(node, default, entry.at, problems)
    declaration = Declaration(name, type, entry.at, default, _read_choices(node, problems), given)
    if default is not None and not _is_expression(default):
        declaration.accept(default, problems)
    return declaration


def _read_type(node: MappingNode, default: DocumentNode | None, at: Position, problems: Problems) -> str:
    if "type" not in node.entries:
        if default is None and "choices" not in node.entries:
            problems.add(at, "a parameter needs 'type' or 'default'", f"types: {', '.join(TYPES)}")
        return _type_of_default(default) if default is not None else ""
    type = node.entries["type"].value
    value = type.value if isinstance(type, ScalarNode) else None
    if isinstance(value, str) and value in TYPES:
        return value
    if not is_broken(type):
        hint = did_you_mean(_OTHER_TYPES.get(value.lower(), value), TYPES) if isinstance(value, str) else ""
        problems.add(type.at, f"expected a type: {', '.join(TYPES)}; received {describe(type)}", hint)
    return ""


def _read_choices(node: MappingNode, problems: Problems) -> tuple[object, ...]:
    if "choices" not in node.entries:
        return ()
    choices = node.entries["choices"].value
    if isinstance(choices, SequenceNode) and choices.items:
        return tuple(plain(item) for item in choices.items)
    if not is_broken(choices):
        problems.add(choices.at, f"expected a list of values, received {describe(choices)}")
    return ()


def _type_of_default(node: DocumentNode) -> str:
    """The type that a default implies. An integer implies any number; an expression implies no type."""
    if _is_expression(node):
        return ""
    kind = kind_of(node)
    return "number" if kind == "integer" else kind


def _is_expression(node: DocumentNode) -> bool:
    return has_expression(text_of(node))
