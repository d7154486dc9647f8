"""`extends` of a recipe and of a preprocessing, which several networks can share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netspec.errors import SpecError
from netspec.spec import load_graph, read_spec
from netspec.spec.write import write_spec

RECIPE = """\
batch_size: 32
epochs: 2
optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}
schedule: {name: step, every: {epochs: 1}, factor: 0.1}
augmentation: {random_crop: "${size}"}
"""
HEAD = "name: example\nparameters: {size: 8}\ninput: {shape: [3, '${size}', '${size}']}\nlayers: {relu: {op: relu}}\n"


@pytest.fixture
def train(write):
    """Write a spec with this text under `training:`, in a folder that contains RECIPE."""
    write(RECIPE, "recipes/sgd.yaml")

    def write_spec_with(training: str, name: str = "spec.yaml", head: str = HEAD) -> Path:
        return write(f"{head}training: {training}\n", name)

    return write_spec_with


def training_of(path: Path, **settings: object):
    training = read_spec(path, settings).training
    assert training is not None
    return training


def test_a_recipe_of_another_file_is_as_if_it_were_written_here(train, write) -> None:
    there = train("{extends: recipes/sgd.yaml}")
    here = write(HEAD + "training:\n" + "".join(f"  {line}\n" for line in RECIPE.splitlines()), "here.yaml")
    assert read_spec(there) == read_spec(here)
    assert write_spec(read_spec(there)) == write_spec(read_spec(here)), "and is written out whole"


def test_keys_of_the_spec_override_those_of_the_recipe(train) -> None:
    found = training_of(
        train("{extends: recipes/sgd.yaml, epochs: null, steps: 9, optimizer: {momentum: 0}, schedule: {name: cosine}}")
    )
    assert (found.batch_size, found.epochs, found.steps) == (32, None, 9)
    assert (found.optimizer.learning_rate, found.optimizer.momentum) == (0.1, 0)
    assert found.schedule.model_dump() == {"name": "cosine", "final": 0.0}


def test_a_recipe_extends_another(train, write) -> None:
    write("extends: ../sgd.yaml\nepochs: 5\noptimizer: {learning_rate: 0.2}\n", "recipes/long/sgd.yaml")
    found = training_of(train("{extends: recipes/long/sgd.yaml, optimizer: {momentum: 0.5}}"))
    assert (found.batch_size, found.epochs) == (32, 5)
    assert (found.optimizer.learning_rate, found.optimizer.momentum) == (0.2, 0.5)


def test_expressions_of_a_recipe_see_the_parameters_of_the_spec(train) -> None:
    path = train("{extends: recipes/sgd.yaml}")
    assert str(training_of(path).augmentation.random_crop) == "8x8"
    assert str(training_of(path, size=6).augmentation.random_crop) == "6x6"
    with pytest.raises(SpecError, match=r"recipes/sgd.yaml:5:29: augmentation.random_crop: .*'size' is not defined"):
        load_graph(train("{extends: recipes/sgd.yaml}", head=HEAD.replace("size:", "side:")))


def test_settings_come_last(train) -> None:
    assert training_of(train("{extends: recipes/sgd.yaml, epochs: 4}"), **{"training.epochs": 7}).epochs == 7


def test_a_spec_may_extend_one_with_a_shared_recipe(train, write) -> None:
    train("{extends: recipes/sgd.yaml, epochs: 4, seed: 3}", "base.yaml")
    write("batch_size: 64\noptimizer: {name: adam, learning_rate: 1}\n", "more/recipes/adam.yaml")
    plain = training_of(write("name: a\nextends: ../base.yaml\ntraining: {batch_size: 16}\n", "more/plain.yaml"))
    assert (plain.batch_size, plain.epochs, plain.seed, plain.optimizer.name) == (16, 4, 3, "sgd")
    over = "name: b\nextends: ../base.yaml\ntraining: {extends: recipes/adam.yaml, seed: 5}\n"
    laid = training_of(write(over, "more/over.yaml"))
    assert (laid.batch_size, laid.epochs, laid.seed, laid.optimizer.name) == (64, 4, 5, "adam"), "its recipe over that"


def test_preprocessing_of_one_input_and_of_several(write) -> None:
    write("mean: [1, 2, 3]\nstd: [4]\n", "figures/rgb.yaml")
    one = "{shape: [3, 8, 8], preprocessing: {extends: figures/rgb.yaml, std: [5]}}"
    layers = "layers: {sum: {op: add, inputs: [a, b]}}\n"
    path = write(f"name: x\ninputs: {{a: {one}, b: {one.replace(', std: [5]', '')}}}\n{layers}")
    (a, b) = load_graph(path).inputs
    assert a.preprocessing is not None
    assert b.preprocessing is not None
    assert (a.preprocessing.mean, a.preprocessing.std) == ((1, 2, 3), (5,))
    assert (b.preprocessing.mean, b.preprocessing.std) == ((1, 2, 3), (4,))
    single = write(f"name: x\ninput: {one}\nlayers: {{relu: {{op: relu}}}}\n", "single.yaml")
    assert load_graph(single).inputs[0].preprocessing == a.preprocessing


def test_the_path_of_a_mean_image_is_relative_to_the_file_that_names_it(write, tmp_path: Path) -> None:
    write("mean: {image: mean.npy}\n", "figures/mean.yaml")
    np.save(tmp_path / "figures" / "mean.npy", np.full((3, 2, 2), 7, np.float32))
    text = "name: x\ninput: {shape: [3, 2, 2], preprocessing: {extends: figures/mean.yaml}}\nlayers: {a: {op: relu}}\n"
    (image,) = load_graph(write(text)).inputs
    assert image.preprocessing is not None
    np.testing.assert_array_equal(image.preprocessing.mean.array, np.full((3, 2, 2), 7))  # type: ignore[union-attr]


def test_problems_of_all_files_are_reported_at_once(train, write) -> None:
    write("extends: more.yaml\nepochs: none\n", "recipes/some.yaml")
    write("batch_sise: 3\noptimizer: {name: sgd, learning_rate: 1}\n", "recipes/more.yaml")
    path = train("{extends: recipes/some.yaml, seed: -1, batch_size: 1}", head=HEAD.replace("relu}", "rely}"))
    with pytest.raises(SpecError) as caught:
        load_graph(path)
    found = [(Path(d.where.file).name, d.where.path) for d in caught.value.diagnostics if d.where]
    assert found == [
        ("spec.yaml", "layers.relu.op"),
        ("spec.yaml", "training.seed"),
        ("some.yaml", "epochs"),
        ("more.yaml", "batch_sise"),
    ]
