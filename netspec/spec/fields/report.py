"""pydantic's findings in the words of the language: expected …, received …, at the place in the file."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from netspec.spec.fields.expectation import Member, expectation, field_names, members_at, names_of
from netspec.spec.fields.hints import value_hint
from netspec.spec.fields.messages import Subject
from netspec.spec.text.document import (
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
from netspec.spec.text.hints import did_you_mean, nearest, suggest


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


class Report:
    """Turns the errors of one model into problems.

    Args:
        model: what was to be made.
        subject: of what.
        problems: where they are recorded.
    """

    def __init__(self, model: type[BaseModel], subject: Subject, problems: Problems) -> None:
        self._model = model
        self._subject = subject
        self._problems = problems
        self._perhaps: dict[tuple[int | str, ...], str] = {}

    def take(self, errors: Sequence[ErrorDetails], partial: bool) -> None:
        """Record all of them; a key that is missing because it is misspelt is reported once."""
        absent: dict[tuple[int | str, ...], list[str]] = defaultdict(list)
        unknown: dict[tuple[int | str, ...], list[str]] = defaultdict(list)
        misspelt: set[tuple[int | str, ...]] = set()
        for error in errors:
            parents, last = error["loc"][:-1], error["loc"][-1] if error["loc"] else ""
            if error["type"] == "missing":
                absent[parents].append(str(last))
            elif error["type"] == "extra_forbidden":
                near = nearest(str(last), self._known(error["loc"]))
                if near:
                    misspelt.add((*parents, near))
                elif last != "activation":  # of which there is a hint
                    unknown[parents].append(str(last))
        for parents, names in absent.items():
            unsaid = [name for name in names if (*parents, name) not in misspelt]
            if len(unsaid) == len(unknown[parents]) == 1:  # the one is perhaps the other, misnamed
                self._perhaps[(*parents, unknown[parents][0])] = unsaid[0]
            elif unsaid and not partial:
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
        known = self._problems.is_known(place.node.at) or self._problems.is_known(place.key_at)
        if known if unexpected else is_broken(place.node):
            return
        members = members_at(self._model, error["loc"])
        context = error.get("ctx", {})
        match error["type"]:
            case "extra_forbidden":
                owner = self._shown(place.owner)
                hint = self._unexpected_key(error["loc"], place.key, owner)
                self._problems.add(place.key_at, f"{owner} has no attribute {quote(place.key)}", hint)
            case "value_error":
                self._problems.add(place.at, str(context["error"]))
            case "union_tag_invalid" | "union_tag_not_found" if "discriminator" in context:
                self._choice(place, members, context["discriminator"].strip("'"))
            case "too_short":
                if isinstance(place.node, SequenceNode) and len(place.node.items) >= context["min_length"]:
                    return  # its items are wrong, each of which is reported
                least = context["min_length"]
                message = f"expected a list of at least {least}, received {context['actual_length'] or 'an empty list'}"
                self._problems.add(place.at, message)
            case _:
                known_type = members and error["type"] != "initializer"
                expected = expectation(members) if known_type else error["msg"].removeprefix("expected ")
                self._unexpected(place, members, expected)

    def _known(self, loc: Sequence[int | str]) -> list[str]:
        """The keys that may stand beside one that is not taken: of a union, those of the member that is meant."""
        node = self._locate(loc[:-1]).node
        name = plain(node.entries["name"].value) if isinstance(node, MappingNode) and "name" in node.entries else None
        members = members_at(self._model, loc)
        return field_names([m for m in members if name in names_of([m], "name")] or members)

    def _unexpected_key(self, loc: Sequence[int | str], key: str, owner: str) -> str:
        """What the writer of a key that is not taken probably meant."""
        known = self._known(loc)
        beside = self._subject.beside if len(loc) == 1 else ()
        if (before := key.partition(":")[0]) != key and before in (*known, *beside):
            return f"a key is followed by a colon and a space: `{before}: {key.partition(':')[2]}`"
        if key == "activation" and beside:
            return "an activation is a layer of its own: `{op: relu}`"
        if key == "same":
            return "`{same: …}` is a rule of its own, without sides"
        if near := did_you_mean(key, known) or (did_you_mean(key, beside) if len(key) > 2 else ""):
            return near
        if perhaps := self._perhaps.get(tuple(loc)):
            return f"{owner} needs {quote(perhaps)}: perhaps that is meant"
        if within := self._within(loc[:-1], key):
            return f"it stands in a part: `{within}: {{{key}: …}}`"
        return suggest(key, known, f"{owner} has")

    def _within(self, loc: Sequence[int | str], key: str) -> str:
        """The part of a mapping that takes a key which the mapping itself does not."""
        parts = field_names(members_at(self._model, loc))
        return next((part for part in parts if key in field_names(members_at(self._model, (*loc, part)))), "")

    def _unexpected(self, place: _Place, members: Sequence[Member], expected: str) -> None:
        node = place.node
        received = describe(node)
        if isinstance(node, ScalarNode):
            if isinstance(node.value, float) and not math.isfinite(node.value):
                expected = expected.replace("number", "finite number", 1)
            if isinstance(node.value, str) and any(member.choices for member in members):
                received = received.replace(" (a string)", "")
        self._problems.add(
            place.at, f"expected {expected}, received {received}", value_hint(node, members, self._subject.names)
        )

    def _choice(self, place: _Place, members: Sequence[Member], key: str) -> None:
        """A mapping whose discriminator is absent, or not one of those known."""
        known = names_of(members, key)
        choices = f"one of {', '.join(known)}"
        if not isinstance(place.node, MappingNode):
            expected = f"a mapping with {quote(key)}: {choices}"
            value = plain(place.node)
            near = nearest(value, known) if isinstance(value, str) else ""
            hint = f"write `{{{key}: {near}}}`, with what else it takes" if near else ""
            self._problems.add(place.at, f"expected {expected}, received {describe(place.node)}", hint)
        elif key not in place.node.entries:
            stated = ((own, plain(entry.value)) for own, entry in place.node.entries.items())
            hint = next((f"write `{key}: {v}`, not `{own}: {v}`" for own, v in stated if v in known), "")
            self._problems.add(place.key_at, f"{self._shown(place.key)} needs {quote(key)}: {choices}", hint)
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
