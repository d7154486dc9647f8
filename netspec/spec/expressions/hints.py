"""Hints at what the writer of an expression probably meant: an operator, a name, a part of a shape."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from netspec.spec.text.hints import did_you_mean, foreign_letter

INDEX: Final = "index"  # the name of an instance's number in its stack, from 0
SIZES: Final = ("channels", "height", "width")  # the names of the axes of a feature map that arrives


def other_language(code: str) -> str:
    """A hint that translates an operator of another language; empty if the expression has none."""
    words = {"&&": "and", "||": "or", "!": "not", "=": "==", "?": ""}
    rest = re.sub(r"'[^']*'|\"[^\"]*\"|[=!<>]=", "", code)  # without strings and the language's own operators
    sign = next((sign for sign in words if sign in rest), "")
    if sign == "?":
        return "`c ? a : b` is written `a if c else b`"
    return f"`{sign}` is written `{words[sign]}`" if sign else ""


def defined_here(name: str, parameters: Collection[str], text: str) -> str:
    """A hint at what an undefined name may have meant. `text` is the hint for one that may be a string."""
    if name == INDEX:
        return "`index` is the number of the instance, in the arguments of a layer with `repeat`"
    if name in ("true", "false"):
        return f"in an expression it is `{name.capitalize()}`"
    if name in SIZES:
        known = f"{', '.join(SIZES)} are those of a map (N, C, H, W) that a layer or a block reads"
        return did_you_mean(name, parameters) or known
    known = text or f"defined here: {', '.join(parameters)}" if parameters else "`parameters: {…}` defines them"
    return did_you_mean(name, parameters) or foreign_letter(name) or known


def hidden_by_a_parameter(name: str) -> str:
    """A hint that a parameter hides a size, an input or a layer of the same name.

    >>> hidden_by_a_parameter("width")
    '`width` is the parameter here, which hides everything else of this name: rename the parameter'
    """
    return f"`{name}` is the parameter here, which hides everything else of this name: rename the parameter"


def no_size(name: str, shape: tuple[object, ...]) -> tuple[str, str]:
    """The message and the hint for `channels`, `height` or `width` where the value that arrives is no feature map."""
    axes = ", ".join(map(str, ("N", *shape)))
    hint = f"its axes after the batch are `${{shape[0]}}`{' and so on' if len(shape) > 1 else ''}"
    return f"what arrives has no {name}: it is ({axes}), and a map is (N, C, H, W)", hint
