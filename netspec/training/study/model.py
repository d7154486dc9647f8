"""What a study is: networks to compare, the seeds and settings that they share, and what was published of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, Share
from netspec.recipe.bounds import BelowOne
from netspec.spec import ModelSpec

DEFAULT_SEEDS = (0, 1, 2)


class StudyData(Attribute):
    """What a study is trained on: its name for readers, and where it lies if the study knows.

    `path` and `validation` are what `--data` and `--validation` take; local ones as they are seen from the study's
    file.
    """

    name: str | None = None
    path: str | None = None
    validation: str | None = None
    holdout: BelowOne | None = None


class Target(Attribute):
    """An error, as a share of 1, to be reached: that of training, as it goes on, or that of validation."""

    training_error: Share | None = None
    validation_error: Share | None = None

    @model_validator(mode="after")
    def _is_one_error(self) -> Self:
        if (self.training_error is None) == (self.validation_error is None):
            received = "neither" if self.training_error is None else "both"
            raise ValueError(f"expected either `training_error` or `validation_error`, received {received}")
        return self

    @property
    def split(self) -> Literal["training", "validation"]:
        """Whose error it is."""
        return "validation" if self.training_error is None else "training"

    @property
    def error(self) -> float:
        """What is to be reached."""
        return next(error for error in (self.training_error, self.validation_error) if error is not None)

    def __str__(self) -> str:
        return f"{100 * self.error:g}% {self.split} error"


class Errors(Attribute):
    """Shares of 1."""

    top1_error: Share | None = None
    top5_error: Share | None = None


class PublishedFigures(Errors):
    """What a source states of a member.

    Attributes:
        against: the first member's errors in the same experiment, where they are not those published of that member.
        claim: what the source says in words.
        source: where it says so.
    """

    against: Errors | None = None
    claim: str | None = None
    source: str


class MemberEntry(Attribute):
    """A member in a study's file: its spec, as a path seen from that file, and settings of its own."""

    spec: str
    set: dict[str, Any] = Field(default_factory=dict)
    published: PublishedFigures | None = None


class StudyEntry(Attribute):
    """A study's file.

    Attributes:
        set: parameters and parts of the recipe for every member, as `--set` takes them: `training.epochs: 20`.
        members: by name; the first is what the others are compared with.
    """

    study: str
    source: str = ""
    data: StudyData = StudyData()
    backend: str = "torch"
    seeds: tuple[NonNegativeInt, ...] = Field(DEFAULT_SEEDS, strict=False, min_length=1)
    set: dict[str, Any] = Field(default_factory=dict)
    target: Target | None = None
    members: dict[str, MemberEntry]


@dataclass(frozen=True)
class Member:
    """One of the networks that are compared.

    Attributes:
        spec: with the settings of the study, its own, and those of the command line.
    """

    name: str
    spec: ModelSpec
    published: PublishedFigures | None = None


@dataclass(frozen=True)
class Study:
    """A study with its specs, as it is run. The first member is what the others are compared with."""

    name: str
    source: str
    data: StudyData
    backend: str
    seeds: tuple[int, ...]
    target: Target | None
    members: tuple[Member, ...]

    def on(self, data: str, backend: str) -> Study:
        """The same study, on other data, in another backend."""
        name = self.data.name if data == self.data.path else None
        return replace(self, data=StudyData(name=name, path=data), backend=backend)
