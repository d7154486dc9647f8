"""Names of the classes or functions of a block whose instances cannot all share one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from netspec.lowering.blocks.parts import Part


def variant_names(block: str, variants: Sequence[Sequence[Part]]) -> list[str]:
    """Name the classes or functions of one block, given the instances of each.

    They are named after arguments that tell them apart: words, or switches that are on (`conv_bn_relu`,
    `conv_bn_swish` for `swish: true`). Those that are still equal get the common name of their instances, if no other
    variant has it (`conv_bn_stem`), else a number.
    """
    words = [_constant_words(parts) for parts in variants]
    distinctive = [key for key in words[0] if all(key in row for row in words) and len({row[key] for row in words}) > 1]
    chosen = [[key if row[key] is True else row[key] for key in distinctive] for row in words]
    names = ["_".join([block, *(word for word in row if isinstance(word, str))]) for row in chosen]
    places = [{_place_of(part) for part in parts} for parts in variants]
    for index, (name, place) in enumerate(zip(tuple(names), places, strict=True)):
        others = [other for position, other in enumerate(places) if position != index]
        if names.count(name) > 1 and len(place) == 1 and not any(place & other for other in others):
            names[index] = f"{name}_{min(place)}"
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        seen[name] += 1
        names[index] = name if seen[name] == 1 else f"{name}_{seen[name]}"
    return names


def _place_of(part: Part) -> str:
    """The name of an instance within the part around it; of an instance in a stack, the name of the stack."""
    return next((name for name in reversed(part.path.split(".")) if not name.isdecimal()), "")


def _constant_words(parts: Sequence[Part]) -> dict[str, str | bool]:
    """The arguments that are words or switches, and equal in all instances."""
    arguments = [dict(part.scope.arguments) if part.scope else {} for part in parts]
    return {
        key: value
        for key, value in arguments[0].items()
        if (isinstance(value, bool) or (isinstance(value, str) and value.isascii() and value.isidentifier()))
        and all(key in row and row[key] == value for row in arguments)
    }
