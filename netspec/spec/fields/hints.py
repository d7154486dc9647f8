"""What the writer of a value probably meant, by what was expected in its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, get_origin

from netspec.ops.attributes import Padding, Size2d
from netspec.ops.initializers import Constant
from netspec.spec.fields.expectation import Member, field_names, names_of
from netspec.spec.text.document import DocumentNode, MappingNode, ScalarNode, SequenceNode, plain
from netspec.spec.text.hints import did_you_mean, hint_of_whole, nearest
from netspec.spec.text.scalars import lookalike

_PADDING_WORDS: Final = {
    "same": "frameworks differ in it: write `{same: tf}`, `{same: lower}` or `{same: torch}`",
    "valid": "write `0`",
}
_HE, _GLOROT = "scale: 2", "fan: average"
_INITIALIZERS: Final = {  # as libraries name them, by what they are; each also followed by a distribution
    "he": _HE,
    "kaiming": _HE,
    "xavier": _GLOROT,
    "glorot": _GLOROT,
    "lecun": "",
}


def value_hint(node: DocumentNode, members: Sequence[Member], names: Collection[str]) -> str:
    """How a value is written that fits; `names` are those that an expression could use here."""
    if isinstance(node, SequenceNode):
        return _of_list(node, {member.base for member in members})
    if isinstance(node, MappingNode):
        return _of_mapping(node, members)
    if isinstance(node.value, str):
        return _of_text(node.value, members, names)
    if isinstance(node.value, int | float) and not isinstance(node.value, bool):
        return _of_number(node, node.value, members)
    return ""


def _of_list(node: SequenceNode, bases: set[object]) -> str:
    if Size2d in bases and len(node.items) == 2:
        height, width = (plain(item) for item in node.items)
        return f"write `{{height: {height}, width: {width}}}`" + (
            f", or `{height}` for both" if height == width else ""
        )
    return "write `{top: …, left: …, bottom: …, right: …}`; a side left out is 0" if Padding in bases else ""


def _of_mapping(node: MappingNode, members: Sequence[Member]) -> str:
    if any(member.base is Constant for member in members) and len(node.entries) == 1:
        return did_you_mean(next(iter(node.entries)), field_names(members))
    if "shape" in node.entries and node.at == node.entries["shape"].at:  # of an expression
        return "that is a shape; `.channels`, `.height`, `.width` or `.shape[0]` after its name is a part of it"
    return ""


def _of_number(node: ScalarNode, value: float, members: Sequence[Member]) -> str:
    bases = {member.base for member in members}
    if isinstance(value, float) and bases & {int, Size2d, Padding}:
        return hint_of_whole(node)
    if value > 0 and any(get_origin(base) in (tuple, list) for base in bases):
        return f"write `[{value}]`"
    if "epochs" in field_names(members):
        return f"write `{{epochs: {value}}}`, or `{{steps: {value}}}`"
    return ""


def _of_text(text: str, members: Sequence[Member], names: Collection[str]) -> str:
    bases = {member.base for member in members}
    if Padding in bases and text.lower() in _PADDING_WORDS:
        return _PADDING_WORDS[text.lower()]
    if Size2d in bases and (sides := re.fullmatch(r"(\d+)\s*[x×*,]\s*(\d+)", text)):
        return f"write `{{height: {sides[1]}, width: {sides[2]}}}`"
    if any(get_origin(base) in (tuple, list) for base in bases) and re.fullmatch(r"\d+(\s*[x×*,]\s*\d+)+", text):
        return f"write `[{', '.join(re.findall('[0-9]+', text))}]`"
    if Constant in bases:
        return _of_initializer(text, members)
    if text in names:
        return f"write `${{{text}}}`"
    if foreign := re.fullmatch(r"\$(\w+)|\{\{?\s*(\w+)\s*\}?\}|\$\((\w+)\)|<(\w+)>|%(\w+)%?", text):
        return f"write `${{{next(filter(None, foreign.groups()))}}}`"
    if float in bases and (percent := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", text)):
        return f"write `{float(percent[1]) / 100:g}`"
    if named := names_of(members, "name"):
        near = named[0] if len(named) == 1 else nearest(text, named)
        return f"write `{{name: {near}}}`, with what else it takes" if near else ""
    choices = [choice for member in members for choice in member.choices]
    return did_you_mean(text, choices) or ("" if choices else lookalike(text, boolean=bool in bases))


def _of_initializer(text: str, members: Sequence[Member]) -> str:
    word, _, distribution = text.lower().partition("_")
    if word in _INITIALIZERS:
        kind = distribution if distribution in ("normal", "uniform") else ""
        parts = [_INITIALIZERS[word], f"distribution: {kind}" if kind == "uniform" else ""]
        return f"write `{{variance_scaling: {{{', '.join(filter(None, parts))}}}}}`"
    if word in ("zero", "zeros", "one", "ones"):
        return f"write `{0 if word.startswith('zero') else 1}`"
    near = did_you_mean(text, field_names(members))
    return near or lookalike(text, boolean=False)
