"""A generator's spec names its discriminator's: it is read with it, and the two are checked as a pair."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from netspec.cli.app import run
from netspec.errors import SpecError
from netspec.graph.training import classes_of
from netspec.spec import elaborate, read_spec
from netspec.spec.pair import trainable_pair
from netspec.spec.write import write_spec
from netspec.training.study.read import read_study
from tests.training.pair import write_pair


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    return write_pair(tmp_path)


def change(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


Check = Callable[[Path], str]


@pytest.fixture
def checked(capsys: pytest.CaptureFixture[str]) -> Check:
    """The report of `netspec check`, which names the files by their last part."""

    def check(path: Path) -> str:
        run(["check", str(path)])
        captured = capsys.readouterr()
        return (captured.out + captured.err).replace(f"{path.parent}/", "")

    return check


def test_the_discriminator_gets_the_parameters_that_the_loss_sets(checked: Check, generator: Path) -> None:
    spec = read_spec(generator, ["width=12"])
    assert spec.discriminator is not None
    assert spec.discriminator.parameters == {"width": 6}
    pair = trainable_pair(spec)
    assert pair.generator == elaborate(spec)
    assert (pair.discriminator.name, classes_of(pair.discriminator)) == ("toy-discriminator", 2)
    assert checked(generator) == "generator.yaml: ok: toy-generator, 6 layers, 929 weights\n"


def test_a_pair_is_written_as_two_files_that_read_back(generator: Path, tmp_path: Path) -> None:
    spec = read_spec(generator)
    assert spec.discriminator is not None
    folder = tmp_path / "written"
    folder.mkdir()
    (folder / "spec.yaml").write_text(write_spec(spec))
    (folder / "discriminator.yaml").write_text(write_spec(spec.discriminator))
    again = read_spec(folder / "spec.yaml")
    assert again.discriminator is not None
    assert elaborate(again.discriminator) == elaborate(spec.discriminator)
    assert again.discriminator.training == spec.discriminator.training
    assert write_spec(again) == write_spec(spec)


def test_the_path_is_relative_to_the_file_that_states_it(generator: Path, tmp_path: Path) -> None:
    """Which may be a recipe that the spec extends, in another folder."""
    (tmp_path / "recipes").mkdir()
    text = generator.read_text()
    recipe = text[text.index("training:\n") + len("training:\n") :]
    lines = "\n".join(line[2:] for line in recipe.splitlines()).replace("discriminator.yaml", "../discriminator.yaml")
    (tmp_path / "recipes" / "gan.yaml").write_text(f"{lines}\n")
    generator.write_text(text.replace(recipe, "  extends: recipes/gan.yaml\n"))
    assert read_spec(generator).discriminator is not None


CASES = [
    (
        "generator.yaml",
        "padding: 1}",
        "padding: 0}",
        "toy-generator generates (N, 1, 10, 10), and its discriminator toy-discriminator takes (N, 1, 8, 8)\n",
    ),
    ("discriminator.yaml", "units: 1", "units: 2", "and its logits are (N, 3)\n"),
    ("generator.yaml", "discriminator: discriminator", "discriminator: generator", "has an adversarial loss itself\n"),
    (
        "generator.yaml",
        "{name: adam, learning_rate: 1e-3, beta1: 0.5}",
        "{name: diagonal_levenberg_marquardt, learning_rate: 0.01}",
        "toy-generator: its optimizer, diagonal_levenberg_marquardt, takes second derivatives of a loss on labelled s",
    ),
    ("generator.yaml", "epochs: 2", "epochs: 2\n  schedule: {name: plateau}", "its recipe has schedule: plateau, for"),
    ("generator.yaml", "epochs: 2", "epochs: 2\n  augmentation: {mixup: {alpha: 1}}", "its recipe has mixup, for"),
    ("generator.yaml", "epochs: 2", "epochs: 2\n  evaluation: {views: 10}", "its recipe has evaluation.views, for"),
    (
        "generator.yaml",
        "epochs: 2",
        "epochs: 2\n  augmentation: {random_crop: 6}",
        "training.augmentation.random_crop: expected the size of the network's input, 8x8, received 6x6\n",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), CASES)
def test_what_is_no_pair_is_reported_at_the_loss(
    checked: Check, generator: Path, file: str, old: str, new: str, message: str
) -> None:
    change(generator.parent / file, old, new)
    report = checked(generator)
    assert message in report
    assert "  loss:\n" in report
    assert report.startswith("error: generator.yaml: 1 problem\n")


def test_a_discriminator_needs_a_recipe(checked: Check, generator: Path) -> None:
    path = generator.parent / "discriminator.yaml"
    path.write_text(path.read_text().partition("training:")[0])
    assert "toy-discriminator is the discriminator of toy-generator, and has no recipe" in checked(generator)


def test_a_problem_of_the_discriminator_is_reported_in_its_file(checked: Check, generator: Path) -> None:
    change(generator.parent / "discriminator.yaml", "kernel_size: 3, padding: 1", "kernel_size: 5")
    report = checked(generator)
    assert "discriminator.yaml:7:57: layers.conv2.kernel_size: " in report
    assert "error: generator.yaml: 1 problem\n" in report


def test_a_discriminator_that_cannot_be_trained_is_reported_in_its_file(checked: Check, generator: Path) -> None:
    change(generator.parent / "discriminator.yaml", "constant_logit: 0", "label_smoothing: 0")
    report = checked(generator)
    assert "discriminator.yaml:13:1: training: toy-discriminator gives one logit, whose softmax is always 1" in report
    assert "error: generator.yaml: 1 problem\n" in report


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "discriminator.yaml",
            "absent.yaml",
            "generator.yaml:14:20: training.loss.discriminator: absent.yaml: ",
        ),
        ("discriminator.yaml", "/d.yaml", "'/d.yaml' is absolute"),
        ("discriminator.yaml", "https://d.yaml", "'https://d.yaml' is not a path"),
        ("discriminator.yaml", "d.txt", "'d.txt' is not a YAML file"),
        ('{width: "${width // 2}"}', "{wide: 4}", "generator.yaml:15:5: training.loss.set: the spec has no parameter"),
        ('{width: "${width // 2}"}', "{width: true}", "generator.yaml:15:5: training.loss.set: expected a value of"),
    ],
)
def test_a_discriminator_that_cannot_be_read_is_reported_where_it_is_named(
    checked: Check, generator: Path, old: str, new: str, message: str
) -> None:
    change(generator, f" {old}", f" {new}")
    assert message in checked(generator)


def test_a_generator_has_one_input_and_one_output(checked: Check, generator: Path) -> None:
    change(generator, "training:", "outputs: [conv, tanh]\ntraining:")
    assert "a generator is a network of one output, and this one has 2: conv, tanh" in checked(generator)


def test_what_scores_labels_takes_no_generator(
    capsys: pytest.CaptureFixture[str], generator: Path, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text("study: pair\nmembers: {a: {spec: generator.yaml}}\n")
    with pytest.raises(SpecError, match="toy-generator is a generator, and a study compares errors on labelled"):
        read_study(tmp_path / "study.yaml")
    (tmp_path / "w.safetensors").touch()
    assert run(["eval", str(generator), "--weights", str(tmp_path / "w.safetensors")]) == 2
    assert "toy-generator is a generator: its samples have no labels to be scored on" in capsys.readouterr().err
