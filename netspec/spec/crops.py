"""What a recipe does to images beside the input that they become: where that is known, so is what cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netspec.graph import Input
from netspec.spec.text.document import Entry, Problems

if TYPE_CHECKING:
    from netspec.recipe import Recipe


def check_crops(recipe: Recipe, inputs: Sequence[Input], stated: Entry, problems: Problems) -> None:
    """Report crops of another size than the input's, and turns of such as are not square.

    Args:
        recipe: the spec's.
        inputs: that are whole; of several, or of features, none is an image's crop.
        stated: the recipe as it stands in the file.
        problems: where they are recorded.
    """
    sizes = [value.type.features[1:] for value in inputs if len(value.type.features) == 3]
    if len(inputs) == len(sizes) == 1:
        for name, message, hint in recipe.augmentation.misfits(*sizes[0]):
            at = stated.within("augmentation", name).stated_at
            derived = hint and at.source.order > 0  # the recipe is another file's, the input is not
            problems.add(at, message, f"{hint} in the spec that extends this one" if derived else hint)
