"""Models made of mappings of the document, by pydantic; `report` words what it finds wrong."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from netspec.spec.text.document import MappingNode, Position, Problems, plain

Model = TypeVar("Model", bound=BaseModel)


class Subject(NamedTuple):
    """What is validated: a mapping of the document, the key it stands under, its name in messages, other keys there.

    `names` are those that an expression could use in it.
    """

    node: MappingNode
    at: Position
    name: str
    beside: tuple[str, ...] = ()
    names: Collection[str] = ()


def validate(model: type[Model], subject: Subject, problems: Problems, *, partial: bool = False) -> Model | None:
    """The model made of a mapping, or None after its problems are recorded.

    `partial`: required attributes may be absent (they come from elsewhere).
    """
    try:
        return model.model_validate(plain(subject.node))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        if not partial or any(each["type"] != "missing" for each in errors):
            from netspec.spec.fields.report import Report  # noqa: PLC0415 # a right spec needs none

            Report(model, subject, problems).take(errors, partial)
        return None
