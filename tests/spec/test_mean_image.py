"""`mean:` in a spec: numbers, a word that training replaces, or a file that is read with the spec."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from netspec.errors import SpecError
from netspec.graph import MeanImage
from netspec.graph.text import spec_hash
from netspec.spec import load_graph

NUMBERS = np.random.default_rng(0).uniform(0, 255, (3, 8, 8)).astype(np.float32)


def spec(mean: str) -> str:
    return (
        "name: example\nparameters: {which: mean}\n"
        f"input: {{shape: [3, 8, 8], preprocessing: {{mean: {mean}}}}}\nlayers: {{flat: {{op: flatten}}}}\n"
    )


def mean_of(path: Path) -> object:
    (value,) = load_graph(path).inputs
    assert value.preprocessing is not None
    return value.preprocessing.mean


@pytest.mark.parametrize("word", ["per_channel", "per_pixel"])
def test_a_word_stays_a_word(write, word: str) -> None:
    assert mean_of(write(spec(word))) == word


@pytest.mark.parametrize("named", ["mean.npy", "./mean.npy", "'${which}.npy'"])
def test_a_file_becomes_data(write, tmp_path: Path, named: str) -> None:
    np.save(tmp_path / "mean.npy", NUMBERS)
    path = write(spec(f"{{image: {named}}}"))
    mean = mean_of(path)
    assert isinstance(mean, MeanImage)
    np.testing.assert_array_equal(mean.array, NUMBERS)
    graph = load_graph(path)
    (tmp_path / "mean.npy").unlink()
    np.testing.assert_array_equal(graph.inputs[0].preprocessing.mean.array, NUMBERS)


def test_the_hash_depends_on_the_content_and_not_on_the_name(write, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", NUMBERS)
    np.save(tmp_path / "b.npy", NUMBERS)
    np.save(tmp_path / "c.npy", NUMBERS + 1)
    a, b, c = (spec_hash(load_graph(write(spec(f"{{image: {name}.npy}}")))) for name in "abc")
    assert a == b != c


def test_a_path_is_relative_to_the_file_that_states_it(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(spec("{image: means/mean.npy}"), "bases/base.yaml")
    (tmp_path / "bases" / "means").mkdir()
    np.save(tmp_path / "bases" / "means" / "mean.npy", NUMBERS)
    derived = write("name: derived\nextends: ../bases/base.yaml\nlayers: {}\n", "derived/spec.yaml")
    monkeypatch.chdir(tmp_path / "bases")
    for path in (derived, Path(os.path.relpath(derived))):
        np.testing.assert_array_equal(mean_of(path).array, NUMBERS)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_only_regular_files_are_opened(write, tmp_path: Path, make) -> None:
    make(tmp_path / "mean.npy")
    with pytest.raises(SpecError, match=r"mean\.npy is (a directory|not a regular file)"):
        load_graph(write(spec("{image: mean.npy}")))


def test_a_mean_that_cannot_be_read_does_not_hide_what_else_is_wrong(write) -> None:
    text = spec("{image: mean.npy}").replace("op: flatten", "op: dense, units: 0")
    with pytest.raises(SpecError) as caught:
        load_graph(write(text))
    assert [d.where.path for d in caught.value.diagnostics if d.where] == [
        "input.preprocessing.mean.image",
        "layers.flat.units",
    ]
