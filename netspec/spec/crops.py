"""Checks the crops and turns of a recipe's augmentation against the size of the network's input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netspec.graph import Input
from netspec.spec.text.document import Entry, Problems

if TYPE_CHECKING:
    from netspec.recipe import Recipe


def check_crops(recipe: Recipe, inputs: Sequence[Input], stated: Entry, problems: Problems) -> None:
    """Report crops of another size than the input, and turns of an input that is not square.

    Only a single input of rank 4 is checked: otherwise it is not known which input the images become.

    Args:
        recipe: recipe of the spec.
        inputs: inputs without problems.
        stated: the recipe in the document.
        problems: collects the problems.
    """
    sizes = [value.type.features[1:] for value in inputs if len(value.type.features) == 3]
    if len(inputs) == len(sizes) == 1:
        for name, message, hint in recipe.augmentation.misfits(*sizes[0]):
            at = stated.within("augmentation", name).stated_at
            inherited = at.source.order > 0  # then the file of the recipe should not be changed for this input
            problems.add(at, message, f"{hint} in the spec that extends this one" if hint and inherited else hint)
