"""A generator and the discriminator that its recipe names: reading the second, and whether they can train together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from netspec.errors import Diagnostic, NetspecError, SpecError
from netspec.graph import Graph
from netspec.graph.training import classes_of, generator_graph, map_size
from netspec.recipe.optimizer import CURVATURE
from netspec.spec.elaborate import elaborate, elaborate_checked
from netspec.spec.model import Checked, ModelSpec
from netspec.spec.text.document import Position, Problems
from netspec.spec.text.files import path_named
from netspec.spec.trainable import require_recipe_of_features, trainable_graph

if TYPE_CHECKING:
    from netspec.recipe import Adversarial, Recipe
    from netspec.spec.parameters.overrides import Overrides

Read = Callable[[Path, "Overrides", Problems, Position], Checked]


class Pair(NamedTuple):
    """The training graphs of a generator and its discriminator."""

    generator: Graph
    discriminator: Graph


def read_discriminator(spec: ModelSpec, loss: Adversarial, read: Read) -> ModelSpec:
    """A generator's spec with that of its discriminator.

    Args:
        spec: the spec of the generator, without problems.
        loss: the loss of its recipe.
        read: reads a spec file with overrides, which another file names at a position.

    Raises:
        SpecError: the file cannot be read, or has problems, those of shapes included.
    """
    stated = spec.loss_at
    assert stated is not None  # noqa: S101 # it was read from a file
    problems = Problems()
    named = stated.within("discriminator").value
    path, _ = path_named(named, Path(named.at.source.file), problems)
    try:
        checked = read(path, loss.set, problems, named.at)
        elaborate_checked(checked, problems)
        problems.raise_any()
    except SpecError as error:
        given = stated.within("set").at.where
        raise SpecError(
            each._replace(where=given) if each.where is not None and each.where.file == "--set" else each
            for each in error.diagnostics
        ) from None
    return replace(spec, discriminator=checked.spec)


def trainable_pair(spec: ModelSpec) -> Pair:
    """The training graphs of a generator and its discriminator.

    Raises:
        NetspecError: the two do not fit together, or the generator's recipe has something that needs labels.
        SpecError: a network has shapes that do not fit, or the discriminator cannot be trained.
    """
    recipe, other = spec.training, spec.discriminator
    assert recipe is not None  # noqa: S101 # the caller's part
    assert other is not None  # noqa: S101
    generator = generator_graph(elaborate(spec))
    if other.training is None or other.training.adversarial is not None:
        what = "no recipe" if other.training is None else "an adversarial loss itself"
        raise NetspecError(
            f"{other.name} is the discriminator of {spec.name}, and has {what}",
            "give it `training:` with an optimizer and `loss: {name: softmax_cross_entropy, constant_logit: 0}`",
        )
    discriminator = _classifier(other, other.training)
    _require_two_kinds(spec.name, discriminator)
    sample, taken = generator.type_of(generator.outputs[0]), discriminator.inputs[0].type
    if sample != taken:
        raise NetspecError(
            f"{spec.name} generates {sample}, and its discriminator {other.name} takes {taken}",
            "both must be of one shape: `training.loss.set` gives the discriminator's parameters values",
        )
    for name, rule in ((spec.name, recipe.optimizer), (other.name, other.training.optimizer)):
        if CURVATURE in rule.slots:
            raise NetspecError(
                f"{name}: its optimizer, {rule.name}, takes second derivatives of a loss on labelled samples",
                "a generator and its discriminator train with another optimizer, such as adam",
            )
    _require_recipe_without_labels(spec.name, recipe, taken.features)
    return Pair(generator, discriminator)


def _classifier(spec: ModelSpec, recipe: Recipe) -> Graph:
    """The training graph of a discriminator, whose problems are reported in its own file."""
    graph = elaborate(spec)
    try:
        return trainable_graph(graph, recipe)
    except NetspecError as error:
        where = spec.training_at.where if spec.training_at else None
        raise SpecError([Diagnostic(where, error.message, error.hint)]) from error


def _require_two_kinds(name: str, discriminator: Graph) -> None:
    classes = classes_of(discriminator)
    if classes != 2 or map_size(discriminator) is not None:
        output = discriminator.type_of(discriminator.outputs[0])
        raise NetspecError(
            f"{discriminator.name}: the discriminator of {name} tells two classes of samples apart, real (0) and "
            f"generated (1), and its logits are {output}",
            "end it with one logit, and `loss: {name: softmax_cross_entropy, constant_logit: 0}` in its recipe",
        )


def _require_recipe_without_labels(name: str, recipe: Recipe, sample: tuple[int, ...]) -> None:
    """Raise NetspecError if a generator's recipe has something that needs labels, or does not fit its samples."""
    labelled = [
        *(["schedule: plateau"] if recipe.schedule.name == "plateau" else []),
        *(["evaluation.views"] if recipe.evaluation.views != 1 else []),
        *recipe.augmentation.needing_partner,
    ]
    if labelled:
        raise NetspecError(
            f"{name}: its recipe has {', '.join(labelled)}, for samples with labels, and a generator has none",
            "leave this out of the recipe",
        )
    if len(sample) != 3:
        require_recipe_of_features(name, recipe, f"its samples are {list(sample)}")
        return
    for misfit in recipe.augmentation.misfits(*sample[1:]):
        raise NetspecError(f"{name}: training.augmentation.{misfit.name}: {misfit.message}", misfit.hint)
