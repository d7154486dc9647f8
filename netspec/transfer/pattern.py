"""Names with holes: `layer{s}.{i}.conv` on the left of a rule, `layer${s}.${i + 1}.conv` on the right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from netspec.spec.expressions.expression import Value

_HOLE = re.compile(r"\{([A-Za-z_]\w*)(\*?)\}")


@dataclass(frozen=True)
class Pattern:
    """A name with holes: `{x}` stands for the shortest text without a dot that fits, `{x*}` for one with dots too.

    >>> Pattern("layer{s}.{i}.{layer}").match("layer1.0.conv2")
    {'s': 1, 'i': 0, 'layer': 'conv2'}
    """

    text: str

    @property
    def holes(self) -> tuple[str, ...]:
        """The names of the holes, each once."""
        return tuple(dict.fromkeys(hole[1] for hole in _HOLE.finditer(self.text)))

    @property
    def problem(self) -> str:
        """What is wrong with it, or empty."""
        if not self.text:
            return "a name is empty"
        if "${" in self.text:
            return "`${…}` uses what a hole found, and stands on the other side: here `{x}` is a hole"
        if set("{}") & set(_HOLE.sub("", self.text)):
            return "a hole is `{x}`, or `{x*}` with dots, x of letters, digits and _"
        return ""

    def match(self, name: str) -> dict[str, Value] | None:
        """What the holes stand for, whole numbers as such; None where the name does not fit."""
        found = self._expression.fullmatch(name)
        return None if found is None else {hole: _value(text) for hole, text in found.groupdict().items()}

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        parts: list[str] = []
        seen: set[str] = set()
        end = 0
        for hole in _HOLE.finditer(self.text):
            parts.append(re.escape(self.text[end : hole.start()]))
            anything = ".+?" if hole[2] else "[^.]+?"
            parts.append(f"(?P={hole[1]})" if hole[1] in seen else f"(?P<{hole[1]}>{anything})")
            seen.add(hole[1])
            end = hole.end()
        return re.compile("".join([*parts, re.escape(self.text[end:])]))


def _value(text: str) -> Value:
    """A number where the text is one and would be written so: 007 stays text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and str(int(text)) == text else text
