"""The check that a resumed run is the run that was begun: the same recipe, data and dropout masks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from netspec.errors import WeightsError
from netspec.recipe import Recipe
from netspec.training.checkpoint import Run
from netspec.training.folder import RunFolder

LENGTH = ("epochs", "steps")  # the fields of a recipe that may differ when a run is resumed
ABSENT = "nothing"  # shown for a value that only the other recipe has


def require_same_run(folder: RunFolder, before: Run, now: Run) -> None:
    """Raise if a run was begun with other settings than the ones it is resumed with.

    Raises:
        WeightsError: the recipe, the data or the kind of dropout masks differs; the message names each difference.
    """
    differ = [
        f"training.{each.path}: {each.before} before, {each.now} now"
        for each in differences(with_defaults(before.recipe), now.recipe)
        if each.path not in LENGTH
    ]
    differ += [
        f"the discriminator's training.{each.path}: {each.before} before, {each.now} now"
        for each in differences(_of_discriminator(before), _of_discriminator(now))
        if each.path not in LENGTH
    ]
    differ += ["the training data are not the same as before"] if before.data != now.data else []
    # The best checkpoint is chosen by validation error, which two validation sets make incomparable.
    if before.validation is not None and before.validation != now.validation:
        differ.append("the validation data are not the same as before")
    differ += [f"--exact was {'' if before.exact else 'not '}given before"] if before.exact != now.exact else []
    if differ:
        raise WeightsError(
            f"{folder.path} is another run than the one asked for:\n  " + "\n  ".join(differ),
            f"resume it with the settings it began with, or begin another with its weights: --weights {folder.last}",
        )


def _of_discriminator(run: Run) -> dict[str, Any]:
    return with_defaults(run.discriminator["recipe"]) if run.discriminator is not None else {}


def with_defaults(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe with the default for each key that was added to the language after the recipe was written.

    A recipe that is no longer valid is returned unchanged, so that its removed keys show up as differences.
    """
    try:
        return Recipe.model_validate_json(json.dumps(recipe)).model_dump(mode="json")
    except ValidationError:
        return recipe


@dataclass(frozen=True)
class Difference:
    """A value in which two mappings differ, as JSON."""

    path: str
    before: str
    now: str


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[Difference]:
    """All differing values, each with its dotted path.

    >>> differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}})
    [Difference(path='a.b', before='1', now='3')]
    """
    found = []
    for key in dict.fromkeys([*before, *now]):
        old, new = before.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{path}{key}.")
        elif old != new:
            found.append(Difference(f"{path}{key}", _shown(old), _shown(new)))
    return found


def _shown(value: object) -> str:
    return ABSENT if value is None else json.dumps(value, ensure_ascii=False)
