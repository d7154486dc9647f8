"""pydantic's findings in the words of the language: expected …, received …, at the place in the file."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from netspec.ops.attributes import Padding, Size2d
from netspec.spec.document import (
    DocumentNode,
    MappingNode,
    Position,
    Problems,
    ScalarNode,
    SequenceNode,
    describe,
    is_broken,
    plain,
    quote,
)
from netspec.spec.expectation import Member, expectation, field_names, members_at, names_of
from netspec.spec.hints import did_you_mean, nearest, suggest
from netspec.spec.scalars import lookalike

Model = TypeVar("Model", bound=BaseModel)


class Subject(NamedTuple):
    """What is validated: a mapping of the document, the key it stands under, its name in messages, other keys there."""

    node: MappingNode
    at: Position
    name: str
    beside: tuple[str, ...] = ()


def validate(model: type[Model], subject: Subject, problems: Problems, *, partial: bool = False) -> Model | None:
    """The model made of a mapping, or None after its problems are recorded.

    `partial`: required attributes may be absent (they come from elsewhere).
    """
    try:
        return model.model_validate(plain(subject.node))
    except ValidationError as error:
        _Report(model, subject, problems).take(error.errors(include_url=False), partial)
        return None


class _Place(NamedTuple):
    """Where in the document an error's location leads."""

    key_at: Position
    node: DocumentNode
    key: str  # empty for the subject itself
    owner: str  # the key of the mapping that holds it

    @property
    def at(self) -> Position:
        """A mapping is shown by its key: its own start may be lines below."""
        return self.key_at if isinstance(self.node, MappingNode) else self.node.at


