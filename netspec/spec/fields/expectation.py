"""Words what a model expects at a place, from its annotations, so that new attributes have good messages at once."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo

from netspec.ops.attributes import Padding, Scale2d, Size2d
from netspec.ops.initializers import Constant


class Member(NamedTuple):
    """One alternative of an annotation, which may be a union, with its constraints."""

    base: Any
    metadata: tuple[Any, ...]

    @property
    def model(self) -> type[BaseModel] | None:
        """The pydantic model, or None if the member is no model."""
        return self.base if isinstance(self.base, type) and issubclass(self.base, BaseModel) else None

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a `Literal`; empty for any other type."""
        return tuple(map(str, get_args(self.base))) if get_origin(self.base) is Literal else ()


def members_at(model: type[BaseModel], loc: Sequence[int | str]) -> list[Member]:
    """The members of the annotation at a location as pydantic gives it, where tags of unions are among the parts."""
    members = [Member(model, ())]
    for index, part in enumerate(loc):
        deeper = [inner for member in members for inner in _step(member, part)]
        if not deeper and index < len(loc) - 1:  # a tag at the end does not narrow the union
            deeper = [m for m in members if any(isinstance(c, Tag) and c.tag == part for c in m.metadata)]
        members = deeper or members
    return members


def _step(member: Member, part: int | str) -> Iterator[Member]:
    """The members of the annotation one part of a location below a member."""
    origin = get_origin(member.base)
    if member.model is not None:
        field = member.model.model_fields.get(str(part))
        if field is not None:
            yield from _flatten(field.annotation, tuple(field.metadata))
    elif origin is dict and isinstance(part, str):
        yield from _flatten(get_args(member.base)[1])
    elif origin in (tuple, list) and isinstance(part, int):
        yield from _flatten(get_args(member.base)[0])


def _flatten(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[Member]:
    """The members of a union, nested or not, without None: messages do not advise to write null."""
    origin = get_origin(annotation)
    if origin is Annotated:
        base, *more = get_args(annotation)
        constraints = (c for m in more for c in (m.metadata if isinstance(m, FieldInfo) else (m,)))
        yield from _flatten(base, (*metadata, *constraints))
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _flatten(member, metadata)
    elif annotation is not type(None):
        yield Member(annotation, metadata)


def field_names(members: Iterable[Member]) -> list[str]:
    """The field names of all models among the members."""
    return [name for member in members if member.model for name in member.model.model_fields]


def discriminator_values(members: Iterable[Member], key: str) -> list[str]:
    """The values of the discriminator `key` in a union of models."""
    fields = (member.model.model_fields.get(key) for member in members if member.model)
    return [str(choice) for field in fields if field for choice in get_args(field.annotation)]


# Models that can be written in a shorter form.
_SHORT_FORMS = {
    Size2d: "a positive integer, or a mapping of height and width",
    Scale2d: "a positive number, or a mapping of height and width",
    Padding: "a non-negative integer, or a mapping of top, left, bottom and right",
    Constant: "a number",
}


def expectation(members: Sequence[Member]) -> str:
    """What the members accept, in words: `a positive integer, or a mapping of height and width`."""
    if len(members) > 1 and (names := discriminator_values(members, "name")):
        return f"a mapping with 'name': one of {', '.join(names)}"
    return ", or ".join(dict.fromkeys(_expect(member) for member in members))


def _expect(member: Member) -> str:
    base = member.base
    if member.choices:
        return f"one of {', '.join(member.choices)}" if len(member.choices) > 1 else member.choices[0]
    if base in _SHORT_FORMS:
        return _SHORT_FORMS[base]
    if member.model is not None:
        return _expect_mapping(list(member.model.model_fields))
    if base in (int, float):
        return _expect_number("integer" if base is int else "number", member.metadata)
    if get_origin(base) in (tuple, list):
        return f"a list, each item {expectation(list(_flatten(get_args(base)[0])))}"
    return {bool: "true or false", str: "a string", Any: "a number or a list"}.get(base, "a mapping")


def _expect_mapping(names: list[str]) -> str:
    return f"a mapping of {', '.join(names[:-1])} and {names[-1]}" if names[1:] else f"a mapping with {names[0]!r}"


def _expect_number(noun: str, metadata: tuple[Any, ...]) -> str:
    limits: dict[str, Any] = {}
    for c in metadata:
        for kind, name in ((Gt, "gt"), (Ge, "ge"), (Lt, "lt"), (Le, "le")):
            if isinstance(c, kind):
                limits[name] = getattr(c, name)
    article = "an" if noun == "integer" else "a"
    match limits:
        case {"gt": 0, **rest} if not rest:
            return f"a positive {noun}"
        case {"ge": 0, **rest} if not rest:
            return f"a non-negative {noun}"
        case {"ge": low, "le": high}:
            return f"{article} {noun} from {low} to {high}"
    words = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
    bounds = " and ".join(f"{words[name]} {value}" for name, value in limits.items())
    return f"{article} {noun} {bounds}".rstrip()
