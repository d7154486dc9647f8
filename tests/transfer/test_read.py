"""Weights files are recognized by their suffixes; safetensors of any program are read without a framework."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from netspec.errors import BackendError, NetspecError, WeightsError
from netspec.lowering import find_backend
from netspec.testing.networks import towers
from netspec.transfer import read_weights
from netspec.weights import initialize, save_weights


def _error(path: Path) -> str:
    with pytest.raises(NetspecError) as caught:
        read_weights(path)
    assert str(path) in caught.value.message
    return str(caught.value)


def test_safetensors_of_others(tmp_path: Path) -> None:
    arrays = {"a.weight": np.arange(6, dtype=np.float16).reshape(2, 3), "n": np.array(3)}
    save_file(arrays, tmp_path / "net.safetensors", {"format": "pt"})
    found = read_weights(tmp_path / "net.safetensors")
    assert found.notes == ()
    assert found.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)


def test_a_part_of_the_names_is_read_and_the_rest_reported(tmp_path: Path) -> None:
    arrays = {name: np.full(2, number, np.float32) for number, name in enumerate(("net.module.a", "net.module.b", "x"))}
    save_file(arrays, tmp_path / "net.safetensors")
    found = read_weights(tmp_path / "net.safetensors", "net")
    assert {name: array.tolist() for name, array in found.arrays.items()} == {"a": [0, 0], "b": [1, 1]}
    assert found.notes == (
        "only the weights under net are read",
        "not read: x",
        "'module.', which DataParallel puts before every name, is taken off",
    )
    with pytest.raises(WeightsError, match=r"no name in it begins with 'ne\.'") as caught:
        read_weights(tmp_path / "net.safetensors", "ne")
    assert caught.value.hint == "they begin with net, x"


@pytest.mark.parametrize("name", ["\x1b[2Ka", "a\n✓ all of it", "a" * 1000])
def test_a_name_that_would_change_what_is_printed_is_refused(tmp_path: Path, name: str) -> None:
    save_file({"a": np.ones(2, np.float32), name: np.ones(2, np.float32)}, tmp_path / "net.safetensors")
    error = _error(tmp_path / "net.safetensors")
    assert "which cannot be the name of a layer" in error
    assert "\x1b" not in error
    assert "\n✓" not in error
    assert len(error) < 600


def test_element_types_that_numpy_lacks_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(2))
    error = _error(path)
    assert "w has elements of type F8_E4M3" in error
    assert "cut short" not in error


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    values = np.array([1.5, -2, 0.0078125, 3e38], np.float32)
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}).encode()
    halves = (values.view(np.uint32) >> 16).astype("<u2")
    path.write_bytes(struct.pack("<Q", len(header)) + header + halves.tobytes())
    found = read_weights(path).arrays["w"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], values[:2])
    np.testing.assert_array_equal(found.view(np.uint32).reshape(-1) >> 16, halves)


def test_prefixes_of_wrappers_are_removed(tmp_path: Path) -> None:
    save_file({"module.a": np.ones(2, np.float32), "module.b": np.ones(3, np.float32)}, tmp_path / "net.safetensors")
    found = read_weights(tmp_path / "net.safetensors")
    assert list(found.arrays) == ["a", "b"]
    assert found.notes == ("'module.', which DataParallel puts before every name, is taken off",)


@pytest.mark.parametrize("wrapped", ["module._orig_mod.", "_orig_mod.module."])
def test_nested_wrappers_are_removed_in_either_order(tmp_path: Path, wrapped: str) -> None:
    save_file({f"{wrapped}a": np.ones(2, np.float32)}, tmp_path / "net.safetensors")
    found = read_weights(tmp_path / "net.safetensors")
    assert list(found.arrays) == ["a"]
    assert len(found.notes) == 2


def _sharded(folder: Path, weight_map: object) -> Path:
    for part, name in enumerate("ab", 1):
        array = np.full(part, part, np.float32)
        save_file({name: array}, folder / f"model-0000{part}-of-00002.safetensors", {"format": "pt"})
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 12}, "weight_map": weight_map}))
    return path


def test_weights_in_several_files_are_read_by_their_index(tmp_path: Path) -> None:
    first, second = (f"model-0000{part}-of-00002.safetensors" for part in (1, 2))
    path = _sharded(tmp_path, {"a": first, "b": second})
    found = read_weights(path)
    assert {name: array.tolist() for name, array in found.arrays.items()} == {"a": [1], "b": [2, 2]}
    assert found.notes == ("the weights are in 2 files, which model.safetensors.index.json lists",)
    error = _error(tmp_path / second)
    assert "this is part 2 of 2" in error
    assert "give the file that lists all of them: model.safetensors.index.json" in error
    assert "it says that c is in model-00001" in _error(_sharded(tmp_path, {"a": first, "c": first}))
    path = _sharded(tmp_path, {"a": first})
    save_file({"a": np.ones(1, np.float32), "d": np.ones(1, np.float32)}, tmp_path / first)
    assert f"{first} holds d too, which it does not list" in _error(path)
    (tmp_path / first).unlink()
    with pytest.raises(NetspecError, match="model-00001-of-00002"):
        read_weights(path)


def test_prefixes_of_wrappers_are_removed_in_all_files(tmp_path: Path) -> None:
    first, second = (f"model-0000{part}-of-00002.safetensors" for part in (1, 2))
    path = _sharded(tmp_path, {"_orig_mod.a": first, "_orig_mod.b": second})
    for name, part in (("_orig_mod.a", first), ("_orig_mod.b", second)):
        save_file({name: np.ones(1, np.float32)}, tmp_path / part)
    found = read_weights(path)
    assert list(found.arrays) == ["a", "b"]
    assert found.notes[1:] == ("'_orig_mod.', which torch.compile puts before every name, is taken off",)


@pytest.mark.parametrize("weight_map", [None, {}, [1], {"a": 3}])
def test_a_file_that_is_not_an_index_is_an_error(tmp_path: Path, weight_map: object) -> None:
    assert "not an index of weights" in _error(_sharded(tmp_path, weight_map))
    (tmp_path / "net.index.json").write_text("[" * 10**5)
    assert "not an index of weights" in _error(tmp_path / "net.index.json")


@pytest.mark.parametrize(
    "part", ["../secret.safetensors", "/etc/passwd", "model.safetensors.index.json", "..", "\x1b[2K.safetensors"]
)
def test_an_index_may_only_name_files_beside_it(tmp_path: Path, part: str) -> None:
    assert f"it names {part!r}" in _error(_sharded(tmp_path, {"a": part}))


def test_a_name_in_an_index_cannot_move_the_cursor(tmp_path: Path) -> None:
    error = _error(_sharded(tmp_path, {"\x1b[2Ka": "model-00001-of-00002.safetensors"}))
    assert r"it says that \x1b[2Ka is in model-00001" in error


def test_safetensors_load_no_framework(tmp_path: Path) -> None:
    save_file({"a": np.ones(2, np.float32)}, tmp_path / "net.safetensors")
    code = "import sys; from pathlib import Path; from netspec.transfer import read_weights; "
    code += "read_weights(Path(sys.argv[1])); print(*sorted(m.partition('.')[0] for m in sys.modules))"
    command = [sys.executable, "-c", code, str(tmp_path / "net.safetensors")]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert "netspec" in loaded
    assert not loaded & {"torch", "keras", "tensorflow", "h5py", "onnx", "netspec_torch", "netspec_keras"}


def test_what_a_path_holds_instead_of_weights_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    (tmp_path / "nets.pth").write_bytes(b"x")
    assert "did you mean 'nets.pth'?" in _error(path)
    path.write_bytes(b"")
    assert "is empty" in _error(path)
    path.write_text("<!DOCTYPE html><html>404</html>")
    assert "this is a web page" in _error(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "a pointer of Git LFS" in _error(path)
    path.unlink()
    path.mkdir()
    assert "is a directory" in _error(path)


def test_a_name_of_another_kind_lists_those_that_are_read(tmp_path: Path) -> None:
    (tmp_path / "net.ckpt.index").write_bytes(b"x")
    error = _error(tmp_path / "net.ckpt.index")
    assert ".safetensors, .pth, .pt" in error


def test_damaged_safetensors_and_our_own(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file({"a": np.ones(2, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:-3])
    assert "not a readable safetensors file" in _error(path)
    save_file({}, path)
    assert "holds no arrays" in _error(path)
    graph = towers()
    error = _error(save_weights(path, graph, initialize(graph)))
    assert f"netspec wrote this file, for the spec {graph.name!r}" in error


def test_a_framework_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.PTH").write_bytes(b"x")
    monkeypatch.setattr(type(find_backend("torch")), "missing", lambda _: ["torch"])
    with pytest.raises(BackendError, match="needs torch") as caught:
        read_weights(tmp_path / "net.PTH")
    assert "netspec[torch]" in caught.value.hint
    assert not isinstance(caught.value, WeightsError)
