"""Reading and validating a mapping file; every problem is reported with its position in the YAML."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from netspec.ops.attributes import Attribute
from netspec.spec.expressions.expression import UNKNOWN, ExpressionError, UnknownValueError, evaluate_text
from netspec.spec.fields.messages import Subject, validate
from netspec.spec.text.document import DocumentNode, MappingNode, Position, Problems, ScalarNode, SequenceNode, quote
from netspec.spec.text.files import Content, read_file
from netspec.transfer.pattern import Pattern

_CONTENT = Content("a mapping of weights", "`spec`, `origin` and `models`", "`netspec weights list` names examples")
OriginName = Literal["torchvision", "timm", "keras-applications"]
_USED = re.compile(r"\$\{([^{}]*)\}")


class MappingEntry(Attribute):
    """The schema of a mapping file, which the package's docstring describes."""

    spec: str
    origin: OriginName
    source: str
    models: dict[str, dict[str, Any]] = Field(min_length=1)
    lists: dict[str, tuple[Any, ...] | dict[str, Any]] = Field(default_factory=dict)
    layers: dict[str, str] = Field(default_factory=dict)
    ignored: tuple[str, ...] = Field((), strict=False)
    constants: dict[str, float] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule:
    """A renaming rule for layers or weights.

    Attributes:
        theirs: the pattern of the name at the origin.
        ours: the name in the spec, a template with `${…}`.
    """

    theirs: Pattern
    ours: str

    @property
    def text(self) -> str:
        """The rule for messages: `fc → classifier`."""
        return f"{self.theirs.text} → {self.ours}"


@dataclass(frozen=True)
class WeightMapping:
    """The names of one family of networks at an origin, and how they correspond to those of a spec.

    Attributes:
        path: the mapping's file.
        spec: the file of the family's spec.
        origin: the library whose names these are.
        source: where the names were read, for people.
        models: the parameters of the spec by model.
        lists: tables that expressions look up by index or by key.
        rules: the renaming rules.
        ignored: patterns of their weights that the spec has no place for.
        constants: patterns of our weights that the origin lacks, with their values.
    """

    path: Path
    spec: Path
    origin: OriginName
    source: str
    models: Mapping[str, Mapping[str, Any]]
    lists: Mapping[str, tuple[Any, ...] | dict[str, Any]]
    rules: tuple[Rule, ...]
    ignored: tuple[Pattern, ...]
    constants: tuple[tuple[Pattern, float], ...]

    def settings(self, model: str) -> tuple[str, ...]:
        """The parameters of the spec for a model, in the form of `--set`: `depth=50`."""
        return tuple(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in self.models[model].items())


def read_mapping(path: Path) -> WeightMapping:
    """Read a mapping file.

    Raises:
        SpecError: the file cannot be read or is invalid; the exception holds every problem.
    """
    problems = Problems()
    document = read_file(path, problems, content=_CONTENT)
    start = Position(document.at.source, 0, 0)
    if "layers" in document.entries and "input" in document.entries:
        problems.fail(start, "this is the spec of a network, and a mapping of weights was expected")
    entry = validate(MappingEntry, Subject(document, start, "mapping"), problems)
    for at, text in _patterns(document):
        if problem := Pattern(text).problem:
            problems.add(at, f"{quote(text)}: {problem}")
    for at, name, other in _shadowed(document):
        problems.add(at, f"{quote(name)} is a list and {other} too", "give the list another name")
    for at, pattern, text in _templates(document):
        if not pattern.problem:
            _check_template(at, pattern, text, _parameters(document) | _lists(document).keys(), problems)
    problems.raise_any()
    assert entry is not None  # noqa: S101 # None comes with a problem
    return WeightMapping(
        path=path,
        spec=Path(os.path.normpath(path.parent / entry.spec)),
        origin=entry.origin,
        source=entry.source,
        models=entry.models,
        lists=entry.lists,
        rules=tuple(Rule(Pattern(theirs), ours) for theirs, ours in entry.layers.items()),
        ignored=tuple(map(Pattern, entry.ignored)),
        constants=tuple((Pattern(ours), value) for ours, value in entry.constants.items()),
    )


def _entries(document: MappingNode, key: str) -> Iterator[tuple[Position, str, list[ScalarNode]]]:
    """The entries of the mapping under a top-level key: position, key, and the strings in the value."""
    node = document.entries[key].value if key in document.entries else None
    if isinstance(node, MappingNode):
        for name, entry in node.entries.items():
            yield entry.at, name, _texts(entry.value)


def _texts(node: DocumentNode) -> list[ScalarNode]:
    """The strings of a node that is a string or a list."""
    nodes = node.items if isinstance(node, SequenceNode) else (node,)
    return [n for n in nodes if isinstance(n, ScalarNode) and isinstance(n.value, str)]


def _patterns(document: MappingNode) -> Iterator[tuple[Position, str]]:
    """Every pattern, with its position."""
    for key in ("layers", "constants"):
        yield from ((at, name) for at, name, _ in _entries(document, key))
    if "ignored" in document.entries:
        yield from ((node.at, str(node.value)) for node in _texts(document.entries["ignored"].value))


def _templates(document: MappingNode) -> Iterator[tuple[Position, Pattern, str]]:
    """Every template, with its position and the pattern whose holes it may use."""
    for _, theirs, texts in _entries(document, "layers"):
        yield from ((node.at, Pattern(theirs), str(node.value)) for node in texts)


def _lists(document: MappingNode) -> dict[str, Position]:
    """The position of each list, by name."""
    return {name: at for at, name, _ in _entries(document, "lists")}


def _shadowed(document: MappingNode) -> Iterator[tuple[Position, str, str]]:
    """The lists whose name is that of a hole or parameter too: position, name, and what else it names."""
    others = {hole: f"a hole of {quote(text)}" for _, text in _patterns(document) for hole in Pattern(text).holes}
    others |= {name: "a parameter of a model" for entry in _model_nodes(document) for name in entry.entries}
    yield from ((at, name, others[name]) for name, at in _lists(document).items() if name in others)


def _parameters(document: MappingNode) -> set[str]:
    """The parameters that every model sets."""
    names = [set(entry.entries) for entry in _model_nodes(document)]
    return set.intersection(*names) if names else set()


def _model_nodes(document: MappingNode) -> Iterator[MappingNode]:
    """The parameters of each model."""
    node = document.entries["models"].value if "models" in document.entries else None
    if isinstance(node, MappingNode):
        yield from (entry.value for entry in node.entries.values() if isinstance(entry.value, MappingNode))


def _check_template(at: Position, pattern: Pattern, text: str, known: set[str], problems: Problems) -> None:
    """Check that the expressions of a template are valid, and use only holes of its pattern and `known` names."""
    if set("{}") & set(_USED.sub("", text)):
        problems.add(
            at, f"{quote(text)}: braces here belong to an expression", "write `${x}` for the text that `{x}` matched"
        )
        return
    try:
        evaluate_text(text, dict.fromkeys([*known, *pattern.holes], UNKNOWN))
    except ExpressionError as error:
        hint = _holes_of(pattern) if error.undefined else error.hint
        problems.add(at, error.message.replace("the parameter", "the hole") if error.undefined else error.message, hint)
    except UnknownValueError:
        pass


def _holes_of(pattern: Pattern) -> str:
    holes = pattern.holes
    noun = "no hole" if not holes else "the hole" if len(holes) == 1 else "the holes"
    return f"{quote(pattern.text)} has {' '.join([noun, ', '.join(holes)]).rstrip()}"
