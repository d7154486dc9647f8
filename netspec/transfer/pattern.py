"""Patterns of names, the left sides of rules: `layer{s}.{i}.conv` in the rule to `layer${s}.${i + 1}.conv`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from netspec.spec.expressions.expression import Value

_HOLE = re.compile(r"\{([A-Za-z_]\w*)(\*?)\}")


@dataclass(frozen=True)
class Pattern:
    """A name with holes: `{x}` matches the shortest text without a dot, `{x*}` the shortest text.

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
        """What is wrong with the pattern, or empty."""
        if not self.text:
            return "a name is empty"
        if "${" in self.text:
            return "here a hole is `{x}`; `${…}` belongs on the right side of a rule"
        if set("{}") & set(_HOLE.sub("", self.text)):
            return "a hole is `{x}`, or `{x*}` with dots, x of letters, digits and _"
        return ""

    def match(self, name: str) -> dict[str, Value] | None:
        """The values of the holes, ints where possible; None if the name does not match."""
        match = self._regex.fullmatch(name)
        return None if match is None else {hole: _value(text) for hole, text in match.groupdict().items()}

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        parts: list[str] = []
        seen: set[str] = set()
        end = 0
        for hole in _HOLE.finditer(self.text):
            parts.append(re.escape(self.text[end : hole.start()]))
            text = ".+?" if hole[2] else "[^.]+?"
            parts.append(f"(?P={hole[1]})" if hole[1] in seen else f"(?P<{hole[1]}>{text})")
            seen.add(hole[1])
            end = hole.end()
        return re.compile("".join([*parts, re.escape(self.text[end:])]))


def _value(text: str) -> Value:
    """The text as an int if that is its canonical form, so that 007 stays text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 and str(int(text)) == text else text