class _Report:
    """Turns the errors of one model into problems."""

    def __init__(self, model: type[BaseModel], subject: Subject, problems: Problems) -> None:
        self._model = model
        self._subject = subject
        self._problems = problems

    def take(self, errors: Sequence[ErrorDetails], partial: bool) -> None:
        """Record all of them; a key that is missing because it is misspelt is said once."""
        absent: dict[tuple[int | str, ...], list[str]] = defaultdict(list)
        misspelt: set[tuple[int | str, ...]] = set()
        for error in errors:
            parents, last = error["loc"][:-1], error["loc"][-1] if error["loc"] else ""
            if error["type"] == "missing":
                absent[parents].append(str(last))
            elif error["type"] == "extra_forbidden":
                known = field_names(members_at(self._model, parents))
                misspelt.add((*parents, nearest(str(last), known)))
        for parents, names in absent.items():
            unsaid = [name for name in names if (*parents, name) not in misspelt]
            if unsaid and not partial:
                self._missing(parents, unsaid)
        for error in errors:
            if error["type"] != "missing":
                self._one(error)

    def _missing(self, parents: Sequence[int | str], names: Sequence[str]) -> None:
        place = self._locate(parents)
        if isinstance(place.node, MappingNode) and "<<" in place.node.entries:
            return
        wanted = [f"{quote(name)} ({expectation(members_at(self._model, (*parents, name)))})" for name in names]
        listed = f"{', '.join(wanted[:-1])} and {wanted[-1]}" if wanted[1:] else wanted[0]
        self._problems.add(place.key_at, f"{self._shown(place.key)} needs {listed}")

    def _one(self, error: ErrorDetails) -> None:
        place = self._locate(error["loc"])
        unexpected = error["type"] == "extra_forbidden"
        if self._problems.is_known(place.node.at) if unexpected else is_broken(place.node):
            return
        members = members_at(self._model, error["loc"])
        context = error.get("ctx", {})
        match error["type"]:
            case "extra_forbidden":
                owner = self._shown(place.owner)
                known = field_names(members_at(self._model, error["loc"][:-1]))
                beside = self._subject.beside if len(error["loc"]) == 1 else ()
                hint = did_you_mean(place.key, [*known, *beside]) or suggest(place.key, known, f"{owner} has")
                self._problems.add(place.key_at, f"{owner} has no attribute {quote(place.key)}", hint)
            case "value_error":
                self._problems.add(place.at, str(context["error"]))
            case "union_tag_invalid" | "union_tag_not_found" if "discriminator" in context:
                self._choice(place, members, context["discriminator"].strip("'"))
            case "too_short":
                least = context["min_length"]
                message = f"expected a list of at least {least}, received {context['actual_length'] or 'an empty list'}"
                self._problems.add(place.at, message)
            case _:
                known_type = members and error["type"] != "initializer"
                expected = expectation(members) if known_type else error["msg"].removeprefix("expected ")
                self._unexpected(place, members, expected)

    def _unexpected(self, place: _Place, members: Sequence[Member], expected: str) -> None:
        node = place.node
        received = describe(node)
        if isinstance(node, ScalarNode):
            if isinstance(node.value, float) and not math.isfinite(node.value):
                expected = expected.replace("number", "finite number", 1)
            if isinstance(node.value, str) and any(member.choices for member in members):
                received = received.replace(" (a string)", "")
        self._problems.add(place.at, f"expected {expected}, received {received}", _hint(node, members))

    def _choice(self, place: _Place, members: Sequence[Member], key: str) -> None:
        """A mapping whose discriminator is absent, or not one of those known."""
        known = names_of(members, key)
        choices = f"one of {', '.join(known)}"
        if not isinstance(place.node, MappingNode):
            expected = f"a mapping with {quote(key)}: {choices}"
            self._problems.add(place.at, f"expected {expected}, received {describe(place.node)}")
        elif key not in place.node.entries:
            self._problems.add(place.key_at, f"{self._shown(place.key)} needs {quote(key)}: {choices}")
        elif not is_broken(chosen := place.node.entries[key].value):
            received = describe(chosen).replace(" (a string)", "")
            hint = did_you_mean(str(plain(chosen)), known)
            self._problems.add(chosen.at, f"expected {choices}, received {received}", hint)

    def _shown(self, key: str) -> str:
        shown = key or self._subject.name
        return shown if shown.isidentifier() else quote(shown)

    def _locate(self, loc: Sequence[int | str]) -> _Place:
        """Follow a location, past the parts that pydantic adds (tags of unions)."""
        place = _Place(self._subject.at, self._subject.node, "", "")
        for part in loc:
            if isinstance(place.node, MappingNode) and part in place.node.entries:
                entry = place.node.entries[str(part)]
                place = _Place(entry.at, entry.value, str(part), place.key)
            elif isinstance(place.node, SequenceNode) and isinstance(part, int) and part < len(place.node.items):
                item = place.node.items[part]
                place = _Place(item.at, item, place.key, place.owner)
        return place


def _hint(node: DocumentNode, members: Sequence[Member]) -> str:
    """What the writer probably meant."""
    bases = {member.base for member in members}
    if isinstance(node, SequenceNode) and Size2d in bases and len(node.items) == 2:
        height, width = (plain(item) for item in node.items)
        return f"write `{{height: {height}, width: {width}}}`" + (
            f", or `{height}` for both" if height == width else ""
        )
    if isinstance(node, SequenceNode) and Padding in bases:
        return "write `{top: …, left: …, bottom: …, right: …}`; a side left out is 0"
    if not isinstance(node, ScalarNode):
        return ""
    value = node.value
    if isinstance(value, float) and bases & {int, Size2d, Padding}:
        if "/" in node.expression:
            return "`//` divides to a whole number"
        return f"write `{int(value)}`" if value.is_integer() else ""
    if not isinstance(value, str):
        return ""
    if Padding in bases and value.lower() in _PADDING_WORDS:
        return _PADDING_WORDS[value.lower()]
    choices = [choice for member in members for choice in member.choices]
    return did_you_mean(value, choices) or ("" if choices else lookalike(value))


_PADDING_WORDS = {
    "same": "frameworks differ in it: write `{same: tf}`, `{same: lower}` or `{same: torch}`",
    "valid": "write `0`",
}
