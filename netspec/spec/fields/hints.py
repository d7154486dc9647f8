"""Hints at the value that the writer of a spec probably meant, by what was expected in its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, get_origin

from netspec.ops.attributes import Padding, Scale2d, Size2d
from netspec.ops.initializers import Constant, Values
from netspec.spec.expressions.expression import expression_beside_text
from netspec.spec.fields.expectation import Member, discriminator_values, field_names
from netspec.spec.text.document import DocumentNode, MappingNode, ScalarNode, SequenceNode, plain
from netspec.spec.text.hints import did_you_mean, expression_hint, integer_hint, nearest
from netspec.spec.text.scalars import lookalike, scalar_text

_PADDING_WORDS: Final = {
    "same": "frameworks differ in it: write `{same: tf}`, `{same: lower}` or `{same: torch}`",
    "valid": "write `0`",
}
_SCALARS: Final = (bool, int, float, str, Size2d, Padding, Constant)  # what is, or may be, written as one scalar
_HE, _GLOROT = "scale: 2", "fan: average"
# Arguments of `variance_scaling` by the names of other libraries, which may add a distribution: `he_uniform`.
_INITIALIZERS: Final = {
    "he": _HE,
    "kaiming": _HE,
    "xavier": _GLOROT,
    "glorot": _GLOROT,
    "lecun": "",
}


def value_hint(node: DocumentNode, members: Sequence[Member], names: Collection[str]) -> str:
    """A hint at how to write an acceptable value; empty if there is none. `names` are those that expressions see."""
    return _value_hint(node, members, names) or _part_hint(node, members)


def _part_hint(node: DocumentNode, members: Sequence[Member]) -> str:
    """A hint at the mapping that is expected, if a scalar may be meant for the only part that it has to have."""
    if not isinstance(node, ScalarNode) or len(members) != 1 or members[0].model is None:
        return ""
    required = [name for name, field in members[0].model.model_fields.items() if field.is_required()]
    return f"write `{{{required[0]}: {scalar_text(node.value)}}}`" if len(required) == 1 else ""


def _value_hint(node: DocumentNode, members: Sequence[Member], names: Collection[str]) -> str:
    if isinstance(node, SequenceNode):
        takes_scalar = any(member.choices or member.base in _SCALARS for member in members)
        return _list_hint(node, {member.base for member in members}, takes_scalar)
    if isinstance(node, MappingNode):
        return _mapping_hint(node, members)
    if isinstance(node.value, str):
        if (code := expression_beside_text(node.expression)) and not any(member.choices for member in members):
            return f"what stands beside it makes it a text: write `${{{code}}}` alone"
        if node.at.path.endswith("]") and re.fullmatch(r"-?\d+( +-?\d+){1,15}", node.value):
            return f"a comma stands between two items: `{', '.join(node.value.split())}`"
        return _text_hint(node.value, members, names)
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _number_hint(node, node.value, members)
    return ""


def _list_hint(node: SequenceNode, bases: set[object], takes_scalar: bool) -> str:
    if not bases.isdisjoint((Size2d, Scale2d)) and len(node.items) == 2:
        height, width = (plain(item) for item in node.items)
        return f"write `{{height: {height}, width: {width}}}`" + (
            f", or `{height}` for both" if height == width else ""
        )
    if takes_scalar and len(node.items) == 1 and isinstance(node.items[0], ScalarNode):
        return f"write `{scalar_text(plain(node.items[0]))}`, without brackets"
    if Values in bases:
        return "write `{values: […]}`"
    return "write `{top: …, left: …, bottom: …, right: …}`; a side left out is 0" if Padding in bases else ""


def _mapping_hint(node: MappingNode, members: Sequence[Member]) -> str:
    if any(member.base is Constant for member in members) and len(node.entries) == 1:
        return did_you_mean(next(iter(node.entries)), field_names(members))
    if "shape" in node.entries and node.at == node.entries["shape"].at:  # the value of an expression: all at one place
        return "that is a shape; `.channels`, `.height`, `.width` or `.shape[0]` after its name is a part of it"
    return ""


def _number_hint(node: ScalarNode, value: float, members: Sequence[Member]) -> str:
    bases = {member.base for member in members}
    if isinstance(value, float) and bases & {int, Size2d, Padding}:
        return integer_hint(node)
    if value > 0 and any(get_origin(base) in (tuple, list) for base in bases):
        return f"write `[{value}]`"
    if "epochs" in field_names(members):
        return f"write `{{epochs: {value}}}`, or `{{steps: {value}}}`"
    return ""


def _text_hint(text: str, members: Sequence[Member], names: Collection[str]) -> str:
    bases = {member.base for member in members}
    if Padding in bases and text.lower() in _PADDING_WORDS:
        return _PADDING_WORDS[text.lower()]
    if Size2d in bases and (sides := re.fullmatch(r"(\d+)\s*[x×*,]\s*(\d+)", text)):
        return f"write `{{height: {sides[1]}, width: {sides[2]}}}`"
    if any(get_origin(base) in (tuple, list) for base in bases) and re.fullmatch(r"\d+(\s*[x×*,]\s*\d+)+", text):
        return f"write `[{', '.join(re.findall('[0-9]+', text))}]`"
    if Constant in bases:
        return _initializer_hint(text, members)
    if expression := expression_hint(text, names):
        return expression
    if bases & {int, float} and re.fullmatch(r"[\d.]+(\s*[-+*/]\s*[\d.]+)+", text):
        return f"arithmetic stands in an expression: `${{{text}}}`"
    if float in bases and (percent := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)):
        return f"write `{float(percent[1]) / 100:g}`"
    if kinds := discriminator_values(members, "name"):
        near = kinds[0] if len(kinds) == 1 else nearest(text, kinds)
        return f"write `{{name: {near}}}`, with what else it takes" if near else ""
    choices = [choice for member in members for choice in member.choices]
    if choices:
        return did_you_mean(text, choices)
    return lookalike(text, boolean=bool in bases, number=bases != {bool})


def _initializer_hint(text: str, members: Sequence[Member]) -> str:
    """A hint at how to write an initializer that a text such as `he_uniform` or `zeros` names."""
    word, _, distribution = text.lower().partition("_")
    if word in _INITIALIZERS:
        parts = [_INITIALIZERS[word], "distribution: uniform" if distribution == "uniform" else ""]
        return f"write `{{variance_scaling: {{{', '.join(filter(None, parts))}}}}}`"
    if word in ("zero", "zeros", "one", "ones"):
        return f"write `{0 if word.startswith('zero') else 1}`"
    near = did_you_mean(text, field_names(members))
    return near or lookalike(text, boolean=False)
