"""Whether a run is the same as the one that it continues: recipes are compared by value, not by text."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netspec.errors import WeightsError
from netspec.recipe import Recipe
from netspec.spec import read_spec
from netspec.training.checkpoint import Run
from netspec.training.folder import RunFolder
from netspec.training.same_run import require_same_run

SPECS = Path(__file__).parents[2] / "specs"
FOLDER = RunFolder(Path("runs/mine"))


def recipe(**parts: Any) -> dict[str, Any]:
    optimizer = {"name": "sgd", "learning_rate": 0.1}
    return Recipe.model_validate({"batch_size": 2, "epochs": 1, "optimizer": optimizer, **parts}).model_dump(
        mode="json"
    )


NOW = Run(recipe(augmentation={"horizontal_flip": True}), "digits-1", exact=True, validation="digits-2")


def refusal(before: Run, now: Run = NOW) -> list[str]:
    with pytest.raises(WeightsError, match="another run") as caught:
        require_same_run(FOLDER, before, now)
    return caught.value.message.splitlines()[1:]


@pytest.mark.parametrize("part", ["augmentation", "evaluation", "loss", "optimizer"])
def test_a_key_that_came_later_is_no_difference_where_it_has_its_default(part: str) -> None:
    stored = deepcopy(NOW.recipe)
    own = stored[part]
    default = recipe()[part]
    for key in [key for key in own if key not in ("name", "learning_rate") and own[key] == default[key]]:
        del own[key]
    assert len(own) < len(NOW.recipe[part])
    require_same_run(FOLDER, replace(NOW, recipe=stored), NOW)


def test_a_part_that_came_later_is_no_difference_either() -> None:
    stored = deepcopy(NOW.recipe)
    del stored["weight_average"], stored["evaluation"]
    require_same_run(FOLDER, replace(NOW, recipe=stored), NOW)


def test_what_came_later_and_is_set_now_is_named_by_its_path() -> None:
    stored = deepcopy(NOW.recipe)
    del stored["augmentation"]["horizontal_flip"]
    assert refusal(replace(NOW, recipe=stored)) == ["  training.augmentation.horizontal_flip: false before, true now"]
    assert refusal(replace(NOW, recipe=recipe(augmentation={"random_crop": 4, "horizontal_flip": True}))) == [
        '  training.augmentation.random_crop: {"height": 4, "width": 4} before, nothing now'
    ]


def test_a_part_of_another_kind_is_compared_key_by_key() -> None:
    other = recipe(augmentation={"horizontal_flip": True}, optimizer={"name": "adam", "learning_rate": 0.1})
    lines = refusal(replace(NOW, recipe=other))
    assert '  training.optimizer.name: "adam" before, "sgd" now' in lines
    assert "  training.optimizer.beta1: 0.9 before, nothing now" in lines


def test_an_obsolete_recipe_is_a_difference_and_not_a_crash() -> None:
    stored = deepcopy(NOW.recipe) | {"mixup": 0.2}
    assert "  training.mixup: 0.2 before, nothing now" in refusal(replace(NOW, recipe=stored))


def test_length_data_and_masks() -> None:
    require_same_run(FOLDER, replace(NOW, recipe=NOW.recipe | {"epochs": 9}), NOW)
    assert refusal(replace(NOW, data="digits-2")) == ["  the training data are not the same as before"]
    assert refusal(replace(NOW, exact=False)) == ["  --exact was not given before"]
    assert refusal(replace(NOW, validation="digits-3")) == ["  the validation data are not the same as before"]
    assert refusal(replace(NOW, validation="")) == ["  the validation data are not the same as before"]
    require_same_run(FOLDER, replace(NOW, validation=None), NOW)  # a checkpoint of a netspec that did not say


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_stored_recipe_is_the_recipe(path: Path) -> None:
    own = read_spec(path).training
    if own is not None:
        run = Run(own.model_dump(mode="json"), "", exact=False)
        require_same_run(FOLDER, run, run)
        assert Recipe.model_validate_json(own.model_dump_json()) == own
