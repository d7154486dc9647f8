"""Whether a run that is continued is the run that began: its recipe by value, its data, its masks."""

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

# What may differ between a run and its continuation: how long it is.
LENGTH = ("epochs", "steps")
ABSENT = "nothing"  # where one recipe says something and the other does not


def require_same_run(folder: RunFolder, before: Run, now: Run) -> None:
    """Refuse to continue a run that began otherwise.

    Raises:
        WeightsError: its recipe, data or masks were others; each difference is named.
    """
    differ = [
        f"training.{each.path}: {each.before} before, {each.now} now"
        for each in differences(filled_in(before.recipe), now.recipe)
        if each.path not in LENGTH
    ]
    differ += ["the data are others than before"] if before.data != now.data else []
    if before.validation is not None and before.validation != now.validation:  # the best of both could not be told
        differ.append("the validation data are others than before")
    differ += [f"--exact was {'' if before.exact else 'not '}given before"] if before.exact != now.exact else []
    if differ:
        raise WeightsError(
            f"{folder.path} is another run than the one asked for:\n  " + "\n  ".join(differ),
            f"a run continues as it began; another one can begin with its weights: --weights {folder.last}",
        )


def filled_in(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe with a default for each key that the language had not got when it was written.

    One that is no recipe any more stays as it stands: what it has that ours has not is then a difference.
    """
    try:
        return Recipe.model_validate_json(json.dumps(recipe)).model_dump(mode="json")
    except ValidationError:
        return recipe


@dataclass(frozen=True)
class Difference:
    """One value that two mappings differ in, as JSON has it."""

    path: str
    before: str
    now: str


def differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[Difference]:
    """Every value that differs, by its dotted path.

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
