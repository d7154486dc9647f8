"""The study model: networks to compare, the seeds and settings that they share, and their published figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from netspec.ops.attributes import Attribute, NonNegativeInt, Share
from netspec.recipe.bounds import BelowOne
from netspec.spec import ModelSpec

DEFAULT_SEEDS = (0, 1, 2)


class StudyData(Attribute):
    """The data of a study: a name for readers, and a location if the study states one.

    `path` and `validation` take the same values as `--data` and `--validation`; a relative path is relative to the
    study file.
    """

    name: str | None = None
    path: str | None = None
    validation: str | None = None
    holdout: BelowOne | None = None


class Target(Attribute):
    """A target error, as a share of 1: of the training set, as measured during training, or of the validation set."""

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
        """The set whose error is the target."""
        return "validation" if self.training_error is None else "training"

    @property
    def error(self) -> float:
        """The error to be reached."""
        return next(error for error in (self.training_error, self.validation_error) if error is not None)

    def __str__(self) -> str:
        return f"{100 * self.error:g}% {self.split} error"


class Errors(Attribute):
    """Top-1 and top-5 error, as shares of 1."""

    top1_error: Share | None = None
    top5_error: Share | None = None


class PublishedFigures(Errors):
    """The figures that a publication states for a member.

    Attributes:
        against: the first member's errors in the same experiment, if they differ from that member's published figures.
        claim: the publication's statement in words.
        source: the place in the publication.
    """

    against: Errors | None = None
    claim: str | None = None
    source: str


class MemberEntry(Attribute):
    """A member in a study file: its spec, as a path relative to that file, and its settings."""

    spec: str
    set: dict[str, Any] = Field(default_factory=dict)
    published: PublishedFigures | None = None


class StudyEntry(Attribute):
    """The contents of a study file.

    Attributes:
        set: parameters and recipe fields for every member, as `--set` takes them: `training.epochs: 20`.
        members: the members by name; the first is the baseline of the comparison.
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
        name: its name in the study.
        spec: its spec, with the settings of the study, the member and the command line applied.
        published: its published figures, if the study has any.
    """

    name: str
    spec: ModelSpec
    published: PublishedFigures | None = None


@dataclass(frozen=True)
class Study:
    """A study with its specs read, ready to run. The first member is the baseline of the comparison."""

    name: str
    source: str
    data: StudyData
    backend: str
    seeds: tuple[int, ...]
    target: Target | None
    members: tuple[Member, ...]

    def on(self, data: str, backend: str) -> Study:
        """The same study on other data, in another backend."""
        name = self.data.name if data == self.data.path else None
        return replace(self, data=StudyData(name=name, path=data), backend=backend)
