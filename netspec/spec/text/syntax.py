"""Reports text that is not YAML: its position, the parser's message, and a hint at what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

import yaml

from netspec.spec.text.document import Position, Problems, Source, quote

SAME_COLUMN = "the keys of a mapping start in one column, and so do the items of a list"
KEY_OR_ITEM = "a mapping has keys and a list has items, which begin with `- `"
VALUE_OR_KEYS = "a key has a value on its line or keys below it, not both"

# Hints by a phrase of the parser's message.
_HINTS = (
    (
        "mapping values are not allowed",
        "text that contains `: ` goes in quotes; keys on one line go in braces: `{op: …}`",
    ),
    ("did not find expected key", SAME_COLUMN),
    ("did not find expected ',' or '}'", "a `{` needs its `}`, with commas between the entries"),
    ("did not find expected ',' or ']'", "a `[` needs its `]`, with commas between the items"),
    ("did not find expected <document start>", "a spec is a mapping from its first line on: `name: …`"),
    ("could not find expected ':'", "a key is followed by `: ` and its value"),
    ("block sequence entries are not allowed", "a list item `- ` starts on its own line"),
    ("while scanning an alias", "text that begins with * goes in quotes"),
    ("escape c", "in double quotes a backslash begins an escape; in single quotes it is a backslash"),
)
_BYTE_ORDER_MARK = "\ufeff"
_FOREIGN_INDENT = re.compile(rf"[ ]*(?=[^\S \t]|{_BYTE_ORDER_MARK})")  # by a character that is no space in YAML
_UNEXPECTED_AT_START = ("expected key", "expected '-' indicator", "expected <document start>")
_BARE_KEY = re.compile(r"[ ]*[\w./-]+[ ]*")
_BARE_TEXT = re.compile(r"[ ]*(?![-#&*!|>%@`?{\[\"' ])(?!.*:( |$)).+")  # a line without a key
_KEY_AT_BRACES = re.compile(r"[ ]*(\w+)(?:[^\w:{\[]*|:)([{\[])")  # `conv {op: …`, `conv= {op: …`
_LAST_WORD = re.compile(r"[\w.-]+ *$")
_ENDS_VALUE, _STARTS_VALUE = re.compile(r"[\"'] +$|[}\]] *$"), re.compile(r"[\w.$\"'{\[]")
_NO_CONTENT = re.compile(r"[ ]*(#|$)")
_FOREIGN_QUOTE = re.compile(r"[:,{[]\s*([‘’‚“”„«])")


def fail_on_syntax(error: yaml.MarkedYAMLError, source: Source, problems: Problems) -> NoReturn:
    """Report a syntax error that PyYAML found.

    Raises:
        SpecError: always.
    """
    problem = error.problem or "the text cannot be parsed"
    if "unexpected end of stream" in problem and (begin := error.context_mark):
        problems.fail(Position(source, begin.line, begin.column), "this quote is never closed")
    mark = error.problem_mark or error.context_mark
    at = Position(source, mark.line, mark.column) if mark else Position(source, 0, 0)
    if at.line >= len(source.lines) > 0:  # the end of the text: after its last line
        at = Position(source, len(source.lines) - 1, len(source.lines[-1]))
    context = f" {error.context}" if error.context else ""
    if error.context and error.context_mark and error.context_mark.line != at.line:
        context += f" (which begins in line {error.context_mark.line + 1})"
    _fail_on_indentation(at, problem, problems)
    _fail_on_missing_colon(at, problem, error.context_mark, problems)
    _fail_on_column(at, problem, problems)
    _fail_on_kind(at, problem, problems)
    if "expected ',' or" in problem and error.context_mark is not None:
        ends = mark is not None and mark.line >= len(source.lines)
        _fail_in_collection(at, Position(source, error.context_mark.line, error.context_mark.column), ends, problems)
    hint = _character_hint(at, problem, context)
    hint = hint or next((hint for phrase, hint in _HINTS if phrase in f"{problem}{context}"), "")
    problems.fail(at, f"this is not YAML: {problem}{context}", hint)


def fail_on_space(letter: str, at: Position, problems: Problems) -> NoReturn:
    """Report a character that looks like a space, or like nothing, at the start of a key: YAML takes it for a part.

    Raises:
        SpecError: always.
    """
    if letter == _BYTE_ORDER_MARK:
        hint = "delete it: two files were joined, and each began with one"
        problems.fail(at, "the invisible character U+FEFF stands here, which belongs at the start of a file", hint)
    problems.fail(at, f"the character U+{ord(letter):04X} looks like a space but is not one", "write spaces instead")


def _fail_on_indentation(at: Position, problem: str, problems: Problems) -> None:
    """Report a line indented by something other than spaces: YAML takes that for text, and fails at a later place."""
    lines = at.source.lines
    line = lines[at.line] if at.line < len(lines) else ""
    starts_with_tab = "cannot start any token" in problem and line[at.column : at.column + 1] == "\t"
    if starts_with_tab or "tab character that violates indentation" in problem:  # the latter in a text over lines
        problems.fail(at, "a tab cannot indent in YAML", "indent with spaces")
    for number in range(at.line, max(at.line - 2, -1), -1):
        if number < len(lines) and (indent := _FOREIGN_INDENT.match(lines[number])):
            letter = lines[number][indent.end()]
            fail_on_space(letter, Position(at.source, number, indent.end()), problems)


def _fail_on_missing_colon(at: Position, problem: str, context: yaml.Mark | None, problems: Problems) -> None:
    """Report a line that should be a key and its value, but has no colon between them: `epochs 10`, `op= relu`.

    The parser takes it for a text, and fails at the colon of the key after it.
    """
    lines, hint = at.source.lines, "a key is followed by a colon and a space"
    line = lines[at.line] if at.line < len(lines) else ""
    ends_a_key = "mapping values are not allowed" in problem
    if ends_a_key and (start := _KEY_AT_BRACES.match(line)):
        key, brace = start.groups()
        at = Position(at.source, at.line, start.start(1))
        problems.fail(at, f"expected `{key}: {brace}`, received {quote(start[0].strip())}", hint)
    if "could not find expected ':'" in problem and context is not None and context.line < at.line:
        number = context.line
    elif ends_a_key and _BARE_KEY.fullmatch(line[: at.column]):
        number = next((n for n in reversed(range(at.line)) if not _NO_CONTENT.match(lines[n])), at.line)
    else:
        return
    if _indent(lines[number]) == _indent(line) and _BARE_TEXT.fullmatch(lines[number]):
        hint += "; a text that goes on is indented more than its key"
        received = quote(lines[number].strip())
        problems.fail(Position(at.source, number, _indent(line)), f"expected `key: value`, received {received}", hint)


def _fail_on_kind(at: Position, problem: str, problems: Problems) -> None:
    """Report an item of a list that stands among keys, or a key among items."""
    line = at.source.lines[at.line] if at.line < len(at.source.lines) else ""
    received = quote(line.strip())
    if "expected key" in problem and line[at.column : at.column + 2] in {"-", "- "}:
        problems.fail(at, f"expected a key like those above, received the item {received}", KEY_OR_ITEM)
    if "expected '-' indicator" in problem:
        problems.fail(at, f"expected an item like those above, `- …`, received {received}", KEY_OR_ITEM)


def _fail_in_collection(at: Position, begin: Position, ends: bool, problems: Problems) -> None:
    """Report what is missing between braces or brackets: the closing one, or a comma, as in `{op: dense units: 10}`.

    The parser takes the key after a text for a part of it, and fails at its colon.

    Args:
        at: where the parser fails.
        begin: the opening brace or bracket.
        ends: whether the text ends there.
        problems: collects the problem.
    """
    lines = at.source.lines
    line, first = lines[at.line], lines[begin.line]
    before, letter = line[: at.column], line[at.column : at.column + 1]
    opening = first[begin.column : begin.column + 1]
    closing = {"{": "}", "[": "]"}.get(opening, "")
    goes_on = not _NO_CONTENT.match(first[begin.column + 1 :])
    if ends or (goes_on and at.line > begin.line and _indent(line) <= _indent(first) and letter != closing):
        where = "" if ends else f" before line {at.line + 1}"
        problems.fail(begin, f"this `{opening}` is never closed", f"its `{closing}` is missing{where}")
    if letter in {"}", "]"}:
        where = f"the `{opening}` in line {begin.line + 1}, column {begin.column + 1}"
        problems.fail(at, f"expected `{closing}`, which closes {where}, received `{letter}`")
    if letter == ":" and (key := _LAST_WORD.search(before)):
        at = Position(at.source, at.line, key.start())
        what = "a `{`" if before[: key.start()].rstrip().endswith(":") else "a comma"
        problems.fail(at, f"{what} is missing before {quote(key[0].rstrip())}")
    if _ENDS_VALUE.search(before) and _STARTS_VALUE.match(line[at.column :]):
        problems.fail(at, "a comma is missing here")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _fail_on_column(at: Position, problem: str, problems: Problems) -> None:
    """Report a key or an item that starts in a column in which no open mapping or list has its own.

    The parser reports an item where another mapping ends before it, and a key that it took for a part of the value
    above it at the key's colon.
    """
    lines = at.source.lines
    line = lines[at.line] if at.line < len(lines) else ""
    indent = _indent(line)
    if "mapping values are not allowed" in problem and _BARE_KEY.fullmatch(line[: at.column]):
        hint = VALUE_OR_KEYS
    elif any(phrase in problem for phrase in _UNEXPECTED_AT_START) and at.column == indent:
        hint = SAME_COLUMN
    else:
        return
    columns = _open_columns(lines[: at.line])
    if not columns or indent in columns or line[indent : indent + 1] in {"}", "]"}:
        return
    nearest = [*[c for c in columns if c < indent][-1:], *[c for c in columns if c > indent][:1]]
    expected = " or ".join(f"{column} as in line {columns[column] + 1}" for column in nearest)
    received = {0: "not indented", 1: "indented by 1 space"}.get(indent, f"indented by {indent} spaces")
    problems.fail(Position(at.source, at.line, indent), f"this line is {received}: expected {expected}", hint)


def _open_columns(lines: Sequence[str]) -> dict[int, int]:
    """The column of each mapping and list that is open after these lines, and the line of its latest key or item.

    The outermost comes first. Empty if nothing can be told, because the lines end within quotes.
    """
    columns: list[int] = []
    latest: dict[int, int] = {}
    try:
        for token in yaml.scan("\n".join((*lines, "")), Loader=yaml.SafeLoader):
            mark = token.start_mark
            if mark.line >= len(lines):
                break
            if isinstance(token, yaml.BlockMappingStartToken | yaml.BlockSequenceStartToken):
                columns.append(mark.column)
            elif isinstance(token, yaml.BlockEndToken):
                columns.pop()
            elif isinstance(token, yaml.KeyToken | yaml.BlockEntryToken):
                latest[mark.column] = mark.line
    except yaml.YAMLError:
        return {}
    return {column: latest[column] for column in columns}


def _character_hint(at: Position, problem: str, context: str) -> str:
    """A hint from the characters at and before a position; empty if none of them is a common mistake."""
    line = at.source.lines[at.line] if at.line < len(at.source.lines) else ""
    letter = line[at.column : at.column + 1]
    if letter == "," and "expected node content" in problem:
        return "there is one comma too many here"
    if letter == ":" and "found unexpected ':'" in problem:
        return "a key is followed by a colon and a space: `key: value`"
    if letter in {"}", "]"} and "expected key" in problem:
        return f"this `{letter}` closes nothing: there is one too many"
    if foreign := _FOREIGN_QUOTE.search(line):
        return f"{quote(foreign[1])} is U+{ord(foreign[1]):04X}: the quotes of YAML are \" and '"
    if "expected ',' or" in problem and line[at.column - 1 : at.column] in {'"', "'"}:
        return "the text in quotes ends before this; an expression has the other ones: \"${kind == 'a'}\""
    for collection, signs in (("flow mapping", "braces"), ("flow sequence", "brackets")):
        if collection in context and line[at.column - 1 : at.column + 1] == "${":
            return f'between {signs} an expression is quoted: "${{…}}"'
    if "cannot start any token" in problem and letter:
        in_braces = letter in {"|", ">"} and "{" in line[: at.column]
        return (
            "between braces text stands on one line" if in_braces else f"text that begins with {letter} goes in quotes"
        )
    return ""
