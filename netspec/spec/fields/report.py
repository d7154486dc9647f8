"""Words pydantic's errors for the writer of a spec: "expected …, received …", at the position in the file."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from netspec.spec.fields.expectation import Member, discriminator_values, expectation, field_names, members_at
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
    """The value at an error's location.

    Attributes:
        key_at: position of its key.
        node: the value.
        key: its key; empty for the subject itself.
        owner: key of the mapping that holds it.
    """

    key_at: Position
    node: DocumentNode
    key: str
    owner: str

    @property
    def at(self) -> Position:
        """Where to report a problem: at the value, or at the key of a mapping, which may begin lines below."""
        return self.key_at if isinstance(self.node, MappingNode) else self.node.at


_Location = tuple[int | str, ...]  # as pydantic gives it


class Report:
    """Records the errors of validating a mapping as problems.

    Args:
        model: model that the mapping was validated with.
        subject: the mapping.
        problems: collects the problems.
    """

    def __init__(self, model: type[BaseModel], subject: Subject, problems: Problems) -> None:
        self._model = model
        self._subject = subject
        self._problems = problems
        self._perhaps: dict[_Location, str] = {}  # by an unknown key, the missing one that it may be meant for

    def take(self, errors: Sequence[ErrorDetails], partial: bool) -> None:
        """Record all errors. A key that is missing because it is misspelt is reported once, as misspelt."""
        missing: dict[_Location, list[str]] = defaultdict(list)
        unknown: dict[_Location, list[str]] = defaultdict(list)
        misspelt: set[_Location] = set()
        for error in errors:
            parents, last = error["loc"][:-1], error["loc"][-1] if error["loc"] else ""
            if error["type"] == "missing":
                missing[parents].append(str(last))
            elif error["type"] == "extra_forbidden":
                near = nearest(str(last), self._known(error["loc"]))
                if near:
                    misspelt.add((*parents, near))
                elif last != "activation" and not self._owners(error["loc"]):  # which have hints of their own
                    unknown[parents].append(str(last))
        for parents, names in missing.items():
            absent = [name for name in names if (*parents, name) not in misspelt]
            if len(absent) == len(unknown[parents]) == 1:  # perhaps the one is the other under a wrong name
                self._perhaps[(*parents, unknown[parents][0])] = absent[0]
            elif absent and not partial:
                self._report_missing(parents, absent)
        for error in errors:
            if error["type"] != "missing":
                self._report(error)

    def _report_missing(self, parents: Sequence[int | str], names: Sequence[str]) -> None:
        place = self._locate(parents)
        if isinstance(place.node, MappingNode) and "<<" in place.node.entries:
            return  # the merge key, which is reported, may have been meant to give them
        wanted = [f"{quote(name)} ({expectation(members_at(self._model, (*parents, name)))})" for name in names]
        listed = f"{', '.join(wanted[:-1])} and {wanted[-1]}" if wanted[1:] else wanted[0]
        self._problems.add(place.key_at, f"{self._shown(place.key)} needs {listed}")

    def _report(self, error: ErrorDetails) -> None:
        place = self._locate(error["loc"])
        if error["type"] == "extra_forbidden":
            reported = self._problems.is_known(place.node.at) or self._problems.is_known(place.key_at)
        else:
            reported = is_broken(place.node)
        if reported:
            return
        members = members_at(self._model, error["loc"])
        context = error.get("ctx", {})
        match error["type"]:
            case "extra_forbidden":
                owner = self._shown(place.owner)
                hint = self._key_hint(error["loc"], place.key, owner)
                self._problems.add(place.key_at, f"{owner} has no attribute {quote(place.key)}", hint)
            case "value_error":
                self._problems.add(place.at, str(context["error"]))
            case "union_tag_invalid" | "union_tag_not_found" if "discriminator" in context:
                self._report_discriminator(place, members, context["discriminator"].strip("'"))
            case "too_short":
                if isinstance(place.node, SequenceNode) and len(place.node.items) >= context["min_length"]:
                    return  # the list is long enough, but wrong items, each reported, were not counted
                least = context["min_length"]
                message = f"expected a list of at least {least}, received {context['actual_length'] or 'an empty list'}"
                self._problems.add(place.at, message)
            case _:
                known_type = members and error["type"] not in ("initializer", "noise")
                expected = expectation(members) if known_type else error["msg"].removeprefix("expected ")
                self._report_value(place, members, expected)

    def _known(self, loc: Sequence[int | str]) -> list[str]:
        """The keys that may stand in place of an unknown one: in a union, those of the member with the same `name`."""
        node = self._locate(loc[:-1]).node
        name = plain(node.entries["name"].value) if isinstance(node, MappingNode) and "name" in node.entries else None
        members = members_at(self._model, loc[:-1])
        return field_names([m for m in members if name in discriminator_values([m], "name")] or members)

    def _owners(self, loc: Sequence[int | str]) -> list[str]:
        """The members of a union that have the last key of a location, by their `name`."""
        members = members_at(self._model, loc[:-1])
        return [name for m in members if loc[-1] in field_names([m]) for name in discriminator_values([m], "name")]

    def _key_hint(self, loc: Sequence[int | str], key: str, owner: str) -> str:
        """A hint at what the writer of an unknown key probably meant."""
        known = self._known(loc)
        beside = self._subject.beside if len(loc) == 1 else ()
        if key == "activation" and beside:
            return "an activation is a layer of its own: `{op: relu}`"
        if key == "same":
            return "`{same: …}` is a rule of its own, without sides"
        if near := did_you_mean(key, known) or (did_you_mean(key, beside) if len(key) > 2 else ""):
            return near
        if owners := self._owners(loc):
            return f"it is an attribute of {' and '.join(owners)}"
        if perhaps := self._perhaps.get(tuple(loc)):
            return f"{owner} needs {quote(perhaps)}: perhaps that is meant"
        if part := self._part_with(key, loc[:-1]):
            return f"it belongs to a part: `{part}: {{{key}: …}}`"
        return suggest(key, known, f"{owner} has")

    def _part_with(self, key: str, loc: Sequence[int | str]) -> str:
        """The field of the mapping at a location that is itself a mapping with this key; empty if there is none."""
        parts = field_names(members_at(self._model, loc))
        return next((part for part in parts if key in field_names(members_at(self._model, (*loc, part)))), "")

    def _report_value(self, place: _Place, members: Sequence[Member], expected: str) -> None:
        node = place.node
        received = describe(node)
        if isinstance(node, ScalarNode):
            if isinstance(node.value, float) and not math.isfinite(node.value):
                expected = expected.replace("number", "finite number", 1)
            if isinstance(node.value, str) and any(member.choices for member in members):
                received = received.replace(" (a string)", "")
        hint = value_hint(node, members, self._subject.names)
        self._problems.add(place.at, f"expected {expected}, received {received}", hint)

    def _report_discriminator(self, place: _Place, members: Sequence[Member], key: str) -> None:
        """Report a mapping whose discriminator is missing or unknown, or a value that is no mapping."""
        known = discriminator_values(members, key)
        choices = f"one of {', '.join(known)}"
        if not isinstance(place.node, MappingNode):
            expected = f"a mapping with {quote(key)}: {choices}"
            value = plain(place.node)
            near = nearest(value, known) if isinstance(value, str) else ""
            hint = f"write `{{{key}: {near}}}`, with what else it takes" if near else ""
            self._problems.add(place.at, f"expected {expected}, received {describe(place.node)}", hint)
        elif key not in place.node.entries:
            stated = ((other, plain(entry.value)) for other, entry in place.node.entries.items())
            hint = next(
                (f"write `{key}: {value}`, not `{other}: {value}`" for other, value in stated if value in known), ""
            )
            self._problems.add(place.key_at, f"{self._shown(place.key)} needs {quote(key)}: {choices}", hint)
        elif not is_broken(chosen := place.node.entries[key].value):
            received = describe(chosen).replace(" (a string)", "")
            hint = did_you_mean(str(plain(chosen)), known)
            self._problems.add(chosen.at, f"expected {choices}, received {received}", hint)

    def _shown(self, key: str) -> str:
        shown = key or self._subject.name
        return shown if shown.isidentifier() else quote(shown)

    def _locate(self, loc: Sequence[int | str]) -> _Place:
        """The value at a location, skipping the parts that pydantic adds (tags of unions)."""
        place = _Place(self._subject.at, self._subject.node, "", "")
        for part in loc:
            if isinstance(place.node, MappingNode) and part in place.node.entries:
                entry = place.node.entries[str(part)]
                place = _Place(entry.at, entry.value, str(part), place.key)
            elif isinstance(place.node, SequenceNode) and isinstance(part, int) and part < len(place.node.items):
                item = place.node.items[part]
                place = _Place(item.at, item, place.key, place.owner)
        return place
