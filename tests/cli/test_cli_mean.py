"""Networks whose preprocessing needs the mean of the training set: every command but `run` works without it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run, Spec

SAID = "error: the mean is that of the training set, which this spec does not have\nhint: `netspec train` computes it"


@pytest.fixture
def unresolved(write_spec: Spec) -> Path:
    return write_spec(**{"mean: [127.5]": "mean: per_pixel"})


def test_the_spec_is_checked_shown_built_and_verified(netspec: Run, unresolved: Path, tmp_path: Path) -> None:
    for command in (
        ["check", unresolved],
        ["show", unresolved],
        ["build", unresolved, "--backend", "torch,onnx", "--out", tmp_path / "out"],
        ["verify", unresolved, "--backends", "torch,onnx"],
    ):
        code, _, err = netspec(*command)
        assert (code, err) == (0, "")


def test_a_photograph_needs_the_mean(netspec: Run, unresolved: Path, photograph: Path, tmp_path: Path) -> None:
    netspec("build", unresolved, "--backend", "onnx", "--out", tmp_path / "out")
    for model in (unresolved, tmp_path / "out" / "onnx" / "small.onnx"):
        code, out, err = netspec("run", model, photograph, photograph)
        assert (code, out) == (2, "")
        assert err.startswith(SAID)
        assert err.count("error") == 1, "one error, not one for each image"


def test_a_mean_image_is_stored_in_the_model(
    netspec: Run, write_spec: Spec, photograph: Path, tmp_path: Path, small: Path
) -> None:
    np.save(tmp_path / "mean.npy", np.full((3, 9, 8), 127.5, np.float32))
    image = write_spec("image.yaml", **{"mean: [127.5]": "mean: {image: mean.npy}"})
    netspec("build", image, "--backend", "onnx", "--out", tmp_path / "out")
    (tmp_path / "mean.npy").unlink()
    model = tmp_path / "out" / "onnx" / "small.onnx"
    weights = tmp_path / "out" / "small.safetensors"
    report = json.loads(netspec("run", model, photograph, "--json")[1])
    expected = json.loads(netspec("run", small, photograph, "--weights", weights, "--backends", "onnx", "--json")[1])
    assert report == expected
