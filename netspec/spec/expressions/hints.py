"""What the writer of an expression probably meant: another language's operator, another name, another shape."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from netspec.spec.text.hints import did_you_mean

INDEX: Final = "index"  # the number of an instance in its stack
SIZES: Final = ("channels", "height", "width")  # of the map that arrives, by name


def other_language(code: str) -> str:
    """The word for an operator that other languages have, or empty."""
    words = {"&&": "and", "||": "or", "!": "not", "=": "==", "?": ""}
    own = re.sub(r"'[^']*'|\"[^\"]*\"|[=!<>]=", "", code)
    found = next((sign for sign in words if sign in own), "")
    if found == "?":
        return "`c ? a : b` is written `a if c else b`"
    return f"`{found}` is written `{words[found]}`" if found else ""


def defined_here(name: str, parameters: Collection[str], text: str) -> str:
    """What a name that is not defined may have meant; `text` is a hint for one that is perhaps a word."""
    if name == INDEX:
        return "`index` counts the instances of a layer with `repeat`, in what it gives to them"
    if name in ("true", "false"):
        return f"in an expression it is `{name.capitalize()}`"
    if name in SIZES:
        known = f"{', '.join(SIZES)} are those of a map (N, C, H, W) that a layer or a block reads"
        return did_you_mean(name, parameters) or known
    known = text or f"defined here: {', '.join(parameters)}" if parameters else "`parameters: {…}` defines them"
    return did_you_mean(name, parameters) or known


def hidden_by_a_parameter(name: str) -> str:
    """What is said where a parameter has the name of something that an expression could see otherwise.

    >>> hidden_by_a_parameter("width")
    'here `width` is the parameter; whatever else has this name is hidden by it, and needs another'
    """
    return f"here `{name}` is the parameter; whatever else has this name is hidden by it, and needs another"


def no_size(name: str, shape: tuple[object, ...]) -> tuple[str, str]:
    """The message for `channels`, `height` or `width` where no map arrives."""
    axes = ", ".join(map(str, ("N", *shape)))
    hint = f"its axes after the batch are `${{shape[0]}}`{' and so on' if len(shape) > 1 else ''}"
    return f"what arrives has no {name}: it is ({axes}), and a map is (N, C, H, W)", hint
