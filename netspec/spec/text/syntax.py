"""What is not YAML: where, what the parser says of it, and what was probably meant."""

from __future__ import annotations

import re
from typing import NoReturn

import yaml

from netspec.spec.text.document import Position, Problems, Source, quote

_HINTS = (
    ("mapping values are not allowed", "text that contains `: ` goes in quotes; a key stands on its own line"),
    ("did not find expected key", "keys of one mapping start in the same column"),
    ("did not find expected ',' or '}'", "a `{` needs its `}`, with commas between the entries"),
    ("did not find expected ',' or ']'", "a `[` needs its `]`, with commas between the items"),
    ("did not find expected <document start>", "a spec is a mapping from its first line on: `name: …`"),
    ("could not find expected ':'", "a key is followed by `: ` and its value"),
    ("unexpected end of stream", "a quote was opened and never closed"),
    ("block sequence entries are not allowed", "a list item `- ` starts on its own line"),
    ("while scanning an alias", "text that begins with * goes in quotes"),
    ("escape c", "in double quotes a backslash begins an escape; in single quotes it is a backslash"),
)
_INDENTED_OTHERWISE = re.compile(r"[ ]*(?=[^\S \t])")  # by a space that is none to YAML
_QUOTED_OTHERWISE = re.compile(r"[:,{[]\s*([‘’‚“”„«])")


def fail_on_syntax(error: yaml.MarkedYAMLError, source: Source, problems: Problems) -> NoReturn:
    """Report what PyYAML found to be no YAML.

    Raises:
        SpecError: always.
    """
    problem = error.problem or "the text cannot be parsed"
    mark = error.problem_mark or error.context_mark
    at = Position(source, mark.line, mark.column) if mark else Position(source, 0, 0)
    if at.line >= len(source.lines) > 0:  # the end of the text: after its last line
        at = Position(source, len(source.lines) - 1, len(source.lines[-1]))
    context = f" {error.context}" if error.context else ""
    if error.context and error.context_mark and error.context_mark.line != at.line:
        context += f" (which begins in line {error.context_mark.line + 1})"
    _fail_on_indentation(at, problem, problems)
    hint = _by_characters(at, problem, context)
    hint = hint or next((hint for words, hint in _HINTS if words in f"{problem}{context}"), "")
    problems.fail(at, f"this is not YAML: {problem}{context}", hint)


def fail_on_space(letter: str, at: Position, problems: Problems) -> NoReturn:
    """Report a character that looks like a space, where a key begins: YAML takes it for a part of the key.

    Raises:
        SpecError: always.
    """
    problems.fail(at, f"the character U+{ord(letter):04X} looks like a space but is not one", "write spaces instead")


def _fail_on_indentation(at: Position, problem: str, problems: Problems) -> None:
    """Where a line is indented by what is no space: YAML takes it for text, and stumbles over what comes after."""
    lines = at.source.lines
    line = lines[at.line] if at.line < len(lines) else ""
    if "cannot start any token" in problem and line[at.column : at.column + 1] == "\t":
        problems.fail(at, "a tab cannot indent in YAML", "indent with spaces")
    for number in range(at.line, max(at.line - 2, -1), -1):
        if number < len(lines) and (found := _INDENTED_OTHERWISE.match(lines[number])):
            letter = lines[number][found.end()]
            place = Position(at.source, number, found.end())
            fail_on_space(letter, place, problems)


def _by_characters(at: Position, problem: str, context: str) -> str:
    """What the characters at a place, and before it, tell; empty if they are none that are mistaken often."""
    line = at.source.lines[at.line] if at.line < len(at.source.lines) else ""
    letter = line[at.column : at.column + 1]
    if letter in {"}", "]"} and "expected key" in problem:
        return f"this `{letter}` closes nothing: there is one too many"
    if found := _QUOTED_OTHERWISE.search(line):
        return f"{quote(found[1])} is U+{ord(found[1]):04X}: the quotes of YAML are \" and '"
    if "flow mapping" in context and "${" in line[: at.column + 1]:
        return 'between braces an expression is quoted: "${…}"'
    if "cannot start any token" in problem and letter:
        within = letter in {"|", ">"} and "{" in line[: at.column]
        return "between braces text stands on one line" if within else f"text that begins with {letter} goes in quotes"
    return ""
