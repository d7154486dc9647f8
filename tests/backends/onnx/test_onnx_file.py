"""ONNX files: one or two, written completely or not at all; and opening them without the spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from netspec_onnx import BACKEND, OnnxBackend, initializers

from netspec.errors import BackendError, NetspecError
from netspec.graph import Graph, MeanImage
from netspec.graph.text import spec_hash
from netspec.lowering import at_level
from netspec.ops.base import Array, Weights
from netspec.passes import Level
from netspec.testing.networks import NETWORKS, auxiliary_heads
from netspec.testing.pass_networks import normalized
from netspec.weights import initialize

TWO_FILES = OnnxBackend(largest_inline=100)  # bytes


def expected(graph: Graph, weights: Weights, batch: Array) -> Array:
    """Return the output of the model in memory."""
    return BACKEND.load(BACKEND.lower(graph), weights).forward({"image": batch})["fc"]


def test_one_file(small: Graph, weights: Weights, batch: Array, tmp_path: Path) -> None:
    (path,) = BACKEND.write(BACKEND.lower(small), weights, tmp_path)
    assert path == tmp_path / "small-net.onnx"
    onnx.checker.check_model(path, full_check=True)
    saved = BACKEND.open(path)
    assert (saved.name, saved.input_shape) == ("small-net", (3, 8, 9))
    assert saved.preprocessing == small.inputs[0].preprocessing
    np.testing.assert_array_equal(saved(batch)["fc"], expected(small, weights, batch))


@pytest.mark.parametrize("build", [auxiliary_heads, normalized])
def test_a_file_names_the_spec_at_every_level_of_optimization(build: Callable[[], Graph], tmp_path: Path) -> None:
    graph = build()
    weights = initialize(graph)
    for level in get_args(Level):
        backend = at_level(BACKEND, level)
        (path,) = backend.write(backend.lower(graph), weights, tmp_path / level)
        metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        assert metadata["netspec.spec_hash"] == spec_hash(graph)
        assert metadata.get("netspec.optimized", "none") == level


def test_two_files(small: Graph, weights: Weights, batch: Array, tmp_path: Path) -> None:
    paths = TWO_FILES.write(TWO_FILES.lower(small), weights, tmp_path)
    assert [p.name for p in paths] == ["small-net.onnx", "small-net.onnx.data"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)
    onnx.checker.check_model(paths[0], full_check=True)
    for tensor in onnx.load(paths[0], load_external_data=False).graph.initializer:
        if tensor.name in small.weights:
            entries = {entry.key: entry.value for entry in tensor.external_data}
            assert entries["location"] == "small-net.onnx.data"
            assert int(entries["offset"]) % initializers.PAGE == 0
    np.testing.assert_array_equal(TWO_FILES.open(paths[0])(batch)["fc"], expected(small, weights, batch))


def test_two_files_can_be_moved_together(small: Graph, weights: Weights, batch: Array, tmp_path: Path) -> None:
    TWO_FILES.write(TWO_FILES.lower(small), weights, tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    saved = BACKEND.open(tmp_path / "there" / "small-net.onnx")
    np.testing.assert_array_equal(saved(batch)["fc"], expected(small, weights, batch))


def test_two_files_are_deterministic(small: Graph, weights: Weights, tmp_path: Path) -> None:
    first, second = (
        [p.read_bytes() for p in TWO_FILES.write(TWO_FILES.lower(small), weights, tmp_path / name)] for name in "ab"
    )
    assert first == second


def test_when_the_data_cannot_be_written_nothing_appears(
    small: Graph, weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(initializers, "write_arrays", fail)
    with pytest.raises(NetspecError, match="No space left"):
        TWO_FILES.write(TWO_FILES.lower(small), weights, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def written(small: Graph, weights: Weights, tmp_path: Path) -> Path:
    """A model in one file."""
    (path,) = BACKEND.write(BACKEND.lower(small), weights, tmp_path)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-100],
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda _: b"name: alexnet\n" * 20,
        lambda _: b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
    ids=["end cut off", "half", "empty", "a spec", "an image"],
)
def test_files_that_are_not_models_are_refused(written: Path, damage: Callable[[bytes], bytes]) -> None:
    written.write_bytes(damage(written.read_bytes()))
    with pytest.raises(BackendError, match=r"small-net\.onnx is not an ONNX model, or is damaged"):
        BACKEND.open(written)


def test_no_such_file(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(BackendError, match="is a directory" if path == tmp_path else "no such file"):
            BACKEND.open(path)


@pytest.mark.parametrize("keep", [0, 50], ids=["missing", "cut off"])
def test_weights_that_are_missing_or_cut_off(
    small: Graph, weights: Weights, tmp_path: Path, keep: int, capfd: pytest.CaptureFixture[str]
) -> None:
    path, data = TWO_FILES.write(TWO_FILES.lower(small), weights, tmp_path)
    content = data.read_bytes()
    data.unlink()
    if keep:
        data.write_bytes(content[:-keep])
    with pytest.raises(BackendError, match=r"cannot load .*small-net\.onnx.*\n.*keep small-net\.onnx\.data beside it"):
        BACKEND.open(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "mean", ["per_channel", "per_pixel", MeanImage.of(np.arange(216, dtype=np.float32).reshape(3, 8, 9))], ids=str
)
def test_every_kind_of_mean_is_stored(small: Graph, weights: Weights, tmp_path: Path, mean: str | MeanImage) -> None:
    (value,) = small.inputs
    assert value.preprocessing is not None
    preprocessing = value.preprocessing.model_copy(update={"mean": mean})
    graph = replace(small, inputs=(replace(value, preprocessing=preprocessing),))
    (path,) = BACKEND.write(BACKEND.lower(graph), weights, tmp_path)
    assert BACKEND.open(path).preprocessing == preprocessing


def change(path: Path, edit: Callable[[onnx.ModelProto], None]) -> None:
    """Edit a model on disk."""
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)


def test_a_foreign_model_is_refused(written: Path) -> None:
    change(written, lambda model: model.ClearField("metadata_props"))
    with pytest.raises(BackendError, match="was not written by netspec"):
        BACKEND.open(written)


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "{}", '{"image": 3}', '{"image": {"mean": ["a"]}}'),
        '{"image": {"mean": "per_image"}}',
        '{"image": {"mean": {"shape": [3, 8, 9], "data": "AAAA"}}}',
    ],
)
def test_damaged_metadata_is_refused(written: Path, text: str) -> None:
    def damage(model: onnx.ModelProto) -> None:
        (entry,) = (e for e in model.metadata_props if e.key == "netspec.preprocessing")
        entry.value = text

    change(written, damage)
    with pytest.raises(BackendError, match="preprocessing metadata is damaged"):
        BACKEND.open(written)


def test_an_unknown_operator_is_reported(written: Path) -> None:
    change(written, lambda model: setattr(model.graph.node[0], "op_type", "Convolve"))
    with pytest.raises(BackendError, match="Convolve"):
        BACKEND.open(written)


def test_only_models_of_one_input_run(tmp_path: Path) -> None:
    graph = NETWORKS["two_inputs"]()
    (path,) = BACKEND.write(BACKEND.lower(graph), initialize(graph), tmp_path)
    with pytest.raises(BackendError, match=r"has 2 inputs \(image, facts\)"):
        BACKEND.open(path)


def test_an_input_of_another_shape_is_refused(written: Path, batch: Array) -> None:
    with pytest.raises(BackendError, match=r"expected an input of shape \(N, 3, 8, 9\), received \(3, 3, 9, 8\)"):
        BACKEND.open(written)(batch.transpose(0, 1, 3, 2))


def test_an_empty_batch_is_refused(written: Path, batch: Array) -> None:
    with pytest.raises(BackendError, match=r"expected one sample or more, received none, \(0, 3, 8, 9\)"):
        BACKEND.open(written)(batch[:0])
