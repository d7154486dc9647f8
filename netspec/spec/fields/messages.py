"""Validates mappings of the document with pydantic models; `report.py` words the errors."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from netspec.spec.text.document import MappingNode, Position, Problems, plain

Model = TypeVar("Model", bound=BaseModel)


class Subject(NamedTuple):
    """A mapping of the document to validate.

    Attributes:
        node: the mapping.
        at: position of its key.
        name: its name in messages.
        beside: keys that it may also have, but that are not the model's.
        names: names that its expressions see.
    """

    node: MappingNode
    at: Position
    name: str
    beside: tuple[str, ...] = ()
    names: Collection[str] = ()


def validate(model: type[Model], subject: Subject, problems: Problems, *, partial: bool = False) -> Model | None:
    """The instance of a model that a mapping describes, or None after its problems are recorded.

    With `partial`, missing attributes are no problem: they come from elsewhere.
    """
    try:
        return model.model_validate(plain(subject.node))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        if not partial or any(each["type"] != "missing" for each in errors):
            from netspec.spec.fields.report import Report  # noqa: PLC0415 # only for errors

            Report(model, subject, problems).take(errors, partial)
        return None
